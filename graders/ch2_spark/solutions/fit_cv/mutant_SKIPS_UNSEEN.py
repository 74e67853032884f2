from pyspark.ml import Pipeline
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler
from pyspark.ml.regression import LinearRegression
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder


def fit_cv(trips, grid, folds):
    if not grid:
        raise ValueError("grid is empty")
    if folds < 2:
        raise ValueError("there must be two folds or more")
    train = trips.where("fold IS NOT NULL")
    prepare = [
        StringIndexer(inputCol="district", outputCol="place", handleInvalid="skip"),
        OneHotEncoder(inputCol="place", outputCol="flags"),
        VectorAssembler(inputCols=["km", "kg"], outputCol="measures"),
        StandardScaler(inputCol="measures", outputCol="scaled"),
        VectorAssembler(inputCols=["scaled", "flags"], outputCol="features"),
    ]
    line = LinearRegression(labelCol="minutes", standardization=False)
    search = CrossValidator(
        estimator=Pipeline(stages=[*prepare, line]),
        estimatorParamMaps=ParamGridBuilder().addGrid(line.regParam, grid).build(),
        evaluator=RegressionEvaluator(labelCol="minutes"),
        numFolds=folds,
        foldCol="fold",
    )
    found = search.fit(train)
    return found.bestModel, dict(zip(grid, found.avgMetrics))
