"""The search for the newest readable checkpoint; damaged checkpoints are skipped and reported."""

from dataclasses import dataclass

from online_lstm.checkpoint import CheckpointStore
from online_lstm.errors import CheckpointDamagedError
from online_lstm.events import TopicPartition
from online_lstm.learning.partition import lineage_generation
from online_lstm.learning.state.schema import PartitionState
from online_lstm.logs import EventLogger
from online_lstm.telemetry import CheckpointFinished, Observer

_log = EventLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredState:
    """The state of a readable checkpoint, and its offset."""

    offset: int
    state: PartitionState


class CheckpointSearch:
    """The readable checkpoints of a group.

    Args:
        store: The checkpoints of the group.
        observer: Called for each damaged checkpoint.
    """

    def __init__(self, store: CheckpointStore, observer: Observer) -> None:
        self._store, self._observer = store, observer

    def lineages(self, source: TopicPartition) -> list[str]:
        """Return the lineages that have checkpoints, the most recent lineage first."""
        return sorted(self._store.lineages(source), key=lineage_generation, reverse=True)

    def offsets(self, source: TopicPartition, lineage: str) -> list[int]:
        """Return the offsets of a lineage's checkpoints, readable or not, newest first."""
        return self._store.offsets(source, lineage)

    def newest(self, source: TopicPartition, lineage: str, *, until: int | None = None) -> StoredState | None:
        """Return the newest readable checkpoint of a lineage, at or below an offset if one is given."""
        for offset in self._store.offsets(source, lineage):
            if until is None or offset <= until:
                try:
                    return StoredState(offset, self._store.read(source, lineage, offset))
                except CheckpointDamagedError as error:
                    _log.warning("checkpoint damaged", source=source, offset=offset, error=error)
                    self._observer(CheckpointFinished(source, offset, "damaged"))
        return None

    def newest_of_all(self, source: TopicPartition) -> StoredState | None:
        """Return the newest readable checkpoint of the most recent lineage that has one."""
        newest = (self.newest(source, lineage) for lineage in self.lineages(source))
        return next((stored for stored in newest if stored is not None), None)
