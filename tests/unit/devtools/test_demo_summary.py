"""The summary of the demonstration: figures from messages and metrics."""

from typing import Any

from online_lstm.devtools.demo_summary import metric_totals, number_rows, summary_table, symbol_rows
from online_lstm.settings import read_settings


def symbols(*hits: bool | None) -> list[dict[str, Any]]:
    return [{"evaluation": None if hit is None else {"hit": hit}} for hit in hits]


def numbers(*errors: float | None) -> list[dict[str, Any]]:
    evaluations = [
        None
        if error is None
        else {
            "error": error,
            "mean_absolute_error": 1.5,
            "baseline_mean_absolute_error": 2.25,
            "interval_coverage": 0.9,
            "drift": abs(error) == 7,
        }
        for error in errors
    ]
    return [{"evaluation": evaluation} for evaluation in evaluations]


def test_hit_rates_are_of_scored_values() -> None:
    """The first value has no prediction; the learning phase is reported separately."""
    rows = dict(symbol_rows(symbols(None, *[True] * 299, *[False] * 200, *[True] * 599, False, False)))
    assert f"{299 / 499:.4f}" == rows["hit rate, first 500 values"]
    assert f"{599 / 601:.4f}" == rows["hit rate, value 501 to 1,101"]
    assert f"{898 / 1100:.4f}" == rows["hit rate, all values"]
    assert ("2", "value 1,101") == (rows["misses after value 1,000"], rows["last miss"])


def test_a_short_stream_has_one_phase() -> None:
    """There is no row of values that did not come."""
    assert [
        ("hit rate, first 500 values", "1.0000"),
        ("hit rate, all values", "1.0000"),
        ("misses after value 1,000", "0"),
        ("last miss", "none"),
    ] == symbol_rows(symbols(None, True))


def test_numbers_have_errors_intervals_and_drifts() -> None:
    """The errors are those of the last message; an outlier is the largest error, of either sign."""
    settings = read_settings({"task": "number"}, environment={})
    assert [
        ("mean absolute error, last 4 values", "1.5000"),
        ("best baseline's, last 4 values", "2.2500"),
        ("share within the interval (0.9 wanted)", "0.9000"),
        ("drift detected", "at value 4"),
        ("largest error", "61.2, at value 3"),
    ] == number_rows(numbers(None, 1.0, -61.25, 7.0, 0.5), settings)
    assert ("drift detected", "none") == number_rows(numbers(None, 1.0), settings)[3]


def test_unscored_numbers_have_no_rows() -> None:
    """Two values may be too few for a prediction."""
    assert [] == number_rows(numbers(None, None), read_settings({"task": "number"}, environment={}))


METRICS = """\
# TYPE online_lstm_predictions_scored counter
online_lstm_predictions_scored_total{partition="0"} 3
online_lstm_predictions_scored_total{partition="1"} 5
# TYPE online_lstm_baseline_hits counter
online_lstm_baseline_hits_total{partition="0",baseline="last_value"} 1
online_lstm_baseline_hits_total{partition="1",baseline="last_value"} 1
online_lstm_baseline_hits_total{partition="0",baseline="most_frequent"} 4
# TYPE online_lstm_step_seconds histogram
online_lstm_step_seconds_bucket{le="+Inf"} 4
online_lstm_step_seconds_count 4
online_lstm_step_seconds_sum 0.002
"""


def test_metrics_are_summed_over_partitions() -> None:
    """For each baseline separately."""
    totals = metric_totals(METRICS)
    assert 8 == totals["online_lstm_predictions_scored_total"]
    assert 2 == totals["online_lstm_baseline_hits_total last_value"]
    assert 4 == totals["online_lstm_baseline_hits_total most_frequent"]


def test_baselines_and_time_come_from_the_metrics() -> None:
    """The baselines of symbols, and the mean time per value."""
    settings = read_settings({}, environment={})
    table = summary_table("loop", symbols(None, True), metric_totals(METRICS), settings)
    cells = dict(zip(*[column.cells for column in table.columns], strict=True))
    assert ("0.2500", "0.5000") == tuple(
        cells[f"baseline {name}, all values"] for name in ("last value", "most frequent")
    )
    assert "0.500 ms" == cells["learn and predict, per value"]
    assert "2 values of the loop, each predicted before it was learned" == table.title
