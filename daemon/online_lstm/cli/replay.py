"""``online-lstm replay``: recompute past predictions for a range of offsets, byte for byte.

The learners are restored from a checkpoint and replayed silently up to the first offset; from there, outputs are
written. Nothing is written to Kafka or to the checkpoints, and no group is joined.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from online_lstm import logs
from online_lstm.cli.options import add_settings, settings_of
from online_lstm.errors import (
    CheckpointDamagedError,
    ExitCode,
    MissingTopicError,
    RecoveryRefusedError,
    ReplayDivergedError,
    SettingsError,
)
from online_lstm.events import CommitMetadata, InputRecord, OutputRecord, TopicPartition
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.terminal.output_file import STANDARD_OUTPUT, create_output
from online_lstm.terminal.progress import progress_bar

if TYPE_CHECKING:  # they load HDF5, numba and the Kafka client
    from online_lstm.checkpoint import CheckpointStore
    from online_lstm.learning.partition import NetworkFactory
    from online_lstm.learning.state.schema import PartitionState
    from online_lstm.streaming.recovery import InputTopic

HELP = "recompute past predictions for a range of offsets"
CHUNK = 500
"""Number of records processed at once; the outputs do not depend on it."""
ASKED = (
    *("bootstrap_servers", "security_protocol", "sasl_mechanism", "sasl_username", "sasl_password"),
    *("sasl_password_file", "ssl_cafile", "ssl_certfile", "ssl_keyfile"),
    *("ssl_key_password", "ssl_key_password_file", "connect_timeout_s"),
    *("input_topics", "group_id", "checkpoint_url", "warm_start", "log_level"),
)
"""Settings that the command accepts; shape and learning settings are in the checkpoint."""
_log = EventLogger(__name__)


@dataclass(frozen=True, slots=True)
class Route:
    """The plan of a replay: its start, the offsets to output, and the commit metadata to match on the way.

    ``state`` is the state of the checkpoint at ``start``; ``wanted`` is the range of offsets whose outputs are wanted.
    ``marks`` maps offsets up to the end of ``wanted`` to the commit metadata of later checkpoints and of the committed
    offset.
    """

    source: TopicPartition
    lineage: str
    start: int
    wanted: range
    state: "PartitionState"
    marks: Mapping[int, CommitMetadata]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the offsets to replay and the output file."""
    parser.add_argument("--from", dest="first", type=int, required=True, metavar="OFFSET", help="first input offset")
    parser.add_argument("--until", type=int, required=True, metavar="OFFSET", help="input offset after the last one")
    parser.add_argument("--topic", metavar="NAME", help="input topic [default: the only one in input_topics]")
    parser.add_argument("--partition", type=int, metavar="N", help="input partition [default: the only one]")
    parser.add_argument(
        "--lineage", metavar="NAME", help="lineage of the predictions [default: the group's current one]"
    )
    parser.add_argument(
        "--predictions",
        metavar="OUT",
        default=STANDARD_OUTPUT,
        help="write the output messages here, one per line [default: -, standard output]",
    )
    add_settings(parser, *ASKED)


def main(arguments: argparse.Namespace) -> ExitCode:
    """Replay, write the predictions, and report on standard error what was verified."""
    settings = settings_of(arguments)
    _require_range(arguments.first, arguments.until)
    logs.configure_command(level=settings.log_level, style=settings.log_format, secrets=settings.secrets())
    from online_lstm.checkpoint import CheckpointStore
    from online_lstm.learning.model_factory import model_factory
    from online_lstm.streaming.kafka.partition_reader import PartitionReader

    with closing(PartitionReader(settings)) as topic, create_output("predictions", arguments.predictions) as out:
        source = source_of(settings, topic, topic_name=arguments.topic, partition=arguments.partition)
        store = CheckpointStore(settings.checkpoint_url, settings.group_id)
        wanted = range(arguments.first, arguments.until)
        route = plan(settings, topic, store, source=source, wanted=wanted, lineage=arguments.lineage)
        stored = {**route.state.shape, **route.state.learning}
        stored.pop("warm_start")  # the path of the file has to be given again; the checkpoint has its digest
        learned_with = settings_of(arguments, **stored)
        written: Counter[str] = Counter()
        with progress_bar("replaying", route.wanted.stop - route.start, unit="offsets") as show:
            records = topic.records(source, range(route.start, route.wanted.stop))
            for output in replay(route, learned_with, _showing(records, route, show), model_factory(learned_with)):
                written["dead letters" if output.dead_letter else "predictions"] += 1
                if not output.dead_letter:
                    out.write((output.value or b"") + b"\n")
        out.flush()
    Console(stderr=True, highlight=False).print(_summary(route, written), markup=False, soft_wrap=True)
    return ExitCode.OK


def source_of(
    settings: Settings, topic: "InputTopic", *, topic_name: str | None, partition: int | None
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


def plan(
    settings: Settings,
    topic: "InputTopic",
    store: "CheckpointStore",
    *,
    source: TopicPartition,
    wanted: range,
    lineage: str | None = None,
) -> Route:
    """Choose the checkpoint to start from: the newest undamaged one at or below the first offset.

    Raises:
        SettingsError: The lineage does not exist, or does not cover the offsets.
        RecoveryRefusedError: The group has no lineage, or required checkpoints or records are gone.
    """
    from online_lstm.learning.partition import lineage_generation
    from online_lstm.streaming.recovery import read_metadata

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
    return Route(source, name, start, wanted, store.read(source, name, start), on_the_way)


def replay(
    route: Route, settings: Settings, records: Iterable[InputRecord], network_for: "NetworkFactory"
) -> Iterator[OutputRecord]:
    """Replay the records, and yield the outputs for the wanted offsets, including dead letters.

    Args:
        route: The plan of the replay.
        settings: Settings with the shape and learning settings of the checkpoint.
        records: Input records from the start of the route on.
        network_for: Returns the network for learning settings.

    Raises:
        ReplayDivergedError: The commit metadata differs from the recorded one; some yielded outputs may be wrong.
    """
    from online_lstm.checkpoint.warm_start_file import read_warm_start
    from online_lstm.learning.partition import Partition

    partition = Partition(settings, route.source, route.state.commit_metadata, network_for, read_warm_start(settings))
    partition.restore(route.state)
    agreed = route.start
    remaining = iter(records)
    waiting = next(remaining, None)
    for stop in sorted({route.wanted.start, route.wanted.stop, *route.marks}):
        while waiting is not None and waiting.offset < stop:
            batch: list[InputRecord] = []
            while waiting is not None and waiting.offset < stop and len(batch) < CHUNK:
                batch.append(waiting)
                waiting = next(remaining, None)
            outputs = partition.process(batch).outputs
            if batch[0].offset >= route.wanted.start:
                yield from outputs
        expected = route.marks.get(stop)
        if expected is not None and partition.commit_metadata != expected:
            raise ReplayDivergedError(
                f"{route.source}: replaying offsets {agreed} to {stop} gave {partition.commit_metadata}, but it was "
                f"{expected}: "
                "the CPU, the TensorFlow version or the input topic has changed; from offset "
                f"{max(agreed, route.wanted.start)} on, the output may differ from the published one"
            )
        agreed = stop if expected is not None else agreed


def _require_range(first: int, until: int) -> None:
    if not 0 <= first < until:
        raise SettingsError(f"from, until: received {first} and {until}, expected 0 <= from < until")


def _marks(store: "CheckpointStore", source: TopicPartition, lineage: str) -> Iterator[tuple[int, CommitMetadata]]:
    """Yield offset and commit metadata of the readable checkpoints of a lineage."""
    for offset in store.offsets(source, lineage):
        try:
            yield offset, store.read(source, lineage, offset).commit_metadata
        except CheckpointDamagedError as error:
            _log.warning("checkpoint skipped", source=source, offset=offset, reason=error)


def _end_of(store: "CheckpointStore", source: TopicPartition, lineage: str, *, newest: int) -> int:
    """Return the last known offset of a lineage: the start of the next lineage, or the newest checkpoint."""
    from online_lstm.learning.partition import lineage_generation

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


def _showing(records: Iterable[InputRecord], route: Route, show: Any) -> Iterator[InputRecord]:
    for record in records:
        show(record.offset - route.start)
        yield record


def _summary(route: Route, written: Counter[str]) -> str:
    at = ", ".join(map(str, sorted(route.marks)))
    return (
        f"{route.source}: {written['predictions']:,} predictions of lineage {route.lineage} for offsets "
        f"{route.wanted.start} to {route.wanted.stop}, {written['dead letters']:,} dead letters left out; learned from "
        f"the checkpoint at {route.start}; "
        + (f"agrees with what was recorded at {at}" if at else "nothing recorded on the way to compare it with")
    )
