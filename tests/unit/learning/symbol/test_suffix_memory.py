import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from online_lstm.events import Symbol
from online_lstm.learning.state.packed import ArrayViews, PackedArrays
from online_lstm.learning.state.vocabulary import Vocabulary
from online_lstm.learning.symbol import suffix_memory
from online_lstm.learning.symbol.suffix_kernels import (
    AGES,
    BEHIND,
    DECAY_OF_SHARES,
    DECAYS,
    FIRST_SAMPLES,
    FIRST_TRUST,
    MAX_SAMPLES,
    MAX_TRUST,
    MAX_VISITS,
    MIN_COUNT,
    MIN_SHARE,
    MIN_TRUST,
    ORDERS,
)
from online_lstm.learning.symbol.symbol_ensemble import ObservedRun

PERIOD = [4] * 6 + [8] + [4] * 5 + [8] + [4] * 6 + [8] + [4] * 6 + [28]
SEQUENCES = ["6874230", "1874235", "6342785", "1342780", "09785341", "29785346", "04358796", "24358791"]
SWITCHED = ["6874235", "1874230", "6342780", "1342785", "09785346", "29785341", "04358791", "24358796"]


Ids = Sequence[int] | NDArray[np.int32]
Flags = Sequence[bool] | NDArray[np.bool_]


def new_row(*, contexts: int = 1024, values: int = 510) -> dict[str, NDArray[Any]]:
    rows = PackedArrays(suffix_memory.fields(contexts, values, len(DECAYS)))
    return rows.view(rows.add())


def learn(row: ArrayViews, values: Sequence[Symbol], *, max_codes: int = 255) -> NDArray[np.bool_]:
    vocabulary = Vocabulary(max_codes=max_codes, min_occurrences=2)
    sightings = [vocabulary.observe(value, str(value)) for value in values]
    ids, fresh, left = zip(*[(s.value_id, s.fresh, s.left) for s in sightings], strict=True)
    return learn_ids(row, ids, fresh, left)


def learn_ids(row: ArrayViews, ids: Ids, fresh: Flags, left: Sequence[int] | None = None) -> NDArray[np.bool_]:
    """Give which ids the fast memory had predicted."""
    run = run_of(ids, fresh, left)
    hits: NDArray[np.bool_] = suffix_memory.observe(row, run).favourites[:-1, 0] == run.ids
    return hits & ~run.fresh


def run_of(ids: Ids, fresh: Flags, left: Sequence[int] | None = None) -> ObservedRun:
    none = [-1] * len(ids)
    return ObservedRun(
        np.array(ids, np.int32),
        np.array(fresh, np.bool_),
        np.array(left or none, np.int32),
    )


def distribution(row: ArrayViews) -> list[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Give the ids that each memory may see next, and their probabilities."""
    (probabilities,) = suffix_memory.observe(row, run_of([], [])).probabilities
    return [(np.flatnonzero(p), p[p > 0]) for p in probabilities]


class Reference:
    """The formulas as they are written, with dictionaries without bounds."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.history: list[int] = []
        self.shares: dict[int, float] = {}
        self.contexts: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.trust: dict[tuple[Any, ...], tuple[float, int]] = {}

    def present(self) -> Iterator[tuple[Any, ...]]:
        """Give the contexts of the coming value, shortest first."""
        if len(self.history) > BEHIND:
            yield ("behind", *self.history[-1 - BEHIND : -1])
        for order in ORDERS:
            if order <= len(self.history):
                yield (order, *self.history[-order:])

    def known(self) -> Iterator[tuple[tuple[Any, ...], dict[int, float]]]:
        """Give the contexts that match, shortest first: bucket and context."""
        for key in self.present():
            context = self.contexts.get(key)
            if context is not None:
                age = (len(self.history) - context["seen"]).bit_length() // 2
                yield (key[0], min(context["visits"], MAX_VISITS), min(age, AGES - 1)), context["counts"]

    def distribution(self) -> dict[int, float]:
        total = sum(self.shares.values())
        p = {value: count / total for value, count in self.shares.items()}
        for bucket, counts in self.known():
            trust, _ = self.trust.get(bucket, (FIRST_TRUST, FIRST_SAMPLES))
            total = sum(counts.values())
            p = {value: trust * counts.get(value, 0) / total + (1 - trust) * p[value] for value in p}
        return p

    def learn(self, value: int) -> None:
        below = max(MIN_SHARE, self.shares.get(value, 0) / max(1, sum(self.shares.values())))
        for bucket, counts in self.known():
            trust, samples = self.trust.get(bucket, (FIRST_TRUST, FIRST_SAMPLES))
            share = counts.get(value, 0) / sum(counts.values())
            mixed = trust * share + (1 - trust) * below
            if share + below > 10 * MIN_SHARE:
                samples = min(samples + 1, MAX_SAMPLES)
                moved = trust + (trust * share / mixed - trust) / samples
                self.trust[bucket] = (min(max(moved, MIN_TRUST), MAX_TRUST), samples)
            below = max(mixed, MIN_SHARE)
        for key in self.present():
            context = self.contexts.setdefault(key, {"visits": 0, "counts": {}})
            decayed = {v: self.decay * count for v, count in context["counts"].items()}
            decayed = {v: count for v, count in decayed.items() if count > MIN_COUNT}
            context["counts"] = decayed | {value: decayed.get(value, 0) + 1}
            context["visits"] += 1
            context["seen"] = len(self.history)
        self.shares = {v: DECAY_OF_SHARES * count for v, count in self.shares.items()}
        self.shares[value] = self.shares.get(value, 0) + 1
        self.history.append(value)


def test_probabilities_are_those_of_the_formulas() -> None:
    """With room for all contexts, the arrays say what the formulas say, event for event."""
    randomness = random.Random(0)
    values = [PERIOD[i % 27] if randomness.random() < 0.9 else 5 for i in range(400)]
    row, references = new_row(contexts=65_536), [Reference(decay) for decay in DECAYS]
    vocabulary = Vocabulary(max_codes=4, min_occurrences=2)
    for value in values:
        lookup = vocabulary.observe(value, str(value))
        favourites = suffix_memory.observe(row, run_of([lookup.value_id], [lookup.fresh])).favourites[-1]
        for reference, favourite, (ids, probabilities) in zip(references, favourites, distribution(row), strict=True):
            reference.learn(lookup.value_id)
            expected = reference.distribution()
            assert sorted(expected) == ids.tolist()
            np.testing.assert_allclose([expected[value_id] for value_id in ids.tolist()], probabilities, rtol=1e-4)
            assert ids[probabilities.argmax()] == favourite


def test_there_is_no_distribution_before_the_first_event() -> None:
    """Nothing was seen, nothing is expected."""
    expected = suffix_memory.observe(new_row(), run_of([], []))
    assert not expected.probabilities.any()
    assert (expected.favourites == -1).all()
    assert (expected.rest == 1).all()


@pytest.mark.long
@pytest.mark.parametrize("contexts", [256, 1024])
def test_a_period_is_learned_once_and_for_good(contexts: int) -> None:
    """The stream of period 27 has no miss from the third period on to event 100,000."""
    hits = learn(new_row(contexts=contexts), [PERIOD[i % 27] for i in range(100_000)])
    assert hits[54:].all()


def test_long_contexts_are_learned_in_bounded_memory() -> None:
    """Sequences with noise between them are told apart by their first element, also after a change of their ends.

    The task is that of Cui, Ahmad and Hawkins (2016), shortened: the last elements are what counts.
    """
    randomness = random.Random(5)
    values: list[int] = []
    is_end: list[bool] = []
    while len(values) < 6000:
        sequence = randomness.choice(SEQUENCES if len(values) < 3000 else SWITCHED)
        values += [int(element) for element in sequence] + [11 + randomness.randrange(50_000)]
        is_end += [False] * (len(sequence) - 1) + [True, False]
    hits, ends = learn(new_row(), values), np.array(is_end)
    assert 0.99 <= hits[1500:3000][ends[1500:3000]].mean()
    assert 0.99 <= hits[4500:][ends[4500:]].mean()


@pytest.mark.long
def test_learns_again_after_noise() -> None:
    """50,000 random values later the table is as large as before, and a period is learned in a few rounds."""
    row = new_row()
    size = sum(array.nbytes for array in row.values())
    randomness = random.Random(1)
    noise = [randomness.randrange(100, 50_000) for _ in range(50_000)]
    hits = learn(row, noise + [PERIOD[i % 27] for i in range(540)])
    assert hits[-270:].all()
    assert size == sum(array.nbytes for array in row.values())


def test_a_new_owner_of_an_id_inherits_nothing() -> None:
    """What followed a context was another value than the one that has its id now."""
    row = new_row()
    ids = np.array([0, 1, 0, 1, 0, 1, 0, 1, 2, 1, 0], np.int32)
    fresh = np.isin(np.arange(len(ids)), [0, 1, 8, 9])
    learn_ids(row, ids[:8], fresh[:8])
    learn_ids(row, ids[8:], fresh[8:])
    assert [0, 0] == row["suffix_prediction"].tolist()


def test_a_value_that_left_is_not_expected_any_more() -> None:
    """Its id names nothing until it is given again: no context and no share speaks of it."""
    row = new_row()
    learn_ids(row, [0, 1, 0, 1, 0, 1, 2, 0], [True, True, False, False, False, False, True, False], [-1] * 6 + [1, -1])
    assert [[0, 2], [0, 2]] == [ids.tolist() for ids, _ in distribution(row)]


def test_a_context_ends_where_a_sequence_does() -> None:
    """What came before a break leads up to nothing; how sequences begin is a context like any other."""
    row = new_row()
    for _ in range(8):
        learn_ids(row, [0, 1, 2], [row["suffix_used"][0] == 0] * 3)
        suffix_memory.break_sequence(row)
        assert [-1, -1] == row["suffix_prediction"].tolist()
    begun = suffix_memory.observe(row, run_of([0], [False])).probabilities[:, 0]
    assert begun[0].argmax() == 0
    assert begun[0].max() > 0.9
    assert [1, 1] == row["suffix_prediction"].tolist()


def test_the_part_left_for_new_values_is_counted() -> None:
    """It falls where nothing new comes, and stays high where everything is new."""
    known, new = new_row(), new_row()
    learn(known, [PERIOD[i % 27] for i in range(270)])
    learn(new, list(range(270)))
    assert (suffix_memory.observe(known, run_of([], [])).rest < 0.01).all()
    assert (suffix_memory.observe(new, run_of([], [])).rest > 0.9).all()


def test_a_new_owner_of_an_id_is_counted_from_its_first_sighting() -> None:
    """The count in a context that the former owner had followed starts at one."""
    row = new_row()
    ids = np.array([0, 1, 0, 1, 0, 1, 0, 1], np.int32)
    learn_ids(row, ids, np.isin(np.arange(len(ids)), [0, 1, 7]))
    counts = row["suffix_counts"][:, row["suffix_seen"] == len(ids)]
    assert {0.0, 1.0} == set(counts.ravel().tolist())
