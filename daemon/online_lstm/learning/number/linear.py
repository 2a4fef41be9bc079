"""The linear expert: a regression on the deviations from the profile, both recent ones and seasonal lags.

The prediction is the seasonal mean at the target plus a multiple of the seasonal spread at the target. The multiple is
regressed on the deviations of the last events; on the deviations whole periods before the target and whole periods
before the last event, for each of the two periods; on the slow mean minus the fast mean; and on further inputs: the
profile of the week, and other components. All inputs are dimensionless, so the learned weights are valid at any level
and scale.
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.number import ridge
from online_lstm.learning.number.ridge import RidgeFit
from online_lstm.learning.number.season_profile import Ahead
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

NEAR = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)  # steps back from the last event
FORGETTING = 0.999
RIDGE = 10.0
FIRST_WEIGHT = 0.5  # initial weight of the first tap: half of a deviation is expected to persist


def fields(*, pending: int, taps: int, others: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream, given the numbers of pending labels, taps and other inputs."""
    return ridge.fields(_PREFIX, pending=pending, first_weights=_first_weights(taps + others))


def taps(*, horizon: int, lags: tuple[int, ...], periods: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the regressor lags in steps back from the last event; -1 for an unused lag.

    Args:
        horizon: Steps from the last event to the target.
        lags: Lags in steps back from the target; empty for the default lags. Lags below ``horizon`` are unused: their
            values are not known yet.
        periods: The period and the shorter period, int64 ``(2,)``; 1 for no period.
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
    """Learn K values, and predict after each value.

    Args:
        row: The arrays of the stream, written to.
        values: NaN where missing, float64 ``(K,)``.
        deviations: Deviations of the last N events, including these K events, float32 ``(N,)``.
        ahead: Seasonal mean, drift and spread at the target of each of these K events.
        horizon: Steps from an event to its target.
        back: The result of ``taps``.
        others: Other inputs, dimensionless and of order 1, float64 ``(K, M)``.
        learns: If false, only predict.
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
    """Discard the predictions that wait for a label."""
    ridge.break_sequence(row, _PREFIX)


def whole_periods(period: int, horizon: int) -> int:
    """Return the smallest multiple of the period that is at least the horizon."""
    return period * -(-horizon // period)


_PREFIX = "linear_"
NAMES = tuple(_PREFIX + name for name in ridge.Ridge._fields)
"""The names of the arrays that ``fields`` describes."""


def _first_weights(inputs: int) -> NDArray[np.float64]:
    weights = np.zeros(inputs + 2)
    weights[0] = FIRST_WEIGHT
    return weights
