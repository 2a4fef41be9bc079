"""Prediction intervals with a given coverage for any error distribution: adaptive conformal inference.

The method: Gibbs and Candès, "Adaptive conformal inference under distribution shift", 2021, equation 2. The interval
reaches from the published prediction to both sides by the (1 - level) quantile of the last ``RESIDUALS`` absolute
errors, which is the ceil((1 - level)(n + 1))-th smallest of n errors. The level begins at 1 - interval_level. It is
updated with each value for which there was an interval:

    level += rate (1 - interval_level - miss)        miss = 1 if the value was outside, else 0

With this update, the share of misses converges to 1 - interval_level for any sequence of values. The level is limited
to the range from -rate to 1 + rate, in which it would stay if intervals were unbounded or empty. Here intervals are
never unbounded or empty: if the quantile is above the largest error (at a level near 0 or below), the half-width is
``WIDEST`` times the largest error; if it is below the smallest error, the width is 0. An interval of width 0 that
contains its value does not change the level, because the interval could not have been narrower.

The bounds are within the plausible range.

There is no interval until there are enough errors for the quantile at the level 1 - interval_level. At a horizon of
several events, the miss is evaluated with the interval that was published one horizon earlier.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

RESIDUALS = 500
WIDEST = 2.0
MAX_ERROR = 1e300


class Band(NamedTuple):
    """The arrays of one channel, with M pending predictions."""

    residuals: NDArray[np.float64]  # (RESIDUALS,): ring of the last absolute errors
    counted: NDArray[np.int64]  # (1,): number of residuals so far
    missed: NDArray[np.float64]  # (1,): level minus initial level
    pending: NDArray[np.float64]  # (3, M): prediction, lower and upper bound, oldest first; NaN for none


def fields(pending: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one channel; at most ``pending`` labels are pending."""
    described = {
        "residuals": ArraySpec((RESIDUALS,), "float64"),
        "counted": ArraySpec((1,), "int64"),
        "missed": ArraySpec((1,), "float64"),
        "pending": ArraySpec((3, pending), "float64", np.nan),
    }
    return {_PREFIX + name: described[name] for name in Band._fields}


def observe(
    row: ArrayViews,
    values: NDArray[np.float64],
    published: NDArray[np.float64],
    plausible: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    horizon: int,
    interval_level: float,
    rate: float,
    learns: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Update the errors and the level with K values, and compute the interval of each new prediction.

    Args:
        row: The arrays of the channel, written to.
        values: NaN where missing, at most 1e300 in size, float64 ``(K,)``.
        published: The predictions, NaN where there is no prediction, float64 ``(K,)``.
        plausible: The smallest and the largest plausible value after each event, float64 ``(K,)`` each.
        horizon: Steps until the predicted value arrives.
        interval_level: Target share of the values inside their intervals, above 0 and below 1.
        rate: The rate in the formula.
        learns: If false, level and residuals stay unchanged.

    Returns:
        Lower and upper bounds, float64 ``(K, 2)``, NaN where there is no interval; and whether each value was inside
        its interval, 1 or 0, NaN where there was no interval, ``(K,)``.
    """
    band = Band(*[row[_PREFIX + name] for name in Band._fields])
    new = np.full((3, len(values)), np.nan)
    new[0] = published
    waiting = np.concatenate((band.pending, new), axis=1)
    covered = np.full(len(values), np.nan)
    _observe(band, (values, *plausible), waiting, (1 - interval_level, rate, horizon, learns), covered)
    band.pending[...] = waiting[:, len(values) :]
    return waiting[1:, band.pending.shape[1] :].T, covered


def pending(row: ArrayViews) -> NDArray[np.float64]:
    """Return the bounds of the last prediction, float64 ``(2,)``, NaN without an interval."""
    bounds: NDArray[np.float64] = row[_PREFIX + "pending"][1:, -1]
    return bounds


def break_sequence(row: ArrayViews) -> None:
    """Discard the predictions and intervals that wait for their values."""
    row[_PREFIX + "pending"][...] = np.nan


_PREFIX = "interval_"


@compiled
def _observe(
    band: Band,
    arriving: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    waiting: NDArray[np.float64],
    how: tuple[float, float, int, bool],
    covered: NDArray[np.float64],
) -> None:
    wished, rate, horizon, learns = how
    values, lowest, highest = arriving
    pending = band.pending.shape[1]
    ordered = np.empty(RESIDUALS)
    known = min(band.counted[0], RESIDUALS)
    ordered[:known] = np.sort(band.residuals[:known])
    for event in range(len(values)):
        predicted, low, high = waiting[:, pending - horizon + event]
        if not np.isnan(values[event]) and not np.isnan(predicted):
            if not np.isnan(low):
                inside = low <= values[event] <= high
                covered[event] = inside
                if learns and (not inside or low < high):
                    missed = band.missed[0] + rate * (wished - (0.0 if inside else 1.0))
                    band.missed[0] = min(max(missed, -rate - wished), 1 + rate - wished)
            if learns:
                _remember(band, ordered, min(abs(values[event] - predicted), MAX_ERROR))
                known = min(band.counted[0], RESIDUALS)
        if not np.isnan(waiting[0, pending + event]) and _rank(wished, known) <= known:
            width = _width(ordered[:known], wished + band.missed[0])
            waiting[1, pending + event] = max(waiting[0, pending + event] - width, lowest[event])
            waiting[2, pending + event] = min(waiting[0, pending + event] + width, highest[event])


@compiled
def _rank(level: float, count: int) -> int:
    """Return the rank of the quantile, 1 for the smallest residual; tolerate rounding in a sum of rates."""
    return int(np.ceil((1 - level) * (count + 1) - 1e-9))


@compiled
def _width(ordered: NDArray[np.float64], level: float) -> float:
    rank = _rank(level, len(ordered))
    if rank > len(ordered):
        widest: float = WIDEST * ordered[-1]
        return widest
    width: float = ordered[rank - 1] if rank > 0 else 0.0
    return width


@compiled
def _remember(band: Band, ordered: NDArray[np.float64], residual: float) -> None:
    """Write a residual to the ring, and replace the overwritten residual in the sorted array by it."""
    known, index = min(band.counted[0], RESIDUALS), band.counted[0] % RESIDUALS
    if known == RESIDUALS:
        overwritten = np.searchsorted(ordered, band.residuals[index])
        for rank in range(overwritten, known - 1):
            ordered[rank] = ordered[rank + 1]
        known -= 1
    rank = known
    while rank > 0 and ordered[rank - 1] > residual:
        ordered[rank] = ordered[rank - 1]
        rank -= 1
    ordered[rank] = residual
    band.residuals[index] = residual
    band.counted[0] += 1
