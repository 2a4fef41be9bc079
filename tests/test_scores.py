from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import scores
from daemon.rows import Rows

WINDOW, PREDICTORS, LOSSES = 5, 3, 2


@pytest.fixture
def row():
    rows = Rows(scores.fields(score_window=WINDOW, predictors=PREDICTORS, losses=LOSSES))
    return rows.view(rows.add())


def run_of(length):
    random = np.random.default_rng(length)
    return random.random((length, PREDICTORS)) < 0.5, random.random((length, LOSSES))


def test_nothing_is_said_before_the_first_score(row):
    """No scored prediction, no rates; an empty run changes nothing."""
    assert (0, PREDICTORS) == scores.record(row, *run_of(0)).shape
    assert scores.rates(row) is None
    assert scores.summary({name: array[None] for name, array in row.items()}) is None


def test_rates_are_shares_of_the_last_window(row):
    """The rate after each event is the mean of the last `score_window` hits, of fewer at the start."""
    hits, losses = run_of(23)
    expected = [hits[max(0, end - WINDOW) : end].mean(axis=0) for end in range(1, 24)]
    np.testing.assert_allclose(expected, scores.record(row, hits, losses))
    np.testing.assert_allclose(expected[-1], scores.rates(row))
    np.testing.assert_array_equal(hits.sum(axis=0), row["scores_totals"])


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_the_split_into_runs_does_not_show(lengths):
    """Any split gives the same rates and the same state, bit for bit."""
    hits, losses = run_of(sum(lengths))
    rows = Rows(scores.fields(score_window=WINDOW, predictors=PREDICTORS, losses=LOSSES))
    first, second = rows.add(), rows.add()
    whole = scores.record(rows.view(first), hits, losses)
    edges = np.cumsum([0, *lengths])
    parts = [
        scores.record(rows.view(second), hits[start:end], losses[start:end]) for start, end in pairwise(edges.tolist())
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    for name, array in rows.view(first).items():
        np.testing.assert_array_equal(array, rows.view(second)[name], err_msg=name)


def test_summary_pools_the_windows_of_all_streams():
    """Every scored prediction that is still in a window counts once, whosever it was."""
    rows = Rows(scores.fields(score_window=WINDOW, predictors=PREDICTORS, losses=LOSSES))
    numbers = [rows.add() for _ in range(3)]
    runs = [run_of(length) for length in (2, 9, 0)]
    for number, (hits, losses) in zip(numbers, runs, strict=True):
        scores.record(rows.view(number), hits, losses)
    rates, means = scores.summary(rows.take(numbers))
    np.testing.assert_allclose(np.concatenate([hits[-WINDOW:] for hits, _ in runs]).mean(axis=0), rates)
    np.testing.assert_allclose(np.concatenate([losses[-WINDOW:] for _, losses in runs]).mean(axis=0), means)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_mean_losses_are_of_the_last_window(lengths):
    """After each prediction, over the last `score_window` ones with it; whatever is gone leaves nothing behind."""
    hits, losses = run_of(sum(lengths))
    losses[: len(losses) // 2] *= 1e300
    rows = Rows(scores.fields(score_window=WINDOW, predictors=PREDICTORS, losses=LOSSES))
    row = rows.view(rows.add())
    means = []
    for start, end in pairwise(np.cumsum([0, *lengths]).tolist()):
        means += scores.mean_losses(row, losses[start:end], first=LOSSES).tolist()
        scores.record(row, hits[start:end], losses[start:end])
    expected = [losses[max(0, end - WINDOW) : end].mean(axis=0).tolist() for end in range(1, len(losses) + 1)]
    assert expected == means
