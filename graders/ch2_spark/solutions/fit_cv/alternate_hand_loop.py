from pyspark.ml import Pipeline
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler
from pyspark.ml.regression import LinearRegression
from pyspark.sql import functions as F


def preparation():
    index = StringIndexer(inputCol="district", outputCol="d", handleInvalid="keep")
    flags = OneHotEncoder(inputCol="d", outputCol="flags", dropLast=False)
    measures = VectorAssembler(inputCols=["km", "kg"], outputCol="measures")
    scaler = StandardScaler(inputCol="measures", outputCol="z", withMean=True)
    together = VectorAssembler(inputCols=["flags", "z"], outputCol="features")
    return Pipeline(stages=[index, flags, measures, scaler, together])


def regression(reg):
    return LinearRegression(labelCol="minutes", regParam=reg, standardization=False)


def fit_cv(trips, grid, folds):
    """Prepare once for each fold, and try every value of the grid on what came out."""
    if len(grid) < 1 or folds < 2:
        raise ValueError("an empty grid, or fewer than two folds")
    train = trips.dropna(subset=["fold"])
    rmse = RegressionEvaluator(labelCol="minutes", metricName="rmse")
    total = {reg: 0.0 for reg in grid}
    for fold in range(folds):
        rest = train.where(F.col("fold") != fold)
        prepare = preparation().fit(rest)
        rest, held_out = prepare.transform(rest), prepare.transform(train.where(train.fold == fold))
        for reg in grid:
            total[reg] += rmse.evaluate(regression(reg).fit(rest).transform(held_out))
    errors = {reg: total[reg] / folds for reg in grid}
    best = min(errors, key=errors.get)
    return Pipeline(stages=[preparation(), regression(best)]).fit(train), errors
