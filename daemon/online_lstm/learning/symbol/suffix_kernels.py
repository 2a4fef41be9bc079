"""Compiled inner loops of the suffix memory, all in one file because numba caches machine code by file.

Helpers take the arrays that they need: passing a whole tuple of arrays to a function that is not inlined costs more
than the work of the helper.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.symbol.expert_inputs import ExpertBeliefs

ORDERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24)
BEHIND = 3  # values in the context without the latest value; this context stands before the contexts of ``ORDERS``
CONTEXTS = 1 + len(ORDERS)
OWN_ORDERS = (0, 2, 4)
"""Values in the contexts that only one of several streams has, which stand after the contexts of all streams."""
UNKNOWN = 1 << 62
"""Stands for a value without an id in the history; no event has this number."""
SUCCESSORS = 4
PROBES = 8  # slots in the table that one context may have
MAX_VISITS = 4
AGES = 12
DECAYS = (0.35, 0.98)  # of a context's counts at each visit, by kind of memory
MIN_COUNT = 0.02
DECAY_OF_SHARES = 0.99  # at each event
MIN_SHARE = 1e-4
MIN_NAMED = 1e-4  # a probability up to this names no value
FIRST_TRUST, MIN_TRUST, MAX_TRUST = 0.9, 0.02, 0.995
FIRST_SAMPLES, MAX_SAMPLES = 2, 50  # trust and novelty move by 1 / samples
FIRST_NOVELTY, MIN_NOVELTY, MAX_NOVELTY = 0.5, 1e-4, 0.99


class SuffixMemoryState(NamedTuple):
    """The arrays of one stream: V value ids, C contexts, N of them at once, S successors, B buckets, M kinds of memory.

    The kinds look up the same contexts, and forget the successors at different rates. An id that changes owners names
    a new value from then on: ``since`` separates the former owner's contexts and successors from the present owner's.
    """

    prediction: NDArray[np.int32]  # (M,)
    coming: NDArray[np.int64]  # (1,): number of the next event, from 1
    used: NDArray[np.int32]  # (1,): all ids so far are below this number
    history: NDArray[np.int64]  # (longest order,): `since` of the last values, latest first, 0 before a sequence
    identity: NDArray[np.int64]  # (1,): number of the first event of the stream; only its own contexts contain it
    since: NDArray[np.int64]  # (V,): event at which a value got its id, or left it
    shares: NDArray[np.float32]  # (V,): decayed counts of all values
    keys: NDArray[np.uint64]  # (C,): hash of the context, 0 for an empty slot
    seen: NDArray[np.int64]  # (C,): event of the last visit
    visits: NDArray[np.uint8]  # (C,): at most MAX_VISITS
    successors: NDArray[np.int32]  # (M, C, S)
    counts: NDArray[np.float32]  # (M, C, S)
    trust: NDArray[np.float32]  # (M, N, B)
    samples: NDArray[np.uint8]  # (M, N, B): events that the trust was learned from, at most MAX_SAMPLES
    novelty: NDArray[np.float32]  # (M, N + 1): escape probability (share of values not named), by longest known context
    novelty_samples: NDArray[np.uint8]  # (M, N + 1): events it was learned from, at most MAX_SAMPLES


class ContextMatch(NamedTuple):
    """The known contexts of the next event; derived from the memory, and kept during a run only."""

    keys: NDArray[np.uint64]  # (N,)
    slots: NDArray[np.int64]  # (N,): slots of the contexts in the table, -1 for an unknown context
    buckets: NDArray[np.int64]  # (N,)
    counts: NDArray[np.float64]  # (M, N, S): of the successors that still own their ids


@compiled
def observe(
    memory: SuffixMemoryState,
    run: tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32]],
    learns: bool,
    expected: ExpertBeliefs,
) -> None:
    """Learn value ids one after another, or only follow them; write ``expected``, which the caller has initialised.

    In both cases, the memory keeps track of which value an id names.
    """
    ids, first, left = run
    recall = _recall(memory)
    _expect(memory, recall, expected, 0)
    expected.favourites[0] = memory.prediction
    for event in range(len(ids)):
        value = ids[event]
        if learns and memory.identity[0] == 0:
            memory.identity[0] = memory.coming[0]
            _renew(memory, recall)
        if learns:
            _learn_novelty(memory, expected, event, -1 if first[event] else value)
            _learn_trust(memory, recall, -1 if first[event] else value)
        if left[event] >= 0:
            memory.since[left[event]] = memory.coming[0]
            memory.shares[left[event]] = 0
        if first[event]:
            memory.since[value] = memory.coming[0]
            memory.shares[value] = 0
            memory.used[0] = max(memory.used[0], value + 1)
        if first[event] or left[event] >= 0:
            _look_up(memory, recall)  # the id's former owner is no longer a successor
        if learns:
            _claim_slots(memory, recall)
            _learn_successor(memory, recall, value)
            _learn_shares(memory.shares[: memory.used[0]], value)
        for age in range(len(memory.history) - 1, 0, -1):
            memory.history[age] = memory.history[age - 1]
        memory.history[0] = memory.since[value] if value >= 0 else UNKNOWN
        if learns or first[event] or left[event] >= 0:
            memory.coming[0] += 1
        _renew(memory, recall)
        _expect(memory, recall, expected, event + 1)
        memory.prediction[:] = expected.favourites[event + 1]


@compiled
def _recall(memory: SuffixMemoryState) -> ContextMatch:
    contexts = memory.trust.shape[1]
    recall = ContextMatch(
        np.empty(contexts, np.uint64),
        np.empty(contexts, np.int64),
        np.zeros(contexts, np.int64),
        np.empty((len(memory.prediction), contexts, SUCCESSORS)),
    )
    _renew(memory, recall)
    return recall


@compiled
def _renew(memory: SuffixMemoryState, recall: ContextMatch) -> None:
    _hash_contexts(memory.history, memory.identity[0], recall.keys)
    _look_up(memory, recall)


@compiled
def _expect(memory: SuffixMemoryState, recall: ContextMatch, expected: ExpertBeliefs, event: int) -> None:
    """Write the prediction of an event."""
    depth = 0
    for order in range(CONTEXTS):
        if recall.slots[order] >= 0:
            depth = order + 1
    expected.depths[event] = depth
    used = memory.used[0]
    for kind in range(len(memory.prediction)):
        probabilities = expected.probabilities[event, kind, :used]
        _interpolate(memory, recall, kind, probabilities)
        if memory.shares[:used].sum() > 0:
            expected.favourites[event, kind] = np.argmax(probabilities)
            expected.rest[event, kind] = memory.novelty[kind, depth]


@compiled
def _mix(word: np.uint64) -> np.uint64:
    """Mix the bits of a word (the finalizer of splitmix64; Steele, Lea and Flood 2014)."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@compiled
def _hash_contexts(history: NDArray[np.int64], identity: int, keys: NDArray[np.uint64]) -> None:
    """Write the hash of every context.

    The contexts of ``ORDERS`` have the hashes of one chain over the history, read at the end of each order. The context
    without the latest value has its own chain. That chain begins with one of two numbers that no history has; the
    second number marks the beginning of a sequence, before its first value.
    """
    key = np.uint64(1 if history[0] > 0 else 2) << np.uint64(62)
    for slot in range(1, 1 + BEHIND):
        key = _chain(key, history[slot])
    keys[0] = key | np.uint64(1)  # never 0, which marks an empty slot
    key = np.uint64(0)
    length = 0
    for order in range(len(ORDERS)):
        while length < ORDERS[order]:
            key = _chain(key, history[length])
            length += 1
        keys[1 + order] = key | np.uint64(1)
    key = _chain(np.uint64(3) << np.uint64(62), identity)
    length = 0
    for order in range(len(keys) - CONTEXTS):
        while length < OWN_ORDERS[order]:
            key = _chain(key, history[length])
            length += 1
        keys[CONTEXTS + order] = key | np.uint64(1)


@compiled
def _chain(key: np.uint64, value: int) -> np.uint64:
    return _mix(key + np.uint64(0x9E3779B97F4A7C15) + np.uint64(value))


@compiled
def _look_up(memory: SuffixMemoryState, recall: ContextMatch) -> None:
    """Write slots, buckets and counts of the known contexts."""
    keys, seen, visits = memory.keys, memory.seen, memory.visits
    since, successors, counts = memory.since, memory.successors, memory.counts
    recall.counts[:] = 0
    for order in range(len(recall.keys)):
        slot = _home(recall.keys[order], len(keys))
        misses = 0
        while misses < PROBES and keys[slot] != recall.keys[order]:
            slot = _next(slot, len(keys))
            misses += 1
        recall.slots[order] = slot if misses < PROBES else -1
        if misses < PROBES:
            recall.buckets[order] = (visits[slot] - 1) * AGES
            if order < CONTEXTS:  # the age of a stream's own context says how busy other streams are
                recall.buckets[order] += _age_group(memory.coming[0] - seen[slot])
            for kind in range(len(memory.prediction)):
                for successor in range(SUCCESSORS):
                    if since[successors[kind, slot, successor]] <= seen[slot]:
                        recall.counts[kind, order, successor] = counts[kind, slot, successor]


@compiled
def _home(key: np.uint64, contexts: int) -> int:
    # int() would keep it unsigned, and numba makes a float of unsigned with signed
    return np.int64(key % np.uint64(contexts))  # type: ignore[return-value]


@compiled
def _next(slot: int, contexts: int) -> int:
    return slot + 1 if slot + 1 < contexts else 0


@compiled
def _age_group(age: int) -> int:
    """Return half the binary logarithm of an age in events, rounded, at most ``AGES - 1``."""
    group = 0
    age >>= 1
    while age > 0 and group < AGES - 1:
        age >>= 2
        group += 1
    return group


@compiled
def _interpolate(
    memory: SuffixMemoryState, recall: ContextMatch, kind: int, probabilities: NDArray[np.float64]
) -> None:
    """Write the probabilities, from the longest context down; each context takes a share of what is left."""
    successors, counts = memory.successors[kind], recall.counts[kind]
    probabilities[:] = 0
    left = 1.0
    for order in range(len(recall.slots) - 1, -1, -1):
        total = counts[order].sum()
        if total > 0:
            slot = recall.slots[order]
            trust = float(memory.trust[kind, order, recall.buckets[order]])
            for successor in range(SUCCESSORS):
                part = counts[order, successor] / total
                probabilities[successors[slot, successor]] += left * trust * part
            left *= 1 - trust
    shares = memory.shares[: len(probabilities)]
    total = shares.sum()
    if total > 0:
        for value in range(len(probabilities)):
            probabilities[value] += left * shares[value] / total


@compiled
def _learn_novelty(memory: SuffixMemoryState, expected: ExpertBeliefs, event: int, value: int) -> None:
    """Move the escape probability for contexts as long as the present longest known context."""
    depth = expected.depths[event]
    for kind in range(len(memory.prediction)):
        known = value >= 0 and expected.probabilities[event, kind, value] > MIN_NAMED
        samples = min(memory.novelty_samples[kind, depth] + 1, MAX_SAMPLES)
        before = float(memory.novelty[kind, depth])
        moved = before + ((0.0 if known else 1.0) - before) / samples
        memory.novelty[kind, depth] = min(max(moved, MIN_NOVELTY), MAX_NOVELTY)
        memory.novelty_samples[kind, depth] = samples


@compiled
def _learn_trust(memory: SuffixMemoryState, recall: ContextMatch, value: int) -> None:
    """Move each trust towards the responsibility of its context for the value that came, -1 for a new value."""
    floor = MIN_SHARE
    if value >= 0:
        floor = max(floor, memory.shares[value] / memory.shares[: memory.used[0]].sum())
    for kind in range(len(memory.prediction)):
        below = floor
        successors, counts = memory.successors[kind], recall.counts[kind]
        trust, samples = memory.trust[kind], memory.samples[kind]
        for order in range(len(recall.slots)):
            total = counts[order].sum()
            if total > 0:
                slot, bucket = recall.slots[order], recall.buckets[order]
                share = 0.0
                for successor in range(SUCCESSORS):
                    if successors[slot, successor] == value:
                        share += counts[order, successor] / total
                before = float(trust[order, bucket])
                mixed = before * share + (1 - before) * below
                # a value that neither of the two expects is no evidence for trust in either
                if share + below > 10 * MIN_SHARE:
                    samples[order, bucket] = min(samples[order, bucket] + 1, MAX_SAMPLES)
                    moved = before + (before * share / mixed - before) / samples[order, bucket]
                    trust[order, bucket] = min(max(moved, MIN_TRUST), MAX_TRUST)
                below = max(mixed, MIN_SHARE)


@compiled
def _claim_slots(memory: SuffixMemoryState, recall: ContextMatch) -> None:
    """Visit the known contexts; then assign each unknown context the stalest slot that its key may have."""
    keys, seen, visits, coming = memory.keys, memory.seen, memory.visits, memory.coming[0]
    for order in range(len(recall.slots)):
        if recall.slots[order] >= 0:
            seen[recall.slots[order]] = coming
    for order in range(len(recall.slots)):
        if recall.slots[order] < 0:
            slot = _home(recall.keys[order], len(keys))
            stalest = -1
            for _ in range(PROBES):
                # each visit divides the age by 4: a context that came back once is likelier to come back again
                staleness = (coming - seen[slot]) >> (2 * visits[slot])
                if staleness > stalest and seen[slot] < coming:
                    recall.slots[order], stalest = slot, staleness
                slot = _next(slot, len(keys))
            if stalest >= 0:
                slot = recall.slots[order]
                keys[slot], seen[slot], visits[slot] = recall.keys[order], coming, 0


@compiled
def _learn_successor(memory: SuffixMemoryState, recall: ContextMatch, value: int) -> None:
    """Count the value in all its contexts; a new successor replaces the successor with the lowest count."""
    visits = memory.visits
    for order in range(len(recall.slots)):
        slot = recall.slots[order]
        if slot >= 0:
            visits[slot] = min(visits[slot] + 1, MAX_VISITS)
            for kind in range(len(memory.prediction)):
                _count(
                    memory.successors[kind, slot],
                    memory.counts[kind, slot],
                    recall.counts[kind, order],
                    DECAYS[kind],
                    value,
                )


@compiled
def _count(
    successors: NDArray[np.int32],
    counts: NDArray[np.float32],
    before: NDArray[np.float64],
    decay: float,
    value: int,
) -> None:
    chosen = 0
    for successor in range(SUCCESSORS):
        count = decay * before[successor]
        counts[successor] = count if count > MIN_COUNT else 0
        if counts[successor] < counts[chosen]:
            chosen = successor
    if value < 0:
        return
    for successor in range(SUCCESSORS):
        if successors[successor] == value and counts[successor] > 0:
            chosen = successor
    if successors[chosen] != value:
        successors[chosen] = value
        counts[chosen] = 0
    counts[chosen] += 1


@compiled
def _learn_shares(shares: NDArray[np.float32], value: int) -> None:
    for other in range(len(shares)):
        # cut to 0 early: subnormal numbers make arithmetic slow
        shares[other] = DECAY_OF_SHARES * shares[other] if shares[other] > MIN_SHARE else 0
    if value >= 0:
        shares[value] += 1
