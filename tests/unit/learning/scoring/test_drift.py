"""When a stream is found to have changed: as river finds it, whatever the batches, and not as it is being learned."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from online_lstm.checkpoint import digest_of
from online_lstm.errors import StateMismatchError
from online_lstm.events import EventResult, InputRecord
from online_lstm.learning.learner_state import score, score_fields
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import Partition, initial_metadata, next_metadata
from online_lstm.learning.scoring import drift
from online_lstm.learning.state.packed import ArrayViews, PackedArrays
from river.drift import PageHinkley
from support.fakes import LABELS, NUMBERS, SOURCES, record, small_settings

pytestmark = pytest.mark.long

SHARES = st.lists(st.sampled_from([0.0, 1.0]), max_size=600) | st.lists(
    st.fractions(min_value=0, max_value=1, max_denominator=12).map(float), max_size=300
)
CHANGING = st.lists(
    st.tuples(st.integers(1, 120), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.integers(0, 99)), max_size=6
).map(
    lambda parts: [
        float(np.random.default_rng(seed).random() < p) for n, p, seed in parts for seed in range(seed, seed + n)
    ]
)
"""Misses that come with one probability, then with another one."""


def new_row(**given: Any) -> ArrayViews:
    rows = PackedArrays(score_fields(small_settings(**given), losses=1))
    return rows.view(rows.add())


def found_in(row: ArrayViews, misses: Sequence[float], delta: float = 0.15, threshold: float = 7.0) -> list[int]:
    told = drift.detect(row, np.array(misses, np.float64), delta=delta, threshold=threshold)
    return [place for place, changed in enumerate(told) if changed]


def found_by_river(misses: Sequence[float], delta: float, threshold: float) -> list[int]:
    oracle = PageHinkley(min_instances=drift.MIN_EVENTS, delta=delta, threshold=threshold, alpha=1.0, mode="up")
    found = []
    for place, miss in enumerate(misses):
        oracle.update(miss)
        if oracle.drift_detected:
            found.append(place)
    return found


@given(SHARES | CHANGING, st.sampled_from([0.0, 0.005, 0.15, 0.3]), st.sampled_from([0.5, 3.0, 7.0]))
def test_changes_are_found_where_river_finds_them(misses: list[float], delta: float, threshold: float) -> None:
    """The oracle is another program's test of Page and Hinkley, without forgetting."""
    assert found_by_river(misses, delta, threshold) == found_in(new_row(), misses, delta, threshold)


def test_the_oracle_finds_something() -> None:
    """Forty hits and then misses are a change, for both; after it they begin anew, and find the next one."""
    misses = ([0.0] * 40 + [1.0] * 20) * 3
    expected = found_by_river(misses, 0.15, 7.0)
    assert [49, 112, 171] == expected
    assert expected == found_in(new_row(), misses)


@given(CHANGING, st.lists(st.integers(0, 40), max_size=8))
def test_the_split_into_runs_does_not_show(misses: list[float], lengths: list[int]) -> None:
    """Any split gives the same changes and the same state, bit for bit."""
    whole, parts = new_row(), new_row()
    expected = found_in(whole, misses)
    edges = [*(min(edge, len(misses)) for edge in np.cumsum([0, *lengths]).tolist()), len(misses)]
    found = [start + place for start, end in pairwise(edges) for place in found_in(parts, misses[start:end])]
    assert expected == found
    np.testing.assert_array_equal(whole["drift_test"], parts["drift_test"])


def test_what_is_being_learned_has_not_changed() -> None:
    """Misses that become fewer, from all to none, are no change, and neither are many that stay as many."""
    falling = np.random.default_rng(0).random(3000) < np.linspace(1, 0, 3000)
    assert [] == found_in(new_row(), falling.astype(float).tolist())
    assert [] == found_in(new_row(), [1.0] * 50 + [0.0] * 3000)
    assert [] == found_in(new_row(), [1.0] * 3000)


def test_few_events_tell_nothing() -> None:
    """However clear it looks."""
    assert [] == found_in(new_row(), [0.0] * 10 + [1.0] * (drift.MIN_EVENTS - 11))


@pytest.mark.parametrize("several", [False, True])
def test_only_what_was_scored_counts(several: bool) -> None:
    """Of several predictions an event, the share that was missed; the event's number is kept and they are counted."""
    settings = small_settings()
    predictors = settings.predictors.count
    rows = PackedArrays(score_fields(settings, 1, predictions=2 if several else 1))
    row = rows.view(rows.add())
    right = np.array([True] * 40 + [False] * 20)
    hits = np.repeat(right[:, None], predictors, axis=1)
    if several:
        hits = np.column_stack([2 * hits, np.full(60, 2)]).astype(np.int32)
    scored = np.arange(60) != 3
    told = score(row, settings, first=101, scored=scored, hits=hits, losses=np.zeros((60, 1)))
    (place,) = np.flatnonzero(told.drifts)
    assert 49 == place
    assert [1, 101 + 49] == row["drift_events"].tolist()
    assert told.hits[3] is None


# in a partition

CYCLES = (3, 1, 4, 1, 5, 9, 2, 6), (2, 7, 1, 8, 2, 8, 1, 8), (5, 7, 7, 2, 1, 5, 6, 6)


def values_of(task: str) -> list[InputRecord]:
    """Make records of a stream that becomes another one twice, so that what was learned is wrong."""
    if task == "symbol":
        return [record(i, b"%d" % CYCLES[i // 150][i % 8]) for i in range(450)]
    if task == "number":
        chance = np.random.default_rng(3)
        level = [20 * np.sin(i * (0.7, 1.9, 1.3)[i // 150]) + chance.normal() for i in range(450)]
        return [record(i, b"[%.4f, %.4f]" % (each, 100 - each)) for i, each in enumerate(level)]
    chance = np.random.default_rng(4)
    sides = [(chance.integers(2), i // 150 % 2) for i in range(450)]
    texts = [f'{{"value": [{4 * side}, 1], "end": true, "label": {side ^ turned}}}' for side, turned in sides]
    return [record(i, text.encode()) for i, text in enumerate(texts)]


TASKS: dict[str, dict[str, Any]] = {
    "symbol": {},
    "number": {**NUMBERS, "seasonal_periods": "1", "tolerance": "6"},
    "label": {**LABELS, "learning_rate": 0.1},
}


def partition_of(task: str) -> Partition:
    chosen = small_settings(**TASKS[task])
    return Partition(chosen, SOURCES[0], next_metadata(chosen, SOURCES[0], 0, initial_metadata(1)), NETWORKS[task])


NETWORKS = {task: model_factory(small_settings(**given)) for task, given in TASKS.items()}


def drifts_of(outcomes: Sequence[EventResult]) -> list[int]:
    return [outcome.event for outcome in outcomes if outcome.evaluation is not None and outcome.evaluation.drift]


@pytest.mark.parametrize("task", TASKS)
def test_drift_independent_of_calls(task: str) -> None:
    """And if it goes on from its state in the midst of them: the same bytes are published, and the state is one."""
    records, whole = values_of(task), partition_of(task)
    done = whole.process(records)
    found = drifts_of(done.outcomes)
    assert found
    assert all(event > 150 for event in found)
    assert len(found) == done.tally.drifts
    assert b'"drift": true' in (done.outputs[found[0] - 1].value or b"")
    outputs, partition = [], partition_of(task)
    for first in range(0, len(records), 7):
        outputs += partition.process(records[first : first + 7]).outputs
        if first // 7 % 8 == 0 or abs(first - found[0]) < 14:
            restored = partition_of(task)
            restored.restore(partition.state())
            partition = restored
    assert done.outputs == outputs
    assert digest_of(whole.state().to_arrays()) == digest_of(partition.state().to_arrays())


def test_a_break_of_the_sequence_is_no_beginning_of_the_test() -> None:
    """What was missed before counts on, as the stream is the same."""
    partition = partition_of("symbol")
    partition.process(values_of("symbol")[:100])
    before = partition.state().learned.arrays["drift_test"]
    partition.break_sequences()
    np.testing.assert_array_equal(before, partition.state().learned.arrays["drift_test"])
    assert 90 < before[0, 0]


def test_a_state_of_before_there_was_a_test_is_refused() -> None:
    """As one of other settings is: what its outputs would be is not known."""
    state = partition_of("symbol").state()
    shape = {name: value for name, value in state.shape.items() if not name.startswith("drift_")}
    with pytest.raises(StateMismatchError, match=r"drift_delta None \(the settings say 0.15\), drift_threshold None"):
        partition_of("symbol").restore(replace(state, shape=shape))
