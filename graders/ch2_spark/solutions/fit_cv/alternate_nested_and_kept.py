from pyspark.ml import Pipeline
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler
from pyspark.ml.regression import LinearRegression
from pyspark.ml.tuning import CrossValidator


def fit_cv(trips, grid, folds):
    """The search itself is the model: it predicts with the best pipeline."""
    if not grid or folds < 2:
        raise ValueError("nothing to choose from")
    places = Pipeline(
        stages=[
            StringIndexer(inputCols=["district"], outputCols=["place"], handleInvalid="keep"),
            OneHotEncoder(inputCols=["place"], outputCols=["places"], handleInvalid="keep"),
        ]
    )
    scales = []
    for name in ("km", "kg"):
        scales += [
            VectorAssembler(inputCols=[name], outputCol=name + "_v"),
            StandardScaler(inputCol=name + "_v", outputCol=name + "_z"),
        ]
    join = VectorAssembler(inputCols=["km_z", "kg_z", "places"], outputCol="all")
    ridge = LinearRegression(featuresCol="all", labelCol="minutes").setStandardization(False)
    search = CrossValidator(
        estimator=Pipeline(stages=[places, *scales, join, ridge]),
        estimatorParamMaps=[{ridge.regParam: reg} for reg in grid],
        evaluator=RegressionEvaluator(labelCol="minutes"),
        numFolds=folds,
        foldCol="fold",
        parallelism=2,
        collectSubModels=True,
    )
    model = search.fit(trips.filter(trips.fold.isNotNull()))
    return model, {reg: float(error) for reg, error in zip(grid, model.avgMetrics)}
