"""What is kept over the course of an input, from evaluations that are made by hand."""

import gc
import json
import tracemalloc
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from online_lstm.backtest.report.block_sums import MAX_BLOCKS
from online_lstm.backtest.report.learning_curve import LearningCurve, ScoredEvent
from online_lstm.events import LabelEvaluation, NumberEvaluation, SymbolEvaluation
from online_lstm.learning.scoring import regression
from online_lstm.settings import Settings, read_settings
from support.fakes import SMALL

SYMBOLS = read_settings({})
NUMBERS = read_settings({"task": "number", "horizons": "1,2"})
ZEROS = [0.0] * (NUMBERS.predictors.count - 1)
VECTORS = read_settings({"task": "number", "features": "2"})


def course_of(judged: Iterable[ScoredEvent], settings: Settings = SYMBOLS) -> dict[str, Any]:
    course = LearningCurve(settings)
    for one in judged:
        course.add(one)
    figures: dict[str, Any] = json.loads(json.dumps(course.to_json(), allow_nan=False))
    return figures


def symbol(event: int, *, hit: bool, bits: float = 1.0) -> ScoredEvent:
    evaluation = SymbolEvaluation("4", hit, 2.0**-bits, bits, (), 0.5)
    return ScoredEvent(
        event,
        event + 1,
        None,
        4 if hit else 8,
        evaluation,
        SYMBOLS.predictors.named((hit, True, False, hit, hit, True, False)),
    )


def number(event: int, errors: list[list[float]], values: list[float], settings: Settings) -> ScoredEvent:
    """Make a evaluation from the errors of each predictor on each channel."""
    predictions = np.array(values)[:, None] - np.array(errors)
    losses = regression.losses_of(np.array(values), predictions, np.array([1.0] + [0.0] * (len(values) - 1)))
    evaluation = NumberEvaluation(tuple(predictions[:, 0]), (True,), tuple(values), (True,), (), losses)
    return ScoredEvent(event, event, None, values, evaluation, settings.predictors.named((1,) * len(errors[0])))


def test_the_curve_of_symbols_has_the_hit_rate_of_everybody() -> None:
    """By name, at the events where blocks end; it begins where it is a mean of twenty."""
    figures = course_of(symbol(event, hit=event > 100) for event in range(1, 301))
    curve = figures["curve"]
    assert ("hit_rate", 50, 20, 300) == (
        curve["measure"],
        curve["window"],
        curve["events"][0],
        curve["events"][-1],
    )
    assert (0.0, 1.0, 1.0, 0.0, 1.0) == tuple(
        curve[name][at]
        for name, at in (
            ("prediction", 0),
            ("prediction", -1),
            ("last_value", 0),
            ("most_frequent", -1),
            ("expert_lstm", -1),
        )
    )
    assert 0.5 == curve["prediction"][curve["events"].index(125)]
    assert {"expert_suffix_memory", "expert_slow_suffix_memory", "suffix_memory", "surprise_bits"} < set(curve)
    assert 148 == figures["time_to_learn"]["events"]


def test_the_window_that_is_told_is_the_one_that_was_taken() -> None:
    """Whole blocks, each of four predictions by then: 52, of which one was a hit."""
    curve = course_of(symbol(event, hit=event == 1200) for event in range(1, 1201))["curve"]
    assert 52 == curve["window"]
    assert pytest.approx(1 / 52, rel=1e-5) == curve["prediction"][-1]


def test_the_curve_of_numbers_is_in_their_unit() -> None:
    """The mean over the horizons, of the published prediction, baselines and experts."""
    errors = [[1.0, 2.0, 4.0, 1.0, 1.0, 1.0], [3.0, 6.0, 8.0, 3.0, 3.0, 3.0]]
    figures = course_of((number(event, errors, [10.0, 10.0], NUMBERS) for event in range(1, 201)), NUMBERS)
    curve = figures["curve"]
    assert ("mean_absolute_error", 2.0, 4.0, 6.0) == (
        curve["measure"],
        curve["prediction"][-1],
        curve["last_value"][-1],
        curve["seasonal_naive"][-1],
    )
    assert 0.5 == curve["interval_coverage"][-1]
    assert 0.5 == curve["scaled_error"][-1]  # half as far off as the last value, at either horizon
    assert 50 == figures["time_to_learn"]["events"]


def test_components_of_several_units_are_told_by_their_size() -> None:
    """An error of 1 in 10 and one of 100 in 1,000 are alike."""
    errors = [[1.0] * 6, [100.0] * 6]
    figures = course_of((number(event, errors, [10.0, 1000.0], VECTORS) for event in range(1, 201)), VECTORS)
    assert "mean_absolute_error_ratio" == figures["curve"]["measure"]
    assert {0.1} == set(figures["curve"]["prediction"])
    assert {1.0} == set(figures["curve"]["scaled_error"])


@pytest.mark.parametrize("settings", [NUMBERS, VECTORS])
def test_a_miss_with_a_perfect_last_value_is_not_perfect(settings: Settings) -> None:
    """Its scaled error is not defined, so there is none until the last value errs; the error itself is told."""
    never, at_last = [4.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0, 0.0, 0.0]
    judged = [number(event, [never] * 2, [8.0, 8.0], settings) for event in range(1, 101)]
    figures = course_of(judged, settings)
    assert ({None}, []) == (set(figures["curve"]["scaled_error"]), figures["most_surprising"])
    assert {4.0 if settings.features == 1 else 0.5} == set(figures["curve"]["prediction"])
    judged.append(number(101, [at_last] * 2, [8.0, 8.0], settings))
    figures = course_of(judged, settings)
    assert 1 / (2 / 101) == pytest.approx(figures["curve"]["scaled_error"][-1], rel=1e-5)
    assert [101] == [moment["event"] for moment in figures["most_surprising"]]


def test_an_error_without_bound_leaves_all_figures_finite() -> None:
    """And nothing of it in the curve once it is over."""
    judged = [number(event, [[1.0] * 6] * 2, [10.0, 10.0], NUMBERS) for event in range(1, 301)]
    judged[150] = number(151, [[1e300] * 6] * 2, [1e300, 1e300], NUMBERS)
    curve = course_of(judged, NUMBERS)["curve"]
    assert 1.0 == curve["prediction"][-1]
    assert 1e297 < max(curve["prediction"]) < 1e300


def test_the_ten_most_surprising_moments_are_told() -> None:
    """The most surprising first, of equally surprising ones the one that came first; with their lines."""
    bits = [float(place % 40) for place in range(200)]
    figures = course_of(symbol(event, hit=False, bits=some) for event, some in enumerate(bits, 1))
    told = figures["most_surprising"]
    assert [39.0] * 5 + [38.0] * 5 == [moment["surprise_bits"] for moment in told]
    assert [40, 80, 120, 160, 200, 39, 79, 119, 159, 199] == [moment["event"] for moment in told]
    assert {"event": 40, "line": 41, "stream": None, "value": 8, "predicted": 4, "surprise_bits": 39.0} == told[0]


def test_what_surprised_before_it_was_learned_is_left_out() -> None:
    """In the time to learn nearly everything surprises; what does so afterwards is what there is to look at."""
    bits = [30.0] * 300 + [1.0 + (event % 50 == 0) * event / 100 for event in range(301, 1001)]
    figures = course_of(symbol(event, hit=event > 300, bits=some) for event, some in enumerate(bits, 1))
    assert 348 == figures["time_to_learn"]["events"]
    assert list(range(1000, 500, -50)) == [moment["event"] for moment in figures["most_surprising"]]


def test_labels_are_told_by_what_they_are() -> None:
    """Not by the sample with which they came; a sequence of another stream has a label as well."""
    evaluation = LabelEvaluation(
        '"up"',
        '"down"',
        hit=False,
        probability=0.25,
        surprise_bits=2,
        samples=3,
        stable_since_sample=1,
        confidence=0.75,
    )
    settings = read_settings({**SMALL, "task": "label"})
    hits = settings.predictors.named((0, 1, 0, 0))
    figures = course_of([ScoredEvent(1, 7, "a", [1, 2], evaluation, hits)] * 2, settings)
    assert ("up", "down", 7) == tuple(figures["most_surprising"][0][name] for name in ("value", "predicted", "line"))
    assert [[0, 2], [0, 0]] == figures["confusion"]["counts"]
    assert 2 == figures["calibration"]["bins"][7]["count"]
    assert 0.75 == figures["calibration"]["expected_calibration_error"]


@pytest.mark.parametrize("settings", [SYMBOLS, NUMBERS, VECTORS])
def test_of_nothing_there_are_figures(settings: Settings) -> None:
    """None where there is nothing to tell."""
    nothing = course_of([], settings)
    assert ([], None) == (nothing["curve"]["events"], nothing["time_to_learn"]["final_level"])
    assert ([], []) == (nothing["curve"]["prediction"], nothing["most_surprising"])


@pytest.mark.parametrize("settings", [NUMBERS, VECTORS])
def test_of_one_event_there_are_figures(settings: Settings) -> None:
    """A curve of one point."""
    one = course_of([symbol(1, hit=True)])
    assert ([1], [1.0]) == (one["curve"]["events"], one["curve"]["prediction"])
    one = course_of([number(1, [[1.0] * 6] * 2, [10.0, 10.0], settings)], settings)
    assert ([1], [1.0 if settings.features == 1 else 0.1]) == (one["curve"]["events"], one["curve"]["prediction"])


@pytest.mark.long
@pytest.mark.parametrize("settings", [SYMBOLS, NUMBERS])
def test_memory_does_not_grow_with_the_input(settings: Settings) -> None:
    """Five times as many events take no more than the first ones did."""
    course = LearningCurve(settings)
    numbers = settings.task == "number"

    def feed(first: int, count: int) -> int:
        for event in range(first, first + count):
            one = (
                number(event, [[event % 7, 1, 2, 3, 4, 5]] * 2, [9.0, 9.0], settings)
                if numbers
                else symbol(event, hit=event % 3 > 0)
            )
            course.add(one)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = feed(1, 1500)
    after = feed(1501, 6000)
    tracemalloc.stop()
    assert after - before < 20_000
    assert len(course.to_json()["curve"]["events"]) <= MAX_BLOCKS


def test_blocks_have_all_that_was_judged() -> None:
    """Hits and predictions of symbols; of numbers the mean errors of the prediction, over all channels."""
    count = 3 * MAX_BLOCKS
    blocks = course_of(symbol(event, hit=event % 3 == 0) for event in range(2, count + 2))["blocks"]
    assert blocks["events"] == sorted(set(blocks["events"]))
    assert (count + 1, count, MAX_BLOCKS) == (blocks["events"][-1], sum(blocks["predictions"]), sum(blocks["hits"]))
    of_numbers = [number(event, [[event, *ZEROS], [3.0, *ZEROS]], [9.0, 9.0], NUMBERS) for event in (1, 2)]
    blocks = course_of(of_numbers, NUMBERS)["blocks"]
    assert {"events": [1, 2], "predictions": [2, 2], "errors": [2.0, 2.5]} == blocks
