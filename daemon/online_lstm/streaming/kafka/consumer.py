"""A member of the consumer group: what it is given to read, and what is taken away from it."""

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
"""A broker that has nothing to give is asked this often whether it is there."""


class GroupConsumer:
    """A member of the consumer group, as the loop's source."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout_ms = int(min(settings.connect_timeout_s, 5.0) * 1000)  # then the loop shows that it waits
        self._listener = _Assignments()
        self._consumer = Client(
            KafkaConsumer,
            settings,
            group_id=settings.group_id,
            group_instance_id=settings.group_instance_id,
            enable_auto_commit=False,
            auto_offset_reset="none",  # a lost offset is refused, never skipped
            isolation_level="read_committed",
            partition_assignment_strategy=[CooperativeStickyAssignor],
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            # a member learns from its heartbeats that partitions are to move
            heartbeat_interval_ms=int(min(HEARTBEAT_S, settings.session_timeout_s / 3) * 1000),
            max_poll_interval_ms=int(settings.max_poll_interval_s * 1000),
            max_poll_records=settings.max_batch_events,
        )
        self._listener.consumer = self._consumer
        self._answered_at = time.monotonic()
        self._starts = self._latest() if settings.start_from == "latest" else {}

    def subscribe(self, on_revoked: Callable[[Iterable[TopicPartition]], None]) -> None:
        """Join the group; ``on_revoked`` is called before partitions go to another member, on the client's thread."""
        self._listener.on_revoked = on_revoked
        self._consumer.subscribe(list(self._settings.input_topics), listener=self._listener)

    def poll(self, timeout_s: float, most: int) -> PollResult:
        """Wait for records; the membership is captured with them and never read again.

        Raises:
            BrokerUnavailableError: There are none, and the broker does not answer.
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
        """Give the partitions that are this member's right now."""
        return {from_kafka(source) for source in self._consumer.assignment()}

    def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commit offsets outside of any transaction; the broker refuses those of a former member.

        Raises:
            KafkaError: They are not committed; what that means for the batch is the sink's affair.
        """
        self._consumer.library.commit(
            {to_kafka(source): OffsetAndMetadata(c.offset, c.metadata, -1) for source, c in offsets.items()},
            timeout_ms=self._timeout_ms,
        )

    def committed(self, source: TopicPartition) -> Committed | None:
        """Ask the group's committed offset; waits for open transactions."""
        try:
            found = self._consumer.committed(to_kafka(source), metadata=True, timeout_ms=self._timeout_ms)
        except BrokerUnavailableError as error:
            if not isinstance(error.__cause__, KafkaTimeoutError):
                raise
            raise BrokerUnavailableError(
                f"{source}: the broker does not tell the committed offset; a transaction of another member may "
                f"still be open ({error})"
            ) from error
        return None if found is None or found.offset < 0 else Committed(found.offset, found.metadata or "")

    def initial_offset(self, source: TopicPartition) -> int:
        """Say where a group without an offset begins (``start_from``)."""
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
        """Give the offsets that the topic still has or will have next."""
        place = to_kafka(source)
        first = self._consumer.beginning_offsets([place], timeout_ms=self._timeout_ms)[place]
        end = self._consumer.end_offsets([place], timeout_ms=self._timeout_ms)[place]
        return range(first, end)

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions."""
        return len(self._consumer.partitions_for_topic(topic) or ())

    def seek(self, source: TopicPartition, offset: int) -> None:
        """Read a partition from this offset on; before, it is paused."""
        self._consumer.seek(to_kafka(source), offset)
        self._consumer.resume(to_kafka(source))

    def pause(self, source: TopicPartition) -> None:
        """Read nothing of a partition until ``seek``."""
        if source in self.assignment():
            self._consumer.pause(to_kafka(source))

    def position(self, source: TopicPartition) -> int:
        """Give the offset that is read next: past markers and compacted gaps too."""
        return int(self._consumer.position(to_kafka(source)))

    def lag(self, source: TopicPartition) -> int:
        """Count the records not yet read by what the last fetch said, also those of open transactions; 0 if unknown."""
        end = self._consumer.highwater(to_kafka(source))
        with suppress(BrokerUnavailableError):
            return 0 if end is None else max(0, int(end) - self.position(source))
        return 0

    def behind_transactions(self, sources: Iterable[TopicPartition]) -> set[TopicPartition]:
        """Return those partitions of which no record can be read before a producer ends its transaction.

        More records follow there, and the last stable offset, which is the end for this consumer, is reached.
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
        """Return the records of a poll; none where the client would try again, as if there were none."""
        try:
            found: dict[Any, list[Any]] = self._consumer.poll(timeout_ms=timeout_ms, **options)
        except OnlineLstmError as error:
            if not isinstance(error.__cause__, RetriableError):
                raise
            return {}
        return found

    def _require_answer(self, *, received: bool) -> None:
        """Ask the broker something now and then: a poll comes back empty whether there is nothing or nobody."""
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
    """Notes what happens to the assignment; it is called on the client's thread while the loop polls.

    A new partition is paused at once, with a position that is never read from, until the loop restored its state.
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
        """Give what was noted since the last time: assigned, revoked, and whether any were lost."""
        with self._lock:
            taken = tuple(self._assigned), tuple(self._revoked), self._lost
            self._assigned, self._revoked, self._lost = [], [], False
        return taken


def input_record(record: Any) -> InputRecord:
    """Turn the library's record into ours."""
    return InputRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple((name, value or b"") for name, value in record.headers),
    )
