"""One who only looks: reads what a group reads and publishes, and its committed offsets, and never joins it."""

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
    """Reads committed records of one partition at a time; ``subscribe`` is not for it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._compacted: dict[str, bool] = {}

    def records(self, source: TopicPartition, offsets: range) -> Iterator[InputRecord]:
        """Give the committed records at these offsets, of which the topic need not have all.

        Raises:
            InputGoneError: The topic does not have the next record any more.
            BrokerUnavailableError: The broker does not answer.
        """
        return (input_record(record) for record in self._read(source, offsets))

    def outputs(self, place: TopicPartition, offsets: range) -> Iterator[PublishedRecord | None]:
        """Give what is in a partition of an output topic; None for what does not say where its input was."""
        return (read_output(as_read(record)) for record in self._read(place, offsets))

    def dead_letters(self, place: TopicPartition, offsets: range) -> Iterator[PublishedRecord | None]:
        """Give what is in a partition of a dead-letter topic, likewise."""
        return (read_dead_letter(as_read(record)) for record in self._read(place, offsets))

    def compacted(self, topic: str) -> bool:
        """Say whether a topic keeps only the last record of a key; no, where its configuration may not be read."""
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
                    f"{source}: the records from offset {self._consumer.position(place)} on were deleted while "
                    "they were read: run it again"
                ) from error
            for record in records.get(place, ()):
                if record.offset >= offsets.stop:
                    return
                yield record
            if not records:  # nothing, or nobody
                self._consumer.end_offsets([place], timeout_ms=int(ANSWER_S * 1000))


def as_read(record: Any) -> ReadRecord:
    """Turn the library's record into what the codec reads back."""
    return ReadRecord(
        offset=record.offset,
        timestamp_ms=record.timestamp,
        stamped_by_broker=record.timestamp_type == 1,
        key=record.key,
        value=record.value,
        headers=tuple((name, value or b"") for name, value in record.headers),
    )
