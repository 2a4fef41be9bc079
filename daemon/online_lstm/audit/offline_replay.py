"""The recomputation of past outputs of one partition: from which checkpoint on, and what it is compared with.

Nothing is written to Kafka or to the checkpoints.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from online_lstm.checkpoint import CheckpointStore
from online_lstm.checkpoint.warm_start_file import read_warm_start
from online_lstm.codec.schemas import SchemaSource
from online_lstm.errors import (
    CheckpointDamagedError,
    MissingTopicError,
    RecoveryRefusedError,
    ReplayDivergedError,
    SettingsError,
)
from online_lstm.events import CommitMetadata, InputRecord, OutputRecord, TopicPartition
from online_lstm.learning.partition import NetworkFactory, Partition, lineage_generation
from online_lstm.learning.state.schema import PartitionState
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.streaming.broker_protocol import OffsetReader
from online_lstm.streaming.commit_metadata import read_metadata

CHUNK = 500
"""Number of records processed at once; the outputs do not depend on it."""
_log = EventLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """The plan of a replay: its start, the offsets to output, and the commit metadata to match on the way.

    ``state`` is the state of the checkpoint at ``start``; ``wanted`` is the range of offsets whose outputs are wanted.
    ``marks`` maps offsets up to the end of ``wanted`` to the commit metadata of later checkpoints and of the committed
    offset.
    """

    source: TopicPartition
    lineage: str
    start: int
    wanted: range
    state: PartitionState
    marks: Mapping[int, CommitMetadata]


def source_of(
    settings: Settings, topic: OffsetReader, *, topic_name: str | None, partition: int | None
) -> TopicPartition:
    """Return the partition to replay.

    Raises:
        SettingsError: Topic or partition is missing although there are several, or the partition does not exist.
        MissingTopicError: The topic does not exist.
    """
    if topic_name is None and len(settings.input_topics) > 1:
        raise SettingsError(f"topic: received none, expected one of {', '.join(settings.input_topics)}: --topic NAME")
    name = topic_name or settings.input_topics[0]
    count = topic.partitions(name)
    if not count:
        servers = ", ".join(settings.bootstrap_servers)
        raise MissingTopicError(f"topic {name} does not exist at {servers}; --topic or --input-topics names another")
    if partition is None and count > 1:
        raise SettingsError(f"partition: received none, expected 0 to {count - 1}: --partition N")
    if partition is not None and not 0 <= partition < count:
        raise SettingsError(f"partition: received {partition}, expected 0 to {count - 1}: {name} has {count}")
    return TopicPartition(name, partition or 0)


def plan_replay(
    settings: Settings,
    topic: OffsetReader,
    store: CheckpointStore,
    *,
    source: TopicPartition,
    wanted: range,
    lineage: str | None = None,
) -> ReplayPlan:
    """Choose the checkpoint to start from: the newest undamaged one at or below the first offset.

    Raises:
        SettingsError: The lineage does not exist, or does not cover the offsets.
        RecoveryRefusedError: The group has no lineage, or required checkpoints or records are gone.
    """
    committed = topic.committed(source)
    current = None
    if committed is not None and committed.metadata:
        current = read_metadata(committed.metadata, source)
    known = sorted(store.lineages(source), key=lineage_generation)
    if lineage is None and current is None:
        raise RecoveryRefusedError(
            f"{source}: the group {settings.group_id} has no committed offset of this daemon, name the lineage with "
            f"--lineage, one of {', '.join(known) or 'none that has checkpoints'}"
        )
    name = lineage or (current.lineage if current else "")
    if name not in known:
        raise SettingsError(
            f"lineage: received {name!r}, expected one of {', '.join(known) or 'none'}, which have checkpoints of "
            f"{source} in {settings.checkpoint_url}"
        )
    marks = dict(_marks(store, source, name))
    if not marks:
        raise RecoveryRefusedError(
            f"{source}: no checkpoint of lineage {name} can be read: restore the checkpoint files"
        )
    starts = sorted(marks)
    if committed is not None and current is not None and current.lineage == name:
        marks[committed.offset] = current
        end = committed.offset
    else:
        end = _end_of(store, source, name, newest=starts[-1])
    _require_reached(source, name, wanted, reached=range(starts[0], end))
    start = max(offset for offset in starts if offset <= wanted.start)
    _require_retained(source, topic.offset_range(source), start=start, wanted=wanted, starts=starts)
    on_the_way = {offset: mark for offset, mark in marks.items() if start < offset <= wanted.stop}
    return ReplayPlan(source, name, start, wanted, store.read(source, name, start), on_the_way)


def replay(
    plan: ReplayPlan,
    settings: Settings,
    records: Iterable[InputRecord],
    network_for: NetworkFactory,
    schemas: SchemaSource | None = None,
) -> Iterator[OutputRecord]:
    """Replay the records, and yield the outputs for the wanted offsets, including dead letters.

    Args:
        plan: The plan of the replay.
        settings: Settings with the shape and learning settings of the checkpoint.
        records: Input records from the start of the plan on.
        network_for: Returns the network for learning settings.
        schemas: The schemas of the registry; None if no format needs one.

    Raises:
        ReplayDivergedError: The commit metadata differs from the recorded one; some yielded outputs may be wrong.
    """
    warm_start = read_warm_start(settings)
    partition = Partition(settings, plan.source, plan.state.commit_metadata, network_for, warm_start, schemas=schemas)
    partition.restore(plan.state)
    agreed = plan.start
    remaining = iter(records)
    waiting = next(remaining, None)
    for stop in sorted({plan.wanted.start, plan.wanted.stop, *plan.marks}):
        while waiting is not None and waiting.offset < stop:
            batch: list[InputRecord] = []
            while waiting is not None and waiting.offset < stop and len(batch) < CHUNK:
                batch.append(waiting)
                waiting = next(remaining, None)
            outputs = partition.process(batch).outputs
            if batch[0].offset >= plan.wanted.start:
                yield from outputs
        expected = plan.marks.get(stop)
        if expected is not None and partition.commit_metadata != expected:
            raise ReplayDivergedError(
                f"{plan.source}: replaying offsets {agreed} to {stop} gave {partition.commit_metadata}, but it was "
                f"{expected}: the CPU, the TensorFlow version or the input topic has changed; from offset "
                f"{max(agreed, plan.wanted.start)} on, the output may differ from the published one"
            )
        agreed = stop if expected is not None else agreed


def _marks(store: CheckpointStore, source: TopicPartition, lineage: str) -> Iterator[tuple[int, CommitMetadata]]:
    """Yield offset and commit metadata of the readable checkpoints of a lineage."""
    for offset in store.offsets(source, lineage):
        try:
            yield offset, store.read(source, lineage, offset).commit_metadata
        except CheckpointDamagedError as error:
            _log.warning("checkpoint skipped", source=source, offset=offset, reason=error)


def _end_of(store: CheckpointStore, source: TopicPartition, lineage: str, *, newest: int) -> int:
    """Return the last known offset of a lineage: the start of the next lineage, or the newest checkpoint."""
    following = [name for name in store.lineages(source) if lineage_generation(name) == lineage_generation(lineage) + 1]
    beginnings = [store.offsets(source, name)[-1] for name in following]
    return max([newest, *beginnings])


def _require_reached(source: TopicPartition, lineage: str, wanted: range, *, reached: range) -> None:
    if wanted.start < reached.start:
        raise SettingsError(
            f"from: received {wanted.start}, expected {reached.start} or more: the first checkpoint of {source} that "
            f"can be read in lineage {lineage} is of that offset; --lineage names another one"
        )
    if wanted.stop > reached.stop:
        raise SettingsError(
            f"until: received {wanted.stop}, expected at most {reached.stop}: lineage {lineage} of {source} is not "
            "known to have come farther; --lineage names another one"
        )


def _require_retained(
    source: TopicPartition, offset_range: range, *, start: int, wanted: range, starts: list[int]
) -> None:
    if wanted.stop > offset_range.stop:
        raise RecoveryRefusedError(
            f"{source}: received --until {wanted.stop}, but the topic ends at {offset_range.stop}: it was created again"
        )
    if start < offset_range.start:
        later = [offset for offset in starts if offset >= offset_range.start]
        raise RecoveryRefusedError(
            f"{source}: to replay from {wanted.start} the records from {start} on are needed, where the checkpoint "
            f"before is, but the topic begins at {offset_range.start}; "
            + (f"--from {later[0]} or later is possible" if later else "no checkpoint is at that offset or later")
        )
