"""The clients of a Kafka in memory: a member of the group, a reader, and a transactional producer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from online_lstm.errors import FencedError, InputGoneError
from online_lstm.events import Committed, InputRecord, Membership, OutputRecord, PollResult, TopicPartition
from online_lstm.settings import Settings
from online_lstm.testing.memory_kafka import MemoryKafka
from online_lstm.timestamps import ISO, milliseconds_in


class MemoryOffsets:
    """The offsets of the topics and of the group; an ``OffsetReader``."""

    def __init__(self, kafka: MemoryKafka, settings: Settings) -> None:
        self._kafka, self._settings = kafka, settings
        self._ends = dict(kafka.ends)

    def committed(self, source: TopicPartition) -> Committed | None:
        """Return the group's committed offset, or None."""
        return self._kafka.offsets.get(source)

    def initial_offset(self, source: TopicPartition) -> int:
        """Return the first offset to read for a group without a committed offset (setting ``start_from``)."""
        start_from = self._settings.start_from
        start_ms = milliseconds_in(start_from, ISO)
        if start_ms is not None:
            later = (record.offset for record in self._kafka.logs[source] if record.timestamp_ms >= start_ms)
            return next(later, self._kafka.ends[source])
        return self._ends.get(source, 0) if start_from == "latest" else self._kafka.starts[source]

    def offset_range(self, source: TopicPartition) -> range:
        """Return the offsets from the log start to the end; the end is the offset of the next record."""
        return range(self._kafka.starts[source], self._kafka.ends[source])

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic; 0 if the topic does not exist."""
        return self._kafka.partitions(topic)

    def close(self) -> None:
        """Release nothing: there is no connection."""


class MemoryReader(MemoryOffsets):
    """A reader of the records of any partition, outside the group; a ``RecordReader``."""

    def records(self, source: TopicPartition, offsets: range) -> Iterator[InputRecord]:
        """Return an iterator over the records at these offsets; offsets without a record are skipped.

        Raises:
            InputGoneError: The topic no longer has the next record.
        """
        if offsets and offsets.start < self._kafka.starts[source]:
            raise InputGoneError(f"{source}: the records from offset {offsets.start} on were deleted")
        return (record for record in self._kafka.logs[source] if record.offset in offsets)

    def compacted(self, topic: str) -> bool:  # noqa: ARG002 - part of the interface
        """Return False: no topic is compacted."""
        return False


class MemoryConsumer(MemoryOffsets):
    """A member of the group; an ``InputSource``.

    Args:
        kafka: The broker.
        settings: The settings of the daemon; the input topics are among them.
        member: The name of this member in the group.
    """

    def __init__(self, kafka: MemoryKafka, settings: Settings, *, member: str = "member") -> None:
        super().__init__(kafka, settings)
        self.member = member
        self._owned: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._generation = -1
        self._polls = 0
        self._on_revoked: Callable[[Iterable[TopicPartition]], None] = lambda _: None

    def subscribe(self, on_revoked: Callable[[Iterable[TopicPartition]], None]) -> None:
        """Join the group; call ``on_revoked`` before partitions move to another member."""
        self._on_revoked = on_revoked
        self._kafka.join(self.member, self._settings.input_topics)

    def poll(self, timeout_s: float, max_records: int) -> PollResult:  # noqa: ARG002 - it never has to wait
        """Return the next records at once; newly assigned partitions are paused until ``seek``.

        Raises:
            InputGoneError: The topic does not have the next record.
        """
        if self.member not in self._kafka.members:
            return self._rejoin()
        share = self._kafka.share_of(self.member)
        revoked = self._owned - share
        if revoked:
            self._on_revoked(revoked)
        for source in revoked:
            self._kafka.owners.pop(source, None)
        assigned = {source for source in share - self._owned if source not in self._kafka.owners}
        self._kafka.owners |= dict.fromkeys(assigned, self.member)
        self._owned = self._owned - revoked | assigned
        self._paused = (self._paused | assigned) & self._owned
        self._generation = self._kafka.generation
        records = self._fetch(max_records)
        return PollResult(records, self._membership(), tuple(sorted(assigned)), tuple(sorted(revoked)))

    def _rejoin(self) -> PollResult:
        lost, self._owned, self._generation = self._owned, set(), -1
        self._kafka.join(self.member, self._settings.input_topics)
        return PollResult({}, self._membership(), revoked=tuple(sorted(lost)), lost=True)

    def _membership(self) -> Membership:
        member_id = self.member if self._generation >= 0 else ""
        return Membership(self._generation, member_id, group_metadata=None)

    def _fetch(self, max_records: int) -> dict[TopicPartition, list[InputRecord]]:
        """Read from one partition after another, beginning with another one each time."""
        sources = sorted(self._owned - self._paused)
        self._polls += 1
        first = self._polls % 2
        fetched: dict[TopicPartition, list[InputRecord]] = {}
        for source in sources[first:] + sources[:first]:
            position, stable = self._positions[source], self._kafka.last_stable_offset(source)
            if position < self._kafka.starts[source]:
                raise InputGoneError(f"{source}: offset {position} is out of range")
            waiting = [r for r in self._kafka.logs[source] if position <= r.offset < stable]
            if not waiting:
                self._positions[source] = max(position, stable)
            if records := waiting[:max_records]:
                fetched[source] = records
                self._positions[source] = records[-1].offset + 1
                max_records -= len(records)
        return fetched

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are currently assigned to this member."""
        return set(self._owned)

    def seek(self, source: TopicPartition, offset: int) -> None:
        """Set the position of a partition to an offset, and resume the partition."""
        self._positions[source] = offset
        self._paused.discard(source)

    def pause(self, source: TopicPartition) -> None:
        """Suspend fetching from a partition until ``seek``."""
        self._paused.add(source)

    def position(self, source: TopicPartition) -> int:
        """Return the offset of the next record to read."""
        return self._positions[source]

    def lag(self, source: TopicPartition) -> int:
        """Return the number of unread offsets."""
        return self._kafka.ends[source] - self._positions[source]

    def behind_transactions(self, sources: Iterable[TopicPartition]) -> set[TopicPartition]:
        """Return the partitions in which an open transaction of a producer blocks the next record."""
        stable = self._kafka.last_stable_offset
        return {source for source in sources if self.lag(source) and self._positions[source] >= stable(source)}

    def close(self) -> None:
        """Leave the group."""
        self._on_revoked(self._owned)
        self._kafka.leave(self.member)


class MemoryProducer:
    """A transactional producer, fenced by a later one of the same id; an ``OutputSink``.

    Args:
        kafka: The broker.
        settings: The settings of the daemon; the topics of the outputs are among them.
        transactional_id: The name of this producer in transactions.
    """

    def __init__(self, kafka: MemoryKafka, settings: Settings, *, transactional_id: str = "producer") -> None:
        self._kafka, self._settings, self._id = kafka, settings, transactional_id
        self._epoch = 0

    def reconnect(self, waiting: Callable[[float], None]) -> None:  # noqa: ARG002 - it never has to wait
        """Begin a new epoch, and fence the producers of the earlier ones."""
        self._epoch = self._kafka.begin_epoch(self._id)

    def commit(
        self,
        outputs: Mapping[TopicPartition, Sequence[OutputRecord]],
        offsets: Mapping[TopicPartition, Committed],
        membership: Membership,
        waiting: Callable[[float], None],  # noqa: ARG002 - it never has to wait
    ) -> None:
        """Commit outputs and offsets together.

        Raises:
            FencedError: A later producer has this transactional id.
            NotCommittedError: The membership is one of an earlier generation.
        """
        if self._kafka.is_fenced(self._id, self._epoch):
            raise FencedError(f"another producer has the transactional id {self._id}")
        published = {
            source: [(self._topic_of(source, record), record) for record in records]
            for source, records in outputs.items()
        }
        self._kafka.commit(published, offsets, membership)

    def _topic_of(self, source: TopicPartition, record: OutputRecord) -> str:
        return self._settings.dead_letters_of(source.topic) if record.dead_letter else self._settings.output_topic

    def close(self) -> None:
        """Release nothing: there is no connection."""
