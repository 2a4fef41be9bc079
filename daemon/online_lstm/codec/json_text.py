"""The parser of JSON texts: a number keeps its notation, and nesting is limited.

Messages never quote the JSON library or the interpreter, and no limit comes from the interpreter: another Python must
refuse the same values with the same messages.
"""

import contextlib
import json
import re
from itertools import accumulate
from typing import Any

from online_lstm.codec.cell_text import is_numeral, parse_boolean, quote_for_error
from online_lstm.codec.number_notation import PLAIN, Notation
from online_lstm.errors import BadInputError

MAX_NESTING = 100
"""Levels of a JSON text, far below Python's recursion limit, whose effect depends on the caller."""
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


class NumberText(str):
    """A number in JSON as written, so that its literal is kept and an ignored number cannot be refused."""

    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise BadInputError("not_a_value", "received a JSON object with one name twice, expected each name once")
    return fields


_decode_json = json.JSONDecoder(
    parse_int=NumberText, parse_float=NumberText, parse_constant=NumberText, object_pairs_hook=_object
).decode


def parse(text: str, *, vectors: bool, unquotes: Notation | None = None) -> Any:
    """Return the content of a JSON text; with ``unquotes``, a notation, the content of a string at the top.

    ``vectors`` says that numbers are expected, for messages.

    Raises:
        BadInputError: The text is not JSON, has too many levels, or has an object with one name twice.
    """
    if text.count("[") + text.count("{") > MAX_NESTING and _nesting(text) > MAX_NESTING:
        raise BadInputError(
            "not_a_value", f"received {quote_for_error(text)}, expected JSON of at most {MAX_NESTING} levels"
        )
    try:
        content = _decode_json(text)
        return content if unquotes is None else unquoted(content, unquotes)
    except json.JSONDecodeError:
        if vectors:
            raise BadInputError(
                "not_a_value",
                f"received {quote_for_error(text)}, expected a number, or JSON with numbers: missing_values lists the "
                "texts that mark a missing number, and words need the task symbol",
            ) from None
        raise BadInputError(
            "not_a_value",
            f"received {quote_for_error(text)}, expected a number or JSON: put words into quotes, or set value_format "
            "to string",
        ) from None


def _nesting(text: str) -> int:
    structure = _JSON_STRING.sub("", text)
    return max(accumulate((mark in "[{") - (mark in "]}") for mark in structure), default=0)


def unquoted(part: Any, notation: Notation = PLAIN) -> Any:
    """Return the content of a string where numbers are expected: a number, a boolean, an array or an object.

    Any other string is returned unchanged. Texts of numbers are in the notation.
    """
    if type(part) is not str:
        return part
    text = part.strip()
    if notation is not PLAIN and (number := notation.number(text)) is not None:
        return number
    if notation is PLAIN and is_numeral(text):
        return NumberText(text)
    if (boolean := parse_boolean(text)) is not None:
        return boolean
    if text[:1] in ("[", "{"):
        with contextlib.suppress(BadInputError):
            return parse(text, vectors=True, unquotes=notation)
    return part
