from otter.test_files import test_case

OK_FORMAT = False
name = "fit_cv"
points = None


@test_case(
    name="small example",
    success_message="学習済みのモデルと誤差が返され、新しい地区も予測されます。",
    failure_message="結果の形か、新しい地区の扱いに問題があります。",
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
        "関数は、モデルと誤差の二つの結果を返す必要があります。"
    )
    model, errors = result
    assert isinstance(errors, dict) and list(errors) == [0.5], (
        "誤差は、grid の各値に一つの項目を持つ dict にしてください。"
    )
    assert isinstance(errors[0.5], float) and errors[0.5] > 0, "誤差は0より大きい float にしてください。"
    assert hasattr(model, "transform"), "一つ目の結果は、学習済みのモデルにしてください。"
    new = spark.createDataFrame(
        [("hill", 2.0, 3.0), ("never seen", 2.0, 3.0), (None, 2.0, 3.0)],
        "district string, km double, kg double",
    )
    predicted = model.transform(new)
    assert "prediction" in predicted.columns, "transform は列 `prediction` を追加する必要があります。"
    found = predicted.select("district", "prediction").collect()
    assert len(found) == 3, (
        "3回の新しい配達を渡しましたが、予測の付いた行の数が違います。"
    )


@test_case(
    name="wrong arguments",
    success_message="grid が空のときと分割が一つのときに、ValueError が発生します。",
    failure_message="grid が空のときと folds = 1 のときは、ValueError を発生させる必要があります。",
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
        raise AssertionError("呼び出しで ValueError が発生しませんでした。")
