"""The readers of rows: from the content of an event to a symbol or to numbers, with the JSON literal.

Which values are refused, and the messages, depend on the value and the settings alone.
"""

import json
import math
import re
from types import NoneType
from typing import Any, NamedTuple

from online_lstm.codec.cell_text import Markers, is_numeral, not_finite, parse_number, quote, quote_for_error
from online_lstm.codec.envelopes import Row, decimal_of
from online_lstm.codec.field_path import NOTHING, FieldPath
from online_lstm.codec.json_text import NumberText, unquoted
from online_lstm.codec.number_notation import PLAIN, notation_of, other_notation
from online_lstm.errors import BadInputError
from online_lstm.events import Label, Symbol, Vector
from online_lstm.settings import Settings


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


_KINDS = {bool: "a boolean", NoneType: "null", list: "an array", dict: "an object"}
_GROUPED = re.compile(r"[+-]?[0-9]+(?:[,.' ][0-9]+)+")
"""A text that is a number in some notation."""
_NONE = Markers()
"""Markers of a missing label in JSON: the default ones only, as quotes distinguish a string from a number there."""
_VALUE = FieldPath("value")


class SymbolReader:
    """A reader of the symbol of a row."""

    def __init__(self, settings: Settings) -> None:
        self._path = FieldPath(settings.value_path[0]) if settings.value_path else None
        self._end = FieldPath(settings.end_path)

    def __call__(self, row: Row, received: str | bytes) -> SymbolValue:
        """Return the symbol of a row; ``received`` is the value, for messages.

        Raises:
            BadInputError: The row has no symbol.
        """
        part = _value_in(row, self._path)
        if part is NOTHING:
            raise _missing_path(received, [self._path or _VALUE])
        return SymbolValue(*_symbol(part, received), _ends(row, self._end))


class VectorReader:
    """A reader of the numbers of a row.

    A value is a number or an array of numbers, or has a number at each of several paths. A number may be missing, alone
    or beside others: null, NaN, blank text, the markers in ``missing_values``, and a field that is not there. A string
    that contains a number or JSON is read as its content. For the task ``label``, a row may have a label; the vector of
    a label without a value is empty.
    """

    def __init__(self, settings: Settings) -> None:
        self._task, self._features = settings.task, settings.features
        self._markers = Markers(settings.missing_values)
        self._paths = [FieldPath(path) for path in settings.value_path]
        self._end = FieldPath(settings.end_path)
        self._label_path = FieldPath(settings.label_path) if settings.task == "label" else None
        self._scale, self._notation = settings.decimal_scale, notation_of(settings)
        self._reads_texts, self._enveloped = settings.text_numbers, settings.envelope != "none"

    def __call__(self, row: Row, received: str | bytes) -> VectorValue:
        """Return the numbers of a row; ``received`` is the value, for messages.

        Raises:
            BadInputError: The row has no numbers, or another number of them.
        """
        label = None
        if self._label_path is not None and isinstance(row.content, dict):
            label = self._label(row.find(self._label_path), received)
        ends = _ends(row, self._end)
        if len(self._paths) > 1:
            parts = [self._part(row, path) for path in self._paths]
            part = NOTHING if all(one is NOTHING for one in parts) else parts
        else:
            part = self._part(row, self._paths[0] if self._paths else None)
        if label is not None and (part is None or part is NOTHING):
            return VectorValue((), "null", ends, label)
        if part is NOTHING:
            raise _missing_path(received, self._paths or [_VALUE])
        if self._is_missing(part):
            return missing(self._features)._replace(ends=ends, label=label)
        vector, literal = self._array(part, received) if isinstance(part, list) else self._number(part, received)
        if len(vector) != self._features:
            raise BadInputError(
                "wrong_length",
                f"received {quote_for_error(literal)} with {len(vector)} numbers, expected {self._features}: the "
                "setting features",
            )
        return VectorValue(vector, literal, ends, label)

    def _part(self, row: Row, path: FieldPath | None) -> Any:
        """Return what a path leads to: the content of a string, and the number of a decimal."""
        part = _value_in(row, path)
        if type(part) is not str:
            return part
        if self._scale is not None and (number := decimal_of(part, self._scale)) is not None:
            return number
        return unquoted(part, self._notation) if self._reads_texts else part

    def _is_missing(self, part: Any) -> bool:
        """Return whether a part is null, or marks a missing number; a boolean does not."""
        if isinstance(part, str) or type(part) in (int, float):
            return part in self._markers
        return part is None

    def _number(self, part: Any, received: str | bytes) -> tuple[Vector, str]:
        """Read a number that is a vector of one."""
        if type(part) is str:
            raise self._not_a_number(part)
        number, literal = _measure(part, received)
        return (number,), literal

    def _array(self, parts: list[Any], received: str | bytes) -> tuple[Vector, str]:
        """Read an array of numbers, some of which may be missing."""
        read: list[tuple[float | None, str]] = []
        for index, element in enumerate(parts):
            part = unquoted(element, self._notation) if self._reads_texts else element
            if part is NOTHING or self._is_missing(part):
                read.append((None, "null"))
            elif isinstance(part, list | dict) or type(part) is str:
                raise self._no_component(part, received, index)
            else:
                read.append(_measure(part, received))
        return tuple(number for number, _ in read), f"[{', '.join(literal for _, literal in read)}]"

    def _no_component(self, part: Any, received: str | bytes, index: int) -> BadInputError:
        if len(self._paths) > 1 and type(part) is str:
            return self._not_a_number(part, self._paths[index].text)
        where = f" at {self._paths[index].text!a}" if len(self._paths) > 1 else ""
        return BadInputError(
            "not_a_number",
            f"received a vector with {_KINDS.get(type(part), 'a string')}{where} in {quote_for_error(received)}, "
            "expected numbers, or null or a text of missing_values for a missing number",
        )

    def _not_a_number(self, text: str, path: str | None = None) -> BadInputError:
        where = "" if path is None else f" at {path!a}"
        way = f"the setting task is {self._task}, words need the task symbol; missing_values lists the texts that mark "
        way += "a missing number"
        if self._enveloped and decimal_of(text, 0) is not None:
            way = "decimals in base64 need their schema, or the setting decimal_scale"
        elif _GROUPED.fullmatch(text.strip()) or (self._notation is not PLAIN and is_numeral(text)):
            return other_notation(text, self._notation)
        elif not self._reads_texts and type(unquoted(text)) is NumberText:
            way = "the setting text_numbers excludes numbers in strings"
        return BadInputError("not_a_number", f"received {quote_for_error(text)}{where}, expected a number: {way}")

    def _label(self, part: Any, received: str | bytes) -> Label | None:
        """Read a label: a number, a string or a boolean; return None for null, NaN and blanks."""
        if part is NOTHING or part is None or (isinstance(part, str) and part in _NONE):
            return None
        if isinstance(part, list | dict):
            raise BadInputError(
                "not_a_value",
                f"received {_KINDS[type(part)]} as the label in {quote_for_error(received)}, expected a number, a "
                "string or a boolean: the setting label_path says where it is",
            )
        return _symbol(part, received)


def missing(features: int) -> VectorValue:
    """Return a value whose numbers are all missing.

    >>> missing(2)
    VectorValue(vector=(None, None), literal='[null, null]', ends=False, label=None)
    """
    literal = "null" if features == 1 else f"[{', '.join(['null'] * features)}]"
    return VectorValue((None,) * features, literal)


def _value_in(row: Row, path: FieldPath | None) -> Any:
    """Return the part with the value: at the path, by default in the field ``value`` of an object."""
    if path is not None:
        return row.find(path)
    return _VALUE.find(row.content) if isinstance(row.content, dict) else row.content


def _missing_path(received: str | bytes, paths: list[FieldPath]) -> BadInputError:
    wanted = " or ".join(f"{path.text!a}" for path in paths)
    return BadInputError(
        "missing_path",
        f"received {quote_for_error(received)}, expected a value at {wanted}: the setting value_path says where it is",
    )


def _ends(row: Row, path: FieldPath) -> bool:
    return isinstance(row.content, dict) and row.find(path) is True


def _symbol(part: Any, received: str | bytes) -> tuple[Symbol, str]:
    """Return the number, boolean or text of a part, with its JSON text; a boolean is the number 0 or 1."""
    if type(part) is tuple:  # a number that was read with its text
        number: tuple[Symbol, str] = part
        return number
    if isinstance(part, NumberText):
        parsed = parse_number(str(part))
        assert parsed is not None
        return parsed
    if isinstance(part, str):
        return _quoted(part)
    if isinstance(part, bool):
        return int(part), json.dumps(part)
    if isinstance(part, int | float):
        if not math.isfinite(part):
            raise not_finite(str(part))
        return part, json.dumps(part)
    vectors = "vectors belong to other tasks, " if isinstance(part, list) else ""
    raise BadInputError(
        "not_a_value",
        f"received {_KINDS[type(part)]} as the value in {quote_for_error(received)}, expected a number or a string: "
        f"{vectors}the setting value_path can point into objects and arrays",
    )


def _measure(part: Any, received: str | bytes) -> tuple[float, str]:
    """Return the number of a part, 0 or 1 for a boolean, with its JSON text."""
    number, literal = _symbol(int(part) if isinstance(part, bool) else part, received)
    return float(number), literal


def _quoted(text: str) -> tuple[str, str]:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInputError(
            "not_utf8", f"received {quote_for_error(text)} with half of a surrogate pair, expected whole characters"
        ) from None
    return text, quote(text)
