"""The baseline that predicts the value it saw last."""

import numpy as np
from numpy.typing import NDArray

from daemon.rows import Field, Row


def fields() -> dict[str, Field]:
    """Describe the arrays of one stream."""
    return {"last_value": Field((1,), "int32", -1)}


def prediction(row: Row) -> int:
    """Give the predicted value id, -1 for nothing."""
    return int(row["last_value"][0])


def observe(row: Row, ids: NDArray[np.int32], fresh: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Learn a run of value ids, int32 and bool ``(K,)``; give which of them had been predicted, bool ``(K,)``."""
    run = np.concatenate((row["last_value"], ids))
    row["last_value"][0] = run[-1]
    hits: NDArray[np.bool_] = (run[:-1] == ids) & ~fresh
    return hits
