"""The plausible range: what the next values of a component can be, as far as its values so far show.

It reaches from the smallest to the largest value so far, extended on both sides by ``margin`` times their distance. It
does not cross 0 where no value has had the other sign. If all values so far were whole numbers, so are the next ones.
Everything that is published is within this range.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.state.packed import ArraySpec, ArrayViews


class Past(NamedTuple):
    """The arrays of one stream."""

    lowest: NDArray[np.float64]  # (1,)
    highest: NDArray[np.float64]  # (1,)
    fractional: NDArray[np.bool_]  # (1,): whether any value was no whole number


class PlausibleRange(NamedTuple):
    """The range after each of K events, -inf to inf before the first value."""

    low: NDArray[np.float64]  # (K,)
    high: NDArray[np.float64]  # (K,)
    whole: NDArray[np.bool_]  # (K,): whether all values so far were whole numbers

    def clip(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move predictions into the range, float64 ``(K,)``; NaN stays."""
        return np.clip(predictions, self.low, self.high)

    def bound(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move predictions into the range, and round them where all values were whole numbers, float64 ``(K,)``."""
        return self.clip(np.where(self.whole, np.rint(predictions), predictions))


def fields() -> dict[str, ArraySpec]:
    """Describe the arrays of one stream."""
    described = {
        "lowest": ArraySpec((1,), "float64", np.inf),
        "highest": ArraySpec((1,), "float64", -np.inf),
        "fractional": ArraySpec((1,), "bool"),
    }
    return {_PREFIX + name: described[name] for name in Past._fields}


def observe(row: ArrayViews, values: NDArray[np.float64], *, margin: float) -> PlausibleRange:
    """Extend the range by K values, and return it after each.

    Args:
        row: The arrays of the stream, written to.
        values: At most 1e300 in size, NaN where missing, float64 ``(K,)``.
        margin: Extension on both sides, as a share of the distance of the smallest and the largest value.
    """
    count = len(values)
    plausible = PlausibleRange(np.empty(count), np.empty(count), np.empty(count, np.bool_))
    _observe(Past(*[row[_PREFIX + name] for name in Past._fields]), values, margin, plausible)
    return plausible


_PREFIX = "range_"


@compiled
def _observe(past: Past, values: NDArray[np.float64], margin: float, plausible: PlausibleRange) -> None:
    for event in range(len(values)):
        value = values[event]
        if not np.isnan(value):
            past.lowest[0] = min(past.lowest[0], value)
            past.highest[0] = max(past.highest[0], value)
            past.fractional[0] |= value != np.floor(value)
        lowest, highest = past.lowest[0], past.highest[0]
        if lowest > highest:
            plausible.low[event], plausible.high[event], plausible.whole[event] = -np.inf, np.inf, False
            continue
        beyond = margin * (highest - lowest)
        low = max(lowest - beyond, 0.0) if lowest >= 0 else lowest - beyond
        high = min(highest + beyond, 0.0) if highest <= 0 else highest + beyond
        whole = not past.fractional[0]
        plausible.low[event] = np.ceil(low) if whole else low
        plausible.high[event] = np.floor(high) if whole else high
        plausible.whole[event] = whole
