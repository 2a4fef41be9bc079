"""The interfaces to Kafka: the loop, recovery, the monitor and the audit know Kafka only through them.

``online_lstm.streaming.kafka`` implements them on a cluster, ``online_lstm.testing`` in memory. Every method may raise
BrokerUnavailableError: the broker does not answer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from online_lstm.events import Committed, InputRecord, Membership, OutputRecord, PollResult, TopicPartition


class OffsetReader(Protocol):
    """A reader of a group's committed offsets and of the offsets that topics have; it changes nothing."""

    def committed(self, source: TopicPartition) -> Committed | None:
        """Return the group's committed offset, or None; wait for open transactions on it."""

    def initial_offset(self, source: TopicPartition) -> int:
        """Return the first offset to read for a group without a committed offset."""

    def offset_range(self, source: TopicPartition) -> range:
        """Return the offsets from the log start to the end; the end is the offset of the next record."""

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic; 0 if the topic does not exist."""

    def close(self) -> None:
        """Release all resources."""


class RecordReader(OffsetReader, Protocol):
    """A reader of the committed records of any partition, outside the group."""

    def records(self, source: TopicPartition, offsets: range) -> Iterator[InputRecord]:
        """Return an iterator over the committed records at these offsets; offsets without a record are skipped.

        Raises:
            InputGoneError: The topic no longer has the next record.
        """

    def compacted(self, topic: str) -> bool:
        """Return whether a topic is compacted; False if this user may not read the topic's configuration."""


class InputSource(OffsetReader, Protocol):
    """A member of the consumer group; ``close`` leaves the group."""

    def subscribe(self, on_revoked: Callable[[Iterable[TopicPartition]], None]) -> None:
        """Join the group; call ``on_revoked``, on any thread, before partitions move to another member."""

    def poll(self, timeout_s: float, max_records: int) -> PollResult:
        """Wait for records; newly assigned partitions are paused until ``seek``.

        Raises:
            InputGoneError: The topic does not have the next record.
        """

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are currently assigned to this member."""

    def seek(self, source: TopicPartition, offset: int) -> None:
        """Set the position of a partition to an offset, and resume the partition."""

    def pause(self, source: TopicPartition) -> None:
        """Suspend fetching from a partition until ``seek``; ignore partitions outside the assignment."""

    def position(self, source: TopicPartition) -> int:
        """Return the offset of the next record to read."""

    def lag(self, source: TopicPartition) -> int:
        """Return the number of unread records, including records of open transactions."""

    def behind_transactions(self, sources: Iterable[TopicPartition]) -> set[TopicPartition]:
        """Return the partitions in which an open transaction of a producer blocks the next record."""


class OutputSink(Protocol):
    """A sink that publishes a batch in one transaction, or publishes nothing.

    While the broker does not answer, the sink calls ``waiting`` about every second with the seconds so far.
    ``waiting`` may raise an exception.
    """

    def reconnect(self, waiting: Callable[[float], None]) -> None:
        """Connect, or connect again after a failure."""

    def commit(
        self,
        outputs: Mapping[TopicPartition, Sequence[OutputRecord]],
        offsets: Mapping[TopicPartition, Committed],
        membership: Membership,
        waiting: Callable[[float], None],
    ) -> None:
        """Commit outputs and offsets together; raise NotCommittedError unless the commit is confirmed."""

    def close(self) -> None:
        """Release all resources."""
