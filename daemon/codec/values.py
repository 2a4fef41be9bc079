"""Read a value's bytes, in each of the value formats, and the JSON literal it is published by.

Messages quote neither the JSON library nor the interpreter, and no limit is the interpreter's own: another
Python must refuse the same values with the same words.
"""

import contextlib
import functools
import json
import math
import re
import struct
from collections.abc import Callable
from itertools import accumulate
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from daemon.errors import BadInputError
from daemon.records import Label, Symbol, Vector

MAX_NUMBER_CHARACTERS = 100
"""Of a number without its sign."""

MAX_NESTING = 100
"""Levels of a JSON text, far from where Python's recursion ends, which depends on who calls."""


class Read(NamedTuple):
    """What a value says: ``symbol`` and ``literal`` as in an ``Event``, and whether the sequence ends here.

    ``vector`` has the numbers of an array; it is None for a number or a string, and empty for a label alone.
    """

    symbol: Symbol
    literal: str
    ends: bool = False
    vector: Vector | None = None
    label: Label | None = None


_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_KINDS = {bool: "a boolean", NoneType: "null", list: "an array", dict: "an object"}
quote = json.JSONEncoder(ensure_ascii=False).encode
"""Give a text as JSON."""


def reader_of(
    value_format: str, value_path: str | None, *, vectors: bool = False, label_path: str | None = None
) -> Callable[[bytes], Read]:
    """Give the function that reads values of a format; it raises ``BadInputError``.

    With ``vectors`` an array of numbers and nulls is a value as well, and so is null, for a number that is missing;
    a string with a number or with JSON in it is read as what is in it.
    With a ``label_path`` an object may have a label there, with or without a value.

    >>> reader_of("auto", "state.0")(b'{"state": ["on"], "end": true}')
    Read(symbol='on', literal='"on"', ends=True, vector=None, label=None)
    >>> reader_of("auto", None, vectors=True, label_path="label")(b'{"value": [0.10, null], "label": 1}')
    Read(symbol='[0.10, null]', literal='[0.10, null]', ends=False, vector=(0.1, None), label=(1, '1'))
    """
    json_reader = functools.partial(_auto, path=_steps(value_path), vectors=vectors, label_path=_steps(label_path))
    readers: dict[str, Callable[[bytes], Read]] = {
        "auto": json_reader,
        "string": _string,
        "double": _double,
        "float": _float,
        "long": functools.partial(_integer, layout=">q"),
        "integer": functools.partial(_integer, layout=">i"),
    }
    return readers[value_format]


def _steps(path: str | None) -> tuple[str, ...] | None:
    return tuple(path.split(".")) if path else None


def _auto(value: bytes, path: tuple[str, ...] | None, *, vectors: bool, label_path: tuple[str, ...] | None) -> Read:
    if value[:1] == b"\0" and len(value) >= 5:  # no number and no JSON begins so
        raise BadInputError(
            "schema_registry",
            f"received {shown(value)}, which begins like a Schema Registry's values (here schema "
            f"{int.from_bytes(value[1:5])}), expected a number or JSON: publish with a plain serializer",
        )
    text = _utf8(value).strip()
    if path is None and (number := _number(text)) is not None:
        return Read(*number)
    message = _parse(text, vectors=vectors)
    if path is None and isinstance(message, dict):
        path = ("value",)
    ends = isinstance(message, dict) and message.get("end") is True
    label = None
    if label_path is not None and isinstance(message, dict):
        label = _label(_at(message, label_path), text)
    found = _at(message, path or ())
    if vectors:
        found = _unquoted(found)
    if vectors and found is None and label is None:  # one number that is missing
        return Read("null", "null", ends, (None,))
    if found is _NOTHING or (found is None and label is not None):
        if label is not None:
            return Read("null", "null", ends, (), label)
        raise BadInputError(
            "missing_path",
            f"received {shown(text)}, expected a value at {'.'.join(path or ())!a}: "
            "the setting value_path says where it is",
        )
    if vectors and isinstance(found, list):
        literal, vector = _vector(found, text)
        return Read(literal, literal, ends, vector, label)
    return Read(*_symbol(found, text), ends, None, label)


def missing(features: int) -> Read:
    """Return a value of which every number is missing.

    >>> missing(2).literal, missing(2).vector
    ('[null, null]', (None, None))
    """
    literal = "null" if features == 1 else f"[{', '.join(['null'] * features)}]"
    return Read(literal, literal, vector=(None,) * features)


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


def _parse(text: str, *, vectors: bool) -> Any:
    if text.count("[") + text.count("{") > MAX_NESTING and _nesting(text) > MAX_NESTING:
        raise BadInputError("not_a_value", f"received {shown(text)}, expected JSON of at most {MAX_NESTING} levels")
    try:
        found = _decode_json(text)
        return _unquoted(found) if vectors else found
    except json.JSONDecodeError:
        if vectors:
            raise BadInputError(
                "not_a_value",
                f"received {shown(text)}, expected a number, or JSON with numbers; null is one that is missing, and "
                "only the task symbol takes words",
            ) from None
        raise BadInputError(
            "not_a_value",
            f"received {shown(text)}, expected a number or JSON: put words into quotes, or set value_format to string",
        ) from None


def _nesting(text: str) -> int:
    structure = _JSON_STRING.sub("", text)
    return max(accumulate((mark in "[{") - (mark in "]}") for mark in structure), default=0)


_NOTHING = object()
"""What is at a path that leads nowhere."""


def _at(message: Any, path: tuple[str, ...]) -> Any:
    found = message
    for name in path:
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return _NOTHING
    return found


def is_numeral(text: str) -> bool:
    """Return whether a text is a number, the way JSON or else a person writes it.

    >>> is_numeral(" +.5 "), is_numeral("1,5")
    (True, False)
    """
    return _NUMBER.fullmatch(text.strip()) is not None


def _unquoted(found: Any) -> Any:
    """Return what a string holds where numbers are wanted: a number, an array or an object; else the string."""
    if type(found) is not str:
        return found
    text = found.strip()
    if is_numeral(text):
        return _NumberText(text)
    if text[:1] in ("[", "{"):
        with contextlib.suppress(BadInputError):
            return _parse(text, vectors=True)
    return found


def _vector(found: list[Any], text: str) -> tuple[str, Vector]:
    """Read numbers, and nulls for those that are missing."""
    read: list[tuple[float | None, str]] = []
    for element in map(_unquoted, found):
        if element is None:
            read.append((None, "null"))
        elif isinstance(element, _NumberText):
            number, literal = _symbol(element, text)
            read.append((float(number), literal))
        else:
            raise BadInputError(
                "not_a_number",
                f"received a vector with {_KINDS.get(type(element), 'a string')} in {shown(text)}, expected numbers, "
                "and null for one that is missing",
            )
    return f"[{', '.join(literal for _, literal in read)}]", tuple(number for number, _ in read)


def _label(found: Any, text: str) -> Label | None:
    """Read a label: a number, a string, or a boolean, which is the number 0 or 1; null and nothing are none."""
    if found is _NOTHING or found is None:
        return None
    if isinstance(found, bool):
        return int(found), json.dumps(found)
    if isinstance(found, _NumberText | str):
        return _symbol(found, text)
    raise BadInputError(
        "not_a_value",
        f"received {_KINDS[type(found)]} as the label in {shown(text)}, expected a number, a string or a boolean: "
        "the setting label_path says where it is",
    )


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
    return Read(*_quoted(_utf8(value)))


def _double(value: bytes) -> Read:
    (number,) = _unpack(">d", value)
    return _finite(number)


def _float(value: bytes) -> Read:
    (number,) = _unpack(">f", value)
    # NumPy writes the fewest digits that give the same single: 0.1, where its double has 0.10000000149011612.
    return _finite(float(str(np.float32(number))))


def _integer(value: bytes, layout: str) -> Read:
    (number,) = _unpack(layout, value)
    return Read(number, str(number))


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
    return Read(number, json.dumps(number))


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
