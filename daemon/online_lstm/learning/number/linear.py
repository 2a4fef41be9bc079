"""The linear expert: a regression on deviations from the profile, near ones and those a period ago.

Its prediction is what is usual at the target plus a multiple of the spread there, which is regressed on the deviations
of the last events, on those as long ago as the target and the present are in the last period (in both periods), on how
far the slow mean is from the fast one, and on what else it is given: by the clock, and of other components. Nothing in
it has a unit, so what it learned holds at any level and scale.
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.number import ridge
from online_lstm.learning.number.profile import Ahead
from online_lstm.learning.number.ridge import RidgeFit
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

NEAR = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)  # steps back from the last event
FORGETTING = 0.999
RIDGE = 10.0
FIRST_WEIGHT = 0.5  # of the first tap: half of a deviation is expected to last


def fields(*, pending: int, taps: int, others: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream; it looks at so many taps and other inputs, and waits for so many labels."""
    return ridge.fields(_PREFIX, pending=pending, first_weights=_first_weights(taps + others))


def taps(*, horizon: int, lags: tuple[int, ...], periods: NDArray[np.int64]) -> NDArray[np.int64]:
    """Say how many steps back from the last event to look; -1 for a place that is not used.

    Args:
        horizon: Steps from the last event to the target.
        lags: Steps back from the target; nothing for the usual ones. Those below ``horizon`` are not known yet.
        periods: The period and the one within it, int64 ``(2,)``; 1 for none.
    """
    if lags:
        return np.maximum(np.array(lags, np.int64) - horizon, -1)
    seasonal = []
    for period in periods.tolist():
        whole = whole_periods(period, horizon)
        seasonal += [whole - horizon, whole] if period > 1 else [-1, -1]
    return np.array([*NEAR, *seasonal], np.int64)


def observe(
    row: ArrayViews,
    values: NDArray[np.float64],
    deviations: NDArray[np.float32],
    ahead: Ahead,
    *,
    horizon: int,
    back: NDArray[np.int64],
    others: NDArray[np.float64],
    learns: bool = True,
) -> RidgeFit:
    """Learn K values and predict after each.

    Args:
        row: The arrays of the stream, written to.
        values: NaN where missing, float64 ``(K,)``.
        deviations: Of the last events, these K included, float32 ``(N,)``.
        ahead: What is known after each of these K events of its target.
        horizon: Steps from an event to its target.
        back: What ``taps`` gave.
        others: Other inputs, without a unit and of order 1, float64 ``(K, M)``.
        learns: Else it only predicts.
    """
    count = len(values)
    now = np.arange(len(deviations) - count, len(deviations))
    inputs = np.where(back < 0, 0, deviations[now[:, None] - np.maximum(back, 0)])
    inputs = np.column_stack([inputs, others, ahead.drift, np.ones(count), ahead.usual, ahead.spread])
    first_weights = _first_weights(len(back) + others.shape[1])
    return ridge.observe(
        row,
        _PREFIX,
        values,
        inputs,
        horizon=horizon,
        first_weights=first_weights,
        forgetting=FORGETTING,
        ridge=RIDGE,
        learns=learns,
    )


def break_sequence(row: ArrayViews) -> None:
    """Let the next value be no label of what was predicted before it."""
    ridge.break_sequence(row, _PREFIX)


def whole_periods(period: int, horizon: int) -> int:
    """Give the fewest steps in whole periods that reach back from a target to what is known."""
    return period * -(-horizon // period)


_PREFIX = "linear_"
NAMES = tuple(_PREFIX + name for name in ridge.Ridge._fields)
"""Of the arrays that ``fields`` describes."""


def _first_weights(inputs: int) -> NDArray[np.float64]:
    weights = np.zeros(inputs + 2)
    weights[0] = FIRST_WEIGHT
    return weights
