import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from online_lstm.checkpoint import digest_of
from online_lstm.errors import StateMismatchError
from online_lstm.events import InputRecord, OutputRecord
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import BatchCounts, Partition, initial_metadata, learning_settings, next_metadata
from support.budget import budget
from support.fakes import (
    SOURCES,
    is_tombstone,
    record,
    small_network,
    small_settings,
    traffic,
)
from support.states import stream_learners

pytestmark = pytest.mark.long

TRAFFIC = traffic(400)
Result = tuple[list[OutputRecord], str, tuple[int, ...]]


def partition_of(**given: Any) -> Partition:
    chosen = small_settings(**given)
    return Partition(chosen, SOURCES[0], next_metadata(chosen, SOURCES[0], 0, initial_metadata(2)), small_network)


def figures_of(tally: BatchCounts) -> tuple[int, ...]:
    return (tally.events, tally.scored, tally.hits.published, tally.evicted_streams, sum(tally.dead_letters.values()))


def pieces_of(records: Sequence[InputRecord], sizes: Sequence[int]) -> Iterator[Sequence[InputRecord]]:
    start = 0
    while start < len(records):
        for size in sizes:
            yield records[start : start + size]
            start += size


def process(records: Sequence[InputRecord], *, sizes: Sequence[int], **given: Any) -> Result:
    partition = partition_of(**given)
    outputs, figures = [], np.zeros(5, int)
    for piece in pieces_of(records, sizes):
        processed = partition.process(piece)
        outputs += processed.outputs
        figures += figures_of(processed.tally)
    return outputs, digest_of(partition.state().to_arrays()), tuple(figures.tolist())


@pytest.fixture(scope="module", params=["stream", "partition"])
def scope(request: pytest.FixtureRequest) -> str:
    """Who shares the weights."""
    return str(request.param)


@pytest.fixture(scope="module")
def expected(scope: str) -> Result:
    return process(TRAFFIC, sizes=[len(TRAFFIC)], model_scope=scope)


def messages_of(outputs: Sequence[OutputRecord]) -> list[dict[str, Any]]:
    return [json.loads(output.value or b"") for output in outputs if not output.dead_letter]


def test_restored_streams_are_compiled_before_records(scope: str) -> None:
    """In another process, so that the first record does not wait; nothing of the state changes."""
    before = partition_of(model_scope=scope)
    before.process(TRAFFIC)
    chosen = small_settings(model_scope=scope)
    network_for = model_factory(chosen)
    network: Any = network_for(learning_settings(chosen))
    partition = Partition(chosen, SOURCES[0], before.commit_metadata, network_for)
    partition.restore(before.state())
    assert not network._programs
    partition.prepare()
    assert {learner.classes for learner in stream_learners(partition).values()} == set(network._programs)
    assert digest_of(before.state().to_arrays()) == digest_of(partition.state().to_arrays())


def test_the_traffic_has_all_that_can_happen(scope: str, expected: Result) -> None:
    """The other tests are about evictions, dead letters, tombstones, ends, and vocabularies beyond their bound."""
    _, _, (events, _, _, evicted, bad) = expected
    partition = partition_of(model_scope=scope)
    classes, full = set(), False
    for one in TRAFFIC:
        partition.process([one])
        classes |= {learner.classes for learner in stream_learners(partition).values()}
        full |= any(learner.task.known == 10 for learner in stream_learners(partition).values())
    assert 300 < events < len(TRAFFIC)
    assert min(evicted, bad, sum(map(is_tombstone, TRAFFIC)), sum(b"end" in (r.value or b"") for r in TRAFFIC)) > 0
    assert {4, 8, 16} == classes
    assert full


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_size_of_the_calls_does_not_show(scope: str, expected: Result, size: int) -> None:
    """Outputs, learned state and counts are the same bytes in pieces of any size."""
    assert expected == process(TRAFFIC, sizes=[size], model_scope=scope)


@pytest.mark.search
@pytest.mark.no_cover  # see pyproject.toml
@settings(max_examples=budget(40))
@given(sizes=st.lists(st.integers(1, 90), min_size=1, max_size=6))
def test_no_way_of_splitting_the_input_shows(scope: str, expected: Result, sizes: list[int]) -> None:
    """A schedule of polls is no part of what is learned or published."""
    assert expected == process(TRAFFIC, sizes=sizes, model_scope=scope)


@pytest.mark.no_cover  # see pyproject.toml
def test_a_restored_state_goes_on_as_if_nothing_had_been(scope: str, expected: Result) -> None:
    """At every cut, a state that is taken and restored elsewhere gives the rest of the outputs and the state."""
    partition, outputs = partition_of(model_scope=scope), []
    for one in TRAFFIC:
        outputs += partition.process([one]).outputs
        state = partition.state()
        partition = partition_of(model_scope=scope)
        partition.restore(state)
        assert digest_of(state.to_arrays()) == digest_of(partition.state().to_arrays()), one
    assert expected[:2] == (outputs, digest_of(partition.state().to_arrays()))


def test_taking_the_state_changes_nothing(scope: str, expected: Result) -> None:
    """A state is a copy: what is learned later does not reach it, and taking it is not an event."""
    partition = partition_of(model_scope=scope)
    states = []
    for piece in pieces_of(TRAFFIC, [50]):
        partition.process(piece)
        state = partition.state()
        states.append((state, digest_of(state.to_arrays())))
    assert expected[1] == states[-1][1]
    assert [digest for _, digest in states] == [digest_of(state.to_arrays()) for state, _ in states]


@pytest.mark.parametrize("cut", [1, 120, 333])
def test_what_comes_later_changes_nothing_before(scope: str, expected: Result, cut: int) -> None:
    """A prediction depends on the past alone: other values later leave every output before as it was."""
    others = [record(r.offset, b"77" if r.offset % 2 else b"?", r.key) for r in TRAFFIC[cut:]]
    outputs = partition_of(model_scope=scope).process([*TRAFFIC[:cut], *others]).outputs
    before = sum(not is_tombstone(one) for one in TRAFFIC[:cut])
    assert expected[0][:before] == outputs[:before]
    assert expected[0] != outputs


def test_other_streams_do_not_show() -> None:
    """A stream with weights of its own learns the same beside others as alone, as long as it is not evicted."""
    alone = [one for one in TRAFFIC if one.key == b"a"]
    own = [output for output in partition_of(max_streams=10).process(TRAFFIC).outputs if output.key == b"a"]
    assert own == partition_of(max_streams=10).process(alone).outputs


def test_predictions_start_with_the_second_value() -> None:
    """The first value has no evaluation, and what is predicted after it is judged by the second."""
    messages = messages_of(partition_of().process([record(i, b"4") for i in range(3)]).outputs)
    assert [None, 4, 4] == [m["evaluation"] and m["evaluation"]["predicted"] for m in messages]
    assert [None, 1.0, 1.0] == [m["hit_rate"] for m in messages]
    assert [4, 4, 4] == [m["prediction"] for m in messages]
    assert [1, 2, 3] == [m["event"] for m in messages]


def test_equal_numbers_are_one_symbol() -> None:
    """Numbers are compared as numbers however they are written; a text is never equal to one."""
    partition = partition_of()
    partition.process([record(i, value) for i, value in enumerate([b"4", b"4.0", b"4e0", b'{"value": 4}'])])
    assert 1 == partition.report(None).vocabulary
    partition.process([record(i, b'"4"') for i in range(4, 6)])
    assert 2 == partition.report(None).vocabulary


def test_a_value_is_published_the_way_it_was_written() -> None:
    """The value of an output is the input's own text, not a number that was read and written again."""
    written = [b"4", b"4.0", b"1e2", b"123456789012345678901234567890"]
    outputs = partition_of().process([record(i, value) for i, value in enumerate(written)]).outputs
    for value, output in zip(written, outputs, strict=True):
        assert b'"value": ' + value + b", " in (output.value or b"")


def test_a_tombstone_forgets_the_stream_of_its_key() -> None:
    """Afterwards nothing of it is left, and the next value of this key is the first of a new stream."""
    partition, empty = partition_of(), partition_of()
    partition.process([*(record(i, b"%d" % (i % 7), b"a") for i in range(50)), record(50, None, b"a")])
    assert digest_of(empty.state().learned.to_arrays()) == digest_of(partition.state().learned.to_arrays())
    again = messages_of(partition.process([record(51, b"4", b"a")]).outputs)
    fresh = messages_of(empty.process([record(51, b"4", b"a")]).outputs)
    assert fresh == again


def test_a_tombstone_makes_no_output_but_counts_as_a_record() -> None:
    """Readers see nothing of it; a replay has to pass it all the same."""
    partition = partition_of()
    assert [] == partition.process([record(0, None, b"nobody")]).outputs
    assert 1 == partition.commit_metadata.records


READINGS = [
    record(
        offset,
        b'[{"id": "a", "t": %d, "v": %d}, {"id": "b", "t": %d, "v": %s}]'
        % (1000 + offset, offset % 7, 1001 + offset, b'"on"' if offset % 5 else b"null"),
        b"gateway",
    )
    for offset in range(40)
]
FIELDS = {"value_path": "v", "key_path": "id", "time_path": "t", "time_format": "s"}


def test_each_event_of_an_array_has_an_id() -> None:
    """The outputs are keyed and timed by their events, in order; the position of the record is the same."""
    first, second = partition_of(**FIELDS).process(READINGS[1:2]).outputs
    assert [b"a", b"b"] == [first.key, second.key]
    assert [1_001_000, 1_002_000] == [first.timestamp_ms, second.timestamp_ms]
    assert [b"numbers/0/1/0", b"numbers/0/1/1"] == [dict(output.headers)["ce_id"] for output in (first, second)]
    assert [("a", 1, 0), ("b", 1, 1)] == [(m["stream"], m["offset"], m["index"]) for m in messages_of([first, second])]


def test_an_array_has_one_dead_letter_at_most() -> None:
    """It has the whole record as it came, with the index of the first event that was refused; all are counted."""
    bad = record(3, b'[{"id": "a", "t": 1, "v": 4}, {"id": "b", "t": "?", "v": 4}, {"v": 4}]', b"gateway")
    processed = partition_of(**FIELDS).process([bad])
    assert {"not_a_time": 1, "missing_path": 1} == processed.tally.dead_letters
    (letter,) = [output for output in processed.outputs if output.dead_letter]
    headers = dict(letter.headers)
    assert (bad.value, bad.key, b"1", b"3") == (
        letter.value,
        letter.key,
        headers["online_lstm_index"],
        headers["online_lstm_offset"],
    )
    assert 1 == processed.tally.events


@pytest.mark.parametrize("size", [1, 3])
def test_the_size_of_the_calls_does_not_show_in_arrays(size: int) -> None:
    """Keys and times of events are as good as those of records."""
    assert process(READINGS, sizes=[40], **FIELDS) == process(READINGS, sizes=[size], **FIELDS)


def test_a_null_value_without_a_key_forgets_nothing() -> None:
    """The stream without a key goes on; the record is a dead letter, and counted."""
    partition = partition_of()
    partition.process([record(offset, b"%d" % (offset % 7)) for offset in range(50)])
    processed = partition.process([record(50, None)])
    assert {"null_value": 1} == processed.tally.dead_letters
    assert [True] == [output.dead_letter for output in processed.outputs]
    (message,) = messages_of(partition.process([record(51, b"1")]).outputs)
    assert 51 == message["event"]
    assert None is not message["evaluation"]


def test_with_one_stream_by_partition_keys_do_not_matter() -> None:
    """What is predicted is what would be without keys."""
    values = [b"%d" % (offset % 7) for offset in range(60)]
    keyed = [record(offset, value, b"row-%d" % offset) for offset, value in enumerate(values)]
    by_partition = messages_of(partition_of(stream_by="partition").process(keyed).outputs)
    without = messages_of(partition_of().process([replace(one, key=None) for one in keyed]).outputs)
    assert [message | {"model": ""} for message in without] == [message | {"model": ""} for message in by_partition]


def test_the_stream_seen_least_recently_leaves() -> None:
    """With too many streams one is forgotten, and begins anew when it comes back."""
    partition = partition_of(max_streams=2)
    keys = (b"a", b"b", b"a", b"c", b"b")
    processed = partition.process([record(i, b"4", key) for i, key in enumerate(keys)])
    assert [1, 1, 2, 1, 1] == [m["event"] for m in messages_of(processed.outputs)]
    assert 2 == processed.tally.evicted_streams
    assert 2 == partition.report(None).streams


def test_a_bad_record_is_published_as_dead_letter_in_its_place() -> None:
    """It is not learned from, changes no stream, and keeps its place among the outputs."""
    partition = partition_of()
    outputs = partition.process([record(0, b"4"), record(1, b"?"), record(2, b"4")]).outputs
    assert [False, True, False] == [output.dead_letter for output in outputs]
    assert [1, 2] == [m["event"] for m in messages_of(outputs)]


def test_an_end_is_followed_by_a_new_sequence() -> None:
    """After it nothing is predicted until a value came; what was learned stays."""
    values = [b"1", b"2", b"1", b'{"value": 2, "end": true}', b"1", b"2"]
    partition = partition_of()
    messages = messages_of(partition.process([record(i, value) for i, value in enumerate(values)]).outputs)
    assert [1, 2, 3, 4, 5, 6] == [m["event"] for m in messages]
    assert [False, True, True, True, False, True] == [m["evaluation"] is not None for m in messages]
    assert [True, True, True, False, True, True] == [m["prediction"] is not None for m in messages]
    assert 2 == partition.report(None).vocabulary


@pytest.mark.parametrize(
    ("name", "stored", "given"),
    [("window", "8", "9"), ("network", "lstm 4", "lstm 5"), ("max_vocabulary", "9", "10"), ("top_k", "3", "4")],
)
def test_another_shape_is_refused_by_name(name: str, stored: str, given: str) -> None:
    """A state is not restored under other shape settings; the message names the setting and both values."""
    state = partition_of().state()
    with pytest.raises(StateMismatchError, match=rf"numbers/0 was learned with {name} .*{stored}.*{given}"):
        partition_of(**{name: given}).restore(state)


def test_a_state_of_other_arrays_is_refused() -> None:
    """An array that is missing or has another shape is not filled up silently."""
    partition = partition_of()
    partition.process(TRAFFIC[:50])
    state = partition.state()
    state.learned.arrays["window"] = state.learned.arrays["window"][:, 1:]
    with pytest.raises(StateMismatchError, match="shape of window"):
        partition_of().restore(state)


def test_learning_settings_hold_from_where_they_change() -> None:
    """Before, all is as it was; after, it is learned otherwise; the state says which ones are in force."""
    chosen = learning_settings(small_settings(learning_rate=0.001))
    partition, plain = partition_of(), partition_of()
    assert plain.process(TRAFFIC[:100]).outputs == partition.process(TRAFFIC[:100]).outputs
    partition.learn_with(chosen)
    assert plain.process(TRAFFIC[100:200]).outputs != partition.process(TRAFFIC[100:200]).outputs
    restored = partition_of()
    restored.restore(partition.state())
    assert chosen == restored.learning
    assert partition.process(TRAFFIC[200:]).outputs == restored.process(TRAFFIC[200:]).outputs


def test_a_lineage_is_named_by_where_and_with_what_it_began() -> None:
    """Another partition, another offset or another shape begins another lineage; other learning settings do not."""
    mark = next_metadata(small_settings(), SOURCES[0], 0, initial_metadata(2))
    assert mark == next_metadata(small_settings(learning_rate=0.5), SOURCES[0], 0, initial_metadata(2))
    others = [
        next_metadata(small_settings(), SOURCES[1], 0, initial_metadata(2)),
        next_metadata(small_settings(), SOURCES[0], 1, initial_metadata(2)),
        next_metadata(small_settings(seed=1), SOURCES[0], 0, initial_metadata(2)),
    ]
    assert 4 == len({mark.lineage, *(other.lineage for other in others)})


def test_the_mark_follows_everything_that_is_published() -> None:
    """One other value, or one other dead letter, gives another digest; a tombstone counts as a record only."""
    base = [record(0, b"1"), record(1, b"2")]
    marks = [
        (partition := partition_of(), partition.process(records), partition.commit_metadata)[2]
        for records in (base, [base[0], record(1, b"3")], [base[0], record(1, b"?")], [*base, record(2, None, b"a")])
    ]
    assert 3 == len({mark.digest for mark in marks})
    assert marks[0].digest == marks[3].digest
    assert (2, 3) == (marks[0].records, marks[3].records)
