"""Online scaling: the centre and the spread of the values of a stream.

The centre is the running mean of y_t. With e_t = y_t - centre, the spread is the running mean of |e_t|. The spread
moves as if |e_t| were at most 20 spreads; the centre moves as if |e_t| were at most 3 spreads. A single outlier
therefore changes little, but a new level or unit is still learned.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

RATE = 0.002
MAX_MOVE, MAX_GROWTH = 3.0, 20.0
MAX_SCALED = 8.0
MIN_SPREAD = 1e-300
MIN_RELATIVE_SPREAD = 1e-12


class ScaledValues(NamedTuple):
    """The scaled numbers and the spread after each of K values."""

    numbers: NDArray[np.float64]  # (K, 1 + M): value and others, in spreads from the centre, limited to 8 in size
    spread: NDArray[np.float64]  # (K,): in units of the values, above 0


class Scale(NamedTuple):
    """The arrays of one stream."""

    centre: NDArray[np.float64]  # (1,)
    spread: NDArray[np.float64]  # (1,)
    seen: NDArray[np.int64]  # (1,)


def fields() -> dict[str, ArraySpec]:
    """Describe the arrays of one stream."""
    described = {
        "centre": ArraySpec((1,), "float64"),
        "spread": ArraySpec((1,), "float64"),
        "seen": ArraySpec((1,), "int64"),
    }
    return {_PREFIX + name: described[name] for name in Scale._fields}


def observe(
    row: ArrayViews, values: NDArray[np.float64], instead: NDArray[np.float64], others: NDArray[np.float64]
) -> ScaledValues:
    """Learn K values, at most 1e300 in size, and scale them.

    Args:
        row: The arrays of the stream, written to.
        values: NaN where missing, float64 ``(K,)``.
        instead: The values, with missing values replaced, float64 ``(K,)``.
        others: Other numbers in the same units, float64 ``(K, M)``.
    """
    numbers = np.column_stack((instead, others))
    scaled = ScaledValues(np.empty(numbers.shape), np.empty(len(values)))
    _observe(Scale(*[row[name] for name in _NAMES]), values, numbers, scaled)
    return scaled


_PREFIX = "scale_"
_NAMES = [_PREFIX + name for name in Scale._fields]


@compiled
def _observe(scale: Scale, values: NDArray[np.float64], numbers: NDArray[np.float64], scaled: ScaledValues) -> None:
    for event in range(len(values)):
        if not np.isnan(values[event]):
            _learn(scale, values[event])
        spread = scaled.spread[event] = max(scale.spread[0], _min_spread(scale))
        for index in range(numbers.shape[1]):
            away = (numbers[event, index] - scale.centre[0]) / spread
            scaled.numbers[event, index] = min(max(away, -MAX_SCALED), MAX_SCALED)


@compiled
def _learn(scale: Scale, value: float) -> None:
    if scale.seen[0] == 0:
        scale.centre[0] = value
    min_spread = _min_spread(scale)
    scale.seen[0] += 1
    rate = max(RATE, 1 / scale.seen[0])
    away = value - scale.centre[0]
    spread = max(scale.spread[0], min_spread)
    scale.spread[0] += rate * (min(abs(away), MAX_GROWTH * spread) - scale.spread[0])
    scale.centre[0] += rate * min(max(away, -MAX_MOVE * spread), MAX_MOVE * spread)


@compiled
def _min_spread(scale: Scale) -> float:
    spread: float = max(MIN_SPREAD, MIN_RELATIVE_SPREAD * abs(scale.centre[0]))
    return spread
