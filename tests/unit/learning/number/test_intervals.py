"""Intervals: that they hold the share of the values that was asked for, whatever the errors are like."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from online_lstm.learning.number import intervals
from online_lstm.learning.number.number_ensemble import NumberEnsemble
from online_lstm.learning.state.packed import PackedArrays

EVENTS = 10_000
RANDOM = np.random.default_rng(11)
STEPS = np.arange(EVENTS)
ERRORS = {
    "gaussian": RANDOM.normal(size=EVENTS),
    "heavy tails": RANDOM.standard_cauchy(EVENTS),
    "a spread that jumps tenfold": RANDOM.normal(size=EVENTS) * np.where(STEPS < EVENTS // 2, 1, 10),
    "a spread that falls to a tenth": RANDOM.normal(size=EVENTS) * np.where(STEPS < EVENTS // 2, 10, 1),
    "a spread with a season": RANDOM.normal(size=EVENTS) * (1.1 + np.sin(STEPS / 336 * 2 * np.pi)),
    "a spread that wanders": RANDOM.normal(size=EVENTS) * np.exp(np.cumsum(0.02 * RANDOM.normal(size=EVENTS))),
}


def row_of(horizon: int = 1) -> dict[str, NDArray[Any]]:
    rows = PackedArrays(intervals.fields(horizon))
    return rows.view(rows.add())


def observe(
    values: NDArray[np.float64],
    published: NDArray[np.float64] | None = None,
    *,
    horizon: int = 1,
    interval_level: float = 0.9,
    sizes: Sequence[int] = (),
    row: dict[str, NDArray[Any]] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Learn values in calls of these sizes, or in one; of predictions of 0 unless there are others."""
    said = np.zeros(len(values)) if published is None else published
    row = row_of(horizon) if row is None else row
    edges = np.cumsum([0, *(sizes or [len(values)])]).tolist()
    anything = np.full(len(values), -np.inf), np.full(len(values), np.inf)
    parts = [
        intervals.observe(
            row,
            values[a:b],
            said[a:b],
            (anything[0][a:b], anything[1][a:b]),
            horizon=horizon,
            interval_level=interval_level,
            rate=0.01,
        )
        for a, b in pairwise(edges)
    ]
    bounds, covered = zip(*parts, strict=True)
    return np.concatenate(bounds), np.concatenate(covered)


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("interval_level", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("name", ERRORS)
def test_the_wished_share_is_covered(name: str, interval_level: float, horizon: int) -> None:
    """Within 1 % over ten thousand events, and the intervals are what is told of them."""
    bounds, covered = observe(ERRORS[name], horizon=horizon, interval_level=interval_level)
    assert np.nanmean(covered) == pytest.approx(interval_level, abs=0.01)
    low, high = bounds[:-horizon].T
    inside = (low <= ERRORS[name][horizon:]) & (ERRORS[name][horizon:] <= high)
    known = np.isfinite(low)
    np.testing.assert_array_equal(covered[horizon:][known], inside[known])


def test_they_are_no_wider_than_needed() -> None:
    """Of gaussian errors, those of the quantile; after a jump of the spread, of the new one."""
    bounds, _ = observe(ERRORS["gaussian"])
    assert np.median(bounds[1000:, 1]) == pytest.approx(1.645, rel=0.05)
    bounds, _ = observe(ERRORS["a spread that jumps tenfold"])
    assert np.median(bounds[EVENTS // 2 + 1000 :, 1]) == pytest.approx(16.45, rel=0.07)


@pytest.mark.parametrize(("interval_level", "fewest"), [(0.5, 1), (0.9, 9), (0.98, 49)])
def test_there_is_none_before_there_are_errors_enough(interval_level: float, fewest: int) -> None:
    """The quantile has to be one of them; the first errors come one horizon after the first prediction."""
    bounds, covered = observe(ERRORS["gaussian"][:200], horizon=3, interval_level=interval_level)
    assert fewest + 3 - 1 == int(np.argmax(np.isfinite(bounds[:, 0])))
    assert fewest + 2 * 3 - 1 == int(np.argmax(np.isfinite(covered)))


def test_what_is_known_exactly_needs_no_width() -> None:
    """A constant is covered by intervals without width, and noise after it is covered as asked for."""
    values = np.where(STEPS < EVENTS // 2, 0.0, ERRORS["gaussian"])
    bounds, covered = observe(values)
    assert (bounds[10 : EVENTS // 2] == 0).all()
    assert (covered[10 : EVENTS // 2] == 1).all()
    assert covered[EVENTS // 2 :].mean() == pytest.approx(0.9, abs=0.01)


@given(sizes=st.lists(st.integers(0, 90), min_size=1, max_size=8), horizon=st.integers(1, 9))
def test_calls_of_any_length_give_the_same_bits(sizes: list[int], horizon: int) -> None:
    """Bounds and state do not show how the values were handed over, values that are missing or not."""
    values = 50 + ERRORS["heavy tails"][: sum(sizes)]
    values[3::7] = np.nan
    said = np.full(len(values), 50.0)
    said[:4] = np.nan
    rows = row_of(horizon), row_of(horizon)
    whole = observe(values, said, horizon=horizon, row=rows[0])
    split = observe(values, said, horizon=horizon, row=rows[1], sizes=sizes)
    for one, other in zip(whole, split, strict=True):
        np.testing.assert_array_equal(one, other)
    for name, array in rows[0].items():
        np.testing.assert_array_equal(array, rows[1][name])


def test_what_is_missing_says_nothing() -> None:
    """Level and errors stay; the interval of the next prediction is what it was."""
    row = row_of()
    bounds, _ = observe(ERRORS["gaussian"][:500], row=row)
    before = {name: array.copy() for name, array in row.items()}
    again, covered = observe(np.full(30, np.nan), row=row)
    np.testing.assert_array_equal(np.tile(bounds[-1], (30, 1)), again)
    assert np.isnan(covered).all()
    for name, array in row.items():
        np.testing.assert_array_equal(before[name], array)


def test_nothing_is_judged_across_a_break() -> None:
    """The values after it were not predicted before it."""
    row = row_of(4)
    observe(ERRORS["gaussian"][:500], horizon=4, row=row)
    counted = int(row["interval_counted"][0])
    intervals.break_sequence(row)
    _, covered = observe(ERRORS["gaussian"][500:506], horizon=4, row=row)
    assert np.isnan(covered[:4]).all()
    assert np.isfinite(covered[4:]).all()
    assert counted + 2 == row["interval_counted"][0]


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_season_whose_noise_has_a_season_is_covered(horizon: int) -> None:
    """As of demand by the half-hour: with the predictions of the experts themselves."""
    usual = 1000 * (2 + np.sin(STEPS / 48 * 2 * np.pi)) * np.where(STEPS // 48 % 7 < 5, 1, 0.7)
    values = (usual * (1 + 0.1 * ERRORS["gaussian"]))[:, None]
    panel = NumberEnsemble(horizons=(horizon,), lookback=2048, experts=("linear", "neighbours"))
    rows = PackedArrays(panel.fields())
    row = rows.view(rows.add())
    told = []
    for first in range(0, EVENTS, 500):
        observed = panel.observe(row, values[first:][:500], np.full(500, -1))
        told.append(panel.bound(row, observed, panel.stack(row, observed)[0])[1])
    assert np.nanmean(np.concatenate(told)) == pytest.approx(0.9, abs=0.01)
