"""The member of the consumer group: subscription, assignment, polled records, committed offsets."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import kafka
from kafka import KafkaConsumer
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaTimeoutError, RetriableError
from kafka.structs import OffsetAndMetadata

from online_lstm.errors import BrokerUnavailableError, OnlineLstmError
from online_lstm.events import Committed, InputRecord, Membership, PollResult, TopicPartition
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.client import Client
from online_lstm.streaming.kafka.connection import from_kafka, to_kafka

HEARTBEAT_S = 0.5
ANSWER_S = 2.0
"""Interval between two checks that the broker answers, while polls return no records."""


class GroupConsumer:
    """A member of the consumer group, the ``InputSource`` of the loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout_ms = int(min(settings.connect_timeout_s, 5.0) * 1000)  # then the loop reports that it waits
        self._listener = _Assignments()
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
        self._listener.consumer = self._consumer
        self._answered_at = time.monotonic()
        self._starts = self._latest() if settings.start_from == "latest" else {}

    def subscribe(self, on_revoked: Callable[[Iterable[TopicPartition]], None]) -> None:
        """Join the group; call ``on_revoked`` on the client's thread before partitions move to another member."""
        self._listener.on_revoked = on_revoked
        self._consumer.subscribe(list(self._settings.input_topics), listener=self._listener)

    def poll(self, timeout_s: float, most: int) -> PollResult:
        """Wait for records; capture the membership with the records, once for the whole batch.

        Raises:
            BrokerUnavailableError: No record arrives, and the broker does not answer.
            InputGoneError: The topic does not have the next record.
        """
        records = self._receive(int(timeout_s * 1000), max_records=most)
        self._require_answer(received=bool(records))
        metadata = self._consumer.group_metadata()
        assigned, revoked, lost = self._listener.take()
        return PollResult(
            records={from_kafka(source): [input_record(r) for r in batch] for source, batch in records.items()},
            membership=Membership(metadata.generation_id, metadata.member_id, metadata),
            assigned=assigned,
            revoked=revoked,
            lost=lost,
        )

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are currently assigned to this member."""
        return {from_kafka(source) for source in self._consumer.assignment()}

    def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commit offsets outside a transaction; the broker refuses offsets of a former member.

        Raises:
            KafkaError: The offsets are not committed; the caller decides what that means for the batch.
        """
        self._consumer.library.commit(
            {to_kafka(source): OffsetAndMetadata(c.offset, c.metadata, -1) for source, c in offsets.items()},
            timeout_ms=self._timeout_ms,
        )

    def committed(self, source: TopicPartition) -> Committed | None:
        """Return the group's committed offset, or None; wait for open transactions on it.

        Raises:
            BrokerUnavailableError: The broker does not answer, or a transaction stays open for too long.
        """
        try:
            found = self._consumer.committed(to_kafka(source), metadata=True, timeout_ms=self._timeout_ms)
        except BrokerUnavailableError as error:
            if not isinstance(error.__cause__, KafkaTimeoutError):
                raise
            raise BrokerUnavailableError(
                f"{source}: the broker does not return the committed offset; a transaction of another member may "
                f"still be open ({error})"
            ) from error
        return None if found is None or found.offset < 0 else Committed(found.offset, found.metadata or "")

    def initial_offset(self, source: TopicPartition) -> int:
        """Return the first offset to read for a group without a committed offset (setting ``start_from``)."""
        place, start = to_kafka(source), self._settings.start_from
        if start not in {"earliest", "latest"}:
            moment = datetime.fromisoformat(start)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            found = self._consumer.offsets_for_times({place: int(moment.timestamp() * 1000)})[place]
            return int(found.offset if found else self._consumer.end_offsets([place])[place])
        if source in self._starts:
            return self._starts[source]
        return self.offset_range(source).start

    def offset_range(self, source: TopicPartition) -> range:
        """Return the offsets from the log start to the end; the end is the offset of the next record."""
        place = to_kafka(source)
        first = self._consumer.beginning_offsets([place], timeout_ms=self._timeout_ms)[place]
        end = self._consumer.end_offsets([place], timeout_ms=self._timeout_ms)[place]
        return range(first, end)

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic; 0 if the topic does not exist."""
        return len(self._consumer.partitions_for_topic(topic) or ())

    def seek(self, source: TopicPartition, offset: int) -> None:
        """Set the position of a paused partition to an offset, and resume the partition."""
        self._consumer.seek(to_kafka(source), offset)
        self._consumer.resume(to_kafka(source))

    def pause(self, source: TopicPartition) -> None:
        """Suspend fetching from a partition until ``seek``; ignore partitions outside the assignment."""
        if source in self.assignment():
            self._consumer.pause(to_kafka(source))

    def position(self, source: TopicPartition) -> int:
        """Return the offset of the next record to read, past transaction markers and compacted gaps."""
        return int(self._consumer.position(to_kafka(source)))

    def lag(self, source: TopicPartition) -> int:
        """Return the number of unread records as of the last fetch, with open transactions included; 0 if unknown."""
        end = self._consumer.highwater(to_kafka(source))
        with suppress(BrokerUnavailableError):
            return 0 if end is None else max(0, int(end) - self.position(source))
        return 0

    def behind_transactions(self, sources: Iterable[TopicPartition]) -> set[TopicPartition]:
        """Return the partitions in which an open transaction of a producer blocks the next record.

        In such a partition more records follow, but the position has reached the last stable offset, which is the end
        for a read-committed consumer.
        """
        waiting = [to_kafka(source) for source in sources if self.lag(source)]
        if not waiting:
            return set()
        stable = self._consumer.end_offsets(waiting, timeout_ms=self._timeout_ms)
        return {from_kafka(place) for place, offset in stable.items() if self.position(from_kafka(place)) >= offset}

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close(timeout_ms=5000)

    def _receive(self, timeout_ms: int, **options: Any) -> dict[Any, list[Any]]:
        """Return the records of a poll; an empty dict after a retriable error of the client."""
        try:
            found: dict[Any, list[Any]] = self._consumer.poll(timeout_ms=timeout_ms, **options)
        except OnlineLstmError as error:
            if not isinstance(error.__cause__, RetriableError):
                raise
            return {}
        return found

    def _require_answer(self, *, received: bool) -> None:
        """Check every ``ANSWER_S`` that the broker answers: an empty poll may mean no records or no broker."""
        now = time.monotonic()
        if not received and self._consumer.assignment() and now - self._answered_at >= ANSWER_S:
            self._consumer.end_offsets(self._consumer.assignment(), timeout_ms=int(ANSWER_S * 1000))
            received = True
        if received:
            self._answered_at = now

    def _latest(self) -> dict[TopicPartition, int]:
        topics = self._settings.input_topics
        places = [kafka.TopicPartition(t, p) for t in topics for p in self._consumer.partitions_for_topic(t) or ()]
        return {from_kafka(place): int(end) for place, end in self._consumer.end_offsets(places).items()}


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc]
    """A listener that records changes of the assignment, on the client's thread while the loop polls.

    The listener pauses a new partition at once and sets a position that no fetch uses. The partition stays paused
    until the loop has restored its state.
    """

    consumer: Client
    on_revoked: Callable[[Iterable[TopicPartition]], None]

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._assigned: list[TopicPartition] = []
        self._revoked: list[TopicPartition] = []
        self._lost = False

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        with self._lock:
            for source in assigned:
                self.consumer.pause(source)
                self.consumer.seek(source, 0)
                self._assigned.append(from_kafka(source))

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        sources = [from_kafka(source) for source in revoked]
        self.on_revoked(sources)
        self._release(sources)

    def on_partitions_lost(self, lost: Iterable[Any]) -> None:
        self._release([from_kafka(source) for source in lost], lost=True)

    def _release(self, sources: Iterable[TopicPartition], *, lost: bool = False) -> None:
        with self._lock:
            for source in sources:
                if source in self._assigned:
                    self._assigned.remove(source)
                self._revoked.append(source)
            self._lost |= lost

    def take(self) -> tuple[tuple[TopicPartition, ...], tuple[TopicPartition, ...], bool]:
        """Return and clear the changes since the last call: assigned, revoked, and whether partitions were lost."""
        with self._lock:
            taken = tuple(self._assigned), tuple(self._revoked), self._lost
            self._assigned, self._revoked, self._lost = [], [], False
        return taken


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
    )
