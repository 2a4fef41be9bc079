"""The parser of the text of a cell: a number, a missing value, or a label.

Values of records and cells of files share this parser. The meaning of a text depends on the text and on the settings
alone, never on other texts.
"""

import json
import math
import re
from collections.abc import Iterable

from online_lstm.errors import BadInputError
from online_lstm.events import Label

MAX_NUMBER_CHARACTERS = 100
"""Length of a number without its sign."""

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
_NAN = re.compile(r"[+-]?nan", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_BOOLEANS = {"true": True, "false": False}

quote = json.JSONEncoder(ensure_ascii=False).encode
"""Return a text as JSON."""


def quote_for_error(received: str | bytes) -> str:
    """Quote a received value in ASCII, cut to the length that fits into a message."""
    escaped = f"{received[:64]!a}"
    return escaped if len(escaped) <= 64 else f"{escaped[:64]}..."


def parse_number(text: str) -> tuple[int | float, str] | None:
    """Return a number, in JSON's or a common notation, and its JSON text; None if the text is not a number.

    >>> parse_number("0.10"), parse_number("+.5"), parse_number("1,5")
    ((0.1, '0.10'), (0.5, '0.5'), None)

    Raises:
        BadInputError: The number is not finite, or too long.
    """
    exact = _JSON_NUMBER.fullmatch(text)
    match = exact or _NUMBER.fullmatch(text)
    if match is None:
        if _NOT_FINITE.fullmatch(text):
            raise not_finite(text)
        return None
    if len(text.lstrip("+-")) > MAX_NUMBER_CHARACTERS:
        raise BadInputError(
            "not_a_value",
            f"received {quote_for_error(text)}, a number of {len(text)} characters, expected at most "
            f"{MAX_NUMBER_CHARACTERS}",
        )
    number = int(text) if match.lastindex is None else float(text)
    if not math.isfinite(number):
        raise not_finite(text)
    return number, text if exact else json.dumps(number)


def parse_boolean(text: str) -> bool | None:
    """Return the boolean that a text is, in any letter case; None for another text.

    >>> parse_boolean("TRUE"), parse_boolean("false"), parse_boolean("yes")
    (True, False, None)
    """
    return _BOOLEANS.get(text.casefold()) if len(text) <= 5 else None


def is_numeral(text: str) -> bool:
    """Return whether a text is a number, in JSON's or a common notation.

    >>> is_numeral(" +.5 "), is_numeral("1,5")
    (True, False)
    """
    return _NUMBER.fullmatch(text.strip()) is not None


def not_finite(text: str) -> BadInputError:
    """Return the error for a number that is infinite or NaN."""
    return BadInputError("not_finite", f"received {quote_for_error(text)}, expected a finite number")


class Markers:
    """The texts and numbers that mark a missing value: always NaN and blank text, and the markers of the settings.

    Letter case, spaces around a text and the notation of a number do not matter.

    >>> markers = Markers(["NA", "-200"])
    >>> [cell in markers for cell in (" na ", "", "-NaN", "-200.0", -200, "unknown", "0")]
    [True, True, True, True, True, False, False]
    """

    def __init__(self, markers: Iterable[str] = ()) -> None:
        self._texts = frozenset(marker.strip().casefold() for marker in markers) | {""}
        self._numbers = frozenset(float(text) for text in self._texts if _NUMBER.fullmatch(text))

    def __contains__(self, cell: str | float) -> bool:
        if not isinstance(cell, str):
            return math.isnan(cell) or cell in self._numbers
        text = cell.strip()
        return (
            text.casefold() in self._texts
            or _NAN.fullmatch(text) is not None
            or (bool(self._numbers) and _NUMBER.fullmatch(text) is not None and float(text) in self._numbers)
        )


def parse_label(text: str, markers: Markers) -> Label | None:
    """Return a label with its JSON text, a number if the text is a finite number; None for a missing label.

    >>> parse_label("+2", Markers()), parse_label("up", Markers()), parse_label("NaN", Markers())
    ((2, '2'), ('up', '"up"'), None)
    """
    if text in markers:
        return None
    try:
        number = parse_number(text.strip())
    except BadInputError:
        number = None
    return number or (text, quote(text))
