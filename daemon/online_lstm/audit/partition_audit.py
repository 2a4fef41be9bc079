"""What verify finds out about one partition: of the group's offset, its checkpoints and what it published.

Whatever a daemon would be told at a restart is asked of recovery itself; what was published is proven apart.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from online_lstm.audit.consistency import ConsistencyReport, OutputLog, check_consistency
from online_lstm.checkpoint import CheckpointStore
from online_lstm.codec.published import PublishedRecord
from online_lstm.errors import CheckpointDamagedError, MissingTopicError, RecoveryRefusedError, StateMismatchError
from online_lstm.events import CommitMetadata, Committed, TopicPartition
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import lineage_generation, metadata_from_state
from online_lstm.settings import Settings
from online_lstm.streaming.recovery import Recovery, read_metadata

_WAYS_OUT = ("on_gap", "on_divergence", "on_shape_change", "on_partition_growth")


class AuditedTopics(Protocol):
    """What is asked of Kafka: of the group, the input, and what was published."""

    def committed(self, source: TopicPartition) -> Committed | None:
        """Give the group's committed offset."""

    def initial_offset(self, source: TopicPartition) -> int:
        """Say where a group without an offset begins."""

    def offset_range(self, source: TopicPartition) -> range:
        """Give the offsets that a topic still has or will have next."""

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions; 0 if it does not exist."""

    def compacted(self, topic: str) -> bool:
        """Say whether a topic keeps only the last record of a key."""

    def outputs(self, place: TopicPartition, offsets: range) -> Iterator[PublishedRecord | None]:
        """Give what is in a partition of an output topic."""

    def dead_letters(self, place: TopicPartition, offsets: range) -> Iterator[PublishedRecord | None]:
        """Give what is in a partition of a dead-letter topic."""


@dataclass(frozen=True, slots=True)
class AuditedCheckpoint:
    """One checkpoint of the committed lineage: its mark, or what is wrong with it."""

    offset: int
    commit_metadata: CommitMetadata | None
    damage: str | None = None


@dataclass(slots=True)
class PartitionAudit:
    """What was found for one input partition; ``faults`` are what is wrong, ``notes`` what else is to know."""

    source: TopicPartition
    offset_range: range
    committed: int | None = None
    commit_metadata: CommitMetadata | None = None
    checkpoints: list[AuditedCheckpoint] = field(default_factory=list)
    other_lineages: dict[str, list[int]] = field(default_factory=dict)
    replay_from: int | None = None
    proof: ConsistencyReport | None = None
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def evaluation(self) -> str:
        """Say it in a word or two."""
        if self.faults:
            return "wrong"
        if self.commit_metadata is None or self.proof is None:
            return "nothing learned yet"
        return "agree" if self.proof.agrees else "not proven"


def audit_partition(
    settings: Settings,
    source: TopicPartition,
    store: CheckpointStore,
    *,
    topics: AuditedTopics,
    letters: AuditedTopics,
    show: Callable[[int], None] = lambda _: None,
) -> PartitionAudit:
    """Find out about one partition; the group may be at work meanwhile.

    Args:
        settings: Which group, and where it publishes to; shape and learning settings do not matter.
        source: The partition.
        store: The group's checkpoints.
        topics: Kafka.
        letters: Kafka once more, as two topics are read at the same time.
        show: Told how many records were read.
    """
    finding = PartitionAudit(source, topics.offset_range(source))
    # checkpoints before the offset, and the offset before the outputs: the later one is never behind
    lineages = {name: sorted(store.offsets(source, name)) for name in store.lineages(source)}
    committed = topics.committed(source)
    if committed is not None:
        finding.committed = committed.offset
        finding.commit_metadata = _mark_in(committed, finding)
    current = "" if finding.commit_metadata is None else finding.commit_metadata.lineage
    finding.checkpoints = list(_read_all(store, source, current, lineages.pop(current, [])))
    finding.other_lineages = lineages
    if _only_begun(finding):
        finding.notes.append(f"the group has begun at offset {finding.committed}, and has learned nothing yet")
        return finding
    _judge_checkpoints(finding)
    _judge_restart(settings, finding, store, topics)
    if finding.commit_metadata is not None:
        _judge_outputs(settings, finding, topics=topics, letters=letters, show=show)
        _note_changes(finding, topics)
    return finding


def _mark_in(committed: Committed, finding: PartitionAudit) -> CommitMetadata | None:
    """Read the committed mark; where there is none, the restart says what that means."""
    try:
        return read_metadata(committed.metadata, finding.source)
    except RecoveryRefusedError:
        return None


def _read_all(
    store: CheckpointStore, source: TopicPartition, lineage: str, offsets: list[int]
) -> Iterator[AuditedCheckpoint]:
    for offset in offsets:
        try:
            yield AuditedCheckpoint(offset, metadata_from_state(store.read(source, lineage, offset)))
        except CheckpointDamagedError as error:
            if offset in store.offsets(source, lineage):  # else the daemon removed it meanwhile, as it does
                yield AuditedCheckpoint(offset, None, str(error))


def _only_begun(finding: PartitionAudit) -> bool:
    commit_metadata = finding.commit_metadata
    return (
        commit_metadata is not None
        and commit_metadata.records == 0
        and lineage_generation(commit_metadata.lineage) == 1
        and not finding.checkpoints
    )


def _judge_checkpoints(finding: PartitionAudit) -> None:
    for checkpoint in finding.checkpoints:
        if checkpoint.damage is not None:
            finding.faults.append(f"a checkpoint is damaged: {checkpoint.damage}")
        elif checkpoint.offset > (finding.committed or 0):
            finding.faults.append(
                f"there is a checkpoint of {checkpoint.offset}, beyond the committed offset {finding.committed}: the "
                "group was set back"
            )
        elif checkpoint.offset == finding.committed and checkpoint.commit_metadata != finding.commit_metadata:
            finding.faults.append(
                f"the checkpoint of {checkpoint.offset} has {checkpoint.commit_metadata}, but "
                f"{finding.commit_metadata} was committed there"
            )


def _judge_restart(settings: Settings, finding: PartitionAudit, store: CheckpointStore, topics: AuditedTopics) -> None:
    """Ask recovery, with the settings that the group has learned with, what a daemon would be told."""
    learned_with = settings.model_copy(update=dict.fromkeys(_WAYS_OUT, "refuse"))
    whole = [checkpoint.offset for checkpoint in finding.checkpoints if checkpoint.commit_metadata is not None]
    if whole and finding.commit_metadata is not None:
        state = store.read(finding.source, finding.commit_metadata.lineage, whole[0])  # the first is never removed
        learned_with = learned_with.with_shape(json.loads(state["shape"]))
    recovery = Recovery(
        learned_with, topic=topics, store=store, network_for=model_factory(learned_with), observer=lambda _: None
    )
    try:
        restored = recovery.restore(finding.source)
    except (RecoveryRefusedError, StateMismatchError) as error:
        finding.faults.append(f"a restart would be refused: {error}")
        if not finding.checkpoints and not finding.other_lineages:
            finding.notes.append(
                f"{settings.checkpoint_url} has no checkpoint of it; checkpoint_url says where they are"
            )
    else:
        finding.replay_from = restored.offset


def _judge_outputs(
    settings: Settings,
    finding: PartitionAudit,
    *,
    topics: AuditedTopics,
    letters: AuditedTopics,
    show: Callable[[int], None],
) -> None:
    source, commit_metadata, committed = finding.source, finding.commit_metadata, finding.committed
    assert commit_metadata is not None
    assert committed is not None
    points = [
        (checkpoint.offset, checkpoint.commit_metadata.digest)
        for checkpoint in finding.checkpoints
        if checkpoint.commit_metadata is not None and checkpoint.offset <= committed
    ]
    count = 0

    def counting(published: Iterator[PublishedRecord | None]) -> Iterator[PublishedRecord]:
        nonlocal count
        for said in published:
            count += 1
            show(count)
            if said is not None and said.source == source:
                yield said

    output, letter = published_to(settings, topics, source)
    proof = finding.proof = check_consistency(
        commit_metadata.lineage,
        [*points, (committed, commit_metadata.digest)],
        outputs=_log(topics, output, lambda offsets: counting(topics.outputs(output, offsets))),
        letters=_log(letters, letter, lambda offsets: counting(letters.dead_letters(letter, offsets))),
        repeats_allowed=settings.delivery == "at_least_once",
    )
    finding.faults += proof.faults
    finding.notes += proof.notes
    if not points:
        finding.notes.append("no whole checkpoint to begin with: the outputs cannot be judged")
    if proof.repeated:
        finding.notes.append(f"{proof.repeated:,} outputs are there more than once, as at_least_once allows")
    if proof.beyond is not None and settings.delivery == "exactly_once":
        now = topics.committed(source)
        if now is None or now.offset <= proof.beyond:
            finding.faults.append(
                f"there is an output for offset {proof.beyond}, but the committed offset is {committed}: the group was "
                "set back, or another program published it"
            )


def _note_changes(finding: PartitionAudit, topics: AuditedTopics) -> None:
    assert finding.commit_metadata is not None
    if finding.proof is not None and finding.proof.earlier:
        finding.notes.append(
            f"{finding.proof.earlier:,} outputs are of lineages before {finding.commit_metadata.lineage}; of these "
            "only their "
            "order is judged"
        )
    partitions = topics.partitions(finding.source.topic)
    if partitions != finding.commit_metadata.partitions:
        finding.notes.append(
            f"the topic has {partitions} partitions, and had {finding.commit_metadata.partitions} at first"
        )
    if topics.compacted(finding.source.topic):
        finding.notes.append("the input topic is compacted: a replay may find other records than were learned from")


def _log(topics: AuditedTopics, place: TopicPartition, read: Callable[[range], Iterator[PublishedRecord]]) -> OutputLog:
    offset_range = topics.offset_range(place)
    holes = f"topic {place.topic} is compacted" if topics.compacted(place.topic) else ""
    return OutputLog(str(place), lambda: read(offset_range), cut=offset_range.start > 0, holes=holes)


def published_to(
    settings: Settings, topics: AuditedTopics, source: TopicPartition
) -> tuple[TopicPartition, TopicPartition]:
    """Say where the outputs and the dead letters of a partition are."""
    output, letters = settings.output_topic, settings.dead_letters_of(source.topic)
    return (
        TopicPartition(output, source.partition % existing(settings, topics, output, "output_topic")),
        TopicPartition(letters, source.partition % existing(settings, topics, letters, "dead_letter_topic")),
    )


def existing(settings: Settings, topics: AuditedTopics, topic: str, setting: str) -> int:
    """Count the partitions of a topic that has to be there."""
    count = topics.partitions(topic)
    if not count:
        servers = ", ".join(settings.bootstrap_servers)
        raise MissingTopicError(
            f"{setting}: topic {topic} does not exist at {servers}; name the one that the group uses, or create it"
        )
    return count
