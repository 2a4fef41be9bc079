"""The readers of the value formats: from the bytes of a value to the value and its published JSON literal.

Messages never quote the JSON library or the interpreter, and no limit comes from the interpreter: another Python
must refuse the same values with the same messages.
"""

import contextlib
import functools
import json
import math
import re
import struct
from collections.abc import Callable, Iterable
from itertools import accumulate
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from online_lstm.codec.cells import Markers, is_numeral, not_finite, parse_number, quote, quote_for_error
from online_lstm.errors import BadInputError
from online_lstm.events import Label, Symbol, Vector

MAX_NESTING = 100
"""Levels of a JSON text, far below Python's recursion limit, whose effect depends on the caller."""


class DecodedValue(NamedTuple):
    """The content of a value: ``symbol`` and ``literal`` as in an ``Event``, and whether the sequence ends here.

    ``vector`` has the numbers of an array; it is None for a number or a string, and empty for a label alone.
    """

    symbol: Symbol
    literal: str
    ends: bool = False
    vector: Vector | None = None
    label: Label | None = None


_BYTE_ORDER_MARK = "\ufeff"
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_KINDS = {bool: "a boolean", NoneType: "null", list: "an array", dict: "an object"}
_NONE = Markers()
"""Markers of a missing label in JSON: the default ones only, as quotes distinguish a string from a number there."""


class _NumberRules(NamedTuple):
    """How a task reads numbers: the markers of a missing number, and the count of numbers in a value."""

    markers: Markers
    features: int


def reader_of(
    value_format: str,
    value_path: str | None,
    *,
    vectors: bool = False,
    label_path: str | None = None,
    missing_values: Iterable[str] = (),
    features: int = 1,
) -> Callable[[bytes], DecodedValue]:
    """Return the function that reads values of a format; it raises ``BadInputError``.

    With ``vectors`` an array of numbers is a value as well. A number may then be missing, alone or in an array: null,
    NaN, blank text, and the markers in ``missing_values``. A value that is missing as a whole has ``features`` missing
    numbers. A string that contains a number or JSON is then read as its content.
    With a ``label_path`` an object may have a label there, with or without a value.

    >>> reader_of("auto", "state.0")(b'{"state": ["on"], "end": true}')
    DecodedValue(symbol='on', literal='"on"', ends=True, vector=None, label=None)
    >>> reader_of("auto", None, vectors=True, label_path="label")(b'{"value": [0.10, NaN], "label": 1}')
    DecodedValue(symbol='[0.10, null]', literal='[0.10, null]', ends=False, vector=(0.1, None), label=(1, '1'))
    """
    numbers = _NumberRules(Markers(missing_values), features) if vectors else None
    readers: dict[str, Callable[[bytes], DecodedValue]] = {
        "auto": functools.partial(_auto, path=_steps(value_path), numbers=numbers, label_path=_steps(label_path)),
        "string": _string,
        "double": functools.partial(_double, numbers=numbers),
        "float": functools.partial(_float, numbers=numbers),
        "long": functools.partial(_integer, layout=">q", numbers=numbers),
        "integer": functools.partial(_integer, layout=">i", numbers=numbers),
    }
    return readers[value_format]


def _steps(path: str | None) -> tuple[str, ...] | None:
    return tuple(path.split(".")) if path else None


def _auto(
    value: bytes, path: tuple[str, ...] | None, *, numbers: _NumberRules | None, label_path: tuple[str, ...] | None
) -> DecodedValue:
    _refuse_schema_id(value)
    text = _utf8(value).removeprefix(_BYTE_ORDER_MARK).strip()
    if path is None and numbers and text in numbers.markers:
        return missing(numbers.features)
    if path is None and (number := parse_number(text)) is not None:
        return DecodedValue(*number)
    message = _parse(text, vectors=numbers is not None)
    if path is None and isinstance(message, dict):
        path = ("value",)
    ends = isinstance(message, dict) and message.get("end") is True
    label = None
    if label_path is not None and isinstance(message, dict):
        label = _label(_at(message, label_path), text)
    found = _at(message, path or ())
    if numbers:
        found = _unquoted(found)
    if label is not None and (found is None or found is _NOTHING):
        return DecodedValue("null", "null", ends, (), label)
    if found is _NOTHING:
        raise BadInputError(
            "missing_path",
            f"received {quote_for_error(text)}, expected a value at {'.'.join(path or ())!a}: "
            "the setting value_path says where it is",
        )
    if numbers and _is_missing(found, numbers.markers):
        return missing(numbers.features)._replace(ends=ends, label=label)
    if numbers and isinstance(found, list):
        literal, vector = _vector(found, text, numbers.markers)
        return DecodedValue(literal, literal, ends, vector, label)
    return DecodedValue(*_symbol(found, text), ends, None, label)


def missing(features: int) -> DecodedValue:
    """Return a value whose numbers are all missing.

    >>> missing(2).literal, missing(2).vector
    ('[null, null]', (None, None))
    """
    literal = "null" if features == 1 else f"[{', '.join(['null'] * features)}]"
    return DecodedValue(literal, literal, vector=(None,) * features)


def _refuse_schema_id(value: bytes) -> None:
    if value[:1] == b"\0" and len(value) >= 5:  # no number and no JSON begins with a zero byte
        raise BadInputError(
            "schema_registry",
            f"received {quote_for_error(value)}, which begins like a Schema Registry's values (here schema "
            f"{int.from_bytes(value[1:5])}), expected a number or JSON: publish with a plain serializer",
        )


class _NumberText(str):
    """A number in JSON as written, so that its literal is kept and an ignored number cannot be refused."""

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
        raise BadInputError(
            "not_a_value", f"received {quote_for_error(text)}, expected JSON of at most {MAX_NESTING} levels"
        )
    try:
        found = _decode_json(text)
        return _unquoted(found) if vectors else found
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


_NOTHING = object()
"""The result of a path that leads nowhere."""


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


def _unquoted(found: Any) -> Any:
    """Return the content of a string where numbers are expected: a number, an array or an object; else the string."""
    if type(found) is not str:
        return found
    text = found.strip()
    if is_numeral(text):
        return _NumberText(text)
    if text[:1] in ("[", "{"):
        with contextlib.suppress(BadInputError):
            return _parse(text, vectors=True)
    return found


def _is_missing(found: Any, markers: Markers) -> bool:
    return found is None or (isinstance(found, str) and found in markers)


def _vector(found: list[Any], text: str, markers: Markers) -> tuple[str, Vector]:
    """Read an array of numbers, some of which may be missing."""
    read: list[tuple[float | None, str]] = []
    for element in map(_unquoted, found):
        if _is_missing(element, markers):
            read.append((None, "null"))
        elif isinstance(element, _NumberText):
            number, literal = _symbol(element, text)
            read.append((float(number), literal))
        else:
            raise BadInputError(
                "not_a_number",
                f"received a vector with {_KINDS.get(type(element), 'a string')} in {quote_for_error(text)}, expected "
                "numbers, "
                "or null or a text of missing_values for a missing number",
            )
    return f"[{', '.join(literal for _, literal in read)}]", tuple(number for number, _ in read)


def _label(found: Any, text: str) -> Label | None:
    """Read a label: a number, a string or a boolean, as the number 0 or 1; return None for null, NaN and blanks."""
    if found is _NOTHING or _is_missing(found, _NONE):
        return None
    if isinstance(found, bool):
        return int(found), json.dumps(found)
    if isinstance(found, _NumberText | str):
        return _symbol(found, text)
    raise BadInputError(
        "not_a_value",
        f"received {_KINDS[type(found)]} as the label in {quote_for_error(text)}, expected a number, a string or a "
        "boolean: "
        "the setting label_path says where it is",
    )


def _symbol(found: Any, text: str) -> tuple[Symbol, str]:
    if isinstance(found, _NumberText):
        number = parse_number(str(found))
        assert number is not None
        return number
    if isinstance(found, str):
        return _quoted(found)
    vectors = "vectors belong to other tasks, " if isinstance(found, list) else ""
    raise BadInputError(
        "not_a_value",
        f"received {_KINDS[type(found)]} as the value in {quote_for_error(text)}, expected a number or a string: "
        f"{vectors}the setting value_path can point into objects and arrays",
    )


def _quoted(text: str) -> tuple[str, str]:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInputError(
            "not_utf8", f"received {quote_for_error(text)} with half of a surrogate pair, expected whole characters"
        ) from None
    return text, quote(text)


def _string(value: bytes) -> DecodedValue:
    return DecodedValue(*_quoted(_utf8(value)))


def _double(value: bytes, numbers: _NumberRules | None) -> DecodedValue:
    (number,) = _unpack(">d", value)
    return _binary(number, numbers)


def _float(value: bytes, numbers: _NumberRules | None) -> DecodedValue:
    (number,) = _unpack(">f", value)
    # NumPy writes the fewest digits that give the same float32: 0.1, where its double has 0.10000000149011612.
    return _binary(float(str(np.float32(number))), numbers)


def _integer(value: bytes, layout: str, numbers: _NumberRules | None) -> DecodedValue:
    (number,) = _unpack(layout, value)
    return _binary(number, numbers)


def _unpack(layout: str, value: bytes) -> tuple[Any, ...]:
    expected = struct.calcsize(layout)
    if len(value) != expected:
        raise BadInputError(
            "wrong_length",
            f"received {quote_for_error(value)}, {len(value)} bytes, expected {expected}: "
            "the setting value_format says which serializer wrote the values",
        )
    return struct.unpack(layout, value)


def _binary(number: float, numbers: _NumberRules | None) -> DecodedValue:
    if numbers and number in numbers.markers:
        return missing(numbers.features)
    if not math.isfinite(number):
        raise not_finite(str(number))
    return DecodedValue(number, json.dumps(number))


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadInputError(
            "not_utf8",
            f"received {quote_for_error(value)}, expected UTF-8 text: value_format says how binary values are read",
        ) from None
