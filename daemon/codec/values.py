"""Read a value's bytes, in each of the value formats, as a symbol and the JSON literal it is published by.

Messages quote neither the JSON library nor the interpreter, and no limit is the interpreter's own: another
Python must refuse the same values with the same words.
"""

import functools
import json
import math
import re
import struct
from collections.abc import Callable
from itertools import accumulate
from types import NoneType
from typing import Any

import numpy as np

from daemon.errors import BadInputError
from daemon.records import Symbol

MAX_NUMBER_CHARACTERS = 100
"""Of a number without its sign."""

MAX_NESTING = 100
"""Levels of a JSON text, far from where Python's recursion ends, which depends on who calls."""

Read = tuple[Symbol, str, bool]
"""Symbol, literal, and whether the sequence ends here."""

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_KINDS = {bool: "a boolean", NoneType: "null", list: "an array", dict: "an object"}
quote = json.JSONEncoder(ensure_ascii=False).encode
"""Give a text as JSON."""


def reader_of(value_format: str, value_path: str | None) -> Callable[[bytes], Read]:
    """Give the function that reads values of a format; it raises ``BadInputError``.

    >>> reader_of("auto", None)(b"4.0"), reader_of("auto", "state.0")(b'{"state": ["on"], "end": true}')
    ((4.0, '4.0', False), ('on', '"on"', True))
    """
    readers: dict[str, Callable[[bytes], Read]] = {
        "auto": functools.partial(_auto, path=tuple(value_path.split(".")) if value_path else None),
        "string": _string,
        "double": _double,
        "float": _float,
        "long": functools.partial(_integer, layout=">q"),
        "integer": functools.partial(_integer, layout=">i"),
    }
    return readers[value_format]


def _auto(value: bytes, path: tuple[str, ...] | None) -> Read:
    if value[:1] == b"\0" and len(value) >= 5:  # no number and no JSON begins so
        raise BadInputError(
            "schema_registry",
            f"received {shown(value)}, which begins like a Schema Registry's values (here schema "
            f"{int.from_bytes(value[1:5])}), expected a number or JSON: publish with a plain serializer",
        )
    text = _utf8(value).strip()
    if path is None and (number := _number(text)) is not None:
        return *number, False
    message = _parse(text)
    if path is None and isinstance(message, dict):
        path = ("value",)
    ends = isinstance(message, dict) and message.get("end") is True
    return *_symbol(_find(message, path or (), text), text), ends


class _NumberText(str):
    """A number in JSON as it is written, so that its literal is kept and an ignored one cannot be refused."""

    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise BadInputError("not_a_value", "received a JSON object with one name twice, expected each name once")
    return fields


_decode_json = json.JSONDecoder(
    parse_int=_NumberText, parse_float=_NumberText, parse_constant=_NumberText, object_pairs_hook=_object
).decode


def _parse(text: str) -> Any:
    if text.count("[") + text.count("{") > MAX_NESTING and _nesting(text) > MAX_NESTING:
        raise BadInputError("not_a_value", f"received {shown(text)}, expected JSON of at most {MAX_NESTING} levels")
    try:
        return _decode_json(text)
    except json.JSONDecodeError:
        raise BadInputError(
            "not_a_value",
            f"received {shown(text)}, expected a number or JSON: put words into quotes, or set value_format to string",
        ) from None


def _nesting(text: str) -> int:
    structure = _JSON_STRING.sub("", text)
    return max(accumulate((mark in "[{") - (mark in "]}") for mark in structure), default=0)


def _find(message: Any, path: tuple[str, ...], text: str) -> Any:
    found = message
    for name in path:
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise BadInputError(
                "missing_path",
                f"received {shown(text)}, expected a value at {'.'.join(path)!a}: "
                "the setting value_path says where it is",
            )
    return found


def _symbol(found: Any, text: str) -> tuple[Symbol, str]:
    if isinstance(found, _NumberText):
        number = _number(str(found))
        assert number is not None
        return number
    if isinstance(found, str):
        return _quoted(found)
    vectors = "vectors belong to other tasks, " if isinstance(found, list) else ""
    raise BadInputError(
        "not_a_value",
        f"received {_KINDS[type(found)]} as the value in {shown(text)}, expected a number or a string: "
        f"{vectors}the setting value_path can point into objects and arrays",
    )


def _number(text: str) -> tuple[int | float, str] | None:
    """Read a number the way JSON, or else a person, writes it; None if the text is none."""
    exact = _JSON_NUMBER.fullmatch(text)
    match = exact or _NUMBER.fullmatch(text)
    if match is None:
        if _NOT_FINITE.fullmatch(text):
            raise _not_finite(text)
        return None
    if len(text.lstrip("+-")) > MAX_NUMBER_CHARACTERS:
        raise BadInputError(
            "not_a_value",
            f"received {shown(text)}, a number of {len(text)} characters, expected at most {MAX_NUMBER_CHARACTERS}",
        )
    number = int(text) if match.lastindex is None else float(text)
    if not math.isfinite(number):
        raise _not_finite(text)
    return number, text if exact else json.dumps(number)


def _quoted(text: str) -> tuple[str, str]:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInputError(
            "not_utf8", f"received {shown(text)} with half of a surrogate pair, expected whole characters"
        ) from None
    return text, quote(text)


def _string(value: bytes) -> Read:
    return *_quoted(_utf8(value)), False


def _double(value: bytes) -> Read:
    (number,) = _unpack(">d", value)
    return _finite(number)


def _float(value: bytes) -> Read:
    (number,) = _unpack(">f", value)
    # NumPy writes the fewest digits that give the same single: 0.1, where its double has 0.10000000149011612.
    return _finite(float(str(np.float32(number))))


def _integer(value: bytes, layout: str) -> Read:
    (number,) = _unpack(layout, value)
    return number, str(number), False


def _unpack(layout: str, value: bytes) -> tuple[Any, ...]:
    expected = struct.calcsize(layout)
    if len(value) != expected:
        raise BadInputError(
            "wrong_length",
            f"received {shown(value)}, {len(value)} bytes, expected {expected}: "
            "the setting value_format says which serializer wrote the values",
        )
    return struct.unpack(layout, value)


def _finite(number: float) -> Read:
    if not math.isfinite(number):
        raise _not_finite(str(number))
    return number, json.dumps(number), False


def _not_finite(text: str) -> BadInputError:
    return BadInputError("not_finite", f"received {shown(text)}, expected a finite number")


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadInputError(
            "not_utf8",
            f"received {shown(value)}, expected UTF-8 text: value_format says how binary values are read",
        ) from None


def shown(received: str | bytes) -> str:
    """Quote what was received in ASCII, cut to what a message has room for."""
    escaped = f"{received[:64]!a}"
    return escaped if len(escaped) <= 64 else f"{escaped[:64]}..."
