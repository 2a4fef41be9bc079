from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from online_lstm.learning.scoring import classification
from online_lstm.learning.state.packed import ArrayViews, PackedArrays
from online_lstm.predictor_scores import Predictors

WINDOW, PREDICTORS, LOSSES = 5, 3, 2
NAMES = Predictors(("last_value", "most_frequent"), ())


@pytest.fixture
def row() -> ArrayViews:
    rows = PackedArrays(classification.fields(score_window=WINDOW, predictors=PREDICTORS, losses=LOSSES))
    return rows.view(rows.add())


def run_of(length: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    random = np.random.default_rng(length)
    return random.random((length, PREDICTORS)) < 0.5, random.random((length, LOSSES))


def test_nothing_is_said_before_the_first_score(row: ArrayViews) -> None:
    """No scored prediction, no rates; an empty run changes nothing."""
    assert (0, PREDICTORS) == classification.record(row, *run_of(0)).shape
    assert classification.rates(row) is None
    assert (None, None) == classification.summary({name: array[None] for name, array in row.items()}, NAMES)


def test_rates_are_shares_of_the_last_window(row: ArrayViews) -> None:
    """The rate after each event is the mean of the last `score_window` hits, of fewer at the start."""
    hits, losses = run_of(23)
    expected = [hits[max(0, end - WINDOW) : end].mean(axis=0) for end in range(1, 24)]
    np.testing.assert_allclose(expected, classification.record(row, hits, losses))
    rates = classification.rates(row)
    assert rates is not None
    np.testing.assert_allclose(expected[-1], rates)
    np.testing.assert_array_equal(hits.sum(axis=0), row["scores_totals"])


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_the_split_into_runs_does_not_show(lengths: list[int]) -> None:
    """Any split gives the same rates and the same state, bit for bit."""
    hits, losses = run_of(sum(lengths))
    rows = PackedArrays(classification.fields(score_window=WINDOW, predictors=PREDICTORS, losses=LOSSES))
    first, second = rows.add(), rows.add()
    whole = classification.record(rows.view(first), hits, losses)
    edges = np.cumsum([0, *lengths])
    parts = [
        classification.record(rows.view(second), hits[start:end], losses[start:end])
        for start, end in pairwise(edges.tolist())
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    for name, array in rows.view(first).items():
        np.testing.assert_array_equal(array, rows.view(second)[name], err_msg=name)


def test_summary_pools_the_windows_of_all_streams() -> None:
    """Every scored prediction that is still in a window counts once, whosever it was."""
    rows = PackedArrays(classification.fields(score_window=WINDOW, predictors=PREDICTORS, losses=LOSSES))
    numbers = [rows.add() for _ in range(3)]
    runs = [run_of(length) for length in (2, 9, 0)]
    for number, (hits, losses) in zip(numbers, runs, strict=True):
        classification.record(rows.view(number), hits, losses)
    rates, means = classification.summary(rows.take(numbers), NAMES)
    assert rates is not None
    assert means is not None
    np.testing.assert_allclose(np.concatenate([hits[-WINDOW:] for hits, _ in runs]).mean(axis=0), rates.columns)
    np.testing.assert_allclose(np.concatenate([losses[-WINDOW:] for _, losses in runs]).mean(axis=0), means)


def test_lifts_have_the_standard_errors_of_pairs() -> None:
    """Those of the differences in the windows: hit by hit where an event is worth one prediction (McNemar)."""
    rows = PackedArrays(classification.fields(score_window=WINDOW, predictors=PREDICTORS, losses=LOSSES))
    numbers = [rows.add() for _ in range(3)]
    assert classification.lift_errors(rows.take(numbers), NAMES) is None
    runs = [run_of(length) for length in (3, 9, 0)]
    for number, (hits, losses) in zip(numbers, runs, strict=True):
        classification.record(rows.view(number), hits, losses)
    hits = np.concatenate([hits[-WINDOW:] for hits, _ in runs])
    expected = [np.std(hits[:, 0].astype(int) - hits[:, place]) / len(hits) ** 0.5 for place in (1, 2)]
    assert expected[0] != expected[1]
    found = classification.lift_errors(rows.take(numbers), NAMES)
    assert found is not None
    assert ["last_value", "most_frequent"] == list(found)
    np.testing.assert_allclose(expected, list(found.values()))


def test_several_predictions_of_an_event_are_no_independent_ones() -> None:
    """The standard error of a lift is that of differences of events, by all predictions that were judged."""
    rows = PackedArrays(classification.fields(score_window=WINDOW, predictors=2, losses=(2, LOSSES), predictions=2))
    number = rows.add()
    hits = np.array([[2, 0, 2], [2, 0, 2], [0, 2, 2], [1, 1, 1]], np.int32)
    classification.record(rows.view(number), hits, np.ones((4, 2, LOSSES)))
    expected = 4**0.5 * np.std([2, 2, -2, 0]) / 7
    found = classification.lift_errors(rows.take([number]), Predictors(("last_value",), ()))
    assert found is not None
    np.testing.assert_allclose(expected, found["last_value"])


@pytest.mark.long
@given(st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_sums_of_losses_are_of_the_last_window(lengths: list[int]) -> None:
    """After each event, over the last `score_window` ones with it; whatever is gone leaves nothing behind."""
    hits, losses = run_of(sum(lengths))
    losses[: len(losses) // 2] *= 1e300
    rows = PackedArrays(classification.fields(score_window=WINDOW, predictors=PREDICTORS, losses=LOSSES))
    row_number = rows.add()
    whole = classification.window_sums(rows.view(rows.add()), losses)
    row = rows.view(row_number)
    sums = [np.empty((0, LOSSES))]
    for start, end in pairwise(np.cumsum([0, *lengths]).tolist()):
        sums.append(classification.window_sums(row, losses[start:end]))
        classification.record(row, hits[start:end], losses[start:end])
    np.testing.assert_array_equal(whole, np.concatenate(sums))
    expected = [losses[max(0, end - WINDOW) : end].sum(axis=0) for end in range(1, len(losses) + 1)]
    np.testing.assert_allclose(whole, np.reshape(expected, (-1, LOSSES)))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_an_event_may_have_several_predictions(lengths: list[int]) -> None:
    """The hit rates are the hits by the predictions that were scored, over the events of the window."""
    count = sum(lengths)
    told = np.random.default_rng(2).integers(1, 5, count)
    hits = np.column_stack([np.minimum(told, np.random.default_rng(3).integers(0, 5, count)), told])
    rows = PackedArrays(classification.fields(score_window=WINDOW, predictors=1, losses=(2, LOSSES), predictions=4))
    row = rows.view(rows.add())
    rates = [np.empty((0, 1))]
    for start, end in pairwise(np.cumsum([0, *lengths]).tolist()):
        rates.append(classification.record(row, hits[start:end], np.ones((end - start, 2, LOSSES))))
    windows = [hits[max(0, end - WINDOW) : end].sum(axis=0) for end in range(1, count + 1)]
    np.testing.assert_allclose(np.concatenate(rates)[:, 0], [right / of for right, of in windows])
    if count:
        found, losses = classification.summary({name: array[None] for name, array in row.items()}, Predictors((), ()))
        assert found is not None
        assert windows[-1][0] / windows[-1][1] == found.published
        np.testing.assert_array_equal(np.ones((2, LOSSES)), losses)


def test_misses_are_shares_of_the_published_predictions() -> None:
    """The first column is the published prediction's; of several predictions an event, the last one says how many."""
    one = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal([0, 1], classification.misses(one))
    several = np.array([[3, 0, 4], [1, 1, 1], [0, 2, 2]], np.int32)
    np.testing.assert_array_equal([0.25, 0, 1], classification.misses(several))
    assert (0,) == classification.misses(one[:0]).shape


def test_scored_events_are_those_within_the_windows() -> None:
    """Of all streams together."""
    rows = PackedArrays(classification.fields(score_window=WINDOW, predictors=PREDICTORS, losses=LOSSES))
    numbers = [rows.add() for _ in range(3)]
    for number, length in zip(numbers, (2, 9, 0), strict=True):
        classification.record(rows.view(number), *run_of(length))
    assert 2 + WINDOW == classification.scored(rows.take(numbers))
