"""Recovery of a partition: choose the checkpoint to restore and the records to replay, or refuse to continue.

The module does not read records and does not commit by itself. Beside each offset the group commits the commit
metadata: lineage, record count, digest of all outputs, and partition count.

A lineage is the chain of learned states that descend from one start. A new lineage begins, at a committed offset,
wherever the next state differs from the result of a replay: at the start of the group, after a change of the learning
settings, and after each problem that is refused unless a setting is ``continue``.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from online_lstm.checkpoint import CheckpointStore
from online_lstm.errors import (
    CheckpointDamagedError,
    CheckpointsUnavailableError,
    OnlineLstmError,
    RecoveryRefusedError,
    ReplayDivergedError,
    StateMismatchError,
)
from online_lstm.events import CommitMetadata, Committed, TopicPartition
from online_lstm.learning.partition import (
    NetworkFactory,
    Partition,
    initial_metadata,
    learning_settings,
    lineage_generation,
    next_metadata,
)
from online_lstm.learning.state.schema import PartitionState
from online_lstm.learning.warm_start import WarmStart
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.telemetry import CheckpointFinished, LineageReason, LineageStarted, Observer

_log = EventLogger(__name__)


class InputTopic(Protocol):
    """The input topic and the group, as recovery uses them."""

    def committed(self, source: TopicPartition) -> Committed | None:
        """Return the group's committed offset, or None."""

    def initial_offset(self, source: TopicPartition) -> int:
        """Return the first offset to read for a group without a committed offset."""

    def offset_range(self, source: TopicPartition) -> range:
        """Return the offsets from the log start to the end; the end is the offset of the next record."""

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic."""


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
        topic: The input topic and the group.
        store: The checkpoints of the group.
        network_for: Returns the network for given learning settings.
        observer: Called for each damaged checkpoint and each new lineage.
        warm_start: The initial state of new streams; None for untrained streams.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        topic: InputTopic,
        store: CheckpointStore,
        network_for: NetworkFactory,
        observer: Observer,
        warm_start: WarmStart | None = None,
    ) -> None:
        self._settings = settings
        self._topic, self._store, self._network_for, self._observer = topic, store, network_for, observer
        self._warm_start = warm_start

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
            restored = self._from_mark(source, committed.offset, read_metadata(committed.metadata, source))
        else:
            restored = self._without_mark(source, committed)
        _log.info("restored", source=source, checkpoint=restored.offset, committed=restored.replay_until)
        return restored

    def finish_replay(self, restored: RestoredPartition, commit: Callable[[Committed], None]) -> bool:
        """Verify the result of the replay; return whether a new lineage begins.

        A new lineage is committed and has a checkpoint before any record of the lineage is committed.

        Raises:
            ReplayDivergedError: The result differs from the committed metadata.
            CheckpointsUnavailableError: The checkpoint cannot be written; the partition must be restored again.
        """
        partition, reason = restored.partition, restored.reason
        diverged = restored.commit_metadata is not None and partition.commit_metadata != restored.commit_metadata
        if diverged:
            reason = "divergence"
            self._refuse_unless(
                "on_divergence",
                ReplayDivergedError(
                    f"{partition.source}: replaying to the committed offset {restored.replay_until} gave "
                    f"{partition.commit_metadata}, but "
                    f"{restored.commit_metadata} was committed: the CPU, the TensorFlow version or the input topic "
                    "has changed; use the same ones"
                ),
            )
        elif restored.commit_metadata is not None and partition.learning == learning_settings(self._settings):
            return False
        partition.learn_with(learning_settings(self._settings))
        partition.begin_lineage(restored.replay_until)
        initial_commit = Committed(restored.replay_until, write_metadata(partition.commit_metadata))
        if reason == "beginning":  # a checkpoint without a committed offset would look like a lost offset
            commit(initial_commit)
            self._write(partition, restored.replay_until)
        else:  # a committed lineage without a checkpoint could not be restored
            self._write(partition, restored.replay_until)
            commit(initial_commit)
        lineage, lost = partition.commit_metadata.lineage, restored.lost_records
        _log.info(
            "lineage begins",
            source=partition.source,
            offset=restored.replay_until,
            lineage=lineage,
            reason=reason,
            lost_records=lost,
        )
        self._observer(LineageStarted(partition.source, lineage, reason, lost))
        return True

    def _write(self, partition: Partition, offset: int) -> None:
        try:
            self._store.write(partition.source, offset, partition.state())
        except OSError as error:
            raise CheckpointsUnavailableError(
                f"checkpoint_url: {self._settings.checkpoint_url} cannot be written ({error})"
            ) from error

    def _from_mark(
        self, source: TopicPartition, replay_until: int, commit_metadata: CommitMetadata
    ) -> RestoredPartition:
        """Load the newest checkpoint of the committed lineage at or below the committed offset."""
        found = self._newest(source, commit_metadata.lineage, replay_until)
        if found is None and commit_metadata.records == 0 and lineage_generation(commit_metadata.lineage) == 1:
            return self._resume_first_lineage(source, replay_until, commit_metadata)
        if found is None:
            newer = self._store.offsets(source, commit_metadata.lineage)
            self._refuse_unless(
                "on_gap",
                RecoveryRefusedError(
                    f"{source}: no readable checkpoint of lineage {commit_metadata.lineage} at or below the committed "
                    "offset "
                    f"{replay_until} in {self._settings.checkpoint_url}"
                    + (f", the oldest is of {newer[-1]}" if newer else "")
                    + ": bring the checkpoints back"
                ),
            )
            return self._restore_at(
                self._new_partition(source, commit_metadata), replay_until, replay_until, reason="gap"
            )
        return self._resume_lineage(source, found, replay_until, commit_metadata=commit_metadata)

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

    def _without_mark(self, source: TopicPartition, committed: Committed | None) -> RestoredPartition:
        """Restore a partition without commit metadata: start a lineage, or continue from the existing checkpoints."""
        found = self._newest_of_all(source)
        if found is None:
            return self._start_lineage(source, committed)
        offset, state = found
        before = state.commit_metadata
        if committed is None:
            self._refuse_unless(
                "on_gap",
                RecoveryRefusedError(
                    f"{source}: there are checkpoints in {self._settings.checkpoint_url}, but the group "
                    f"{self._settings.group_id} has no committed offset: it expired, or was deleted. Commit the right "
                    f"offset, or continue from the newest checkpoint, at {offset}; outputs since then are published "
                    "again, with the same ce_id"
                ),
            )
            return self._resume_lineage(source, found, offset, reason="reset")
        replay_until = committed.offset
        self._refuse_unless(
            "on_gap",
            RecoveryRefusedError(
                f"{source}: the committed offset {replay_until} was set by another program, while the newest "
                "checkpoint in "
                f"{self._settings.checkpoint_url} is of {offset}. Continue to go on there, with what was learned from "
                "the records before it"
            ),
        )
        if (earlier := self._newest(source, before.lineage, replay_until)) is None:
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
        found: tuple[int, PartitionState],
        replay_until: int,
        *,
        commit_metadata: CommitMetadata | None = None,
        reason: LineageReason = "learning",
    ) -> RestoredPartition:
        """Continue the lineage of a checkpoint; ``found`` is the checkpoint's offset and state."""
        offset, state = found
        before = state.commit_metadata
        partition = self._new_partition(source, before)
        try:
            partition.restore(state)
        except StateMismatchError as error:
            self._refuse_unless("on_shape_change", error)
            return self._restore_at(self._new_partition(source, before), replay_until, replay_until, reason="shape")
        return self._restore_at(partition, offset, replay_until, commit_metadata=commit_metadata, reason=reason)

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
        return Partition(self._settings, source, unlearned, self._network_for, self._warm_start)

    def _newest(self, source: TopicPartition, lineage: str, limit: int) -> tuple[int, PartitionState] | None:
        """Read the newest checkpoint at or below an offset; report and skip damaged checkpoints."""
        for offset in self._store.offsets(source, lineage):
            if offset <= limit:
                try:
                    return offset, self._store.read(source, lineage, offset)
                except CheckpointDamagedError as error:
                    _log.warning("checkpoint damaged", source=source, offset=offset, error=error)
                    self._observer(CheckpointFinished(source, offset, "damaged"))
        return None

    def _newest_of_all(self, source: TopicPartition) -> tuple[int, PartitionState] | None:
        """Read the newest checkpoint of the most recent lineage that has a readable one."""
        lineages = sorted(self._store.lineages(source), key=lineage_generation, reverse=True)
        for lineage in lineages:
            found = self._newest(source, lineage, 2**63)
            if found is not None:
                return found
        if lineages:
            self._refuse_unless(
                "on_gap",
                RecoveryRefusedError(
                    f"{source}: the group {self._settings.group_id} has no offset of this daemon, and none of its "
                    f"checkpoints in {self._settings.checkpoint_url} can be read: restore the checkpoint files"
                ),
            )
        return None

    def _partitions_before(self, source: TopicPartition, partitions: int) -> int:
        """Return the topic's number of partitions at the start of the group; the current number for a new group."""
        found = []
        for number in set(range(partitions)) - {source.partition}:
            other = TopicPartition(source.topic, number)
            committed = self._topic.committed(other)
            if committed is not None:
                with suppress(RecoveryRefusedError):
                    found.append(read_metadata(committed.metadata, other).partitions)
        return max(found, default=partitions)

    def _refuse_unless(self, setting: str, error: OnlineLstmError) -> None:
        """Raise an error, with the ways out, unless the setting is ``continue``."""
        if getattr(self._settings, setting) != "continue":
            raise type(error)(f"{error}; or set {setting} to continue, or start from nothing with another group_id")
        _log.warning("continuing", **{setting: "continue"}, reason=error)


def write_metadata(commit_metadata: CommitMetadata) -> str:
    """Return commit metadata as the JSON text that is committed with an offset."""
    return json.dumps(
        {
            "lineage": commit_metadata.lineage,
            "records": commit_metadata.records,
            "digest": commit_metadata.digest.hex(),
            "partitions": commit_metadata.partitions,
        }
    )


def read_metadata(metadata: str, source: TopicPartition) -> CommitMetadata:
    """Parse the text that ``write_metadata`` returns.

    Raises:
        RecoveryRefusedError: The text is something else, so another program committed it.
    """
    with suppress(ValueError, KeyError, TypeError):
        fields = json.loads(metadata)
        return CommitMetadata(
            lineage=str(fields["lineage"]),
            records=int(fields["records"]),
            digest=bytes.fromhex(fields["digest"]),
            partitions=int(fields["partitions"]),
        )
    raise RecoveryRefusedError(
        f"{source}: the committed offset carries {metadata[:80]!r}, which this daemon did not write: another program "
        "commits in this group; use another group_id"
    )
