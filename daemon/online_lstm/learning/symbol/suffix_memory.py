"""Suffix memories: variable-order Markov models in the manner of PPM, interpolated, in bounded space.

A context is the last k values of a sequence, for each order k of ``ORDERS``; the beginning of a sequence is a context
too. The shortest context leaves the last value out and is the ``BEHIND`` values before it, so that a last value without
information does not hide the values before it. A hash table of fixed size keeps, for each context, up to
``SUCCESSORS`` values that followed it, with counts that shrink at every visit. The first kind of memory multiplies the
counts by 0.35, so that one visit outweighs all earlier visits; the second kind multiplies the counts by 0.98. From the
shortest known context up, the prediction is

    p_k = a_b f_k + (1 - a_b) p_(k-1)

where f_k are the shares of the context's successors and a_b is the trust in the contexts of one bucket b: contexts of
the same order, the same number of visits (up to ``MAX_VISITS``) and the same age (in powers of 4). p_0 are the shares
of all values, which decay slowly. Trust is learned by expectation maximisation, like the weights of interpolated
n-grams (Jelinek and Mercer, "Interpolated estimation of Markov source parameters from sparse data", 1980), one event
at a time. The escape probability, for values that a memory does not name, is counted for each length of the longest
known context.

Streams may share a memory. Then a stream has contexts of its own as well, which begin with the identity of the stream
and stand above the contexts of all streams: the last 0, 2 and 4 values of this stream. Where they are known, and as far
as they have earned trust, they outweigh what other streams taught; the more often a stream was in such a context, the
better known it is.
"""

import numpy as np

from online_lstm.learning.state.packed import ArraySpec, ArrayViews
from online_lstm.learning.symbol import suffix_kernels as kernels
from online_lstm.learning.symbol.expert_inputs import ExpertBeliefs, ObservedRun
from online_lstm.learning.symbol.suffix_kernels import (
    AGES,
    CONTEXTS,
    DECAYS,
    FIRST_NOVELTY,
    FIRST_SAMPLES,
    FIRST_TRUST,
    MAX_VISITS,
    ORDERS,
    OWN_ORDERS,
    SUCCESSORS,
    SuffixMemoryState,
)

KINDS = len(DECAYS)


def fields(contexts: int, values: int, kinds: int, *, shared: bool = False) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream.

    Args:
        contexts: Number of contexts in the hash table.
        values: All value ids are below this number.
        kinds: Number of kinds of memory, at most ``KINDS``.
        shared: Whether streams share the memory, so that each has contexts of its own besides the common ones.
    """
    trusted = (kinds, CONTEXTS + (len(OWN_ORDERS) if shared else 0), MAX_VISITS * AGES)
    described = {
        "prediction": ArraySpec((kinds,), "int32", -1),
        "coming": ArraySpec((1,), "int64", 1),
        "used": ArraySpec((1,), "int32"),
        "history": ArraySpec((ORDERS[-1],), "int64"),
        "identity": ArraySpec((1,), "int64"),
        "since": ArraySpec((values,), "int64"),
        "shares": ArraySpec((values,), "float32"),
        "keys": ArraySpec((contexts,), "uint64"),
        "seen": ArraySpec((contexts,), "int64"),
        "visits": ArraySpec((contexts,), "uint8"),
        "successors": ArraySpec((kinds, contexts, SUCCESSORS), "int32"),
        "counts": ArraySpec((kinds, contexts, SUCCESSORS), "float32"),
        "trust": ArraySpec(trusted, "float32", FIRST_TRUST),
        "samples": ArraySpec(trusted, "uint8", FIRST_SAMPLES),
        "novelty": ArraySpec((kinds, CONTEXTS + 1), "float32", FIRST_NOVELTY),
        "novelty_samples": ArraySpec((kinds, CONTEXTS + 1), "uint8", 1),
    }
    return {_PREFIX + name: described[name] for name in SuffixMemoryState._fields}


def observe(row: ArrayViews, run: ObservedRun, *, learns: bool = True, values: int = 1) -> ExpertBeliefs:
    """Return each memory's prediction of each value of a run and of the next value; learn the values if ``learns``.

    ``values`` is the minimum number of value ids in the predictions; ids that have not come yet have probability 0.
    """
    memory = SuffixMemoryState(*[row[name] for name in _NAMES])
    count, kinds = len(run.ids), len(memory.prediction)
    used = max(values, int(memory.used[0]), int(run.ids.max(initial=-1)) + 1)
    expected = ExpertBeliefs(
        np.zeros((count + 1, kinds, used)),
        np.ones((count + 1, kinds)),
        np.full((count + 1, kinds), -1, np.int32),
        np.zeros(count + 1, np.int64),
    )
    kernels.observe(memory, (run.ids, run.fresh, run.left), learns, expected)
    return expected


def break_sequence(row: ArrayViews) -> None:
    """Start a new sequence: no context of the next value reaches back to earlier values."""
    row[_PREFIX + "history"][:] = 0
    row[_PREFIX + "prediction"][:] = -1


_PREFIX = "suffix_"
OWN = frozenset({_PREFIX + name for name in ("prediction", "history", "identity")})
"""The arrays that a stream has of its own if streams share what they learn."""
_NAMES = [_PREFIX + name for name in SuffixMemoryState._fields]
