from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import scores
from daemon.rows import Rows

WINDOW, PREDICTORS = 5, 3


@pytest.fixture
def row():
    rows = Rows(scores.fields(score_window=WINDOW, predictors=PREDICTORS))
    return rows.view(rows.add())


def run_of(length):
    random = np.random.default_rng(length)
    return random.random((length, PREDICTORS)) < 0.5, random.random(length).astype(np.float32)


def test_nothing_is_said_before_the_first_score(row):
    """No scored prediction, no rates; an empty run changes nothing."""
    assert (0, PREDICTORS) == scores.record(row, *run_of(0)).shape
    assert scores.rates(row) is None
    assert (None, None) == scores.summary({name: array[None] for name, array in row.items()})


def test_rates_are_shares_of_the_last_window(row):
    """The rate after each event is the mean of the last `score_window` hits, of fewer at the start."""
    hits, bits = run_of(23)
    expected = [hits[max(0, end - WINDOW) : end].mean(axis=0) for end in range(1, 24)]
    np.testing.assert_allclose(expected, scores.record(row, hits, bits))
    np.testing.assert_allclose(expected[-1], scores.rates(row))
    np.testing.assert_array_equal(hits.sum(axis=0), row["scores_totals"])


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_the_split_into_runs_does_not_show(lengths):
    """Any split gives the same rates and the same state, bit for bit."""
    hits, bits = run_of(sum(lengths))
    rows = Rows(scores.fields(score_window=WINDOW, predictors=PREDICTORS))
    first, second = rows.add(), rows.add()
    whole = scores.record(rows.view(first), hits, bits)
    edges = np.cumsum([0, *lengths])
    parts = [
        scores.record(rows.view(second), hits[start:end], bits[start:end]) for start, end in pairwise(edges.tolist())
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    for name, array in rows.view(first).items():
        np.testing.assert_array_equal(array, rows.view(second)[name], err_msg=name)


def test_summary_pools_the_windows_of_all_streams():
    """Every scored prediction that is still in a window counts once, whosever it was."""
    rows = Rows(scores.fields(score_window=WINDOW, predictors=PREDICTORS))
    numbers = [rows.add() for _ in range(3)]
    runs = [run_of(length) for length in (2, 9, 0)]
    for number, (hits, bits) in zip(numbers, runs, strict=True):
        scores.record(rows.view(number), hits, bits)
    rates, surprise = scores.summary(rows.take(numbers))
    np.testing.assert_allclose(np.concatenate([hits[-WINDOW:] for hits, _ in runs]).mean(axis=0), rates)
    assert np.concatenate([bits[-WINDOW:] for _, bits in runs]).mean() == pytest.approx(surprise)
