"""Vectors, several horizons and missing values: what is learned of them, and that no call and no future shows."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from online_lstm.errors import SettingsError
from online_lstm.events import InputRecord, NumberEvent, OutputRecord
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.number.number_ensemble import NumberEnsemble
from online_lstm.learning.number.number_task import NumberTask
from online_lstm.learning.partition import NetworkFactory, Partition, initial_metadata, next_metadata
from online_lstm.learning.state.packed import PackedArrays
from online_lstm.settings import Settings, read_settings
from online_lstm.timestamps import epoch_ms
from support.fakes import SOURCES, record, small_settings
from support.states import streams_learned

pytestmark = pytest.mark.long

CASES: dict[str, dict[str, Any]] = {
    "vectors": {"features": 3},
    "horizons": {"horizons": "1,2,5"},
    "both": {"features": 3, "horizons": "2,4"},
    "both, calendar": {"features": 3, "horizons": "1,3", "calendar": True},
    "both, lstm alone": {"features": 3, "horizons": "1,3", "experts": "lstm"},
    "both, lags": {"features": 3, "horizons": "1,6", "lags": "1,6,24", "seasonal_periods": "24"},
}


@cache
def settings_of(case: str) -> Settings:
    return small_settings(task="number", lookback=256, score_window=100, **CASES[case])


@cache
def networks_for(case: str) -> NetworkFactory:
    return model_factory(settings_of(case))


def partition_of(case: str) -> Partition:
    settings = settings_of(case)
    return Partition(
        settings, SOURCES[0], next_metadata(settings, SOURCES[0], 0, initial_metadata(1)), networks_for(case)
    )


def vectors(count: int, components: int = 3, missing: float = 0.2) -> NDArray[np.float64]:
    """Seasons of a day of 24 events in other units each, with noise; NaN where missing, the second one at first."""
    random = np.random.default_rng(8)
    steps = np.arange(count)[:, None] + 5 * np.arange(components)
    values: NDArray[np.float64] = 10.0 ** np.arange(components) * (10 + 4 * np.sin(steps / 24 * 2 * np.pi))
    values += 0.2 * 10.0 ** np.arange(components) * random.normal(size=values.shape)
    values[random.random(values.shape) < missing] = np.nan
    if missing:
        values[:7, -1] = np.nan
    return values


def records_of(values: NDArray[np.float64]) -> list[InputRecord]:
    """Make vectors records, an hour apart, of which number 150 ends a sequence; one component is an array as well."""
    lines = [[None if np.isnan(value) else round(value, 4) for value in line] for line in values.tolist()]
    ends: list[dict[str, Any]] = [{"end": True} if place == 150 else {} for place in range(len(lines))]
    return [
        replace(record(place, json.dumps({"value": line, **end}).encode()), timestamp_ms=3_600_000 * place)
        for place, (line, end) in enumerate(zip(lines, ends, strict=True))
    ]


def values_for(case: str, count: int = 400) -> NDArray[np.float64]:
    return vectors(count, CASES[case].get("features", 1))


def outputs_of(case: str, *calls: list[InputRecord]) -> list[OutputRecord]:
    partition = partition_of(case)
    return [output for records in calls for output in partition.process(records).outputs]


def messages_of(case: str, values: NDArray[np.float64]) -> list[dict[str, Any]]:
    outputs = outputs_of(case, records_of(values))
    assert not any(output.dead_letter for output in outputs)
    return [json.loads(output.value or b"", parse_constant=pytest.fail) for output in outputs]


def shape_of(node: Any) -> tuple[int, ...]:
    return (len(node), *shape_of(node[0])) if isinstance(node, list) else ()


def test_what_is_told_has_the_nesting_of_the_settings() -> None:
    """One number is itself, a vector a list, and several horizons a list of these; intervals are pairs.

    Whether the stream has changed is said of all of it.
    """
    expected = {"vectors": (3,), "horizons": (3,), "both": (2, 3)}
    for case, shape in expected.items():
        message = messages_of(case, vectors(200, CASES[case].get("features", 1), missing=0))[-1]
        assert shape == shape_of(message["prediction"])
        assert (*shape, 2) == shape_of(message["interval"])
        assert message["evaluation"].pop("drift") in {True, False}
        assert {shape} == {shape_of(told) for told in message["evaluation"].values()}
        assert {(*shape, 2)} == {shape_of(told) for told in message["experts"].values()}


def test_each_horizon_is_judged_by_what_it_had_predicted() -> None:
    """What is missing, or had not been predicted, is not judged, and all else is."""
    values = values_for("both")
    messages = messages_of("both", values)
    for place, message in enumerate(messages):
        for number, horizon in enumerate((2, 4)):
            before = place - horizon
            same = before >= 0 and not before <= 150 < place
            predicted = messages[before]["prediction"] if same else None
            for component in range(3):
                told = None if predicted is None else predicted[number][component]
                evaluation = message["evaluation"] and {
                    name: of[number][component] for name, of in message["evaluation"].items() if name != "drift"
                }
                if evaluation is None or told is None or np.isnan(values[place, component]):
                    assert (
                        evaluation is None
                        or (evaluation["error"], evaluation["hit"], evaluation["covered"]) == (None,) * 3
                    )
                    continue
                assert told == evaluation["predicted"]
                assert message["value"][component] - told == pytest.approx(evaluation["error"])
                interval = messages[before]["interval"][number][component]
                inside = interval and interval[0] <= message["value"][component] <= interval[1]
                assert inside == evaluation["covered"]


def test_hit_rate_is_the_share_of_numbers_predicted() -> None:
    """Over the last events that were scored, each number that came counts."""
    messages = messages_of("both", values_for("both"))
    judged = [np.array(m["evaluation"]["hit"], object).ravel() for m in messages if m["evaluation"]][-100:]
    hits = [hit for of_event in judged for hit in of_event if hit is not None]
    assert messages[-1]["hit_rate"] == pytest.approx(sum(hits) / len(hits), abs=1e-6)


def test_scores_are_those_of_the_errors() -> None:
    """Of each component and horizon, over the last events that were scored."""
    messages = messages_of("both", values_for("both"))
    judged = [m for m in messages if m["evaluation"]][-100:]
    last = judged[-1]["evaluation"]
    for number in range(2):
        for component in range(3):
            told = [
                {name: of[number][component] for name, of in m["evaluation"].items() if name != "drift"} for m in judged
            ]
            pairs = [
                (abs(t["error"]), abs(m["value"][component]))
                for t, m in zip(told, judged, strict=True)
                if t["error"] is not None
            ]
            covered = [t["covered"] for t in told if t["covered"] is not None]
            errors, sizes = np.array(pairs).T
            expected = {
                "mean_absolute_error": errors.mean(),
                "root_mean_squared_error": np.sqrt((errors**2).mean()),
                "mean_absolute_percentage_error": (errors / sizes).mean(),
                "interval_coverage": np.mean(covered),
            }
            for name, figure in expected.items():
                assert last[name][number][component] == pytest.approx(figure), name
            best = last["baseline_mean_absolute_error"][number][component]
            skills = [last[f"skill_{name}"][number][component] for name in ("last_value", "seasonal_naive")]
            assert 1 - errors.mean() / best == pytest.approx(min(skills))


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("case", CASES)
def test_calls_of_any_length_give_the_same_bytes(case: str) -> None:
    """Outputs and state do not show how the records were handed over."""
    records = records_of(values_for(case))
    whole, split = partition_of(case), partition_of(case)
    outputs = whole.process(records).outputs
    others = [out for first in range(0, len(records), 13) for out in split.process(records[first:][:13]).outputs]
    assert outputs == others
    assert flat(whole.state().to_arrays()) == flat(split.state().to_arrays())


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("cut", [0, 1, 5, 129, 151, 256, 399])
def test_a_restored_partition_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    """The same bytes come from a state that was saved and restored at any place."""
    records = records_of(values_for("both"))
    first, second = partition_of("both"), partition_of("both")
    before = first.process(records[:cut]).outputs
    second.restore(first.state())
    assert outputs_of("both", records) == before + second.process(records[cut:]).outputs


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("case", CASES)
def test_no_future_shows(case: str) -> None:
    """A future that tells everything changes nothing of what was said before it, and its first value does at once."""
    values = values_for(case)
    for cut in (200, 383):
        planted = values[: cut + 16].copy()
        planted[cut:] = 1000.0 + np.arange(16)[:, None] % 2
        outputs, others = (outputs_of(case, records_of(stream)) for stream in (values[: cut + 16], planted))
        assert outputs[:cut] == others[:cut]
        assert outputs[cut] != others[cut]


def test_components_do_not_disturb_each_other() -> None:
    """What cannot be predicted beside it, and in another unit, makes a season no worse."""
    settings = small_settings(task="number", lookback=256, features=2, score_window=200)
    clear = vectors(900, 1, missing=0)
    noise = 1e6 * np.random.default_rng(1).normal(size=(900, 1))
    partition = Partition(
        settings, SOURCES[0], next_metadata(settings, SOURCES[0], 0, initial_metadata(1)), model_factory(settings)
    )
    outputs = partition.process(records_of(np.hstack([clear, noise]))).outputs
    evaluation = json.loads(outputs[-1].value or b"")["evaluation"]
    assert evaluation["mean_absolute_error"][0] < 0.21  # that of the noise alone is 0.16
    assert evaluation["skill_seasonal_naive"][0] > 0.05


def panel_row(**given: Any) -> tuple[NumberEnsemble, dict[str, NDArray[Any]]]:
    panel = NumberEnsemble(**{"lookback": 1024, "experts": ("linear", "neighbours"), **given})
    rows = PackedArrays(panel.fields())
    return panel, rows.view(rows.add())


def published(panel: NumberEnsemble, row: dict[str, NDArray[Any]], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Learn values in calls of 64, and return the published predictions, ``(K, H, D)``."""
    parts = []
    for first in range(0, len(values), 64):
        observed = panel.observe(row, values[first:][:64], np.full(len(values[first:][:64]), -1))
        parts.append(panel.stack(row, observed)[0])
    return np.concatenate(parts)


def test_a_component_is_predicted_from_another_one() -> None:
    """Where it is what another one was just before, the error is a fraction of what the last value has."""
    random = np.random.default_rng(2)
    x = random.normal(size=3000)
    y = np.concatenate([[0.0], x[:-1]]) + 0.05 * random.normal(size=3000)
    panel, row = panel_row(components=2, horizons=(1,))
    predicted = published(panel, row, np.column_stack([x, y]))[:-1, 0, 1]
    error, of_last = (np.abs(forecast - y[1:])[1000:].mean() for forecast in (predicted, y[:-1]))
    assert error < 0.1 * of_last
    assert error < 1.3 * 0.05 * 0.798


@pytest.mark.parametrize("horizons", [(1,), (5,), (1, 5)])
def test_with_values_missing_it_is_nearly_as_good(horizons: tuple[int, ...]) -> None:
    """One value in five is not there: the error on those that are is not much larger, and predictions never stop."""
    random = np.random.default_rng(3)
    steps = np.arange(4000)
    whole = np.column_stack([np.sin(2 * np.pi * steps / 24) + 0.3 * random.normal(size=4000), np.zeros(4000)])
    for step in steps[1:]:
        whole[step, 1] = 0.9 * whole[step - 1, 1] + random.normal()
    holes = np.where(random.random(whole.shape) < 0.2, np.nan, whole)
    errors = []
    for values in (whole, holes):
        panel, row = panel_row(components=2, horizons=horizons)
        predicted = published(panel, row, values)
        assert np.isfinite(predicted[10:]).all()
        for name, array in row.items():
            assert name in UNKNOWN or np.isfinite(array).all(), name
        of_horizons = [
            np.nanmean(np.abs(predicted[1000:-h, index] - holes[1000 + h :]), axis=0)
            for index, h in enumerate(horizons)
        ]
        errors.append(np.array(of_horizons))
    # an autoregression that is not seen last is less known: (1 + .2 * .81)^.5 of the error, one step ahead
    assert (errors[1] < 1.12 * errors[0]).all()


UNKNOWN = ("interval_pending", "season_outcomes")
"""Arrays in which NaN says that something is not known."""
LEARNED = ("_products", "_answers", "_weights", "_error", "_learned", "_judged", "_errors", "_residuals", "_counted")


def test_the_calendar_is_that_of_the_time_zone() -> None:
    """An hour earlier by UTC after the clocks went forward is the same hour by the clock; without a zone it is not."""
    winter, summer = datetime(2026, 3, 28, 6, tzinfo=UTC), datetime(2026, 3, 30, 5, tzinfo=UTC)
    events = [
        NumberEvent(InputRecord("numbers", 0, 0, epoch_ms(moment), None, b""), None, (1.0,), "1")
        for moment in (winter, summer)
    ]
    for zone, hours in (("Europe/Berlin", [7, 7]), ("UTC", [6, 5])):
        settings = read_settings({"task": "number", "calendar": True, "time_zone": zone}, environment={})
        _, times = NumberTask(settings).values(events)
        assert hours == (times // 3_600_000 % 24).tolist()
    with pytest.raises(SettingsError, match="expected a time zone like UTC or Europe/Berlin"):
        read_settings({"time_zone": "Europe/Nowhere"}, environment={})


@pytest.mark.parametrize("calendar", [False, True])
def test_nothing_is_learned_of_what_is_missing(calendar: bool) -> None:
    """However often it is missing: means, spreads, regressions and intervals of that component stay as they are."""
    panel, row = panel_row(components=2, horizons=(1, 4), periods=(24,), calendar=calendar)
    values = vectors(700, 2, missing=0)
    learned = values[:600]
    panel.bound(row, *whole_run(panel, row, learned))
    before = {name: array[1].copy() for name, array in row.items()}
    holes = values[600:660].copy()
    holes[:, 1] = np.nan
    panel.bound(row, *whole_run(panel, row, holes))
    same = [
        name
        for name in row
        if name.endswith(LEARNED)
        or (name.startswith(("scale_", "profile_", "clock_profile_")) and not name.endswith(("_latest", "_missing")))
    ]
    assert len(same) > 15
    for name in same:
        np.testing.assert_array_equal(before[name], row[name][1], err_msg=name)


def whole_run(panel: NumberEnsemble, row: dict[str, NDArray[Any]], values: NDArray[np.float64]) -> tuple[Any, Any]:
    observed = panel.observe(row, values, 3_600_000 * np.arange(len(values)))
    return observed, panel.stack(row, observed)[0]


def test_no_step_is_taken_where_everything_is_missing() -> None:
    """The network's weights and moments stay the same bits, and a prediction is made all the same."""
    values = vectors(300, 3)
    partition = partition_of("both")
    partition.process(records_of(values))
    network = next(iter(streams_learned(partition.state()).networks.values()))["network"]
    learned = network.shape[1] - 2 - 8  # all but steps, budget and states at the left edge
    holes = records_of(np.vstack([values, np.full((20, 3), np.nan)]))[300:]
    processed = partition.process(holes)
    after = next(iter(streams_learned(partition.state()).networks.values()))["network"]
    np.testing.assert_array_equal(network[:, :learned], after[:, :learned])
    assert {(0, 0)} == {(outcome.fit_steps, outcome.skipped_steps) for outcome in processed.outcomes}
    assert all(json.loads(output.value or b"")["prediction"][0][0] is not None for output in processed.outputs)
    assert {None} == {outcome.evaluation for outcome in processed.outcomes}


def test_before_the_first_value_nothing_is_said() -> None:
    """Of a component that has not come yet, its prediction is null; with the first value there is one."""
    values = vectors(12, 3, missing=0)
    values[:8, 1] = np.nan
    predictions = [message["prediction"] for message in messages_of("vectors", values)]
    assert [False] * 8 + [True] * 4 == [prediction[1] is not None for prediction in predictions]
    assert all(prediction[0] is not None for prediction in predictions)


def test_numbers_are_missing_in_a_vector_of_one_too() -> None:
    """``[null]`` is a value that is missing, also as the first one."""
    values = vectors(60, 1)
    values[:3] = np.nan
    messages = messages_of("horizons", values)
    assert [[None] * 3] * 3 == [message["prediction"] for message in messages[:3]]
    assert messages[-1]["prediction"][0] == pytest.approx(10, abs=6)
    assert [None] == messages[0]["value"]


def flat(node: Any) -> Any:
    """Give nested state as what can be compared."""
    if isinstance(node, dict):
        return {name: flat(below) for name, below in node.items()}
    return (node.dtype, node.shape, node.tobytes()) if isinstance(node, np.ndarray) else node
