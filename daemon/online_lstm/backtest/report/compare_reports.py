"""``backtest --compare A B``: compare two reports of ``--json`` figure by figure, and decide which one is better."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from online_lstm.backtest.report.paired_comparison import ComparisonResult, compare_paired, has_blocks
from online_lstm.backtest.report.score_tables import EARLY, TITLES
from online_lstm.errors import InputFileError
from online_lstm.terminal.message_lines import printable
from online_lstm.terminal.output_file import STANDARD_OUTPUT, create_output
from online_lstm.terminal.tables import make_console, make_table

HIGHER, LOWER = 1, -1
MAX_CHARACTERS = 300
"""Maximum number of characters shown of a setting."""
NEEDED: Mapping[str, Any] = {
    "file": str,
    "task": str,
    "input_digest": str,
    "events": int,
    "scored": int,
    "hit_rate": int | float | None,
    "curve": dict,
    "blocks": dict,
    "time_to_learn": dict,
    "settings": dict,
    "versions": dict,
}
"""Fields that a comparable report must have, with their types."""

Report = Mapping[str, Any]
Lines = list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A figure of both reports; ``better`` is A, B, or empty if they are equal or the figure has no better side."""

    name: str
    a: float | None
    b: float | None
    better: str = ""

    @property
    def difference(self) -> float | None:
        """B minus A."""
        return None if self.a is None or self.b is None else self.b - self.a

    def cells(self) -> list[str]:
        """Return the row as text."""
        difference = "-" if self.difference is None else f"{self.difference:+.4g}"
        return [self.name, self.better, _figure(self.a), _figure(self.b), difference]


def compare(names: Sequence[str], paths: Mapping[str, str | None]) -> None:
    """Print the comparison of two reports, and write it to files.

    Args:
        names: The paths of the two reports.
        paths: The output files: ``json`` and ``report``; None for no file.

    Raises:
        InputFileError: A file does not exist, is not a report, or the two cannot be compared.
        SettingsError: An output file cannot be written.
    """
    a, b = map(read_report, names)
    require_comparable(a, b, *names)
    evaluation, rows, settings = compare_paired(a, b), list(comparison_rows(a, b)), list(differing(a, b))
    page = b""
    if paths["report"] is not None:
        page = _page(a, b, evaluation, names=names, rows=rows, differing=settings)
    with ExitStack() as stack:
        outputs = {
            option: stack.enter_context(create_output(option, path))
            for option, path in paths.items()
            if path is not None
        }
        if "json" in outputs:
            document = {"a": names[0], "b": names[1], **_to_json(evaluation, rows, settings)}
            outputs["json"].write(json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")
        if "report" in outputs:
            outputs["report"].write(page)
    console = make_console(stderr=STANDARD_OUTPUT in paths.values())
    console.print(Text(evaluation.text), soft_wrap=True)
    _print(console, names, rows, settings)


def read_report(path: str) -> Report:
    """Read a report that ``backtest --json`` wrote.

    Raises:
        InputFileError: The file does not exist, or is not a report.
    """
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror}; expected a report of `backtest --json`") from error
    except ValueError as error:
        raise InputFileError(f"{path}: received no JSON ({error}); expected a report of `backtest --json`") from error
    missing = [
        name
        for name in NEEDED
        if not isinstance(report, dict) or name not in report or not isinstance(report[name], NEEDED[name])
    ]
    if not missing and not all(isinstance(report["curve"].get(name), list) for name in ("events", "prediction")):
        missing = ["curve"]
    if not missing and not has_blocks(report):
        missing = ["blocks"]
    if missing:
        raise InputFileError(
            f"{path}: received JSON without {', '.join(missing)} as `backtest --json` of this version writes them; "
            "expected such a report: run the backtest again"
        )
    return dict(report)


def require_comparable(a: Report, b: Report, a_name: str, b_name: str) -> None:
    """Raise if two reports cannot be compared.

    Raises:
        InputFileError: The reports have different tasks or inputs.
    """
    tasks = [report["task"] for report in (a, b)]
    if tasks[0] != tasks[1]:
        raise InputFileError(
            f"compare: {a_name} is of task {tasks[0]}, {b_name} of task {tasks[1]}; expected the same task"
        )
    if a["input_digest"] != b["input_digest"]:
        raise InputFileError(
            f"compare: {a_name} is about {_input(a)}, {b_name} about {_input(b)}; expected reports on the same "
            "values: the same file, columns and held-out share"
        )


def comparison_rows(a: Report, b: Report) -> Iterator[ComparisonRow]:
    """Yield the figures that both reports have, the most important ones first."""
    yield ComparisonRow("scored predictions", a["scored"], b["scored"])
    yield _row("hit rate", a["hit_rate"], b["hit_rate"], HIGHER)
    first, after = f"hit_rate_first_{EARLY}", f"hit_rate_after_{EARLY}"
    yield _row(f"hit rate, first {EARLY} values", a.get(first), b.get(first), HIGHER)
    yield _row(f"hit rate, after value {EARLY}", a.get(after), b.get(after), HIGHER)
    yield _row("lift over the best baseline", a.get("lift"), b.get("lift"), HIGHER)
    if "log_loss_bits" in a:
        yield _row("kappa-temporal", a.get("kappa_temporal"), b.get("kappa_temporal"), HIGHER)
        yield _row("log loss, bits", a["log_loss_bits"], b.get("log_loss_bits"), LOWER)
    for name, title in TITLES.items():
        if name == "interval_coverage" and name in a:
            yield _covered(title, a, b)
        elif name in a and (a[name] is not None or b.get(name) is not None):
            yield _row(title, a[name], b.get(name), HIGHER if name.startswith("skill") else LOWER)
    if "calibration" in a:
        of_a, of_b = (report.get("calibration", {}).get("expected_calibration_error") for report in (a, b))
        yield _row("expected calibration error", of_a, of_b, LOWER)
    of_a, of_b = (report["time_to_learn"].get("events") for report in (a, b))
    yield _row("time to learn, values", of_a, of_b, LOWER)
    yield _row("time per event, ms", a.get("event_ms"), b.get("event_ms"), LOWER)


def _row(name: str, a: float | None, b: float | None, way: int) -> ComparisonRow:
    if a is None or b is None or a == b:
        return ComparisonRow(name, a, b)
    return ComparisonRow(name, a, b, "A" if way * (a - b) > 0 else "B")


def _covered(title: str, a: Report, b: Report) -> ComparisonRow:
    """Return the row of interval coverage; the report closer to its target coverage is better."""
    of_a, of_b = a["interval_coverage"], b.get("interval_coverage")
    if of_a is None or of_b is None:
        return ComparisonRow(title, of_a, of_b)
    off_a, off_b = abs(of_a - a["settings"]["interval_level"]), abs(of_b - b["settings"]["interval_level"])
    better = _row(title, off_a, off_b, LOWER).better
    return ComparisonRow(title, of_a, of_b, better)


def differing(a: Report, b: Report) -> Iterator[tuple[str, str, str]]:
    """Yield the settings and versions that differ, as text; a dash for a missing one."""
    for kind in ("settings", "versions"):
        names = dict.fromkeys([*a[kind], *b[kind]])
        for name in names:
            if a[kind].get(name) != b[kind].get(name):
                yield name, *(_text(report[kind][name]) if name in report[kind] else "-" for report in (a, b))


def _to_json(evaluation: ComparisonResult, rows: list[ComparisonRow], settings: Lines) -> dict[str, Any]:
    figures = [
        {"figure": row.name, "a": row.a, "b": row.b, "difference": row.difference, "better": row.better or None}
        for row in rows
    ]
    return {
        "evaluation": evaluation._asdict(),
        "figures": figures,
        "differing": [{"name": name, "a": a, "b": b} for name, a, b in settings],
    }


def _print(console: Console, names: Sequence[str], rows: list[ComparisonRow], settings: Lines) -> None:
    for letter, name in zip("AB", names, strict=True):
        console.print(Text(f"{letter}: {name}"), soft_wrap=True)
    table = make_table("figure", "better", "A >", "B >", "B - A >")
    for row in rows:
        table.add_row(*map(Text, row.cells()))
    console.print(table)
    if not settings:
        console.print(Text("settings and versions are the same"))
        return
    table = make_table("setting or version", "A", "B")
    for line in settings:
        table.add_row(*map(Text, line))
    console.print(table)


def _page(
    a: Report, b: Report, result: ComparisonResult, *, names: Sequence[str], rows: list[ComparisonRow], differing: Lines
) -> bytes:
    """Render the comparison as an HTML page."""
    from online_lstm.backtest.report.html_report import compared

    headline = {"text": result.text, "mood": "good" if result.better else ""}
    return compared(a, b, headline, names=names, rows=[row.cells() for row in rows], differing=differing)


def _input(report: Report) -> str:
    return f"{report['file']} ({report['events']:,} values)"


def _figure(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:,}" if isinstance(figure, int) else f"{figure:.4g}"


def _text(value: Any) -> str:
    """Format a value of an untrusted report without control characters for the terminal."""
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), MAX_CHARACTERS)
