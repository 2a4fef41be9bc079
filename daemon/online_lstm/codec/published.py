"""The reader of published records: the input record that each one belongs to, and the record as it was encoded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from online_lstm.codec.encode import INDEX, NO_TIMESTAMP, YEAR_10000_MS
from online_lstm.codec.output_forms import TIMESTAMP, is_refused_output, original
from online_lstm.events import InputRecord, OutputRecord, TopicPartition
from online_lstm.timestamps import epoch_ms

_EVENT = re.compile(rb"([^/]+)/([0-9]+)/([0-9]+)(?:/([0-9]+))?")
"""The id of a prediction: topic, partition, offset, and the index of the event if its record has several."""
EventPosition = tuple[int, int]
"""Offset of an input record, and index of one of its events, -1 for its only event."""
_MODEL = re.compile(rb'"model": "([0-9a-f]{8}(?:-[0-9]+)?)@[0-9]+(?: frozen)?"\}\Z')


@dataclass(frozen=True, slots=True)
class PublishedRecord:
    """One record of the output or the dead-letter topic, and the input record that its headers name.

    ``position`` is the offset of the published record, ``offset`` the offset of the input record, and ``index`` the
    index of the event in the input record, -1 for its only event. ``lineage`` is None in a dead letter, and in a record
    that only looks like a prediction. ``exact`` says that ``record`` is the encoded record; it is false if the broker
    replaced the timestamp.
    """

    position: int
    source: TopicPartition
    offset: int
    lineage: str | None
    record: OutputRecord
    exact: bool
    index: int = -1

    @property
    def event(self) -> EventPosition:
        """The position of the event among the events of its partition."""
        return self.offset, self.index


def read_output(record: InputRecord) -> PublishedRecord | None:
    """Parse a record of the output topic; return None if its headers do not name an input record."""
    named = dict(record.headers)
    match = _EVENT.fullmatch(named.get("ce_id", b""))
    if match is None:
        return None
    source = TopicPartition(match[1].decode(errors="replace"), int(match[2]))
    stamp, exact = _encoded_timestamp(
        named.get("ce_time"), record.timestamp_ms, stamped_by_broker=record.stamped_by_broker
    )
    encoded = original(OutputRecord(source.partition, stamp, record.key, record.value, record.headers))
    exact |= TIMESTAMP in named
    lineage = _lineage_in(record.value)
    return PublishedRecord(record.offset, source, int(match[3]), lineage, encoded, exact, int(match[4] or -1))


def read_dead_letter(record: InputRecord) -> PublishedRecord | None:
    """Parse a record of the dead-letter topic; return None if its headers do not name an input record."""
    named = dict(record.headers)
    topic = named.get("online_lstm_topic", b"").decode(errors="replace")
    partition, offset = (named.get(f"online_lstm_{name}", b"") for name in ("partition", "offset"))
    if not (topic and partition.isdigit() and offset.isdigit()):
        return None
    source = TopicPartition(topic, int(partition))
    stamp = -1 if NO_TIMESTAMP in record.headers else record.timestamp_ms
    exact = TIMESTAMP in named or not record.stamped_by_broker
    if is_refused_output(record.headers) and TIMESTAMP not in named:
        stamp, exact = _encoded_timestamp(named.get("ce_time"), stamp, stamped_by_broker=record.stamped_by_broker)
    encoded = original(
        OutputRecord(source.partition, stamp, record.key, record.value, record.headers, dead_letter=True)
    )
    lineage = None if encoded.dead_letter else _lineage_in(record.value)
    index = _index_in(named)
    return PublishedRecord(record.offset, source, int(offset), lineage, encoded, exact, index)


def _index_in(named: Mapping[str, bytes]) -> int:
    """Return the index of the event of a dead letter, which may be a refused prediction; -1 for the only event."""
    if (index := named.get(INDEX, b"")).isdigit():
        return int(index)
    match = _EVENT.fullmatch(named.get("ce_id", b"")) if is_refused_output(named.items()) else None
    return int(match[4] or -1) if match else -1


def _lineage_in(value: bytes | None) -> str | None:
    model = _MODEL.search(value or b"")
    return model[1].decode() if model else None


def _encoded_timestamp(ce_time: bytes | None, timestamp_ms: int, *, stamped_by_broker: bool) -> tuple[int, bool]:
    """Return the encoded timestamp, and whether it is exact.

    A header has the timestamp, except for records without a timestamp or with one of year 10000 and later.

    >>> _encoded_timestamp(b"1970-01-01T00:16:40.123Z", 5, stamped_by_broker=True)
    (1000123, True)
    >>> _encoded_timestamp(None, 5, stamped_by_broker=False)
    (-1, True)
    """
    if ce_time is None:
        late = timestamp_ms >= YEAR_10000_MS
        return (timestamp_ms if late else -1), not stamped_by_broker
    if not stamped_by_broker:
        return timestamp_ms, True
    try:
        moment = datetime.strptime(ce_time.decode(), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return timestamp_ms, False
    return epoch_ms(moment), True
