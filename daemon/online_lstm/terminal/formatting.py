"""One published message as one line of text."""

import json
from typing import Any

from rich.text import Text

MAX_SHOWN = 40
"""Characters of a value or a stream's name that a line has room for."""

STYLES = {"hit": "green", "miss": "red", "first": "dim", "open": "dim"}
"""Of what came of a message's value: predicted, not predicted, nothing to compare with, a sample of a sequence."""


def format_message(value: bytes | None, place: str) -> Text:
    """Describe one message in one line; ``place`` names it if it is none of the daemon's.

    What comes from the stream is shown with its control characters escaped.
    """
    try:
        message = json.loads(value or b"")
        return _describe(message)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Text(f"{place}  not a prediction: {printable(repr(value))}", style="yellow")


def _describe(message: dict[str, Any]) -> Text:
    evaluation = message["evaluation"]
    shorten = rounded if "interval" in message else (lambda symbol: symbol)
    of_label, outcome = "sample" in message, format_outcome(message)
    said = "label" if of_label else "next"
    stream = "-" if message["stream"] is None else message["stream"]
    if message["prediction"] is None:
        forecast = f"{said} ?"
    else:
        sure = f" ({message['probability']:.2f})" if "probability" in message else ""
        forecast = f"{said} {literal(shorten(message['prediction']))}{sure}"
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
    """Say what came of a message's value; its evaluation may be about a sequence, and not about the value before."""
    if message["evaluation"] is None:
        return "open" if "sample" in message else "first"
    return "hit" if all_hit(message["evaluation"]["hit"]) else "miss"


def has_changed(message: dict[str, Any]) -> bool:
    """Say whether the stream was found to have changed with a message's evaluation."""
    return bool(message["evaluation"] and message["evaluation"].get("drift"))


def all_hit(hit: Any) -> bool:
    """Say whether all were hits that were judged, of one prediction or of several."""
    if isinstance(hit, list):
        return all(all_hit(one) for one in hit)
    return hit is not False


def rounded(numbers: Any) -> Any:
    """Cut what was computed to six significant digits, so that several horizons have room in a line.

    >>> rounded([140.62600225267965, [None, 7]])
    [140.626, [None, 7]]
    """
    if isinstance(numbers, list):
        return [rounded(number) for number in numbers]
    return float(f"{numbers:.6g}") if isinstance(numbers, float) else numbers


def literal(value: Any, most: int = MAX_SHOWN) -> str:
    """Write a value of a stream as JSON, escaped and cut as ``printable`` does."""
    return printable(json.dumps(value, ensure_ascii=False), most)


def _share(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.3f}"


def printable(text: str, most: int = MAX_SHOWN) -> str:
    r"""Escape whatever could move a terminal's cursor or change its state, and cut what is long.

    >>> printable("caf\u00e9 \x1b[2J\x9b")
    'café \\x1b[2J\\x9b'
    """
    shown = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in shown
    )
