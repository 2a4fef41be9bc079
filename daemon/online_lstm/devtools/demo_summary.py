"""The summary of one stream of the demonstration, from its messages and from the metrics of its daemon."""

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from rich.table import Column, Table

from online_lstm.settings import Settings
from online_lstm.significance import words_of

EARLY = 500
"""Number of first values that the summary of symbols reports separately, as the learning phase."""

Message = Mapping[str, Any]
Rows = list[tuple[str, str]]


def summary_table(stream: str, messages: Sequence[Message], metrics: Mapping[str, float], settings: Settings) -> Table:
    """Return the summary of a stream as a table, from its messages and the ``metric_totals`` of its daemon."""
    rows = number_rows(messages, settings) if settings.task == "number" else symbol_rows(messages)
    if settings.task == "symbol":
        scored = metrics["online_lstm_predictions_scored_total"]
        for metric, total in sorted(metrics.items()):
            counter, _, baseline = metric.partition(" ")
            if counter == "online_lstm_baseline_hits_total":
                rows.append((f"baseline {words_of(baseline, settings.task)}, all values", f"{total / scored:.4f}"))
    step_ms = 1000 * metrics["online_lstm_step_seconds_sum"] / metrics["online_lstm_step_seconds_count"]
    rows.append(("learn and predict, per value", f"{step_ms:.3f} ms"))
    table = Table("what", Column("figure", justify="right"))
    table.title = f"{len(messages):,} values of the {stream}, each predicted before it was learned"
    for row in rows:
        table.add_row(*row)
    return table


def symbol_rows(messages: Sequence[Message]) -> Rows:
    """Return hit rates and misses."""
    evaluations = [message["evaluation"] for message in messages]
    misses = [n for n, evaluation in enumerate(evaluations, 1) if evaluation is not None and not evaluation["hit"]]
    rows = [(f"hit rate, first {EARLY} values", f"{_hit_rate(evaluations[:EARLY]):.4f}")]
    if len(evaluations) > EARLY:
        rows.append((f"hit rate, value {EARLY + 1} to {len(evaluations):,}", f"{_hit_rate(evaluations[EARLY:]):.4f}"))
    return [
        *rows,
        ("hit rate, all values", f"{_hit_rate(evaluations):.4f}"),
        ("misses after value 1,000", str(sum(n > 1000 for n in misses))),
        ("last miss", f"value {misses[-1]:,}" if misses else "none"),
    ]


def number_rows(messages: Sequence[Message], settings: Settings) -> Rows:
    """Return errors beside the best baseline, the coverage of the intervals, drifts and the largest error."""
    scored = [(number, m["evaluation"]) for number, m in enumerate(messages, 1) if m["evaluation"] is not None]
    if not scored:
        return []
    last = scored[-1][1]
    window = f"last {min(settings.score_window, len(scored)):,} values"
    largest, position = max((abs(evaluation["error"]), number) for number, evaluation in scored)
    drifts = [f"{number:,}" for number, evaluation in scored if evaluation["drift"]]
    return [
        (f"mean absolute error, {window}", _figure(last["mean_absolute_error"])),
        (f"best baseline's, {window}", _figure(last["baseline_mean_absolute_error"])),
        (f"share within the interval ({settings.interval_level:g} wanted)", _figure(last["interval_coverage"])),
        ("drift detected", f"at value {', '.join(drifts)}" if drifts else "none"),
        ("largest error", f"{largest:.1f}, at value {position:,}"),
    ]


def metric_totals(text: str) -> dict[str, float]:
    """Return the sum of each metric over its labels, from Prometheus text.

    Metrics with the label ``baseline`` are summed for each baseline, whose name follows after a space.
    """
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = " ".join([sample.name, *([sample.labels["baseline"]] if "baseline" in sample.labels else [])])
            totals[name] = totals.get(name, 0.0) + sample.value
    return totals


def _hit_rate(evaluations: Sequence[Message | None]) -> float:
    """Return the share of hits among the scored values."""
    hits = [bool(evaluation["hit"]) for evaluation in evaluations if evaluation is not None]
    return sum(hits) / max(len(hits), 1)


def _figure(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.4f}"
