"""Drift: whether a stream has changed, so that its predictions miss more than they did since the last change.

The test is that of Page and Hinkley (E. S. Page 1954, Continuous inspection schemes, Biometrika 41; D. V. Hinkley 1971,
Inference about the change-point from cumulative sum tests, Biometrika 58) on the share of misses x of each scored
event, as ``river.drift.PageHinkley`` has it with mode "up" and no forgetting. With m the mean of all x so far,

    total += x - m - delta,   least = min(least, total),   a change where total - least > threshold

It looks for more misses only, so learning, which makes them fewer, is no change. After a change it begins anew.
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.state.packed import ArraySpec, ArrayViews

NAMES = ("drift_test", "drift_events")
MIN_EVENTS = 30
"""Fewer scored events than these, since the beginning or the last change, tell nothing."""


def fields() -> dict[str, ArraySpec]:
    """Describe the arrays of one stream.

    ``drift_test`` has the number of shares, their mean, the total and the least total so far, all 0 at the beginning;
    ``drift_events`` counts the changes, and has the number of the event at which the last of them was found.
    """
    return {"drift_test": ArraySpec((4,), "float64"), "drift_events": ArraySpec((2,), "int64")}


def detect(row: ArrayViews, misses: NDArray[np.float64], *, delta: float, threshold: float) -> list[bool]:
    """Test the shares of misses of K scored events, float64 ``(K,)``, and say at which of them a change is found.

    ``row`` has the arrays of the stream, written to; the same bits result however the events are split into runs.
    """
    count, mean, total, least = row["drift_test"].tolist()
    found = []
    for miss in misses.tolist():
        count += 1
        mean += 1 / count * (miss - mean)
        total = total + (miss - mean) - delta
        least = total if total < least else least  # noqa: FURB136 - a call takes as long as all the rest
        changed = count >= MIN_EVENTS and total - least > threshold
        found.append(changed)
        if changed:
            count, mean, total, least = 0.0, 0.0, 0.0, 0.0
    row["drift_test"][:] = count, mean, total, least
    return found
