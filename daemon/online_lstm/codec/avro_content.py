"""The content of Avro values as messages: decimals become numbers, dates and times texts in ISO 8601."""

import io
import json
import struct
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from online_lstm.codec.json_text import NumberText
from online_lstm.codec.schemas import ContentReader, Schema, text_of

_FAULTS = (EOFError, IndexError, KeyError, TypeError, ArithmeticError, RecursionError, MemoryError, struct.error)
"""Errors of the library for content of another schema, besides ``ValueError``."""
_SIMPLE = (str, bool, int, float, type(None))


def avro_reader(schema: Schema) -> ContentReader:
    """Return the function that reads the content of values of a schema.

    Raises:
        ValueError: The schema is invalid.
    """
    named: dict[str, Any] = {}
    try:
        for _, text in schema.references:
            fastavro.parse_schema(json.loads(text), named_schemas=named)
        parsed = fastavro.parse_schema(json.loads(schema.text), named_schemas=named)
    except (SchemaParseException, UnknownType, TypeError, KeyError) as error:
        raise ValueError("not a schema of Avro") from error

    def read(content: bytes) -> Any:
        stream = io.BytesIO(content)
        try:
            message = fastavro.schemaless_reader(stream, parsed, None)
        except _FAULTS as error:
            raise ValueError("not of this schema") from error
        if stream.tell() != len(content):
            raise ValueError("more bytes than the schema describes")
        return plain(message)

    return read


def plain(part: Any) -> Any:
    """Return a part with content that JSON has too.

    >>> plain({"load": Decimal("10.320"), "raw": b"a", "at": datetime(2026, 1, 31, 12)})
    {'load': '10.320', 'raw': 'a', 'at': '2026-01-31T12:00:00'}
    """
    if type(part) is dict:
        return {name: one if type(one) in _SIMPLE else plain(one) for name, one in part.items()}
    if isinstance(part, _SIMPLE):
        return part
    if isinstance(part, list | tuple):
        return [plain(one) for one in part]
    if isinstance(part, Decimal):
        return NumberText(format(part, "f"))
    if isinstance(part, date | time | datetime):
        return part.isoformat()
    return str(part) if isinstance(part, UUID) else text_of(bytes(part))
