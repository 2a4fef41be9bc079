"""Where a partition's learners come from: its newest checkpoint, and what has to be learned again since.

It decides what may be gone on from, and refuses the rest; it neither reads records nor commits anything. What is
committed beside each offset is a mark: the lineage, how many records it has seen, and the digest of all outputs.
"""

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from daemon.checkpoint import CheckpointStore
from daemon.errors import (
    CheckpointDamagedError,
    RecoveryRefusedError,
    ReplayDivergedError,
    SettingsError,
    StateMismatchError,
)
from daemon.partition import NetworkFactory, Partition, first_mark, learning_of
from daemon.records import Committed, Mark, TopicPartition
from daemon.reports import CheckpointReport, Observer
from daemon.settings import Settings

_log = logging.getLogger(__name__)


class Topic(Protocol):
    """What is asked of the input topic."""

    def start_offset(self, source: TopicPartition) -> int:
        """Say where a group without an offset begins."""

    def first_offset(self, source: TopicPartition) -> int:
        """Give the oldest offset that the topic still has."""


@dataclass(frozen=True, slots=True)
class Restored:
    """Learners as of a checkpoint; reading on from ``offset`` they have to come to ``mark``."""

    partition: Partition
    offset: int
    mark: Mark


class Recovery:
    """Restores partitions of one group.

    Args:
        settings: The settings in force.
        topic: The input.
        store: Where checkpoints are.
        network_for: Gives the network for some learning settings.
        observer: Hears of damaged checkpoints.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        topic: Topic,
        store: CheckpointStore,
        network_for: NetworkFactory,
        observer: Observer,
    ) -> None:
        self._settings = settings
        self._topic, self._store, self._network_for, self._observer = topic, store, network_for, observer

    def beginning(self, source: TopicPartition, committed: Committed | None) -> Committed:
        """Say what a group without history has to commit first.

        Raises:
            RecoveryRefusedError: It has a history, and only its offsets are gone; or its first records are.
        """
        if self._store.exist(source):
            what = "no committed offset" if committed is None else f"offset {committed.offset}, set by another program"
            raise RecoveryRefusedError(
                f"{source}: group {self._settings.group_id} has {what}, but there are checkpoints of it: its offsets "
                "expired or were reset; use another group_id to start afresh, or set the offsets back"
            )
        start = committed.offset if committed else self._topic.start_offset(source)
        self._require_retained(source, start)
        mark = first_mark(self._settings, source, start)
        _log.info("starting source=%s offset=%d lineage=%s", source, start, mark.lineage)
        return Committed(start, write_mark(mark))

    def restore(self, source: TopicPartition, committed: Committed) -> Restored:
        """Load the newest checkpoint of the committed lineage at or below the committed offset.

        Raises:
            RecoveryRefusedError: There is none, or the records after it are gone, or another program commits here.
            StateMismatchError: The group learned with other shape settings.
        """
        mark = read_mark(committed.metadata, source)
        partition = Partition(self._settings, source, mark, self._network_for)
        offset = self._load(partition, committed, mark)
        self._require_retained(source, offset)
        _log.info("restored source=%s checkpoint=%d committed=%d", source, offset, committed.offset)
        return Restored(partition, offset, mark)

    def verify(self, partition: Partition, committed: Committed, mark: Mark) -> None:
        """Compare what a replay came to with what was committed.

        Raises:
            ReplayDivergedError: They differ.
        """
        if partition.mark != mark:
            raise ReplayDivergedError(
                f"{partition.source}: replaying to the committed offset {committed.offset} gave {partition.mark}, but "
                f"{mark} was committed: another CPU or TensorFlow, or an input topic that changed; use the same "
                "ones, or another group_id to start afresh"
            )

    def adopt_learning(self, partition: Partition, committed: Committed) -> None:
        """Let the learning settings of now hold; a replay from here on finds them in a checkpoint."""
        learning = learning_of(self._settings)
        if partition.learning != learning:
            partition.learn_with(learning)
            self._write(partition, committed.offset)
            _log.info("learning settings changed source=%s offset=%d", partition.source, committed.offset)

    def _load(self, partition: Partition, committed: Committed, mark: Mark) -> int:
        source = partition.source
        for offset in self._store.offsets(source, mark.lineage):
            if offset <= committed.offset:
                try:
                    state = self._store.read(source, mark.lineage, offset)
                except CheckpointDamagedError as error:
                    _log.warning("checkpoint damaged source=%s offset=%d %s", source, offset, error)
                    self._observer(CheckpointReport(source, offset, "damaged"))
                    continue
                partition.restore(state)
                return offset
        if mark.records == 0:  # nothing was learned yet: the initial state is the right one
            if mark != first_mark(self._settings, source, committed.offset):
                raise StateMismatchError(f"{source}: the group began with other settings; use another group_id")
            # from the first commit of a record on, there has to be a checkpoint to replay from
            self._write(partition, committed.offset)
            return committed.offset
        raise RecoveryRefusedError(
            f"{source}: no readable checkpoint of lineage {mark.lineage} at or below the committed offset "
            f"{committed.offset} in {self._settings.checkpoint_url}: bring the checkpoints back, or use another "
            "group_id to start afresh"
        )

    def _write(self, partition: Partition, offset: int) -> None:
        try:
            self._store.write(partition.source, offset, partition.state())
        except OSError as error:
            raise SettingsError(
                f"checkpoint_url: {self._settings.checkpoint_url} cannot be written ({error}); expected a directory "
                "with room that this user may write to"
            ) from error

    def _require_retained(self, source: TopicPartition, offset: int) -> None:
        first = self._topic.first_offset(source)
        if offset < first:
            raise RecoveryRefusedError(
                f"{source}: the next record to learn from is the one at offset {offset}, but the topic begins at "
                f"{first}: what lies between is gone; use another group_id to start afresh"
            )


def write_mark(mark: Mark) -> str:
    """Write a mark as the metadata of a committed offset."""
    return json.dumps({"lineage": mark.lineage, "records": mark.records, "digest": mark.digest.hex()})


def read_mark(metadata: str, source: TopicPartition) -> Mark:
    """Read what ``write_mark`` wrote.

    Raises:
        RecoveryRefusedError: It is something else.
    """
    with suppress(ValueError, KeyError, TypeError):
        fields = json.loads(metadata)
        return Mark(str(fields["lineage"]), int(fields["records"]), bytes.fromhex(fields["digest"]))
    raise RecoveryRefusedError(
        f"{source}: the committed offset carries {metadata[:80]!r}, which this daemon did not write: another program "
        "commits in this group; use another group_id"
    )
