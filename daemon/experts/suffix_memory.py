"""A memory of what followed which run of values: n-grams of growing order, interpolated, in bounded space.

A context is the last k values of a stream, for each order k of ``ORDERS``. A hash table of fixed size keeps for each
context up to ``SUCCESSORS`` values that followed it, with counts that halve at every visit. From the shortest
context that is known up, the prediction is

    p_k = a_b f_k + (1 - a_b) p_(k-1)

where f_k are the shares of the context's successors and a_b is the trust in the contexts of one bucket b: of the same
order, as many visits (up to ``MOST_VISITS``) and the same age (in powers of 4). p_0 are the shares of all values,
which decay slowly. Trust is learned by expectation maximisation, like the weights of interpolated n-grams (Jelinek
and Mercer, "Interpolated estimation of Markov source parameters from sparse data", 1980), one event at a time.
"""

import numpy as np
from numpy.typing import NDArray

from daemon.experts import suffix_kernels as kernels
from daemon.experts.suffix_kernels import AGES, FIRST_SAMPLES, FIRST_TRUST, MOST_VISITS, ORDERS, SUCCESSORS, Memory
from daemon.rows import Field, Row


def fields(contexts: int, values: int) -> dict[str, Field]:
    """Describe the arrays of one stream that remembers ``contexts`` contexts; value ids are below ``values``."""
    trusted = (len(ORDERS), MOST_VISITS * AGES)
    described = {
        "prediction": Field((1,), "int32", -1),
        "coming": Field((1,), "int64", 1),
        "used": Field((1,), "int32"),
        "history": Field((ORDERS[-1],), "int64"),
        "since": Field((values,), "int64"),
        "shares": Field((values,), "float32"),
        "keys": Field((contexts,), "uint64"),
        "seen": Field((contexts,), "int64"),
        "visits": Field((contexts,), "uint8"),
        "successors": Field((contexts, SUCCESSORS), "int32"),
        "counts": Field((contexts, SUCCESSORS), "float32"),
        "trust": Field(trusted, "float32", FIRST_TRUST),
        "samples": Field(trusted, "uint8", FIRST_SAMPLES),
    }
    return {_PREFIX + name: described[name] for name in Memory._fields}


def prediction(row: Row) -> int:
    """Give the predicted value id, -1 for nothing."""
    return int(row[_PREFIX + "prediction"][0])


def distribution(row: Row) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Give the value ids that may come next, int32 ``(M,)`` ascending, and their probabilities, float64 ``(M,)``.

    They sum to 1, and there are none before the first event.
    """
    probabilities: NDArray[np.float64] = kernels.distribution(_memory_of(row))
    ids = np.flatnonzero(probabilities)
    return ids.astype(np.int32), probabilities[ids]


def observe(row: Row, ids: NDArray[np.int32], fresh: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Learn a run of value ids, int32 and bool ``(K,)``; give which of them had been predicted, bool ``(K,)``."""
    hits = np.empty(len(ids), np.bool_)
    kernels.observe(_memory_of(row), ids, fresh, hits)
    return hits


def _memory_of(row: Row) -> Memory:
    return Memory(*[row[name] for name in _NAMES])


_PREFIX = "suffix_"
_NAMES = [_PREFIX + name for name in Memory._fields]
