"""The tables of the HTML report of a backtest."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from online_lstm.backtest.report.score_tables import ABBREVIATIONS, digits, in_words
from online_lstm.events import NUMBER_SCORES
from online_lstm.terminal.message_lines import literal, printable, rounded

MAX_CHARACTERS = 60
"""Maximum number of characters shown of a value."""

Figures = Mapping[str, Any]


def confusion_of(confusion: Figures) -> dict[str, Any] | None:
    """Return the confusion matrix as a table; None without predictions."""
    if not confusion["counts"]:
        return None
    names = [cell(value) for value in confusion["values"]] + (["other"] if confusion["other"] else [])
    distinct = len(confusion["values"])
    rows = []
    for index, (name, counts) in enumerate(zip(names, confusion["counts"], strict=True)):
        whole = sum(counts)
        kinds = ["right" if index == column < distinct else "wrong" for column in range(len(counts))]
        if index == distinct:  # hits and misses of other values are not distinguished
            kinds[index] = "mixed"
        cells = [
            {"count": f"{count:,}" if count else "", "share": f"{count / whole if whole else 0:.3f}", "kind": kind}
            for count, kind in zip(counts, kinds, strict=True)
        ]
        rows.append({"name": name, "cells": cells})
    about = "A row for each value that came, a column for each that was predicted; the colour is the share of the row."
    return {"columns": names, "rows": rows, "about": about}


def tables_of(report: Figures) -> Iterator[dict[str, Any]]:
    """Yield all non-empty tables except scores and settings."""
    if "channels" in report:
        rows = [
            [str(one["component"]), str(one["horizon"]), *(digits(one[name]) for name in NUMBER_SCORES)]
            for one in report["channels"]
        ]
        titles = [f"{ABBREVIATIONS[name]} >" for name in NUMBER_SCORES]
        yield table_of("Components and horizons", "component >", "horizon >", *titles, rows=rows, wide=True)
    if report["most_surprising"]:
        yield _surprising(report)
    if recoveries := report["recoveries"]:
        rows = [
            [
                f"{one['event']:,}",
                _stream(one["stream"]),
                digits(one["level_before"]),
                "never" if one["recovered_after"] is None else f"{one['recovered_after']:,}",
            ]
            for one in recoveries
        ]
        about = (
            "A drift is found when misses become more. Recovery: predictions of the stream until their mean over "
            f"{report['time_to_learn']['window']} is as good as 95 % of the level before."
        )
        titles = ["value >", "stream", "level before >", "recovered after >"]
        yield table_of("Drifts, and recovery from them", *titles, rows=rows, about=about)
    if "epochs" in report:
        names = ("loss", "held_out_loss", "hit_rate", "held_out_hit_rate")
        rows = [[str(epoch["epoch"]), *(digits(epoch[name]) for name in names)] for epoch in report["epochs"]]
        yield table_of("Epochs", "epoch >", *(f"{in_words(name)} >" for name in names), rows=rows)
    if bad := report["bad_lines"]:
        rows = [[f"{one['line']:,}", printable(one["error"], 300)] for one in bad]
        yield table_of("The first lines that were refused", "line >", "why", rows=rows)


def _surprising(report: Figures) -> dict[str, Any]:
    """Return the table of the most surprising moments; with several streams, it names the stream."""
    unit = "scaled_error" if "skill" in report else "surprise_bits"
    named = any(moment["stream"] is not None for moment in report["most_surprising"])
    rows = [
        [
            f"{moment['event']:,}",
            f"{moment['line']:,}",
            *([_stream(moment["stream"])] if named else []),
            cell(moment["value"]),
            cell(moment["predicted"]),
            f"{moment[unit]:.2f}",
        ]
        for moment in report["most_surprising"]
    ]
    titles = ["value >", "line >", *(["stream"] if named else []), "came", "predicted"]
    last = "scaled error >" if unit == "scaled_error" else "bits >"
    learned = report["time_to_learn"]["events"]
    about = (
        "Of all values."
        if learned is None
        else f"After the time to learn, the first {learned:,} values, in which much is new."
    )
    return table_of("The most surprising moments", *titles, last, rows=rows, wide=True, about=about)


def _stream(name: str | None) -> str:
    return "-" if name is None else printable(name)


def table_of(
    title: str,
    *titles: str,
    rows: Sequence[Sequence[str]] | Iterator[Sequence[str]],
    wide: bool = False,
    about: str = "",
) -> dict[str, Any]:
    """Describe a table; a title that ends in `` >`` marks a right-aligned column of figures."""
    heads = [{"name": name.removesuffix(" >"), "figure": name.endswith(" >")} for name in titles]
    return {"title": title, "titles": heads, "rows": list(rows), "wide": wide, "about": about}


def cell(value: Any) -> str:
    """Format a value as JSON, truncated to ``MAX_CHARACTERS``."""
    return literal(rounded(value), MAX_CHARACTERS)
