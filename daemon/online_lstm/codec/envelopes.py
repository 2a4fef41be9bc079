"""The envelopes that other programs put around a value: Kafka Connect, Debezium, CloudEvents.

An envelope leads from a message to rows, one for each event: what changed, and the message around it. Decimals of
Kafka Connect, base64 texts beside a schema with their scale, become numbers.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from online_lstm.codec.cell_text import quote_for_error
from online_lstm.codec.field_path import NOTHING, FieldPath
from online_lstm.codec.json_text import NumberText
from online_lstm.errors import BadInputError

DECIMAL = "org.apache.kafka.connect.data.Decimal"
VARIABLE_DECIMAL = "io.debezium.data.VariableScaleDecimal"
_SCALE = re.compile(r"-?[0-9]{1,2}")
_CHANGES = {"c", "u", "r"}
_REMOVALS = {"d"}
_NO_ROW = {"t", "m"}


class Change(Enum):
    """The meaning of a row: a value, the removal of the row that the key names, or nothing that concerns a row."""

    VALUE = "value"
    REMOVAL = "removal"
    NONE = "none"


class Row(NamedTuple):
    """The content of one event, and the message around it; ``around`` is None without an envelope."""

    content: Any
    around: Any = None
    change: Change = Change.VALUE

    def find(self, path: FieldPath) -> Any:
        """Return the part that a path leads to, in the content or else in the message around it; or ``NOTHING``."""
        part = path.find(self.content)
        return path.find(self.around) if part is NOTHING and self.around is not None else part


def envelope_reader(envelope: str) -> Callable[[Any, str | bytes], Row]:
    """Return the function that takes the row out of a message; it raises ``BadInputError``.

    >>> read = envelope_reader("connect")
    >>> read({"schema": {"type": "int64", "optional": True}, "payload": 4}, "").content
    4
    """
    return _READERS[envelope]


def payload_of(message: Any) -> Any:
    """Return the payload of a message of Kafka Connect, with its decimals as numbers; ``NOTHING`` without a schema.

    >>> payload_of({"schema": {"type": "bytes", "name": DECIMAL, "parameters": {"scale": "2"}}, "payload": "BAg="})
    '10.32'
    """
    if not (isinstance(message, dict) and message.keys() == {"schema", "payload"}):
        return NOTHING
    return _typed(message["payload"], message["schema"])


def decimal_of(text: str, scale: int) -> NumberText | None:
    """Return the number of a decimal in base64: a big-endian two's complement, and the digits after the point.

    >>> decimal_of("BAg=", 2), decimal_of("/w==", 0), decimal_of("no base64", 2)
    ('10.32', '-1', None)
    """
    try:
        unscaled = int.from_bytes(base64.b64decode(text, validate=True), signed=True)
    except binascii.Error:
        return None
    digits = str(abs(unscaled)).rjust(scale + 1, "0") + "0" * -scale
    point = len(digits) - max(scale, 0)
    fraction = f".{digits[point:]}" if scale > 0 else ""
    return NumberText(f"{'-' if unscaled < 0 else ''}{digits[:point]}{fraction}")


def _plain(message: Any, _: str | bytes) -> Row:
    return Row(message)


def _connect(message: Any, received: str | bytes) -> Row:
    payload = payload_of(message)
    if payload is NOTHING:
        raise _other(received, "connect", "an object with schema and payload")
    return Row(payload, message)


def _debezium(message: Any, received: str | bytes) -> Row:
    payload = payload_of(message)
    message = message if payload is NOTHING else payload
    operation = str(message.get("op")) if isinstance(message, dict) else None
    if operation in _CHANGES and isinstance(message.get("after"), dict):
        return Row(message["after"], message)
    if operation in _REMOVALS:
        return Row(None, message, Change.REMOVAL)
    if operation in _NO_ROW:
        return Row(None, message, Change.NONE)
    raise _other(received, "debezium", "an object with op, and after for the ops c, u and r")


def _cloudevents(message: Any, received: str | bytes) -> Row:
    if not (isinstance(message, dict) and "specversion" in message):
        raise _other(received, "cloudevents", "an object with specversion and data")
    return Row(message.get("data"), message)


_READERS = {"none": _plain, "connect": _connect, "debezium": _debezium, "cloudevents": _cloudevents}


def _other(received: str | bytes, envelope: str, expected: str) -> BadInputError:
    return BadInputError(
        "not_a_value", f"received {quote_for_error(received)}, expected {expected}: the setting envelope is {envelope}"
    )


def _typed(part: Any, schema: Any) -> Any:
    """Return a part of a payload with its decimals as numbers; what the schema does not describe stays as it is."""
    if part is None or not isinstance(schema, Mapping):
        return part
    name, kind = schema.get("name"), schema.get("type")
    if name == DECIMAL and isinstance(part, str):
        return _decimal(part, FieldPath("parameters.scale").find(schema))
    if name == VARIABLE_DECIMAL and isinstance(part, dict):
        return _decimal(part.get("value"), part.get("scale"))
    if kind == "struct" and isinstance(part, dict):
        fields = schema.get("fields")
        described = [field for field in fields if isinstance(field, dict)] if isinstance(fields, list) else []
        by_name = {str(field.get("field")): field for field in described}
        return {one: _typed(content, by_name.get(one)) for one, content in part.items()}
    if kind == "array" and isinstance(part, list):
        return [_typed(item, schema.get("items")) for item in part]
    return part


def _decimal(text: Any, scale: Any) -> Any:
    """Return the number of a decimal, or the text if text or scale are of another kind."""
    if not (isinstance(text, str) and _SCALE.fullmatch(str(scale))):
        return text
    number = decimal_of(text, int(str(scale)))
    return text if number is None else number
