"""A reader of a group's input, outputs and committed offsets that never joins the group."""

from collections.abc import Iterator
from contextlib import closing

from kafka import KafkaAdminClient

from online_lstm.errors import InputGoneError
from online_lstm.events import InputRecord, TopicPartition
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.base_consumer import ANSWER_S, OffsetConsumer, input_record
from online_lstm.streaming.kafka.connection import to_kafka
from online_lstm.streaming.kafka.topics import configs_of, is_compacted
from online_lstm.streaming.kafka.translating_client import Client

POLL_MS = 200


class PartitionReader(OffsetConsumer):
    """A consumer that reads one partition at a time, the ``RecordReader`` of a cluster."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._compacted: dict[str, bool] = {}

    def records(self, source: TopicPartition, offsets: range) -> Iterator[InputRecord]:
        """Return an iterator over the committed records at these offsets; offsets without a record are skipped.

        Raises:
            InputGoneError: The topic no longer has the next record.
            BrokerUnavailableError: The broker does not answer.
        """
        partition = to_kafka(source)
        self._consumer.assign([partition])
        self._consumer.seek(partition, offsets.start)
        while self._consumer.position(partition) < offsets.stop:
            try:
                records = self._receive(POLL_MS)
            except InputGoneError as error:
                raise InputGoneError(
                    f"{source}: the records from offset {self._consumer.position(partition)} on were deleted while "
                    "they were read: run the command again"
                ) from error
            for record in records.get(partition, ()):
                if record.offset >= offsets.stop:
                    return
                yield input_record(record)
            if not records:  # no records, or no broker: this call raises if the broker does not answer
                self._consumer.end_offsets([partition], timeout_ms=int(ANSWER_S * 1000))

    def compacted(self, topic: str) -> bool:
        """Return whether a topic is compacted; False if this user may not read the topic's configuration."""
        if topic not in self._compacted:
            with closing(Client(KafkaAdminClient, self._settings)) as admin:
                self._compacted[topic] = is_compacted(configs_of(admin, [topic])[topic])
        return self._compacted[topic]
