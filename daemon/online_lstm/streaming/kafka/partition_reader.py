"""A reader of a group's input, outputs and committed offsets that never joins the group."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from kafka import KafkaAdminClient

from online_lstm.codec.published import PublishedRecord, ReadRecord, read_dead_letter, read_output
from online_lstm.errors import InputGoneError
from online_lstm.events import InputRecord, TopicPartition
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.client import Client
from online_lstm.streaming.kafka.connection import to_kafka
from online_lstm.streaming.kafka.consumer import ANSWER_S, GroupConsumer, input_record
from online_lstm.streaming.kafka.topics import configs_of, is_compacted

POLL_MS = 200


class PartitionReader(GroupConsumer):
    """A consumer that reads the committed records of one partition at a time; callers must not ``subscribe`` it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._compacted: dict[str, bool] = {}

    def records(self, source: TopicPartition, offsets: range) -> Iterator[InputRecord]:
        """Return an iterator over the committed records at these offsets; offsets without a record are skipped.

        Raises:
            InputGoneError: The topic no longer has the next record.
            BrokerUnavailableError: The broker does not answer.
        """
        return (input_record(record) for record in self._read(source, offsets))

    def outputs(self, place: TopicPartition, offsets: range) -> Iterator[PublishedRecord | None]:
        """Return an iterator over an output partition; None stands for a record that does not name its input."""
        return (read_output(as_read(record)) for record in self._read(place, offsets))

    def dead_letters(self, place: TopicPartition, offsets: range) -> Iterator[PublishedRecord | None]:
        """Return an iterator over a dead-letter partition; None stands for a record that does not name its input."""
        return (read_dead_letter(as_read(record)) for record in self._read(place, offsets))

    def compacted(self, topic: str) -> bool:
        """Return whether a topic is compacted; False if this user may not read the topic's configuration."""
        if topic not in self._compacted:
            with closing(Client(KafkaAdminClient, self._settings)) as admin:
                self._compacted[topic] = is_compacted(configs_of(admin, [topic])[topic])
        return self._compacted[topic]

    def _read(self, source: TopicPartition, offsets: range) -> Iterator[Any]:
        place = to_kafka(source)
        self._consumer.assign([place])
        self._consumer.seek(place, offsets.start)
        while self._consumer.position(place) < offsets.stop:
            try:
                records = self._receive(POLL_MS)
            except InputGoneError as error:
                raise InputGoneError(
                    f"{source}: the records from offset {self._consumer.position(place)} on were deleted while they "
                    "were read: run the command again"
                ) from error
            for record in records.get(place, ()):
                if record.offset >= offsets.stop:
                    return
                yield record
            if not records:  # no records, or no broker: this call raises if the broker does not answer
                self._consumer.end_offsets([place], timeout_ms=int(ANSWER_S * 1000))


def as_read(record: Any) -> ReadRecord:
    """Return the codec's ReadRecord for the library's record."""
    return ReadRecord(
        offset=record.offset,
        timestamp_ms=record.timestamp,
        stamped_by_broker=record.timestamp_type == 1,
        key=record.key,
        value=record.value,
        headers=tuple((name, value or b"") for name, value in record.headers),
    )
