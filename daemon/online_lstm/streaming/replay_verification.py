"""The end of a replay: its result is verified, and a new lineage begins if the next state must differ from it."""

from collections.abc import Callable

from online_lstm.checkpoint import CheckpointStore
from online_lstm.errors import CheckpointsUnavailableError, ReplayDivergedError
from online_lstm.events import Committed
from online_lstm.learning.partition import Partition, learning_settings
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.streaming.commit_metadata import write_metadata
from online_lstm.streaming.recovery import RestoredPartition
from online_lstm.streaming.refuse_or_continue import refuse_unless
from online_lstm.telemetry import LineageStarted, Observer

_log = EventLogger(__name__)


class ReplayEnd:
    """The verification of replays, and the start of lineages.

    Args:
        settings: The settings in force.
        store: The checkpoints of the group.
        observer: Called for each new lineage.
    """

    def __init__(self, settings: Settings, *, store: CheckpointStore, observer: Observer) -> None:
        self._settings, self._store, self._observer = settings, store, observer

    def finish(self, restored: RestoredPartition, commit: Callable[[Committed], None]) -> bool:
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
            refuse_unless(
                self._settings,
                "on_divergence",
                ReplayDivergedError(
                    f"{partition.source}: replaying to the committed offset {restored.replay_until} gave "
                    f"{partition.commit_metadata}, but {restored.commit_metadata} was committed: the CPU, the "
                    "TensorFlow version or the input topic has changed; use the same ones"
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
