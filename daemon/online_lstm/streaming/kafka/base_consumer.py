"""A consumer that knows the offsets of topics and of the group; its subclasses read records."""

from typing import Any

import kafka
from kafka import KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaTimeoutError, RetriableError

from online_lstm.errors import BrokerUnavailableError, OnlineLstmError
from online_lstm.events import Committed, InputRecord, TopicPartition
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.connection import from_kafka, to_kafka
from online_lstm.streaming.kafka.translating_client import Client
from online_lstm.timestamps import ISO, milliseconds_in

HEARTBEAT_S = 0.5
ANSWER_S = 2.0
"""Interval between two checks that the broker answers, while polls return no records."""


class OffsetConsumer:
    """A consumer of the group's topics, the ``OffsetReader`` of a cluster; it joins no group by itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout_ms = int(min(settings.connect_timeout_s, 5.0) * 1000)  # then the loop reports that it waits
        self._consumer = Client(
            KafkaConsumer,
            settings,
            group_id=settings.group_id,
            group_instance_id=settings.group_instance_id,
            enable_auto_commit=False,
            auto_offset_reset="none",  # a lost offset raises an error instead of skipping records
            isolation_level="read_committed",
            partition_assignment_strategy=[CooperativeStickyAssignor],
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            # heartbeats announce a rebalance to the member
            heartbeat_interval_ms=int(min(HEARTBEAT_S, settings.session_timeout_s / 3) * 1000),
            max_poll_interval_ms=int(settings.max_poll_interval_s * 1000),
            max_poll_records=settings.max_batch_events,
        )
        self._starts = self._latest() if settings.start_from == "latest" else {}

    def committed(self, source: TopicPartition) -> Committed | None:
        """Return the group's committed offset, or None; wait for open transactions on it.

        Raises:
            BrokerUnavailableError: The broker does not answer, or a transaction stays open for too long.
        """
        try:
            committed = self._consumer.committed(to_kafka(source), metadata=True, timeout_ms=self._timeout_ms)
        except BrokerUnavailableError as error:
            if not isinstance(error.__cause__, KafkaTimeoutError):
                raise
            raise BrokerUnavailableError(
                f"{source}: the broker does not return the committed offset; a transaction of another member may "
                f"still be open ({error})"
            ) from error
        return (
            None if committed is None or committed.offset < 0 else Committed(committed.offset, committed.metadata or "")
        )

    def initial_offset(self, source: TopicPartition) -> int:
        """Return the first offset to read for a group without a committed offset (setting ``start_from``)."""
        start_ms = milliseconds_in(self._settings.start_from, ISO)
        if start_ms is not None:
            partition = to_kafka(source)
            first = self._consumer.offsets_for_times({partition: start_ms})[partition]
            return int(first.offset if first else self._consumer.end_offsets([partition])[partition])
        if source in self._starts:
            return self._starts[source]
        return self.offset_range(source).start

    def offset_range(self, source: TopicPartition) -> range:
        """Return the offsets from the log start to the end; the end is the offset of the next record."""
        partition = to_kafka(source)
        first = self._consumer.beginning_offsets([partition], timeout_ms=self._timeout_ms)[partition]
        end = self._consumer.end_offsets([partition], timeout_ms=self._timeout_ms)[partition]
        return range(first, end)

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic; 0 if the topic does not exist."""
        return len(self._consumer.partitions_for_topic(topic) or ())

    def close(self) -> None:
        """Close the connections, and leave the group if this consumer is a member."""
        self._consumer.close(timeout_ms=5000)

    def _receive(self, timeout_ms: int, **options: Any) -> dict[Any, list[Any]]:
        """Return the records of a poll; an empty dict after a retriable error of the client."""
        try:
            records: dict[Any, list[Any]] = self._consumer.poll(timeout_ms=timeout_ms, **options)
        except OnlineLstmError as error:
            if not isinstance(error.__cause__, RetriableError):
                raise
            return {}
        return records

    def _latest(self) -> dict[TopicPartition, int]:
        topics = self._settings.input_topics
        partitions = [kafka.TopicPartition(t, p) for t in topics for p in self._consumer.partitions_for_topic(t) or ()]
        return {from_kafka(one): int(end) for one, end in self._consumer.end_offsets(partitions).items()}


def input_record(record: Any) -> InputRecord:
    """Return the daemon's InputRecord for the library's record."""
    return InputRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple((name, value or b"") for name, value in record.headers),
        stamped_by_broker=record.timestamp_type == 1,
    )
