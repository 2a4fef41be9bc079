"""The parser of JSON texts: a number keeps its notation, nesting is limited, and a path leads to a part of a message.

Messages never quote the JSON library or the interpreter, and no limit comes from the interpreter: another Python must
refuse the same values with the same messages.
"""

import contextlib
import json
import re
from itertools import accumulate
from typing import Any

from online_lstm.codec.cell_text import is_numeral, quote_for_error
from online_lstm.errors import BadInputError

MAX_NESTING = 100
"""Levels of a JSON text, far below Python's recursion limit, whose effect depends on the caller."""
NOTHING = object()
"""The result of a path that leads nowhere."""
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


def parse(text: str, *, vectors: bool) -> Any:
    """Return the content of a JSON text; with ``vectors``, a string at the top is unquoted.

    Raises:
        BadInputError: The text is not JSON, has too many levels, or has an object with one name twice.
    """
    if text.count("[") + text.count("{") > MAX_NESTING and _nesting(text) > MAX_NESTING:
        raise BadInputError(
            "not_a_value", f"received {quote_for_error(text)}, expected JSON of at most {MAX_NESTING} levels"
        )
    try:
        content = _decode_json(text)
        return unquoted(content) if vectors else content
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


def at_path(message: Any, path: tuple[str, ...]) -> Any:
    """Return the part of a message that a path of names and indices leads to, or ``NOTHING``."""
    part = message
    for name in path:
        if isinstance(part, dict) and name in part:
            part = part[name]
        elif isinstance(part, list) and name.isdecimal() and int(name) < len(part):
            part = part[int(name)]
        else:
            return NOTHING
    return part


def unquoted(part: Any) -> Any:
    """Return the content of a string where numbers are expected: a number, an array or an object; else the string."""
    if type(part) is not str:
        return part
    text = part.strip()
    if is_numeral(text):
        return NumberText(text)
    if text[:1] in ("[", "{"):
        with contextlib.suppress(BadInputError):
            return parse(text, vectors=True)
    return part
