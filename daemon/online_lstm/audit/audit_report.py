"""The findings of ``verify`` as JSON and as a table."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from online_lstm.audit.partition_audit import PartitionAudit
from online_lstm.settings import Settings
from online_lstm.terminal.tables import make_table


def to_json(settings: Settings, findings: list[PartitionAudit]) -> dict[str, Any]:
    """Return the findings of all partitions as JSON values."""
    return {
        "group": settings.group_id,
        "agree": not any(finding.faults for finding in findings),
        "partitions": [_finding(finding) for finding in findings],
    }


def _finding(finding: PartitionAudit) -> dict[str, Any]:
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


def print_findings(console: Console, settings: Settings, findings: list[PartitionAudit]) -> None:
    """Print a table of the partitions, then the faults and notes, then the number of partitions by evaluation."""
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
    totals = ", ".join(f"{count} {evaluation}" for evaluation, count in sorted(evaluations.items()))
    console.print(Text(f"group {settings.group_id}: of {len(findings)} partitions {totals}"), soft_wrap=True)


def _cells(finding: PartitionAudit) -> Iterator[str]:
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
