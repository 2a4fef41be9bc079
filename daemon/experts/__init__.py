"""Predictors beside the network: baselines that every hit rate is shown with.

An expert knows a stream's values by their ids only. Its state is a few arrays of one row; each module has
``fields``, ``prediction(row)`` and ``observe(row, ids, fresh)``, which scores what had been predicted, then learns.
numba is the affair of this package alone and is loaded when the first stream begins, not at import.
"""

from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from daemon.rows import Field, Row

BASELINES = ("last_value", "most_frequent", "suffix_memory")


def fields(*, contexts: int, values: int) -> dict[str, Field]:
    """Describe the arrays of one stream.

    Args:
        contexts: How many contexts the suffix memory holds.
        values: All value ids are below.
    """
    last_value, most_frequent, suffix_memory = _experts()
    return {**last_value.fields(), **most_frequent.fields(values), **suffix_memory.fields(contexts, values)}


def observe(row: Row, ids: NDArray[np.int32], fresh: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Score what each baseline had predicted, then learn, one event after another.

    Args:
        row: The arrays of the stream, written to.
        ids: Value ids, int32 ``(K,)``, below ``values``: the compiled loops do not check it.
        fresh: Whether an id was given to its value just now, bool ``(K,)``, as it is wherever an id comes first:
            nobody can have predicted that value, and what was learned about the id was about another one.

    Returns:
        Hits, bool ``(K, len(BASELINES))``; the same ones however a stream is split into runs.
    """
    return np.stack([expert.observe(row, ids, fresh) for expert in _experts()], axis=1)


def predictions(row: Row) -> NDArray[np.int32]:
    """Give the value id that each baseline predicts now, int32 ``(len(BASELINES),)``, -1 for nothing."""
    return np.array([expert.prediction(row) for expert in _experts()], np.int32)


@cache
def _experts() -> list[ModuleType]:
    return [import_module(f"{__name__}.{name}") for name in BASELINES]
