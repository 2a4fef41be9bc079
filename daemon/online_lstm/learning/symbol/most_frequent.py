"""The most-frequent-value baseline: it predicts the most frequent value, of equally frequent values the latest."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.state.packed import ArraySpec, ArrayViews
from online_lstm.learning.symbol.expert_inputs import ObservedRun


class SymbolCounts(NamedTuple):
    """The arrays of one stream, with V value ids."""

    prediction: NDArray[np.int32]  # (1,): the prediction of the next value
    best: NDArray[np.int32]  # (1,): the most frequent value so far
    events: NDArray[np.int64]  # (1,)
    counts: NDArray[np.int64]  # (V,)
    seen: NDArray[np.int64]  # (V,): number of the event at which a value came last


def fields(values: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream; value ids are below ``values``."""
    described = {
        "prediction": ArraySpec((1,), "int32", -1),
        "best": ArraySpec((1,), "int32", -1),
        "events": ArraySpec((1,), "int64"),
        "counts": ArraySpec((values,), "int64"),
        "seen": ArraySpec((values,), "int64"),
    }
    return {_PREFIX + name: described[name] for name in SymbolCounts._fields}


def observe(row: ArrayViews, run: ObservedRun, *, learns: bool = True) -> NDArray[np.int32]:
    """Return the prediction of each of K values and of the next value, int32 ``(K + 1,)``; learn if ``learns``."""
    favourites = np.empty(len(run.ids) + 1, np.int32)
    _observe(SymbolCounts(*[row[name] for name in _NAMES]), run.ids, run.fresh, learns, favourites)
    return favourites


_PREFIX = "most_frequent_"
OWN = frozenset({_PREFIX + "prediction"})
"""The arrays that a stream has of its own if streams share what they learn."""
_NAMES = [_PREFIX + name for name in SymbolCounts._fields]


@compiled
def _observe(
    tally: SymbolCounts,
    ids: NDArray[np.int32],
    first: NDArray[np.bool_],
    learns: bool,
    favourites: NDArray[np.int32],
) -> None:
    counts, seen = tally.counts, tally.seen
    favourites[0] = tally.prediction[0]
    for event in range(len(ids)):
        value = ids[event]
        if not learns or value < 0:
            favourites[event + 1] = tally.best[0]
            continue
        best = tally.best[0]
        tally.events[0] += 1
        counts[value] = 1 if first[event] else counts[value] + 1
        seen[value] = tally.events[0]
        if best < 0 or (counts[value] >= counts[best] and value != best):
            best = value
        elif value == best and first[event]:
            # the favourite was evicted and its id belongs to a new value: find the new favourite
            for other in range(len(counts)):
                if (counts[other], seen[other]) > (counts[best], seen[best]):
                    best = np.int32(other)
        tally.best[0] = favourites[event + 1] = best
    tally.prediction[0] = favourites[len(ids)]
