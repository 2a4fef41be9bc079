"""``online-lstm verify``: check that the offsets, checkpoints and outputs of a group agree.

For each partition, the command makes the checks of a restarting daemon, reads every checkpoint of the committed
lineage, and follows the digest through all later outputs up to the committed one. It recomputes no predictions, joins
no group and writes nothing to Kafka or the checkpoints.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from online_lstm import logs
from online_lstm.cli.options import add_settings, settings_of
from online_lstm.cli.replay import ASKED
from online_lstm.errors import ExitCode
from online_lstm.events import TopicPartition
from online_lstm.settings import Settings
from online_lstm.terminal.output_file import STANDARD_OUTPUT, create_output
from online_lstm.terminal.progress import progress_bar
from online_lstm.terminal.tables import make_console, make_table

if TYPE_CHECKING:  # it loads HDF5 and numba
    from online_lstm.audit.partition_audit import AuditedTopics, PartitionAudit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the group and the options of the report."""
    parser.add_argument("group", metavar="GROUP", nargs="?", help="consumer group [default: the setting group_id]")
    parser.add_argument("--json", metavar="OUT", help="write all findings as JSON; -: standard output")
    add_settings(parser, *ASKED, "output_topic", "dead_letter_topic", "delivery")


def main(arguments: argparse.Namespace) -> ExitCode:
    """Audit every partition of the input topics, and print the findings."""
    if arguments.group is not None:
        arguments.group_id = arguments.group
    settings = settings_of(arguments)
    logs.configure_command(level=settings.log_level, style=settings.log_format, secrets=settings.secrets())
    from online_lstm.audit.partition_audit import audit_partition, published_to
    from online_lstm.checkpoint import CheckpointStore
    from online_lstm.streaming.kafka.partition_reader import PartitionReader

    findings = []
    with ExitStack() as stack:
        report = None if arguments.json is None else stack.enter_context(create_output("json", arguments.json))
        # one reader for each of the two topics that are read at the same time
        topics, letters = (stack.enter_context(closing(PartitionReader(settings))) for _ in range(2))
        store = CheckpointStore(settings.checkpoint_url, settings.group_id)
        for source in _sources(settings, topics):
            total = sum(len(topics.offset_range(place)) for place in published_to(settings, topics, source))
            with progress_bar(str(source), total, unit="records") as show:
                findings.append(audit_partition(settings, source, store, topics=topics, letters=letters, show=show))
        if report is not None:
            report.write(json.dumps(_to_json(settings, findings), indent=2).encode() + b"\n")
    _print(make_console(stderr=arguments.json == STANDARD_OUTPUT), settings, findings)
    return ExitCode.REFUSED if any(finding.faults for finding in findings) else ExitCode.OK


def _sources(settings: Settings, topics: "AuditedTopics") -> Iterator[TopicPartition]:
    from online_lstm.audit.partition_audit import existing

    for topic in settings.input_topics:
        for number in range(existing(settings, topics, topic, "input_topics")):
            yield TopicPartition(topic, number)


def _to_json(settings: Settings, findings: list["PartitionAudit"]) -> dict[str, Any]:
    return {
        "group": settings.group_id,
        "agree": not any(finding.faults for finding in findings),
        "partitions": [_finding_to_json(finding) for finding in findings],
    }


def _finding_to_json(finding: "PartitionAudit") -> dict[str, Any]:
    mark, proof = finding.commit_metadata, finding.proof
    return {
        "topic": finding.source.topic,
        "partition": finding.source.partition,
        "evaluation": finding.evaluation,
        "input": {"first": finding.offset_range.start, "end": finding.offset_range.stop},
        "committed": finding.committed,
        "mark": None if mark is None else {**asdict(mark), "digest": mark.digest.hex()},
        "checkpoints": [
            {"offset": checkpoint.offset, "whole": checkpoint.commit_metadata is not None}
            for checkpoint in finding.checkpoints
        ],
        "other_lineages": finding.other_lineages,
        "replay_from": finding.replay_from,
        "predictions": None if proof is None else proof.predictions,
        "dead_letters": None if proof is None else proof.dead_letters,
        "proven_from": None if proof is None else proof.proven_from,
        "stretches": [] if proof is None else [asdict(stretch) for stretch in proof.stretches],
        "faults": finding.faults,
        "notes": finding.notes,
    }


def _print(console: Console, settings: Settings, findings: list["PartitionAudit"]) -> None:
    table = make_table(
        *("partition", "input", "committed >", "lineage", "records >", "checkpoints", "replay from >"),
        *("predictions >", "dead letters >", "proven from >", "evaluation"),
    )
    for finding in findings:
        table.add_row(*map(Text, _cells(finding)))
    console.print(table)
    for finding in findings:
        for fault in finding.faults:
            console.print(Text(f"{finding.source}: WRONG: {fault}"), soft_wrap=True)
        for note in finding.notes:
            console.print(Text(f"{finding.source}: {note}"), soft_wrap=True)
    evaluations = Counter(finding.evaluation for finding in findings)
    said = ", ".join(f"{count} {evaluation}" for evaluation, count in sorted(evaluations.items()))
    console.print(Text(f"group {settings.group_id}: of {len(findings)} partitions {said}"), soft_wrap=True)


def _cells(finding: "PartitionAudit") -> Iterator[str]:
    mark, proof = finding.commit_metadata, finding.proof
    whole = sum(checkpoint.commit_metadata is not None for checkpoint in finding.checkpoints)
    yield str(finding.source)
    yield f"{finding.offset_range.start:,} to {finding.offset_range.stop:,}"
    yield _count(finding.committed)
    yield "-" if mark is None else mark.lineage
    yield _count(None if mark is None else mark.records)
    others = sum(map(len, finding.other_lineages.values()))
    yield f"{whole} whole of {len(finding.checkpoints)}" + (f", {others} of others" if others else "")
    yield _count(finding.replay_from)
    for figure in (None, None, None) if proof is None else (proof.predictions, proof.dead_letters, proof.proven_from):
        yield _count(figure)
    yield finding.evaluation


def _count(figure: int | None) -> str:
    return "-" if figure is None else f"{figure:,}"
