"""The readers of what a row says about itself: the key of its stream and its time."""

import base64
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from online_lstm.codec.cell_text import quote, quote_for_error
from online_lstm.codec.envelopes import Row, payload_of
from online_lstm.codec.field_path import NOTHING, FieldPath
from online_lstm.codec.json_text import NumberText, parse
from online_lstm.codec.schema_reader import SchemaReader
from online_lstm.codec.schemas import SchemaSource, schema_and_content
from online_lstm.errors import BadInputError
from online_lstm.settings import Settings
from online_lstm.timestamps import AUTO, EPOCH_UNITS, epoch_ms, milliseconds_in, unit_of

_EXPECTED = f"expected {', '.join(EPOCH_UNITS)} since 1970, or ISO 8601"


def key_reader(settings: Settings, schemas: SchemaSource | None) -> Callable[[bytes | None], str | None]:
    """Return the function that names the stream of a record's key; it raises ``BadInputError``."""
    if settings.key_format in {"avro", "protobuf"}:
        assert schemas is not None
        read = SchemaReader("key_format", settings.key_format, schemas)
        return lambda key: None if key is None else key_text(read(key))
    if settings.key_format == "json_schema":
        return lambda key: None if key is None else key_text(_json_key(key))
    return _stream_of_payload if settings.envelope in {"connect", "debezium"} else stream_of


def stream_of(key: bytes | None) -> str | None:
    """Return the name of a key's stream.

    >>> stream_of(b"pump-7"), stream_of(bytes([255, 0])), stream_of(None)
    ('pump-7', 'base64:/wA=', None)
    """
    if key is None:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(key).decode()


def _stream_of_payload(key: bytes | None) -> str | None:
    """Return the name of the stream of a key that may have the envelope of Kafka Connect.

    >>> _stream_of_payload(b'{"schema": {"type": "string"}, "payload": "pump-7"}'), _stream_of_payload(b"pump-7")
    ('pump-7', 'pump-7')
    """
    name = stream_of(key)
    if name is None or '"payload"' not in name:
        return name
    try:
        payload = payload_of(parse(name, vectors=False))
    except BadInputError:
        return name
    return name if payload is NOTHING else key_text(payload)


def _json_key(key: bytes) -> Any:
    _, content = schema_and_content(key, setting="the setting key_format is json_schema", name="the key ")
    return parse(stream_of(content) or "", vectors=False)


class KeyField:
    """The reader of the key at ``key_path``."""

    def __init__(self, path: str) -> None:
        self._path = FieldPath(path)

    def __call__(self, row: Row, received: str | bytes) -> str:
        """Return the key of a row.

        Raises:
            BadInputError: The row has no key there.
        """
        key = key_text(row.find(self._path))
        if key is None:
            raise BadInputError(
                "missing_path",
                f"received {quote_for_error(received)}, expected the key of its stream at {self._path.text!a}: the "
                "setting key_path says where it is",
            )
        return key


class TimeField:
    """The reader of the time at ``time_path``."""

    def __init__(self, path: str, form: str) -> None:
        self._path, self._form = FieldPath(path), form

    def __call__(self, row: Row, received: str | bytes) -> int:
        """Return the time of a row in milliseconds since 1970.

        Raises:
            BadInputError: The row has no time there, or it cannot be read, or is before 1970.
        """
        part = row.find(self._path)
        milliseconds = self._milliseconds(part)
        if milliseconds is None or milliseconds < 0:
            shown = "nothing" if part is NOTHING else quote_for_error(str(part))
            form = _EXPECTED if self._form == AUTO else f"expected a time since 1970 in the form {self._form}"
            raise BadInputError(
                "not_a_time",
                f"received {shown} at {self._path.text!a} in {quote_for_error(received)}, {form}: the settings "
                "time_path and time_format say where it is and how it is written",
            )
        return milliseconds

    def _milliseconds(self, part: Any) -> int | None:
        if isinstance(part, datetime):
            return epoch_ms(part)
        if isinstance(part, bool) or not isinstance(part, str | int | float | Decimal):
            return None
        text = str(part).strip()
        form = unit_of(text) if self._form == AUTO else self._form
        return None if form is None else milliseconds_in(text, form)


def key_text(part: Any) -> str | None:
    """Return the text of a key: of a number or boolean as in JSON, of an object or array its JSON; None for no key.

    >>> key_text(NumberText("7")), key_text({"id": NumberText("7"), "at": "a"}), key_text(None)
    ('7', '{"id":7,"at":"a"}', None)
    """
    if part is None or part is NOTHING:
        return None
    return str(part) if isinstance(part, str) else _compact(part)


def _compact(part: Any) -> str:
    """Return the JSON of a part, without spaces."""
    if isinstance(part, dict):
        return f"{{{','.join(f'{quote(str(name))}:{_compact(one)}' for name, one in part.items())}}}"
    if isinstance(part, list):
        return f"[{','.join(map(_compact, part))}]"
    if isinstance(part, bool) or part is None:
        return {True: "true", False: "false", None: "null"}[part]
    return str(part) if isinstance(part, NumberText) or not isinstance(part, str) else quote(part)
