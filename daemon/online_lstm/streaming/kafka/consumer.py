"""The member of the consumer group: subscription, assignment, polled records, committed offsets."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata

from online_lstm.errors import BrokerUnavailableError
from online_lstm.events import Committed, Membership, PollResult, TopicPartition
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.base_consumer import ANSWER_S, OffsetConsumer, input_record
from online_lstm.streaming.kafka.connection import from_kafka, to_kafka
from online_lstm.streaming.kafka.translating_client import Client


class GroupConsumer(OffsetConsumer):
    """A member of the consumer group, the ``InputSource`` of the loop; ``close`` leaves the group."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._listener = _RebalanceListener(self._consumer)
        self._answered_at = time.monotonic()

    def subscribe(self, on_revoked: Callable[[Iterable[TopicPartition]], None]) -> None:
        """Join the group; call ``on_revoked`` on the client's thread before partitions move to another member."""
        self._listener.on_revoked = on_revoked
        self._consumer.subscribe(list(self._settings.input_topics), listener=self._listener)

    def poll(self, timeout_s: float, max_records: int) -> PollResult:
        """Wait for records; capture the membership with the records, once for the whole batch.

        Raises:
            BrokerUnavailableError: No record arrives, and the broker does not answer.
            InputGoneError: The topic does not have the next record.
        """
        records = self._receive(int(timeout_s * 1000), max_records=max_records)
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
        return {
            from_kafka(partition)
            for partition, offset in stable.items()
            if self.position(from_kafka(partition)) >= offset
        }

    def _require_answer(self, *, received: bool) -> None:
        """Check every ``ANSWER_S`` that the broker answers: an empty poll may mean no records or no broker."""
        now = time.monotonic()
        if not received and self._consumer.assignment() and now - self._answered_at >= ANSWER_S:
            self._consumer.end_offsets(self._consumer.assignment(), timeout_ms=int(ANSWER_S * 1000))
            received = True
        if received:
            self._answered_at = now


class _RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """A listener that records changes of the assignment, on the client's thread while the loop polls.

    The listener pauses a new partition at once and sets a position that no fetch uses. The partition stays paused
    until the loop has restored its state.
    """

    on_revoked: Callable[[Iterable[TopicPartition]], None]

    def __init__(self, consumer: Client) -> None:
        self._consumer = consumer
        self._lock = threading.Lock()
        self._assigned: list[TopicPartition] = []
        self._revoked: list[TopicPartition] = []
        self._lost = False

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        with self._lock:
            for source in assigned:
                self._consumer.pause(source)
                self._consumer.seek(source, 0)
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
