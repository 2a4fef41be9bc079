"""The readers of the value formats: from the bytes of a value to a symbol or to numbers, with the JSON literal.

Which values are refused, and the messages, depend on the value and the settings alone.
"""

import functools
import json
import math
import struct
from collections.abc import Callable, Iterable
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from online_lstm.codec.cell_text import Markers, not_finite, parse_number, quote, quote_for_error
from online_lstm.codec.json_text import NOTHING, NumberText, at_path, parse, unquoted
from online_lstm.errors import BadInputError
from online_lstm.events import Label, Symbol, Vector


class SymbolValue(NamedTuple):
    """The fields of a ``SymbolEvent`` that come from the value."""

    symbol: Symbol
    literal: str
    ends: bool = False


class VectorValue(NamedTuple):
    """The fields of a ``NumberEvent`` or a ``LabelEvent`` that come from the value."""

    vector: Vector
    literal: str
    ends: bool = False
    label: Label | None = None


class VectorRules(NamedTuple):
    """How a task with numbers reads a value: the task, the length of a missing vector, and what marks a missing number.

    ``label_path`` leads to the label in an object, with or without a value; None without labels.
    """

    task: str
    features: int
    markers: Markers
    label_path: tuple[str, ...] | None = None


_BYTE_ORDER_MARK = "\ufeff"
_KINDS = {bool: "a boolean", NoneType: "null", list: "an array", dict: "an object"}
_NONE = Markers()
"""Markers of a missing label in JSON: the default ones only, as quotes distinguish a string from a number there."""


def symbol_reader(value_format: str, value_path: str | None) -> Callable[[bytes], SymbolValue]:
    """Return the function that reads symbols of a format; it raises ``BadInputError``.

    >>> symbol_reader("auto", "state.0")(b'{"state": ["on"], "end": true}')
    SymbolValue(symbol='on', literal='"on"', ends=True)
    """
    if value_format == "auto":
        return functools.partial(_symbol_in_text, path=_steps(value_path))
    if value_format == "string":
        return lambda value: SymbolValue(*_quoted(_utf8(value)))
    unpack = _BINARY[value_format]
    return lambda value: SymbolValue(*_finite(unpack(value)))


def vector_reader(
    value_format: str,
    value_path: str | None,
    *,
    task: str,
    features: int = 1,
    missing_values: Iterable[str] = (),
    label_path: str | None = None,
) -> Callable[[bytes], VectorValue]:
    """Return the function that reads the numbers of a format; it raises ``BadInputError``.

    A value is a number or an array of numbers. A number may be missing, alone or in an array: null, NaN, blank text,
    and the markers in ``missing_values``. A value that is missing as a whole has ``features`` missing numbers. A string
    that contains a number or JSON is read as its content. With a ``label_path`` an object may have a label there; the
    vector of a label without a value is empty.

    >>> vector_reader("auto", None, task="label", label_path="label")(b'{"value": [0.10, NaN], "label": 1}')
    VectorValue(vector=(0.1, None), literal='[0.10, null]', ends=False, label=(1, '1'))
    """
    rules = VectorRules(task, features, Markers(missing_values), _steps(label_path))
    if value_format == "auto":
        return functools.partial(_vector_in_text, path=_steps(value_path), rules=rules)
    return functools.partial(_vector_in_binary, unpack=_BINARY[value_format], rules=rules)


def missing(features: int) -> VectorValue:
    """Return a value whose numbers are all missing.

    >>> missing(2)
    VectorValue(vector=(None, None), literal='[null, null]', ends=False, label=None)
    """
    literal = "null" if features == 1 else f"[{', '.join(['null'] * features)}]"
    return VectorValue((None,) * features, literal)


def _steps(path: str | None) -> tuple[str, ...] | None:
    return tuple(path.split(".")) if path else None


def _symbol_in_text(value: bytes, path: tuple[str, ...] | None) -> SymbolValue:
    text = _text(value)
    if path is None and (number := parse_number(text)) is not None:
        return SymbolValue(*number)
    message = parse(text, vectors=False)
    path = _value_path(message, path)
    part = at_path(message, path)
    if part is NOTHING:
        raise _missing_path(text, path)
    return SymbolValue(*_symbol(part, text), _ends(message))


def _vector_in_text(value: bytes, path: tuple[str, ...] | None, rules: VectorRules) -> VectorValue:
    text = _text(value)
    if path is None and text in rules.markers:
        return missing(rules.features)
    if path is None and (number := parse_number(text)) is not None:
        return VectorValue((float(number[0]),), number[1])
    message = parse(text, vectors=True)
    path = _value_path(message, path)
    ends, label = _ends(message), None
    if rules.label_path is not None and isinstance(message, dict):
        label = _label(at_path(message, rules.label_path), text)
    part = unquoted(at_path(message, path))
    if label is not None and (part is None or part is NOTHING):
        return VectorValue((), "null", ends, label)
    if part is NOTHING:
        raise _missing_path(text, path)
    if _is_missing(part, rules.markers):
        return missing(rules.features)._replace(ends=ends, label=label)
    vector, literal = _array(part, text, rules.markers) if isinstance(part, list) else _number(part, text, rules.task)
    return VectorValue(vector, literal, ends, label)


def _vector_in_binary(value: bytes, unpack: Callable[[bytes], float], rules: VectorRules) -> VectorValue:
    number = unpack(value)
    if number in rules.markers:
        return missing(rules.features)
    number, literal = _finite(number)
    return VectorValue((float(number),), literal)


# parts of a text


def _text(value: bytes) -> str:
    if value[:1] == b"\0" and len(value) >= 5:  # no number and no JSON begins with a zero byte
        raise BadInputError(
            "schema_registry",
            f"received {quote_for_error(value)}, which begins like a Schema Registry's values (here schema "
            f"{int.from_bytes(value[1:5])}), expected a number or JSON: publish with a plain serializer",
        )
    return _utf8(value).removeprefix(_BYTE_ORDER_MARK).strip()


def _value_path(message: Any, path: tuple[str, ...] | None) -> tuple[str, ...]:
    if path is None:
        return ("value",) if isinstance(message, dict) else ()
    return path


def _missing_path(text: str, path: tuple[str, ...]) -> BadInputError:
    return BadInputError(
        "missing_path",
        f"received {quote_for_error(text)}, expected a value at {'.'.join(path)!a}: the setting value_path says where "
        "it is",
    )


def _ends(message: Any) -> bool:
    return isinstance(message, dict) and message.get("end") is True


def _is_missing(part: Any, markers: Markers) -> bool:
    return part is None or (isinstance(part, str) and part in markers)


def _number(part: Any, text: str, task: str) -> tuple[Vector, str]:
    """Read a number that is a vector of one."""
    symbol, literal = _symbol(part, text)
    if isinstance(symbol, str):
        raise BadInputError(
            "not_a_number",
            f"received {quote_for_error(symbol)}, expected a number: the setting task is {task}, words need the task "
            "symbol; missing_values lists the texts that mark a missing number",
        )
    return (float(symbol),), literal


def _array(part: list[Any], text: str, markers: Markers) -> tuple[Vector, str]:
    """Read an array of numbers, some of which may be missing."""
    read: list[tuple[float | None, str]] = []
    for element in map(unquoted, part):
        if _is_missing(element, markers):
            read.append((None, "null"))
        elif isinstance(element, NumberText):
            number, literal = _symbol(element, text)
            read.append((float(number), literal))
        else:
            raise BadInputError(
                "not_a_number",
                f"received a vector with {_KINDS.get(type(element), 'a string')} in {quote_for_error(text)}, expected "
                "numbers, or null or a text of missing_values for a missing number",
            )
    return tuple(number for number, _ in read), f"[{', '.join(literal for _, literal in read)}]"


def _label(part: Any, text: str) -> Label | None:
    """Read a label: a number, a string or a boolean, as the number 0 or 1; return None for null, NaN and blanks."""
    if part is NOTHING or _is_missing(part, _NONE):
        return None
    if isinstance(part, bool):
        return int(part), json.dumps(part)
    if isinstance(part, NumberText | str):
        return _symbol(part, text)
    raise BadInputError(
        "not_a_value",
        f"received {_KINDS[type(part)]} as the label in {quote_for_error(text)}, expected a number, a string or a "
        "boolean: the setting label_path says where it is",
    )


def _symbol(part: Any, text: str) -> tuple[Symbol, str]:
    if isinstance(part, NumberText):
        number = parse_number(str(part))
        assert number is not None
        return number
    if isinstance(part, str):
        return _quoted(part)
    vectors = "vectors belong to other tasks, " if isinstance(part, list) else ""
    raise BadInputError(
        "not_a_value",
        f"received {_KINDS[type(part)]} as the value in {quote_for_error(text)}, expected a number or a string: "
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


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadInputError(
            "not_utf8",
            f"received {quote_for_error(value)}, expected UTF-8 text: value_format says how binary values are read",
        ) from None


# binary numbers


def _unpack(value: bytes, layout: str) -> Any:
    expected = struct.calcsize(layout)
    if len(value) != expected:
        raise BadInputError(
            "wrong_length",
            f"received {quote_for_error(value)}, {len(value)} bytes, expected {expected}: the setting value_format "
            "says which serializer wrote the values",
        )
    return struct.unpack(layout, value)[0]


def _float(value: bytes) -> float:
    # NumPy writes the fewest digits that give the same float32: 0.1, where its double has 0.10000000149011612.
    return float(str(np.float32(_unpack(value, ">f"))))


_BINARY: dict[str, Callable[[bytes], float]] = {
    "double": functools.partial(_unpack, layout=">d"),
    "float": _float,
    "long": functools.partial(_unpack, layout=">q"),
    "integer": functools.partial(_unpack, layout=">i"),
}


def _finite(number: float) -> tuple[float, str]:
    if not math.isfinite(number):
        raise not_finite(str(number))
    return number, json.dumps(number)
