"""A Kafka broker in memory: topics, one consumer group, transactions.

The broker keeps to what the daemon relies on, also where a cluster is unkind: a partition changes hands only once its
owner gave it up or was expelled, a stale generation is refused, but generation -1 is not, a transaction leaves a marker
at an offset of its own. It has no clock and no threads.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from online_lstm.errors import NotCommittedError
from online_lstm.events import Committed, Header, InputRecord, Membership, OutputRecord, TopicPartition

Published = Mapping[TopicPartition, Sequence[tuple[str, OutputRecord]]]
"""Records to publish in a transaction, by input partition; each with its topic."""


class MemoryKafka:
    """A broker with the topics and the consumer group of a daemon.

    ``logs`` has the records of each partition, ``starts`` and ``ends`` its first offset and the offset after the last.
    ``offsets`` has the committed offsets of the group. A test may change all of them, as happens to a cluster:
    retention removes records, offsets expire or are set.

    Args:
        topics: The number of partitions of each topic.
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self.logs: dict[TopicPartition, list[InputRecord]] = {}
        self.starts: dict[TopicPartition, int] = {}
        self.ends: dict[TopicPartition, int] = {}
        self.offsets: dict[TopicPartition, Committed] = {}
        self.generation = 0
        self.members: list[str] = []
        self.owners: dict[TopicPartition, str] = {}
        self._subscribed: set[str] = set()
        self._epochs: Counter[str] = Counter()
        for topic, partitions in topics.items():
            self.create_topic(topic, partitions=partitions)

    # topics

    def create_topic(self, topic: str, *, partitions: int = 1) -> None:
        """Create an empty topic unless it exists."""
        for number in range(0 if self.partitions(topic) else partitions):
            source = TopicPartition(topic, number)
            self.logs[source], self.starts[source], self.ends[source] = [], 0, 0

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic; 0 if the topic does not exist."""
        return sum(source.topic == topic for source in self.logs)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[Header] = (),
        partition: int = 0,
        timestamp_ms: int = -1,
    ) -> int:
        """Append a record to a topic, and return its offset; -1 stands for no timestamp."""
        source = TopicPartition(topic, partition)
        offset = self.ends[source]
        self.logs[source].append(InputRecord(topic, partition, offset, timestamp_ms, key, value, tuple(headers)))
        self.ends[source] = offset + 1
        return offset

    def records(self, topic: str) -> list[InputRecord]:
        """Return the records of a topic, partition after partition."""
        return [record for source in sorted(self.logs) if source.topic == topic for record in self.logs[source]]

    def last_stable_offset(self, source: TopicPartition) -> int:
        """Return the first offset of an open transaction, which is the end: transactions here begin and end at once."""
        return self.ends[source]

    def caught_up(self, topics: Iterable[str]) -> bool:
        """Return whether the group has committed every record of these topics."""
        wanted = set(topics)
        return all(
            source in self.offsets and self.offsets[source].offset > log[-1].offset
            for source, log in self.logs.items()
            if log and source.topic in wanted
        )

    # the group

    def join(self, member: str, topics: Iterable[str]) -> None:
        """Add a member, which subscribes to these topics, to the group."""
        self._subscribed |= set(topics)
        self.members.append(member)
        self.generation += 1

    def leave(self, member: str) -> None:
        """Remove a member, by its own wish or because it was silent for too long: its partitions are free."""
        if member in self.members:
            self.members.remove(member)
            self.generation += 1
            self.owners = {source: owner for source, owner in self.owners.items() if owner != member}

    def share_of(self, member: str) -> set[TopicPartition]:
        """Return the partitions that a member is to have; they are dealt out, member after member."""
        sources = sorted(source for source in self.logs if source.topic in self._subscribed)
        return set(sources[self.members.index(member) :: len(self.members)])

    # transactions

    def begin_epoch(self, transactional_id: str) -> int:
        """Return a new epoch of a transactional id; producers of its earlier epochs are fenced."""
        self._epochs[transactional_id] += 1
        return self._epochs[transactional_id]

    def is_fenced(self, transactional_id: str, epoch: int) -> bool:
        """Return whether a later producer has this transactional id."""
        return self._epochs[transactional_id] != epoch

    def commit(self, records: Published, offsets: Mapping[TopicPartition, Committed], membership: Membership) -> None:
        """Publish records and commit offsets together.

        Raises:
            NotCommittedError: The membership is one of an earlier generation.
        """
        current = membership.member_id in self.members and membership.generation == self.generation
        if not current and membership.generation >= 0:
            raise NotCommittedError("illegal generation")
        written = set()
        for topic, record in (one for part in records.values() for one in part):
            partition = record.source_partition % self.partitions(topic)
            self.produce(
                topic,
                record.value,
                key=record.key,
                headers=record.headers,
                partition=partition,
                timestamp_ms=record.timestamp_ms,
            )
            written.add(TopicPartition(topic, partition))
        for source in written:
            self.ends[source] += 1  # the marker of the transaction
        self.offsets.update(offsets)
