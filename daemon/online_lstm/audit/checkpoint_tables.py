"""The content of checkpoints as tables; it only formats what ``checkpoint_content`` returns."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from online_lstm.events import BASELINES
from online_lstm.significance import words_of
from online_lstm.terminal.message_lines import literal, printable
from online_lstm.terminal.tables import make_table

MAX_STREAMS = 20
"""Maximum number of streams shown in a table, the most recently seen first."""
_TITLES = {"kappa_temporal": "kappa", "log_loss_bits": "bits", "interval_coverage": "covered"}


def listing_table(files: list[dict[str, Any]]) -> Table:
    """Return a table of checkpoints, one row for each."""
    table = make_table("group", "topic/partition", "lineage", "offset >", "records >", "streams >", "bytes >", "state")
    for file in files:
        source = file["checkpoint"] if file["topic"] is None else f"{file['topic']}/{file['partition']}"
        figures = [file.get(name) for name in ("offset", "records", "streams", "bytes")]
        counts = ["-" if figure is None else f"{figure:,}" for figure in figures]
        state = "whole" if file["whole"] else "damaged"
        table.add_row(*map(Text, (file["group"] or "-", source, file["lineage"] or "-", *counts, state)))
    return table


def print_checkpoint(console: Console, file: dict[str, Any]) -> None:
    """Print the whole content of an undamaged checkpoint."""
    console.print(Text(f"{file['checkpoint']}: whole"), soft_wrap=True)
    about = make_table("what", "content")
    for name, content in _about(file):
        about.add_row(Text(name), Text(content))
    console.print(about)
    if "learner" in file:
        console.print(_learner_table(file["learner"]))
        console.print(_sequences_table(file["streams"]))
    else:
        console.print(_streams_table(file))
    if (more := len(file["streams"]) - MAX_STREAMS) > 0:
        console.print(Text(f"and {more:,} streams seen less recently; --json has them all"), soft_wrap=True)


def _streams_table(file: dict[str, Any]) -> Table:
    task = file["shape"]["task"]
    baselines = BASELINES[task]
    symbols, numbers = ("kappa_temporal", "log_loss_bits"), ("mean_absolute_error", "skill", "interval_coverage")
    losses = symbols if task == "symbol" else numbers
    streams = make_table(
        *("stream", "events >", "vocabulary >", "hit rate >", *(f"{words_of(name, task)} >" for name in baselines)),
        *(f"{_TITLES.get(name, name).replace('_', ' ')} >" for name in losses),
        *("drifts >", "last values", "prediction", "steps >", "weights norm >"),
    )
    for stream in file["streams"][:MAX_STREAMS]:
        streams.add_row(*map(Text, _cells(stream, task, baselines, losses)))
    return streams


def _learner_table(learner: dict[str, Any]) -> Table:
    """Return a table of the learner that all sequences share."""
    table = make_table("all sequences", "figure")
    rates = {"hit rate": learner["hit_rate"]} | {
        words_of(name, "label"): rate for name, rate in (learner["baseline_hit_rates"] or {}).items()
    }
    rows = [
        ("events", f"{learner['events']:,}"),
        ("labels, sequences with each", ", ".join(f"{literal(name)} {count:,}" for name, count in learner["labels"])),
        *((name, _figure(rate)) for name, rate in rates.items()),
        ("kappa-temporal", _figure(learner["kappa_temporal"])),
        ("bits", _figure(learner["log_loss_bits"])),
        ("drifts", _drifts(learner)),
        ("steps", f"{learner['fit_steps']:,}"),
        ("weights norm", _norm(learner)),
    ]
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _sequences_table(sequences: Sequence[dict[str, Any]]) -> Table:
    table = make_table("stream", "sequence", "samples >", "label", "prediction")
    for one in sequences[:MAX_STREAMS]:
        key = "-" if one["key"] is None else printable(one["key"])
        label = "-" if one["label"] is None else literal(one["label"])
        state = "waits for its label" if one["waiting"] else "open"
        table.add_row(*map(Text, (key, state, f"{one['samples']:,}", label, _coming(one["prediction"], "label"))))
    return table


def _about(file: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if file["topic"] is not None:
        yield "group", file["group"]
        yield "partition", f"{file['topic']}/{file['partition']} of {file['partitions']}"
    yield "lineage", f"{file['lineage']} (generation {file['generation']})"
    yield "next offset", "-" if file["offset"] is None else f"{file['offset']:,}"
    yield "records learned from", f"{file['records']:,}"
    yield "digest of the outputs", file["digest_of_outputs"]
    yield "digest of the state", file["digest_of_state"]
    yield "format", str(file["format"])
    yield from file["origin"].items()
    for kind in ("shape", "learning"):
        yield f"{kind} settings", " ".join(f"{name}={_plain(value)}" for name, value in file[kind].items())
    yield "streams", f"{len(file['streams']):,}"
    sizes = [f"{name.rpartition('/')[2]} {tuple(a['shape'])}" for name, a in file["arrays"].items()]
    total = sum(array["bytes"] for array in file["arrays"].values())
    yield "arrays", f"{total:,} bytes: {', '.join(sizes)}"
    yield "size", f"{file['bytes']:,} bytes"


def _cells(stream: dict[str, Any], task: str, baselines: Sequence[str], losses: Sequence[str]) -> Iterator[str]:
    yield "-" if stream["key"] is None else printable(stream["key"])
    yield f"{stream['events']:,}"
    yield f"{stream['vocabulary']:,}+{stream['candidates']:,}" if "vocabulary" in stream else "-"
    yield _figure(stream["hit_rate"])
    for name in baselines:
        yield _figure((stream["baseline_hit_rates"] or {}).get(name))
    for name in losses:
        yield _figure(stream[name])
    yield _drifts(stream)
    yield " ".join("?" if value is None else literal(value) for value in stream["last_values"]) or "-"
    yield _coming(stream["prediction"], task)
    yield f"{stream['fit_steps']:,}"
    yield _norm(stream)


def _drifts(scores: dict[str, Any]) -> str:
    """Format the number of drifts and the event of the last one."""
    last = scores["last_drift_event"]
    return f"{scores['drifts']:,}" if last is None else f"{scores['drifts']:,} (at {last:,})"


def _norm(network: dict[str, Any]) -> str:
    return "not finite" if network["weights_norm"] is None else f"{network['weights_norm']:.3f}"


def _coming(prediction: list[list[Any]] | float | None, task: str) -> str:
    """Format a prediction: the most likely symbols with their probabilities, or numbers."""
    if prediction is None:
        return "-"
    if task != "number" and isinstance(prediction, list):
        return ", ".join(f"{literal(value)} ({p:.2f})" for value, p in prediction)
    return printable(_rounded(prediction))


def _rounded(numbers: Any) -> str:
    """Format a number, or nested tuples of numbers, with six significant digits."""
    if isinstance(numbers, tuple):
        return f"[{', '.join(map(_rounded, numbers))}]"
    return "null" if numbers is None else f"{numbers:.6g}"


def _figure(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
