"""The report of a backtest as one self-contained HTML page: no scripts, no fonts, no external resources.

The page is made from the figures that ``--json`` writes, and from nothing else.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from online_lstm.backtest.report.charts import (
    BROAD,
    NARROW,
    ChartMarker,
    ChartSeries,
    line_chart,
    reliability_chart,
    series_of,
)
from online_lstm.backtest.report.report_tables import Figures, cell, confusion_of, table_of, tables_of
from online_lstm.backtest.report.score_tables import score_rows
from online_lstm.observability.assessment import Assessment, assess_backtest

TEMPLATES = Path(__file__).parent / "templates"
STYLES = (Path(__file__).parents[2] / "observability" / "page" / "theme.css", TEMPLATES / "page.css")
"""Style sheets: the one shared with the live page, and the report's own."""


def render(report: Figures) -> bytes:
    """Render the page for the figures of ``--json``."""
    settings = report["settings"]
    assessment = assess_backtest(report)
    scored = bool(report["scored"])
    return fill(
        "report.html",
        title=f"{report['file']}: backtest",
        about=_about(report),
        mood=assessment["mood"],
        headline=assessment["text"],
        notes=list(_notes(report)),
        tiles=list(_tiles(report)) if scored else [],
        charts=list(_charts(report)) if scored else [],
        confusion=confusion_of(report["confusion"]) if scored and "confusion" in report else None,
        scores=table_of("Scores", "what", "figure >", rows=score_rows(report)),
        wide_tables=[table for table in tables_of(report) if table["wide"]],
        tables=[table for table in tables_of(report) if not table["wide"]],
        settings=[
            {"name": name, "value": cell(value), "changed": name in report["changed_settings"]}
            for name, value in settings.items()
        ],
        versions="Made with " + ", ".join(f"{name} {version}" for name, version in report["versions"].items()) + ".",
    )


def fill(template: str, **given: Any) -> bytes:
    """Fill a template; all inserted values are escaped as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    css = "".join(path.read_text(encoding="utf-8") for path in STYLES)
    return environment.get_template(template).render(css=css, **given).encode(errors="replace")


def _about(report: Figures) -> str:
    streams = "1 stream" if report["streams"] == 1 else f"{report['streams']:,} streams"
    values = "1 value" if report["events"] == 1 else f"{report['events']:,} values"
    how = "each predicted before it was learned" if report["settings"]["learn"] else "predicted and not learned"
    if "epochs" in report:
        how = "held out: predicted after the best epoch, and not learned"
    return f"Task {report['task']}, {values}, {streams}; {how}."


def _notes(report: Figures) -> Iterator[str]:
    if report["nothing_scored"]:
        yield f"Nothing was scored: {report['nothing_scored']}."
    yield from (
        f"{text[0].upper()}{text[1:]}." for text in report["hints"].values() if text != report["nothing_scored"]
    )
    if report["interrupted_at_line"]:
        yield f"Interrupted at line {report['interrupted_at_line']:,}: these are the figures so far."
    if report.get("interrupted_in_epoch"):
        yield f"Interrupted in epoch {report['interrupted_in_epoch']}: the best one before it counts."


def _tiles(report: Figures) -> Iterator[dict[str, str]]:
    if "skill" in report:
        error, skill = report["mean_absolute_error"], report["skill"]
        if error is not None:
            yield {"name": "Mean absolute error", "figure": f"{error:.4g}", "note": "in the unit of the values"}
        yield {
            "name": "Skill",
            "figure": "none" if skill is None else f"{skill:+.3f}",
            "note": "1 is perfect, 0 the best baseline",
        }
    else:
        yield {
            "name": "Hit rate",
            "figure": f"{100 * report['hit_rate']:.1f} %",
            "note": f"of {report['scored']:,} predictions",
        }
        yield {
            "name": "Lift",
            "figure": f"{100 * report['lift']:+.1f} points",
            "note": "over the best baseline",
        }
    learned = report["time_to_learn"]
    known = learned["events"] is not None
    yield {
        "name": "Time to learn",
        "figure": f"{learned['events']:,} values" if known else "none",
        "note": _learned(report) if known else "too few predictions, or nothing learned",
    }
    if "skill" in report:
        coverage, target = report["interval_coverage"], report["settings"]["interval_level"]
        share = "none" if coverage is None else f"{100 * coverage:.1f} %"
        yield {"name": "Within the interval", "figure": share, "note": f"{100 * target:g} % were to be"}
    else:
        bits, error = report["log_loss_bits"], report["calibration"]["expected_calibration_error"]
        yield {"name": "Log loss", "figure": f"{bits:.3f} bits", "note": "mean surprise of what came"}
        yield {"name": "Calibration error", "figure": f"{100 * error:.1f} points", "note": "of the probabilities, mean"}


def _learned(report: Figures) -> str:
    return "until the error was nearly the final one" if "skill" in report else "until 95 % of the final hit rate"


def _charts(report: Figures) -> Iterator[dict[str, Any]]:
    curve, numbers = report["curve"], "skill" in report
    events = curve["events"]
    x, window = "values so far", f"each point a mean over {curve['window']:,} predictions"
    drifts = [ChartMarker(drift["event"], "drift", "miss", "--") for drift in report["recoveries"]]
    learned = report["time_to_learn"]["events"]
    marks = [*drifts, *([] if learned is None else [ChartMarker(learned, "learned", "hit")])]
    in_unit = curve["measure"] == "mean_absolute_error"
    y = "hit rate, 0 to 1" if not numbers else f"mean absolute error{'' if in_unit else ', by the mean value'}"
    lines = series_of(curve, tuple(report["baseline_hit_rates"]), report["settings"]["experts"], report["task"])
    given: dict[str, Any] = {"x": x, "marks": marks, "share": not numbers, "y": y}
    yield {
        "title": "Mean absolute error over time" if numbers else "Hit rate over time",
        "about": f"The published prediction against baselines and experts, {window}. {_ends(lines)}",
        "broad": line_chart(lines, size=BROAD, **given),
        "narrow": line_chart(lines, size=NARROW, **given),
        "wide": True,
    }
    yield _surprise(report, x=x, window=window, drifts=drifts)
    if numbers:
        target = report["settings"]["interval_level"]
        coverage = [
            ChartSeries("target", events, [target] * len(events), "soft", ":"),
            ChartSeries("within the interval", events, curve["interval_coverage"], "own", "-", 1.6),
        ]
        yield _chart(
            "Coverage of the intervals over time",
            f"Share of values within their intervals, {window}; {100 * target:g} % were to be.",
            line_chart(coverage, x=x, y="share, 0 to 1", marks=drifts, share=True),
        )
    else:
        calibration = report["calibration"]
        yield _chart(
            "Calibration",
            "How often predictions came true that had been given a probability: on the dotted line they are what they "
            f"say. Expected calibration error: {100 * calibration['expected_calibration_error']:.1f} points.",
            reliability_chart(calibration["bins"]),
        )
    if "epochs" in report:
        epochs = report["epochs"]
        passes = [epoch["epoch"] for epoch in epochs]
        losses = [
            ChartSeries("learned", passes, [epoch["loss"] for epoch in epochs], "b1"),
            ChartSeries("held out", passes, [epoch["held_out_loss"] for epoch in epochs], "own", "-", 1.8),
        ]
        best = [ChartMarker(report["best_epoch"], "best", "hit")]
        y = "mean error by mean value" if numbers else "log loss, bits"
        yield _chart(
            "Losses by epoch",
            f"Epoch {report['best_epoch']} predicted what is held out best.",
            line_chart(losses, x="epoch", y=y, marks=best),
        )


def _surprise(report: Figures, *, x: str, window: str, drifts: Sequence[ChartMarker]) -> dict[str, Any]:
    curve, numbers = report["curve"], "skill" in report
    unit = "scaled error (last value: 1)" if numbers else "surprise, bits"
    points = curve["scaled_error" if numbers else "surprise_bits"]
    if all(point is None for point in points):
        return _chart("Surprise over time", "Not known: an error is scaled by those of the last value, which had none.")
    moments = [moment["event"] for moment in report["most_surprising"]]
    about = f"Lower is better, {window}"
    if moments:
        since = "" if report["time_to_learn"]["events"] is None else " after the time to learn"
        about += f"; the strokes at the bottom are the {len(moments)} most surprising moments{since}"
    lines = [ChartSeries("surprise", curve["events"], points, "own", "-", 1.6)]
    return _chart("Surprise over time", f"{about}.", line_chart(lines, x=x, y=unit, marks=drifts, moments=moments))


def _chart(title: str, about: str, svg: str = "") -> dict[str, Any]:
    return {"title": title, "about": about, "broad": None, "narrow": svg, "wide": False}


def _ends(lines: Sequence[ChartSeries]) -> str:
    """Describe the final values of the lines in words."""
    ends = [f"{line.name} {line.points[-1]:.4g}" for line in reversed(lines) if line.points[-1] is not None]
    return f"At the end: {', '.join(ends)}." if ends else ""


def compared(
    a: Figures,
    b: Figures,
    headline: Assessment,
    *,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    differing: Sequence[Sequence[str]],
) -> bytes:
    """Render the page that compares two reports, from its headline and the rows of its tables."""
    charts = []
    if a["scored"] and b["scored"]:
        numbers = "skill" in a
        y = "mean absolute error" if numbers else "hit rate, 0 to 1"
        lines = [
            ChartSeries(letter, report["curve"]["events"], report["curve"]["prediction"], colour, "-", 1.8)
            for report, letter, colour in ((a, "A", "b2"), (b, "B", "own"))
        ]
        given: dict[str, Any] = {"x": "values so far", "y": y, "share": not numbers}
        title = "Mean absolute error over time" if numbers else "Hit rate over time"
        about = "Of the published predictions, each point a mean over the last ones."
        broad, narrow = (line_chart(lines, size=size, **given) for size in (BROAD, NARROW))
        charts.append({"title": title, "about": about, "broad": broad, "narrow": narrow, "wide": True})
    tables = [
        table_of("Figures", "figure", "better", "A >", "B >", "B - A >", rows=rows),
        table_of(
            "What differs",
            "setting or version",
            "A",
            "B",
            rows=differing,
            about="" if differing else "Settings and versions are the same.",
        ),
    ]
    title = f"{a['file']}: two backtests"
    return fill("compare.html", title=title, a=names[0], b=names[1], headline=headline, charts=charts, tables=tables)
