"""Drift detection: a change of a stream, found by an increase of its miss rate since the last drift.

The Page-Hinkley test (E. S. Page 1954, Continuous inspection schemes, Biometrika 41; D. V. Hinkley 1971, Inference
about the change-point from cumulative sum tests, Biometrika 58) is applied to the share of misses x of each scored
event, as in ``river.drift.PageHinkley`` with mode "up" and no forgetting. With m the mean of all x so far,

    total += x - m - delta,   least = min(least, total),   a drift where total - least > threshold

The test finds only increases of the miss rate, so the decrease that comes from learning is not a drift. After a drift
the test restarts.
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.state.packed import ArraySpec, ArrayViews

NAMES = ("drift_test", "drift_events")
MIN_EVENTS = 30
"""Minimum number of scored events, since the beginning or the last drift, before a drift can be found."""


def fields() -> dict[str, ArraySpec]:
    """Describe the arrays of one stream.

    ``drift_test`` has the number of shares, their mean, the total and the least total so far, all 0 at the beginning.
    ``drift_events`` has the number of drifts, and the number of the event at which the last drift was found.
    """
    return {"drift_test": ArraySpec((4,), "float64"), "drift_events": ArraySpec((2,), "int64")}


def detect(row: ArrayViews, misses: NDArray[np.float64], *, delta: float, threshold: float) -> list[bool]:
    """Test the shares of misses of K scored events, float64 ``(K,)``; return whether each event is a drift.

    ``row`` has the arrays of the stream, written to. The result is bit-identical for any split of the events into runs.
    """
    count, mean, total, lowest = row["drift_test"].tolist()
    drifts = []
    for miss in misses.tolist():
        count += 1
        mean += 1 / count * (miss - mean)
        total = total + (miss - mean) - delta
        lowest = total if total < lowest else lowest  # noqa: FURB136 - a call of min takes as long as the rest of the loop
        changed = count >= MIN_EVENTS and total - lowest > threshold
        drifts.append(changed)
        if changed:
            count, mean, total, lowest = 0.0, 0.0, 0.0, 0.0
    row["drift_test"][:] = count, mean, total, lowest
    return drifts
