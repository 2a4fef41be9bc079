"""The last-value baseline: it predicts the value that it saw last."""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.state.packed import ArraySpec, ArrayViews
from online_lstm.learning.symbol.expert_inputs import ObservedRun

OWN = frozenset({"last_value"})
"""The arrays that a stream has of its own if streams share what they learn."""


def fields() -> dict[str, ArraySpec]:
    """Describe the arrays of one stream."""
    return {"last_value": ArraySpec((1,), "int32", -1)}


def observe(row: ArrayViews, run: ObservedRun) -> NDArray[np.int32]:
    """Learn a run of K values; return the prediction of each value and of the next value, int32 ``(K + 1,)``."""
    favourites = np.concatenate((row["last_value"], run.ids))
    row["last_value"][0] = favourites[-1]
    return favourites
