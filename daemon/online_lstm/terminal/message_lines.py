"""Formatting of published messages as single lines of text."""

import json
from typing import Any

from rich.text import Text

MAX_SHOWN = 40
"""Maximum number of characters shown of a value or a stream name."""

STYLES = {"hit": "green", "miss": "red", "first": "dim", "open": "dim"}
"""Styles of the outcomes: hit, miss, no prediction to compare with, sample of an open sequence."""


def format_message(value: bytes | None, position: str) -> Text:
    """Format one message as one line; ``position`` identifies a record that is not a message of the daemon.

    Control characters in values of the stream are escaped.
    """
    try:
        message = json.loads(value or b"")
        return _describe(message)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Text(f"{position}  not a prediction: {printable(repr(value))}", style="yellow")


def _describe(message: dict[str, Any]) -> Text:
    evaluation = message["evaluation"]
    shorten = rounded if "interval" in message else (lambda symbol: symbol)
    of_label, outcome = "sample" in message, format_outcome(message)
    target = "label" if of_label else "next"
    stream = "-" if message["stream"] is None else message["stream"]
    if message["prediction"] is None:
        forecast = f"{target} ?"
    else:
        sure = f" ({message['probability']:.2f})" if "probability" in message else ""
        forecast = f"{target} {literal(shorten(message['prediction']))}{sure}"
    missed = f"  predicted {literal(shorten(evaluation['predicted']))}" if outcome == "miss" else ""
    changed = "  the stream changed" if has_changed(message) else ""
    return Text.assemble(
        f"{message['topic']}/{message['partition']}/{message['offset']}  {printable(stream)}  ",
        f"{literal(message['value'])}  ",
        (f"{outcome:5}", STYLES[outcome]),
        missed,
        (changed, "bold yellow"),
        f"  {forecast}",
        f"  hit rate {_share(message['hit_rate'])}  baseline {_share(message['baseline_hit_rate'])}",
    )


def format_outcome(message: dict[str, Any]) -> str:
    """Format the outcome of a message; the evaluation may concern a whole sequence instead of the value."""
    if message["evaluation"] is None:
        return "open" if "sample" in message else "first"
    return "hit" if all_hit(message["evaluation"]["hit"]) else "miss"


def has_changed(message: dict[str, Any]) -> bool:
    """Return whether the evaluation of a message reports a drift."""
    return bool(message["evaluation"] and message["evaluation"].get("drift"))


def all_hit(hit: Any) -> bool:
    """Return whether all scored predictions, one or several, are hits."""
    if isinstance(hit, list):
        return all(all_hit(one) for one in hit)
    return hit is not False


def rounded(numbers: Any) -> Any:
    """Round computed numbers to six significant digits, so that several horizons fit into a line.

    >>> rounded([140.62600225267965, [None, 7]])
    [140.626, [None, 7]]
    """
    if isinstance(numbers, list):
        return [rounded(number) for number in numbers]
    return float(f"{numbers:.6g}") if isinstance(numbers, float) else numbers


def literal(value: Any, max_characters: int = MAX_SHOWN) -> str:
    """Format a value of a stream as JSON, escaped and truncated by ``printable``."""
    return printable(json.dumps(value, ensure_ascii=False), max_characters)


def _share(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.3f}"


def printable(text: str, max_characters: int = MAX_SHOWN) -> str:
    r"""Escape characters that could move the cursor or change the state of a terminal, and truncate long text.

    >>> printable("caf\u00e9 \x1b[2J\x9b")
    'café \\x1b[2J\\x9b'
    """
    shown = text if len(text) <= max_characters else text[: max_characters - 1] + "…"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in shown
    )
