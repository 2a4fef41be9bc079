"""The partitions that are assigned to this member: each waits to be restored, then replays, then is live.

The module neither polls nor commits. A partition is paused until its state is restored. A replay processes records
below the committed offset without publishing their outputs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from online_lstm.events import Committed, InputRecord, PollResult, TopicPartition
from online_lstm.learning.partition import Partition
from online_lstm.streaming.broker_protocol import InputSource
from online_lstm.streaming.recovery import Recovery, RestoredPartition
from online_lstm.streaming.replay_verification import ReplayEnd


@dataclass(slots=True)
class Assignment:
    """One restored partition: its learners, committed offset, pending replay and newest checkpoint's offset."""

    partition: Partition
    committed: int
    replay: RestoredPartition | None
    checkpointed: int

    @property
    def source(self) -> TopicPartition:
        """The input partition."""
        return self.partition.source

    @property
    def live(self) -> bool:
        """Whether new records are learned and published, because no replay is pending."""
        return self.replay is None


class Assignments:
    """The assigned partitions of one member.

    Args:
        source: The consumer of the input topics.
        recovery: Restores the state of a partition.
        replay_end: Verifies the state after a replay.
    """

    def __init__(self, source: InputSource, recovery: Recovery, replay_end: ReplayEnd) -> None:
        self._source, self._recovery, self._replay_end = source, recovery, replay_end
        self._restored: dict[TopicPartition, Assignment] = {}
        self._unrestored: set[TopicPartition] = set()

    def __iter__(self) -> Iterator[Assignment]:
        """Return an iterator over the restored partitions."""
        return iter(self._restored.values())

    def __getitem__(self, source: TopicPartition) -> Assignment:
        """Return a restored partition."""
        return self._restored[source]

    def get(self, source: TopicPartition) -> Assignment | None:
        """Return a restored partition, or None."""
        return self._restored.get(source)

    @property
    def live(self) -> list[Assignment]:
        """The partitions whose new records are learned and published."""
        return [assignment for assignment in self if assignment.live]

    @property
    def incomplete(self) -> bool:
        """Whether an assigned partition waits to be restored."""
        return bool(self._unrestored)

    @property
    def obstacles(self) -> list[str]:
        """The reasons why not every assigned partition is live."""
        if replaying := [assignment for assignment in self if not assignment.live]:
            return [f"{assignment.source} replays to offset {assignment.committed}" for assignment in replaying]
        if self._unrestored:
            return ["going back to the committed offsets, which the broker has to tell"]
        return [] if self._restored else ["no partition is assigned yet"]

    def change(self, polled: PollResult) -> None:
        """Drop the revoked partitions, and note the assigned ones for ``restore``."""
        for source in polled.revoked:
            self._restored.pop(source, None)
        self._unrestored = (self._unrestored - set(polled.revoked)) | set(polled.assigned)

    def restore(self) -> None:
        """Restore all partitions that wait for it, and read them from their checkpoint on; raise as ``Recovery``."""
        for source in sorted(self._unrestored):
            restored = self._recovery.restore(source)
            self._restored[source] = Assignment(
                restored.partition, restored.replay_until, replay=restored, checkpointed=restored.offset
            )
            self._source.seek(source, restored.offset)
            self._unrestored.discard(source)

    def replay(self, assignment: Assignment, records: Sequence[InputRecord]) -> Sequence[InputRecord]:
        """Replay the records below the committed offset without publishing; return the records to process live.

        A replay ends in a separate step, so that a lineage that begins after the replay is committed first.
        """
        if assignment.replay is None:
            return records
        muted = [record for record in records if record.offset < assignment.replay.replay_until]
        assignment.partition.process(muted)
        if len(muted) < len(records):
            self._source.seek(assignment.source, assignment.replay.replay_until)
        return ()

    def finish_replays(self, commit: Callable[[TopicPartition, Committed], None]) -> Iterator[Assignment]:
        """Verify the replays that reached the committed offset; yield each partition when it has become live.

        A log may end in transaction markers or gaps, so the position decides, and not the last record.

        Args:
            commit: Commits the offset at which a new lineage begins.

        Raises:
            CheckpointsUnavailableError: The first checkpoint of a lineage cannot be written.
        """
        for assignment in self:
            replay = assignment.replay
            if replay is not None and self._source.position(assignment.source) >= replay.replay_until:
                if self._replay_end.finish(replay, partial(commit, assignment.source)):
                    assignment.checkpointed = replay.replay_until
                assignment.partition.prepare()
                assignment.replay = None
                yield assignment

    def return_to_committed_offsets(self) -> None:
        """Drop the state since the last commit; ``restore`` reads the partitions again."""
        for assignment in self:
            self._source.pause(assignment.source)
            self._unrestored.add(assignment.source)
        self._restored.clear()

    def clear(self) -> None:
        """Drop the state of all partitions without a way back: none of it is checkpointed."""
        self._restored.clear()
