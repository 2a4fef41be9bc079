"""The value formats: from the bytes of a value to a message.

A message has the content of JSON: objects, arrays, texts, booleans, null, and numbers, which keep their notation where
they were text. The other codec modules do not know in which format a message came.
"""

import functools
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from online_lstm.codec.cell_text import Markers, is_numeral, parse_boolean, parse_number, quote_for_error
from online_lstm.codec.json_text import parse
from online_lstm.codec.number_notation import PLAIN, Notation, notation_of, other_notation
from online_lstm.codec.schema_reader import SchemaReader
from online_lstm.codec.schemas import SCHEMA_BYTES, SCHEMA_MARK, SchemaSource, schema_and_content, schema_of
from online_lstm.errors import BadInputError
from online_lstm.settings import Settings

_BYTE_ORDER_MARK = "\ufeff"


class ReadMessage(NamedTuple):
    """A message, and the value as it is quoted in errors: its text, or its bytes."""

    content: Any
    received: str | bytes


MessageReader = Callable[[bytes], ReadMessage]
"""Reads a value; it raises ``BadInputError``."""


def message_reader(settings: Settings, schemas: SchemaSource | None) -> MessageReader:
    """Return the function that reads the messages of the value format in the settings, with the schemas of a registry.

    >>> from online_lstm.settings import read_settings
    >>> message_reader(read_settings({"value_format": "short"}, environment={}), None)(bytes([0, 7])).content
    7
    """
    if settings.value_format in {"avro", "protobuf"}:
        assert schemas is not None
        read = SchemaReader("value_format", settings.value_format, schemas)
        return lambda value: ReadMessage(read(value), value)
    if settings.value_format in _BINARY:
        unpack = _BINARY[settings.value_format]
        return lambda value: ReadMessage(unpack(value), value)
    if settings.value_format == "string":
        return lambda value: ReadMessage(text := _utf8(value), text)
    vectors = settings.task != "symbol"
    bare = not settings.value_path and settings.envelope == "none"
    read_text = functools.partial(
        _text_message,
        vectors=vectors,
        markers=Markers(settings.missing_values) if vectors and bare else None,
        bare=bare,
        texts=settings.text_numbers,
        notation=notation_of(settings) if vectors else PLAIN,
    )
    if settings.value_format == "json_schema":
        setting = "the setting value_format is json_schema"
        return lambda value: read_text(schema_and_content(value, setting=setting)[1])
    return lambda value: read_text(_json_of_schema(value) if value[:1] == SCHEMA_MARK else value)


def _text_message(
    value: bytes, *, vectors: bool, markers: Markers | None, bare: bool, texts: bool, notation: Notation
) -> ReadMessage:
    text = _utf8(value).removeprefix(_BYTE_ORDER_MARK).strip()
    if bare:
        if markers is not None and text in markers:
            return ReadMessage(None, text)
        number = parse_number(text) if notation is PLAIN else notation.number(text)
        if number is not None:
            return ReadMessage(number, text)
        if notation is not PLAIN and is_numeral(text):
            raise other_notation(text, notation)
        if (boolean := parse_boolean(text)) is not None:
            return ReadMessage(boolean, text)
    return ReadMessage(parse(text, vectors=vectors, unquotes=notation if vectors and texts else None), text)


def _json_of_schema(value: bytes) -> bytes:
    """Return the JSON object or array after the id of a schema; no number begins with a zero byte, and no JSON."""
    schema = schema_of(value)
    if schema is None:
        return value
    text = value[SCHEMA_BYTES:]
    if not text.lstrip().startswith((b"{", b"[")):
        raise BadInputError(
            "schema_registry",
            f"received {quote_for_error(value)}, which begins like a Schema Registry's values (here schema {schema}), "
            "expected a number or JSON: set value_format to avro, protobuf or json_schema",
        )
    return text


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


def _boolean(value: bytes) -> bool:
    number: int = _unpack(value, ">B")
    if number > 1:
        raise BadInputError("not_a_value", f"received {quote_for_error(value)}, expected the byte 0 or 1: value_format")
    return bool(number)


_BINARY: dict[str, Callable[[bytes], float]] = {
    "double": functools.partial(_unpack, layout=">d"),
    "float": _float,
    "long": functools.partial(_unpack, layout=">q"),
    "integer": functools.partial(_unpack, layout=">i"),
    "short": functools.partial(_unpack, layout=">h"),
    "boolean": _boolean,
}
