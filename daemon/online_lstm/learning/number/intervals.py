"""Intervals that hold a stated share of the values, however the errors are distributed: adaptive conformal inference.

(Gibbs and Candès, "Adaptive conformal inference under distribution shift", 2021, equation 2.) The interval around a
published prediction is as wide to both sides as the (1 - level) quantile of the last ``RESIDUALS`` absolute errors, the
ceil((1 - level)(n + 1))-th smallest of n. The level begins at 1 - coverage, and when a value comes for which there was
an interval,

    level += rate (1 - coverage - miss)        miss = 1 if the value was outside, else 0

so that whatever comes, the share of misses goes to 1 - coverage. The level is kept from -rate to 1 + rate, where it
would stay with intervals that are unbounded or empty. Ours are neither: where the quantile asks for more than the
largest of the errors (a level near 0 or below), the interval is ``WIDEST`` times the largest; where it asks for less
than the smallest, it has no width. One without width that holds its value says nothing, as it could not have been
smaller: the level stays.
There is no interval before there are as many errors as the wished quantile takes. At a horizon of several events the
miss is that of the interval that was published so many events ago.
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

    residuals: NDArray[np.float64]  # (RESIDUALS,): a ring
    counted: NDArray[np.int64]  # (1,): residuals so far
    missed: NDArray[np.float64]  # (1,): the level, less the one at the beginning
    pending: NDArray[np.float64]  # (3, M): prediction, lower and upper bound, oldest first; NaN for none


def fields(pending: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one channel, of which so many labels may be pending."""
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
    *,
    horizon: int,
    coverage: float,
    rate: float,
    learns: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Learn from K values how far off what was published for them is, and bound what is published after each.

    Args:
        row: The arrays of the channel, written to.
        values: NaN where missing, at most 1e300 in size, float64 ``(K,)``.
        published: The predictions, NaN where there is none, float64 ``(K,)``.
        horizon: Steps until the value comes that is predicted.
        coverage: The share of values that the intervals are to hold, above 0 and below 1.
        rate: As in the formula.
        learns: Else level and residuals stay as they are.

    Returns:
        Lower and upper bounds, float64 ``(K, 2)``, NaN where there are none; and whether each value was within its
        bounds, 1 or 0, NaN where there were none, ``(K,)``.
    """
    band = Band(*[row[_PREFIX + name] for name in Band._fields])
    new = np.full((3, len(values)), np.nan)
    new[0] = published
    waiting = np.concatenate((band.pending, new), axis=1)
    covered = np.full(len(values), np.nan)
    _observe(band, values, waiting, (1 - coverage, rate, horizon, learns), covered)
    band.pending[...] = waiting[:, len(values) :]
    return waiting[1:, band.pending.shape[1] :].T, covered


def break_sequence(row: ArrayViews) -> None:
    """Let the next value be judged by nothing of before it."""
    row[_PREFIX + "pending"][...] = np.nan


_PREFIX = "interval_"


@compiled
def _observe(
    band: Band,
    values: NDArray[np.float64],
    waiting: NDArray[np.float64],
    how: tuple[float, float, int, bool],
    covered: NDArray[np.float64],
) -> None:
    wished, rate, horizon, learns = how
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
            waiting[1, pending + event] = waiting[0, pending + event] - width
            waiting[2, pending + event] = waiting[0, pending + event] + width


@compiled
def _rank(level: float, count: int) -> int:
    """Say which of the residuals, from the smallest on, is the quantile; a sum of rates may be off by a rounding."""
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
    """Put a residual into the ring, and into those that are in order in the place of the one that leaves."""
    known, place = min(band.counted[0], RESIDUALS), band.counted[0] % RESIDUALS
    if known == RESIDUALS:
        on_revoked = np.searchsorted(ordered, band.residuals[place])
        for rank in range(on_revoked, known - 1):
            ordered[rank] = ordered[rank + 1]
        known -= 1
    rank = known
    while rank > 0 and ordered[rank - 1] > residual:
        ordered[rank] = ordered[rank - 1]
        rank -= 1
    ordered[rank] = residual
    band.residuals[place] = residual
    band.counted[0] += 1
