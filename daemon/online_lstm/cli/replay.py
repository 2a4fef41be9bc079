"""``online-lstm replay``: recompute past predictions for a range of offsets, byte for byte.

The learners are restored from a checkpoint and replayed silently up to the first offset; from there, outputs are
written. Nothing is written to Kafka or to the checkpoints, and no group is joined.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from rich.console import Console

from online_lstm import logs
from online_lstm.cli.options import GROUP_SETTINGS, add_settings, settings_of
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.events import InputRecord
from online_lstm.terminal.output_file import STANDARD_OUTPUT, create_output
from online_lstm.terminal.progress import progress_bar

if TYPE_CHECKING:  # it loads HDF5 and numba
    from online_lstm.audit.offline_replay import ReplayPlan


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
    add_settings(parser, *GROUP_SETTINGS)


def main(arguments: argparse.Namespace) -> ExitCode:
    """Replay, write the predictions, and report on standard error what was verified."""
    settings = settings_of(arguments)
    _require_range(arguments.first, arguments.until)
    logs.configure_command(level=settings.log_level, style=settings.log_format, secrets=settings.secrets())
    from online_lstm.audit.offline_replay import plan_replay, replay, source_of
    from online_lstm.checkpoint import CheckpointStore
    from online_lstm.learning.model_factory import model_factory
    from online_lstm.streaming.kafka.partition_reader import PartitionReader
    from online_lstm.streaming.schema_registry import registry_of

    with closing(PartitionReader(settings)) as topic, create_output("predictions", arguments.predictions) as out:
        source = source_of(settings, topic, topic_name=arguments.topic, partition=arguments.partition)
        store = CheckpointStore(settings.checkpoint_url, settings.group_id)
        wanted = range(arguments.first, arguments.until)
        plan = plan_replay(settings, topic, store, source=source, wanted=wanted, lineage=arguments.lineage)
        stored = {**plan.state.shape, **plan.state.learning}
        stored.pop("warm_start")  # the path of the file has to be given again; the checkpoint has its digest
        learned_with = settings_of(arguments, **stored)
        written: Counter[str] = Counter()
        with progress_bar("replaying", plan.wanted.stop - plan.start, unit="offsets") as show:
            records = topic.records(source, range(plan.start, plan.wanted.stop))
            for output in replay(
                plan, learned_with, _showing(records, plan, show), model_factory(learned_with), registry_of(settings)
            ):
                written["dead letters" if output.dead_letter else "predictions"] += 1
                if not output.dead_letter:
                    out.write((output.value or b"") + b"\n")
        out.flush()
    Console(stderr=True, highlight=False).print(_summary(plan, written), markup=False, soft_wrap=True)
    return ExitCode.OK


def _require_range(first: int, until: int) -> None:
    if not 0 <= first < until:
        raise SettingsError(f"from, until: received {first} and {until}, expected 0 <= from < until")


def _showing(records: Iterable[InputRecord], plan: "ReplayPlan", show: Callable[[int], None]) -> Iterator[InputRecord]:
    for record in records:
        show(record.offset - plan.start)
        yield record


def _summary(plan: "ReplayPlan", written: Counter[str]) -> str:
    at = ", ".join(map(str, sorted(plan.marks)))
    return (
        f"{plan.source}: {written['predictions']:,} predictions of lineage {plan.lineage} for offsets "
        f"{plan.wanted.start} to {plan.wanted.stop}, {written['dead letters']:,} dead letters left out; learned from "
        f"the checkpoint at {plan.start}; "
        + (f"agrees with what was recorded at {at}" if at else "nothing recorded on the way to compare it with")
    )
