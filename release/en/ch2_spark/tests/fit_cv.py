from otter.test_files import test_case

OK_FORMAT = False
name = "fit_cv"
points = None


@test_case(
    name="small example",
    success_message="You return a fitted model and the errors, and a new district is predicted.",
    failure_message="Something is wrong with the form of the results, or with new districts.",
)
def test_small_example(fit_cv, spark):
    districts = ["harbour", "hill", "hill", "old town"]
    rows = [
        (districts[i % 4], 1.0 + i % 5, 2.0 + i % 3, 9.0 + 7 * (i % 5), (i // 4) % 2)
        for i in range(24)
    ]
    rows += [("test only", 50.0, 1.0, 10.0, None)]
    trips = spark.createDataFrame(
        rows, "district string, km double, kg double, minutes double, fold int"
    ).coalesce(1)
    result = fit_cv(trips, [0.5], 2)
    assert isinstance(result, tuple) and len(result) == 2, (
        "The function should return two results: the model and the errors."
    )
    model, errors = result
    assert isinstance(errors, dict) and list(errors) == [0.5], (
        "The errors should be a dict with one entry for each value of grid."
    )
    assert isinstance(errors[0.5], float) and errors[0.5] > 0, "An error should be a float above 0."
    assert hasattr(model, "transform"), "The first result should be a fitted model."
    new = spark.createDataFrame(
        [("hill", 2.0, 3.0), ("never seen", 2.0, 3.0), (None, 2.0, 3.0)],
        "district string, km double, kg double",
    )
    predicted = model.transform(new)
    assert "prediction" in predicted.columns, "transform should add a column `prediction`."
    found = predicted.select("district", "prediction").collect()
    assert len(found) == 3, (
        "Three new trips went in, and another number of them came out with a prediction."
    )


@test_case(
    name="wrong arguments",
    success_message="An empty grid and a single fold raise ValueError.",
    failure_message="An empty grid, and folds = 1, should raise ValueError.",
)
def test_wrong_arguments(fit_cv, spark):
    trips = spark.createDataFrame(
        [("hill", 1.0, 2.0, 9.0, 0), ("hill", 2.0, 2.0, 11.0, 1)],
        "district string, km double, kg double, minutes double, fold int",
    )
    for grid, folds in (([], 2), ([1.0], 1)):
        try:
            fit_cv(trips, grid, folds)
        except ValueError:
            continue
        raise AssertionError("The call raised no ValueError.")
