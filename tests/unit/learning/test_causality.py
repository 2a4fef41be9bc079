"""Nothing of the future shows: whatever comes later, every output before it stays the same bytes."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from online_lstm.events import InputRecord, OutputRecord
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import NetworkFactory, Partition, initial_metadata, next_metadata
from support.budget import budget
from support.fakes import (
    LABELS,
    NUMBERS,
    SOURCES,
    is_tombstone,
    label_traffic,
    number_traffic,
    record,
    small_settings,
    traffic,
)

pytestmark = [pytest.mark.long, pytest.mark.no_cover]  # see pyproject.toml

CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "plain loop": {"retry_steps": 0, "lr_gate_loss": 0},
    "stateless": {"stateful": False},
    "two layers": {"network": "lstm 4,lstm 3"},
    "lstm alone": {"experts": "lstm"},
    "preset plain": {"preset": "plain", "replay_buffer_size": 0},
    "shared weights": {"model_scope": "partition"},
    "shared weights, lstm alone": {"model_scope": "partition", "experts": "lstm"},
    "numbers": {"task": "number", "lookback": 256},
    "numbers, three ahead": {"task": "number", "lookback": 256, "horizons": 3, "replay_buffer_size": 0},
    "vectors, two horizons": NUMBERS,
    "numbers, shared weights": {"task": "number", "lookback": 256, "model_scope": "partition"},
    "labels": LABELS,
    "labels, two layers": {**LABELS, "network": "lstm 4,gru 3", "label_timeout_events": 5},
}
"""What is learned and how, beside ``fakes.SMALL``: a line for each task, preset and set of experts."""

PAST, LABELLED, VECTORS = traffic(120), label_traffic(120), number_traffic(120)
VALUES = (
    *(None, b"0", b"1", b"2.0", b'"3"', b"77", b'{"value": 1, "end": true}', b"?", b"1e300", b"-0.0", b"\xff"),
    *(b"[7, null]", b'{"value": [1, 2], "label": 1, "end": true}', b'{"label": 0}'),
)
LATER = st.lists(st.tuples(st.sampled_from(VALUES), st.sampled_from((None, b"a", b"\xff", b"d", b"new"))), max_size=60)


def past_of(case: str) -> list[InputRecord]:
    if "features" not in CASES[case]:
        return PAST
    return LABELLED if CASES[case]["task"] == "label" else VECTORS


@cache
def networks_for(case: str) -> NetworkFactory:
    return model_factory(small_settings(**CASES[case]))


def outputs_of(case: str, *calls: Sequence[InputRecord]) -> list[OutputRecord]:
    """Learn from records in these calls and give all that was published."""
    chosen = small_settings(**CASES[case])
    mark = next_metadata(chosen, SOURCES[0], 0, initial_metadata(1))
    partition = Partition(chosen, SOURCES[0], mark, networks_for(case))
    return [output for records in calls for output in partition.process(records).outputs]


@cache
def published(case: str) -> list[OutputRecord]:
    return outputs_of(case, past_of(case))


@pytest.mark.search
@pytest.mark.parametrize("case", CASES)
@settings(max_examples=budget(40))
@given(cut=st.integers(0, len(PAST)), later=LATER, split=st.integers(0, len(PAST) + 60))
def test_no_future_shows_in_the_past(
    case: str, cut: int, later: list[tuple[bytes | None, bytes | None]], split: int
) -> None:
    """Another suffix, or none, and another way of taking the records: the outputs before are the same bytes."""
    past = past_of(case)
    offset = past[cut - 1].offset + 1 if cut else 0
    records = [*past[:cut], *(record(offset + i, value, key) for i, (value, key) in enumerate(later))]
    before = sum(not is_tombstone(one) for one in past[:cut])
    assert published(case)[:before] == outputs_of(case, records[:split], records[split:])[:before]


@pytest.mark.parametrize("case", CASES)
def test_a_value_shows_in_all_that_comes_after_it(case: str) -> None:
    """The outputs would tell: another value changes its own output and later ones of its stream."""
    past = past_of(case)
    shown = b"1" if past is PAST else b"["
    place = next(
        i for i, one in enumerate(past) if i >= 60 and one.key is None and (one.value or b"").startswith(shown)
    )
    others = [*past[:place], record(past[place].offset, b"2" if past is PAST else b"[9, 9]"), *past[place + 1 :]]
    changed = [pair[0] != pair[1] for pair in zip(published(case), outputs_of(case, others), strict=True)]
    before = sum(not is_tombstone(one) for one in past[:place])
    assert not any(changed[:before])
    assert changed[before]
    assert sum(changed) > 1
