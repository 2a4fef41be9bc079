import random

import numpy as np
import pytest

from daemon.experts import suffix_memory
from daemon.experts.suffix_kernels import (
    AGES,
    DECAY,
    DECAY_OF_SHARES,
    FIRST_SAMPLES,
    FIRST_TRUST,
    LEAST_COUNT,
    LEAST_SHARE,
    LEAST_TRUST,
    MOST_SAMPLES,
    MOST_TRUST,
    MOST_VISITS,
    ORDERS,
)
from daemon.rows import Rows
from daemon.vocabulary import Vocabulary

PERIOD = [4] * 6 + [8] + [4] * 5 + [8] + [4] * 6 + [8] + [4] * 6 + [28]
SEQUENCES = ["6874230", "1874235", "6342785", "1342780", "09785341", "29785346", "04358796", "24358791"]
SWITCHED = ["6874235", "1874230", "6342780", "1342785", "09785346", "29785341", "04358791", "24358796"]


def new_row(*, contexts=1024, values=510):
    rows = Rows(suffix_memory.fields(contexts, values))
    return rows.view(rows.add())


def learn(row, values, *, max_codes=255):
    vocabulary = Vocabulary(max_codes=max_codes, admit_after=2)
    sightings = [vocabulary.observe(value, str(value)) for value in values]
    ids = np.array([sighting.value_id for sighting in sightings], np.int32)
    return suffix_memory.observe(row, ids, np.array([sighting.fresh for sighting in sightings]))


class Reference:
    """The formulas as they are written, with dictionaries without bounds."""

    def __init__(self):
        self.history, self.shares, self.contexts, self.trust = [], {}, {}, {}

    def known(self):
        """Give the contexts that match, shortest first: bucket and context."""
        for order in ORDERS:
            context = self.contexts.get(tuple(self.history[-order:]) if order <= len(self.history) else None)
            if context is not None:
                age = (len(self.history) - context["seen"]).bit_length() // 2
                yield (order, min(context["visits"], MOST_VISITS), min(age, AGES - 1)), context["counts"]

    def distribution(self):
        total = sum(self.shares.values())
        p = {value: count / total for value, count in self.shares.items()}
        for bucket, counts in self.known():
            trust, _ = self.trust.get(bucket, (FIRST_TRUST, FIRST_SAMPLES))
            total = sum(counts.values())
            p = {value: trust * counts.get(value, 0) / total + (1 - trust) * p[value] for value in p}
        return p

    def learn(self, value):
        below = max(LEAST_SHARE, self.shares.get(value, 0) / max(1, sum(self.shares.values())))
        for bucket, counts in self.known():
            trust, samples = self.trust.get(bucket, (FIRST_TRUST, FIRST_SAMPLES))
            share = counts.get(value, 0) / sum(counts.values())
            mixed = trust * share + (1 - trust) * below
            if share + below > 10 * LEAST_SHARE:
                samples = min(samples + 1, MOST_SAMPLES)
                moved = trust + (trust * share / mixed - trust) / samples
                self.trust[bucket] = (min(max(moved, LEAST_TRUST), MOST_TRUST), samples)
            below = max(mixed, LEAST_SHARE)
        for order in ORDERS:
            if order <= len(self.history):
                fresh = {"visits": 0, "counts": {}}
                context = self.contexts.setdefault(tuple(self.history[-order:]), fresh)
                decayed = {v: DECAY * count for v, count in context["counts"].items() if DECAY * count > LEAST_COUNT}
                context["counts"] = decayed | {value: decayed.get(value, 0) + 1}
                context["visits"] += 1
                context["seen"] = len(self.history)
        self.shares = {v: DECAY_OF_SHARES * count for v, count in self.shares.items()}
        self.shares[value] = self.shares.get(value, 0) + 1
        self.history.append(value)


def test_probabilities_are_those_of_the_formulas():
    """With room for all contexts, the arrays say what the formulas say, event for event."""
    randomness = random.Random(0)
    values = [PERIOD[i % 27] if randomness.random() < 0.9 else 5 for i in range(400)]
    row, reference, vocabulary = new_row(contexts=65_536), Reference(), Vocabulary(max_codes=4, admit_after=2)
    for value in values:
        sighting = vocabulary.observe(value, str(value))
        suffix_memory.observe(row, np.array([sighting.value_id], np.int32), np.array([sighting.fresh]))
        reference.learn(sighting.value_id)
        ids, probabilities = suffix_memory.distribution(row)
        expected = reference.distribution()
        assert sorted(expected) == ids.tolist()
        np.testing.assert_allclose([expected[value_id] for value_id in ids.tolist()], probabilities, rtol=1e-4)
        assert ids[probabilities.argmax()] == suffix_memory.prediction(row)


def test_there_is_no_distribution_before_the_first_event():
    """Nothing was seen, nothing is expected."""
    ids, probabilities = suffix_memory.distribution(new_row())
    assert (0, 0, -1) == (len(ids), len(probabilities), suffix_memory.prediction(new_row()))


@pytest.mark.parametrize("contexts", [256, 1024])
def test_a_period_is_learned_once_and_for_good(contexts):
    """The stream of period 27 has no miss from the third period on to event 100,000."""
    hits = learn(new_row(contexts=contexts), [PERIOD[i % 27] for i in range(100_000)])
    assert hits[54:].all()


def test_long_contexts_are_learned_in_bounded_memory():
    """Sequences with noise between them are told apart by their first element, also after a change of their ends.

    The task is that of Cui, Ahmad and Hawkins (2016), shortened: the last elements are what counts.
    """
    randomness = random.Random(5)
    values, is_end = [], []
    while len(values) < 6000:
        sequence = randomness.choice(SEQUENCES if len(values) < 3000 else SWITCHED)
        values += [int(element) for element in sequence] + [11 + randomness.randrange(50_000)]
        is_end += [False] * (len(sequence) - 1) + [True, False]
    hits, is_end = learn(new_row(), values), np.array(is_end)
    assert 0.99 <= hits[1500:3000][is_end[1500:3000]].mean()
    assert 0.99 <= hits[4500:][is_end[4500:]].mean()


def test_learns_again_after_noise():
    """50,000 random values later the table is as large as before, and a period is learned in a few rounds."""
    row = new_row()
    size = sum(array.nbytes for array in row.values())
    randomness = random.Random(1)
    noise = [randomness.randrange(100, 50_000) for _ in range(50_000)]
    hits = learn(row, noise + [PERIOD[i % 27] for i in range(540)])
    assert hits[-270:].all()
    assert size == sum(array.nbytes for array in row.values())


def test_a_new_owner_of_an_id_inherits_nothing():
    """What followed a context was another value than the one that has its id now."""
    row = new_row()
    ids = np.array([0, 1, 0, 1, 0, 1, 0, 1, 2, 1, 0], np.int32)
    fresh = np.isin(np.arange(len(ids)), [0, 1, 8, 9])
    suffix_memory.observe(row, ids[:8], fresh[:8])
    suffix_memory.observe(row, ids[8:], fresh[8:])
    assert 0 == suffix_memory.prediction(row)


def test_a_new_owner_of_an_id_is_counted_from_its_first_sighting():
    """The count in a context that the former owner had followed starts at one."""
    row = new_row()
    ids = np.array([0, 1, 0, 1, 0, 1, 0, 1], np.int32)
    suffix_memory.observe(row, ids, np.isin(np.arange(len(ids)), [0, 1, 7]))
    counts = row["suffix_counts"][row["suffix_seen"] == len(ids)]
    assert {0.0, 1.0} == set(counts.ravel().tolist())
