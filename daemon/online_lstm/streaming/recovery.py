"""Recovery of a partition: choose the checkpoint to restore and the records to replay, or refuse to continue.

The module does not read records and does not commit by itself. Beside each offset the group commits the commit
metadata: lineage, record count, digest of all outputs, and partition count.

A lineage is the chain of learned states that descend from one start. A new lineage begins, at a committed offset,
wherever the next state differs from the result of a replay: at the start of the group, after a change of the learning
settings, and after each problem that is refused unless a setting is ``continue``.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from online_lstm.checkpoint import CheckpointStore
from online_lstm.codec.schemas import SchemaSource
from online_lstm.errors import RecoveryRefusedError, StateMismatchError
from online_lstm.events import CommitMetadata, Committed, TopicPartition
from online_lstm.learning.partition import (
    NetworkFactory,
    Partition,
    initial_metadata,
    lineage_generation,
    next_metadata,
)
from online_lstm.learning.warm_start import WarmStart
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.streaming.broker_protocol import OffsetReader
from online_lstm.streaming.checkpoint_search import CheckpointSearch, StoredState
from online_lstm.streaming.commit_metadata import read_metadata
from online_lstm.streaming.refuse_or_continue import refuse_unless
from online_lstm.telemetry import LineageReason, Observer

_log = EventLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestoredPartition:
    """Restored learners: read from ``offset`` and replay, without publishing, up to ``replay_until``.

    ``replay_until`` is the committed offset. After the replay the partition must match ``commit_metadata``. If
    ``commit_metadata`` is None, a new lineage begins for ``reason``. ``lost_records`` counts the deleted input records
    that the group never read.
    """

    partition: Partition
    offset: int
    replay_until: int
    commit_metadata: CommitMetadata | None = None
    reason: LineageReason = "learning"
    lost_records: int = 0


class Recovery:
    """The recovery of the partitions of one group.

    Args:
        settings: The settings in force.
        topic: The offsets of the input topic and of the group.
        store: The checkpoints of the group.
        network_for: Returns the network for given learning settings.
        observer: Called for each damaged checkpoint.
        warm_start: The initial state of new streams; None for untrained streams.
        schemas: The schemas of the registry; None if no format needs one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        topic: OffsetReader,
        store: CheckpointStore,
        network_for: NetworkFactory,
        observer: Observer,
        warm_start: WarmStart | None = None,
        schemas: SchemaSource | None = None,
    ) -> None:
        self._settings, self._schemas = settings, schemas
        self._topic, self._network_for, self._warm_start = topic, network_for, warm_start
        self._checkpoints = CheckpointSearch(store, observer)
        self._refuse_unless = partial(refuse_unless, settings)

    def restore(self, source: TopicPartition) -> RestoredPartition:
        """Load the state for the committed offset.

        Raises:
            RecoveryRefusedError: Offsets, records or checkpoints are gone, another program commits in this group, or
                the topic has more partitions than before.
            StateMismatchError: The group learned with other shape settings.
            BrokerUnavailableError: The broker does not answer.
            CheckpointsUnavailableError: The checkpoint storage does not answer.
        """
        committed = self._topic.committed(source)
        if committed is not None and committed.metadata:
            restored = self._from_metadata(source, committed.offset, read_metadata(committed.metadata, source))
        else:
            restored = self._without_metadata(source, committed)
        _log.info("restored", source=source, checkpoint=restored.offset, committed=restored.replay_until)
        return restored

    def _from_metadata(
        self, source: TopicPartition, replay_until: int, commit_metadata: CommitMetadata
    ) -> RestoredPartition:
        """Load the newest checkpoint of the committed lineage at or below the committed offset."""
        checkpoint = self._checkpoints.newest(source, commit_metadata.lineage, until=replay_until)
        if checkpoint is None and commit_metadata.records == 0 and lineage_generation(commit_metadata.lineage) == 1:
            return self._resume_first_lineage(source, replay_until, commit_metadata)
        if checkpoint is None:
            newer = self._checkpoints.offsets(source, commit_metadata.lineage)
            self._refuse_unless(
                "on_gap",
                RecoveryRefusedError(
                    f"{source}: no readable checkpoint of lineage {commit_metadata.lineage} at or below the committed "
                    f"offset {replay_until} in {self._settings.checkpoint_url}"
                    + (f", the oldest is of {newer[-1]}" if newer else "")
                    + ": bring the checkpoints back"
                ),
            )
            return self._restore_at(
                self._new_partition(source, commit_metadata), replay_until, replay_until, reason="gap"
            )
        return self._resume_lineage(source, checkpoint, replay_until, commit_metadata=commit_metadata)

    def _resume_first_lineage(
        self, source: TopicPartition, replay_until: int, commit_metadata: CommitMetadata
    ) -> RestoredPartition:
        """Repeat the start of the first lineage after a crash between its commit and its first checkpoint."""
        before = initial_metadata(commit_metadata.partitions)
        if commit_metadata == next_metadata(self._settings, source, replay_until, before):
            return self._restore_at(self._new_partition(source, before), replay_until, replay_until, reason="beginning")
        self._refuse_unless(
            "on_shape_change",
            StateMismatchError(f"{source}: the group began with other shape settings: use these"),
        )
        return self._restore_at(
            self._new_partition(source, commit_metadata), replay_until, replay_until, reason="shape"
        )

    def _without_metadata(self, source: TopicPartition, committed: Committed | None) -> RestoredPartition:
        """Restore a partition without commit metadata: start a lineage, or continue from the existing checkpoints."""
        newest = self._checkpoints.newest_of_all(source)
        if newest is None:
            self._refuse_unreadable_checkpoints(source)
            return self._start_lineage(source, committed)
        before = newest.state.commit_metadata
        if committed is None:
            self._refuse_unless(
                "on_gap",
                RecoveryRefusedError(
                    f"{source}: there are checkpoints in {self._settings.checkpoint_url}, but the group "
                    f"{self._settings.group_id} has no committed offset: it expired, or was deleted. Commit the right "
                    f"offset, or continue from the newest checkpoint, at {newest.offset}; outputs since then are "
                    "published again, with the same ce_id"
                ),
            )
            return self._resume_lineage(source, newest, newest.offset, reason="reset")
        replay_until = committed.offset
        self._refuse_unless(
            "on_gap",
            RecoveryRefusedError(
                f"{source}: the committed offset {replay_until} was set by another program, while the newest "
                f"checkpoint in {self._settings.checkpoint_url} is of {newest.offset}. Continue to go on there, with "
                "what was learned from the records before it"
            ),
        )
        if (earlier := self._checkpoints.newest(source, before.lineage, until=replay_until)) is None:
            return self._restore_at(self._new_partition(source, before), replay_until, replay_until, reason="reset")
        return self._resume_lineage(source, earlier, replay_until, reason="reset")

    def _start_lineage(self, source: TopicPartition, committed: Committed | None) -> RestoredPartition:
        """Start the first lineage at the committed offset, or else at the offset that ``start_from`` selects."""
        partitions = self._topic.partitions(source.topic)
        before = self._partitions_before(source, partitions)
        grown = source.partition >= before
        if grown:
            self._refuse_unless(
                "on_partition_growth",
                RecoveryRefusedError(
                    f"{source}: the topic had {before} partitions when the group began and has {partitions} now: "
                    "keys may have moved, and their streams would start from nothing in other partitions"
                ),
            )
        if committed is not None:
            start = committed.offset
        elif grown:  # start_from does not apply: all records since the growth are read
            start = self._topic.offset_range(source).start
        else:
            start = self._topic.initial_offset(source)
        return self._restore_at(
            self._new_partition(source, initial_metadata(partitions)), start, start, reason="beginning"
        )

    def _resume_lineage(
        self,
        source: TopicPartition,
        checkpoint: StoredState,
        replay_until: int,
        *,
        commit_metadata: CommitMetadata | None = None,
        reason: LineageReason = "learning",
    ) -> RestoredPartition:
        """Continue the lineage of a checkpoint; refuse the checkpoint of another shape."""
        before = checkpoint.state.commit_metadata
        partition = self._new_partition(source, before)
        try:
            partition.restore(checkpoint.state)
        except StateMismatchError as error:
            self._refuse_unless("on_shape_change", error)
            return self._restore_at(self._new_partition(source, before), replay_until, replay_until, reason="shape")
        return self._restore_at(
            partition, checkpoint.offset, replay_until, commit_metadata=commit_metadata, reason=reason
        )

    def _restore_at(
        self,
        partition: Partition,
        offset: int,
        replay_until: int,
        *,
        commit_metadata: CommitMetadata | None = None,
        reason: LineageReason = "learning",
    ) -> RestoredPartition:
        """Return the partition with its replay range, after a check that the topic still has the records to read."""
        offset_range = self._topic.offset_range(partition.source)
        if offset_range.start <= offset and (commit_metadata is None or replay_until <= offset_range.stop):
            return RestoredPartition(partition, offset, replay_until, commit_metadata, reason)
        recreated = commit_metadata is not None and replay_until > offset_range.stop
        self._refuse_unless(
            "on_gap",
            RecoveryRefusedError(
                f"{partition.source}: the next record to learn from is the one at offset {offset}, of those up to the "
                f"committed offset {replay_until}, but the topic begins at {offset_range.start} and ends at "
                f"{offset_range.stop}: " + ("it was created again" if recreated else "what lies between is gone")
            ),
        )
        partition.break_sequences()
        start = offset_range.start
        lost = 0 if recreated else max(0, start - replay_until)
        return RestoredPartition(partition, start, start if recreated else max(replay_until, start), None, "gap", lost)

    def _new_partition(self, source: TopicPartition, commit_metadata: CommitMetadata) -> Partition:
        """Return an untrained partition with the lineage and digest of the given metadata."""
        unlearned = CommitMetadata(commit_metadata.lineage, 0, commit_metadata.digest, commit_metadata.partitions)
        return Partition(self._settings, source, unlearned, self._network_for, self._warm_start, schemas=self._schemas)

    def _partitions_before(self, source: TopicPartition, partitions: int) -> int:
        """Return the topic's number of partitions at the start of the group; the current number for a new group."""
        counts = []
        for number in set(range(partitions)) - {source.partition}:
            other = TopicPartition(source.topic, number)
            committed = self._topic.committed(other)
            if committed is not None:
                with suppress(RecoveryRefusedError):
                    counts.append(read_metadata(committed.metadata, other).partitions)
        return max(counts, default=partitions)

    def _refuse_unreadable_checkpoints(self, source: TopicPartition) -> None:
        if self._checkpoints.lineages(source):
            self._refuse_unless(
                "on_gap",
                RecoveryRefusedError(
                    f"{source}: the group {self._settings.group_id} has no offset of this daemon, and none of its "
                    f"checkpoints in {self._settings.checkpoint_url} can be read: restore the checkpoint files"
                ),
            )
