"""Reading back what was published: the place of the input, the lineage, and the record that was encoded."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from online_lstm.codec import Decoder, Encoder
from online_lstm.codec.published import PublishedRecord, read_dead_letter, read_output
from online_lstm.errors import BadInputError
from online_lstm.events import Event, InputRecord, OutputRecord, SymbolResult, TopicPartition
from online_lstm.settings import read_settings

SETTINGS = read_settings({}, environment={})
DECODER, ENCODER = Decoder(SETTINGS), Encoder(SETTINGS)
OUTCOME = SymbolResult(
    event=1, fit_steps=1, skipped_steps=0, evaluation=None, prediction=None, hits=None, hit_rates=None
)
YEAR_10000_MS = 253_402_300_800_000

records = st.builds(
    InputRecord,
    topic=st.text("abc.-_", min_size=1),
    partition=st.integers(0, 1000),
    offset=st.integers(0, 2**62),
    timestamp_ms=st.just(-1) | st.integers(0, 2 * YEAR_10000_MS),
    key=st.none() | st.binary(max_size=9),
    value=st.just(b"4"),
    headers=st.lists(
        st.tuples(st.sampled_from(["trace", "ce_id", "online_lstm_offset", "online_lstm_timestamp"]), st.binary())
    ).map(tuple),
)


def output_of(record: InputRecord, model: str) -> OutputRecord:
    ((_, event, _),) = DECODER.decode(record)
    assert isinstance(event, Event)
    return ENCODER.output(event, OUTCOME, model)


def published(record: OutputRecord, stamped_at: int | None = None, *, offset: int = 7) -> InputRecord:
    """What a reader of the topic is given; the producer stamps what has no time, the broker all if told to."""
    stamp = record.timestamp_ms if record.timestamp_ms >= 0 else 1_760_000_000_000
    return InputRecord(
        topic="predictions",
        partition=0,
        offset=offset,
        timestamp_ms=stamp if stamped_at is None else stamped_at,
        stamped_by_broker=stamped_at is not None,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )


@given(record=records)
def test_a_prediction_is_read_as_it_was_encoded(record: InputRecord) -> None:
    """With or without a timestamp, whatever headers it copied."""
    output = output_of(record, "1f3a9c20-2@1")
    source = TopicPartition(record.topic, record.partition)
    expected = PublishedRecord(7, source, record.offset, "1f3a9c20-2", output, exact=True)
    assert expected == read_output(published(output))


@given(record=records)
def test_a_dead_letter_is_read_as_it_was_encoded(record: InputRecord) -> None:
    """It names no lineage."""
    letter = ENCODER.dead_letter(record, BadInputError("not_a_value", "received 'x'"))
    source = TopicPartition(record.topic, record.partition)
    expected = PublishedRecord(7, source, record.offset, None, letter, exact=True)
    assert expected == read_dead_letter(published(letter))


@given(record=records)
def test_original_timestamp_is_read_from_its_header(record: InputRecord) -> None:
    """And it is said where none has."""
    output = output_of(record, "1f3a9c20@1")
    found = read_output(published(output, stamped_at=5))
    assert found is not None
    assert (0 <= record.timestamp_ms < YEAR_10000_MS) == found.exact
    assert not found.exact or output == found.record
    letter = ENCODER.dead_letter(record, BadInputError("not_a_value", "received 'x'"))
    found = read_dead_letter(published(letter, stamped_at=5))
    assert found is not None
    assert (record.timestamp_ms < 0) == found.exact
    assert not found.exact or letter == found.record


@pytest.mark.parametrize(
    "value", [None, b"", b"{}", b'{"model": "1f3a9c20@1"} ', b'{"model": "mine@1"}', b'{"model": "1f3a9c20"}']
)
def test_what_is_no_prediction_has_no_lineage(value: bytes | None) -> None:
    """Though a header says where its input was."""
    output = output_of(InputRecord("t", 0, 1, 5, None, b"4"), "1f3a9c20@1")
    found = read_output(published(replace(output, value=value)))
    assert found is not None
    assert found.lineage is None


@pytest.mark.parametrize(
    "ce_id", [b"", b"t", b"t/0", b"t/0/", b"t/0/x", b"t/-1/0", b"/0/1", b"t/0/1/2/3", b"t/0/1/x", b"\xff/x/1"]
)
def test_what_says_nothing_of_its_input_is_none(ce_id: bytes) -> None:
    """Neither in the output topic nor in the dead-letter topic."""
    output = OutputRecord(0, 5, None, b"4", (("ce_id", ce_id),))
    assert read_output(published(output)) is None
    assert read_dead_letter(published(output)) is None


def test_a_time_that_is_none_is_not_believed() -> None:
    """It was not written by the encoder."""
    output = OutputRecord(0, 5, None, b"4", (("ce_id", b"t/0/1"), ("ce_time", b"yesterday")))
    found = read_output(published(output, stamped_at=9))
    assert found is not None
    assert not found.exact
