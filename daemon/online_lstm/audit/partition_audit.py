"""The audit of one partition for ``verify``: committed offset, checkpoints, restart and published outputs.

The audit runs ``Recovery`` itself to predict the result of a restart, and checks the outputs independently. It must
not change the group, the topics or the checkpoints.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from online_lstm.audit.consistency import ConsistencyReport, OutputLog, check_consistency
from online_lstm.checkpoint import CheckpointStore
from online_lstm.codec.published import PublishedRecord, read_dead_letter, read_output
from online_lstm.errors import CheckpointDamagedError, MissingTopicError, RecoveryRefusedError, StateMismatchError
from online_lstm.events import CommitMetadata, Committed, InputRecord, TopicPartition
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import lineage_generation
from online_lstm.settings import Settings
from online_lstm.streaming.broker_protocol import RecordReader
from online_lstm.streaming.commit_metadata import read_metadata
from online_lstm.streaming.recovery import Recovery

_WAYS_OUT = ("on_gap", "on_divergence", "on_shape_change", "on_partition_growth")


@dataclass(frozen=True, slots=True)
class AuditedCheckpoint:
    """One checkpoint of the committed lineage: its commit metadata, or a description of its damage."""

    offset: int
    commit_metadata: CommitMetadata | None
    damage: str | None = None


@dataclass(slots=True)
class PartitionAudit:
    """The findings for one input partition; ``faults`` are errors, ``notes`` are further information."""

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
        """The result in a few words."""
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
    topics: RecordReader,
    letters: RecordReader,
    show: Callable[[int], None] = lambda _: None,
) -> PartitionAudit:
    """Audit one partition; the group may be running.

    Args:
        settings: The group and its topics; shape and learning settings are not used.
        source: The partition.
        store: The group's checkpoints.
        topics: A connection to Kafka.
        letters: A second connection to Kafka, because two topics are read at the same time.
        show: Called with the number of records read so far.
    """
    finding = PartitionAudit(source, topics.offset_range(source))
    # checkpoints first, then the committed offset, then the outputs: each is at least as recent as the one before
    lineages = {name: sorted(store.offsets(source, name)) for name in store.lineages(source)}
    committed = topics.committed(source)
    if committed is not None:
        finding.committed = committed.offset
        finding.commit_metadata = _metadata_in(committed, finding)
    current = "" if finding.commit_metadata is None else finding.commit_metadata.lineage
    finding.checkpoints = list(_read_all(store, source, current, lineages.pop(current, [])))
    finding.other_lineages = lineages
    if _only_begun(finding):
        finding.notes.append(f"the group has begun at offset {finding.committed}, and has learned nothing yet")
        return finding
    _check_checkpoints(finding)
    _check_restart(settings, finding, store, topics)
    if finding.commit_metadata is not None:
        _check_outputs(settings, finding, topics=topics, letters=letters, show=show)
        _note_changes(finding, topics)
    return finding


def _metadata_in(committed: Committed, finding: PartitionAudit) -> CommitMetadata | None:
    """Return the commit metadata; None if it is unreadable, which ``_check_restart`` then reports."""
    try:
        return read_metadata(committed.metadata, finding.source)
    except RecoveryRefusedError:
        return None


def _read_all(
    store: CheckpointStore, source: TopicPartition, lineage: str, offsets: list[int]
) -> Iterator[AuditedCheckpoint]:
    for offset in offsets:
        try:
            yield AuditedCheckpoint(offset, store.read(source, lineage, offset).commit_metadata)
        except CheckpointDamagedError as error:
            if offset in store.offsets(source, lineage):  # else the daemon has removed it as an old checkpoint
                yield AuditedCheckpoint(offset, None, str(error))


def _only_begun(finding: PartitionAudit) -> bool:
    commit_metadata = finding.commit_metadata
    return (
        commit_metadata is not None
        and commit_metadata.records == 0
        and lineage_generation(commit_metadata.lineage) == 1
        and not finding.checkpoints
    )


def _check_checkpoints(finding: PartitionAudit) -> None:
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


def _check_restart(settings: Settings, finding: PartitionAudit, store: CheckpointStore, topics: RecordReader) -> None:
    """Run the recovery of a restart with the group's shape settings; record the offset of the replay or the refusal."""
    learned_with = settings.model_copy(update=dict.fromkeys(_WAYS_OUT, "refuse"))
    whole = [checkpoint.offset for checkpoint in finding.checkpoints if checkpoint.commit_metadata is not None]
    if whole and finding.commit_metadata is not None:
        state = store.read(finding.source, finding.commit_metadata.lineage, whole[0])  # the first is never removed
        learned_with = learned_with.with_shape(state.shape)
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


def _check_outputs(
    settings: Settings,
    finding: PartitionAudit,
    *,
    topics: RecordReader,
    letters: RecordReader,
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

    def counting(records: Iterator[PublishedRecord | None]) -> Iterator[PublishedRecord]:
        nonlocal count
        for record in records:
            count += 1
            show(count)
            if record is not None and record.source == source:
                yield record

    def published(
        reader: RecordReader, partition: TopicPartition, parse: Callable[[InputRecord], PublishedRecord | None]
    ) -> OutputLog:
        return _log(reader, partition, lambda offsets: counting(map(parse, reader.records(partition, offsets))))

    output, letter = published_to(settings, topics, source)
    proof = finding.proof = check_consistency(
        commit_metadata.lineage,
        [*points, (committed, commit_metadata.digest)],
        outputs=published(topics, output, read_output),
        letters=published(letters, letter, read_dead_letter),
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


def _note_changes(finding: PartitionAudit, topics: RecordReader) -> None:
    assert finding.commit_metadata is not None
    if finding.proof is not None and finding.proof.earlier:
        finding.notes.append(
            f"{finding.proof.earlier:,} outputs are of lineages before {finding.commit_metadata.lineage}; of these "
            "only their order is judged"
        )
    partitions = topics.partitions(finding.source.topic)
    if partitions != finding.commit_metadata.partitions:
        finding.notes.append(
            f"the topic has {partitions} partitions, and had {finding.commit_metadata.partitions} at first"
        )
    if topics.compacted(finding.source.topic):
        finding.notes.append("the input topic is compacted: a replay may find other records than were learned from")


def _log(
    topics: RecordReader, partition: TopicPartition, read: Callable[[range], Iterator[PublishedRecord]]
) -> OutputLog:
    offset_range = topics.offset_range(partition)
    holes = f"topic {partition.topic} is compacted" if topics.compacted(partition.topic) else ""
    return OutputLog(str(partition), lambda: read(offset_range), cut=offset_range.start > 0, holes=holes)


def published_to(
    settings: Settings, topics: RecordReader, source: TopicPartition
) -> tuple[TopicPartition, TopicPartition]:
    """Return the output partition and the dead-letter partition of an input partition."""
    output, letters = settings.output_topic, settings.dead_letters_of(source.topic)
    return (
        TopicPartition(output, source.partition % existing(settings, topics, output, "output_topic")),
        TopicPartition(letters, source.partition % existing(settings, topics, letters, "dead_letter_topic")),
    )


def partitions_of(settings: Settings, topics: RecordReader) -> Iterator[TopicPartition]:
    """Yield the partitions of the input topics.

    Raises:
        MissingTopicError: An input topic does not exist.
    """
    for topic in settings.input_topics:
        for number in range(existing(settings, topics, topic, "input_topics")):
            yield TopicPartition(topic, number)


def existing(settings: Settings, topics: RecordReader, topic: str, setting: str) -> int:
    """Return the number of partitions of a topic; raise MissingTopicError if the topic does not exist."""
    count = topics.partitions(topic)
    if not count:
        servers = ", ".join(settings.bootstrap_servers)
        raise MissingTopicError(
            f"{setting}: topic {topic} does not exist at {servers}; name the one that the group uses, or create it"
        )
    return count
