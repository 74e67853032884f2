from pyspark.ml import Pipeline
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler
from pyspark.ml.regression import LinearRegression


def fit_cv(trips, grid, folds):
    if not grid:
        raise ValueError("grid is empty")
    if folds < 2:
        raise ValueError("there must be two folds or more")
    train = trips.where("fold IS NOT NULL")
    prepare = [
        StringIndexer(inputCol="district", outputCol="place", handleInvalid="keep"),
        OneHotEncoder(inputCol="place", outputCol="flags"),
        VectorAssembler(inputCols=["km", "kg"], outputCol="measures"),
        StandardScaler(inputCol="measures", outputCol="scaled"),
        VectorAssembler(inputCols=["scaled", "flags"], outputCol="features"),
    ]
    line = LinearRegression(labelCol="minutes", standardization=False)
    rmse = RegressionEvaluator(labelCol="minutes")
    errors = dict.fromkeys(grid, 0.0)
    for fold in range(folds):
        held_out = train.where(train.fold == fold)
        for reg in grid:
            model = Pipeline(stages=[*prepare, line.copy({line.regParam: reg})]).fit(train)
            errors[reg] += rmse.evaluate(model.transform(held_out)) / folds
    best = min(errors, key=errors.get)
    return Pipeline(stages=[*prepare, line.copy({line.regParam: best})]).fit(train), errors
