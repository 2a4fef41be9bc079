"""The decoder of input records: the streams, times and values of their events, within the limits of an output.

Which records are refused, and the error messages, depend on the record and the settings alone, because a replay must
produce the same dead letters.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from online_lstm.codec.cell_text import quote
from online_lstm.codec.envelopes import Change, Row, envelope_reader
from online_lstm.codec.field_path import NOTHING, FieldPath
from online_lstm.codec.message_formats import message_reader
from online_lstm.codec.output_forms import REFUSED_OUTPUT
from online_lstm.codec.record_fields import KeyField, TimeField, key_reader, stream_of
from online_lstm.codec.schemas import SchemaSource
from online_lstm.codec.size import headers_bytes
from online_lstm.codec.values import SymbolReader, VectorReader, VectorValue, missing
from online_lstm.errors import BadInputError
from online_lstm.events import Event, InputRecord, LabelEvent, NumberEvent, SymbolEvent, Tombstone
from online_lstm.settings import Settings

REASONS = (
    "too_large",
    "key_too_large",
    "headers_too_large",
    "not_utf8",
    "not_a_value",
    "not_a_number",
    "not_a_time",
    "not_finite",
    "missing_path",
    "schema_registry",
    "null_value",
    "wrong_length",
    "too_many_labels",
    "no_sequence",
    REFUSED_OUTPUT,
)
"""Every reason of a dead letter: the reasons of ``BadInputError``, then a prediction that the output topic refused."""
_UNREADABLE = {"not_utf8", "not_a_value", "not_a_number", "not_a_time", "not_finite"}
"""Reasons of values that should be numbers and could not be read."""


class Decoded(NamedTuple):
    """One event of a record, its refusal, or both: a refused number keeps its position as a missing value.

    ``record`` is the input record, with the index of the event if it has several.
    """

    record: InputRecord
    event: Event | Tombstone | None
    error: BadInputError | None = None


class Decoder:
    """A decoder of records into the events of the task, within the size limits of the settings.

    ``schemas`` has the schemas of a registry, None if no format needs one.
    """

    def __init__(self, settings: Settings, schemas: SchemaSource | None = None) -> None:
        self._max_value_bytes = settings.max_value_bytes
        # Key, key again as "stream", and headers fill at most three quarters of an output; the encoder limits the rest.
        self._max_copied_bytes = settings.max_output_bytes // 4
        self._task, self._features = settings.task, settings.features
        self._by_key, self._ignores_nulls = settings.stream_by == "key", settings.envelope == "debezium"
        self._key_of = key_reader(settings, schemas)
        self._key_field = KeyField(settings.key_path) if settings.key_path else None
        self._time_field = TimeField(settings.time_path, settings.time_format) if settings.time_path else None
        self._value_paths = [FieldPath(path) for path in settings.value_path]
        self._message_of, self._row_of = message_reader(settings, schemas), envelope_reader(settings.envelope)
        self._read: Callable[[Row, str | bytes], Any] = (
            SymbolReader(settings) if settings.task == "symbol" else VectorReader(settings)
        )
        self._event: Callable[..., Event] = _EVENTS[settings.task]

    def decode(self, record: InputRecord) -> list[Decoded]:
        """Decode the events of a record: one, one for each object of an array, or none for the removal of a row.

        A null value is a tombstone: the stream of its key is forgotten. If the key names no stream, there is none to
        forget; the null value is then a missing value, if the task has missing values.
        """
        stream = None
        try:
            if self._by_key and self._key_field is None:
                stream = self._key_of(record.key)
            if record.value is None and stream is not None:
                return [Decoded(record, Tombstone(record, stream))]
            self._require_copyable(record)
            if record.value is None:
                return self._null(record)
            self._require_small(record.value)
            message, received = self._message_of(record.value)
        except BadInputError as error:
            known = self._key_field is None and (stream is not None or record.key is None or not self._by_key)
            return [self._refused(record, stream, error, keyed=record if known else None)]
        if type(message) is list and self._has_events(message):
            several = [
                self._decode_one(replace(record, index=index), stream, part, received)
                for index, part in enumerate(message)
            ]
            return [one for one in several if one is not None]
        decoded = self._decode_one(record, stream, message, received)
        return [] if decoded is None else [decoded]

    def _has_events(self, message: list[Any]) -> bool:
        """Return whether an array has an object for each event, so that no path to the value leads into it."""
        objects = bool(message) and all(type(part) is dict for part in message)
        return objects and all(path.find(message) is NOTHING for path in self._value_paths)

    def _decode_one(
        self, record: InputRecord, stream: str | None, message: Any, received: str | bytes
    ) -> Decoded | None:
        """Decode one event; return None for the removal of a row that no stream has the key of."""
        known, keyed = self._key_field is None, record
        try:
            row = self._row_of(message, received)
            if row.change is not Change.VALUE:
                removes = row.change is Change.REMOVAL and stream is not None
                return Decoded(record, Tombstone(record, stream)) if removes else None
            if self._key_field is not None:
                key = self._key_field(row, received)
                keyed, stream = replace(record, key=key.encode()), key if self._by_key else None
                self._require_copyable(keyed)
                known = True
            if self._time_field is not None:
                time = self._time_field(row, received)
                keyed = replace(keyed, timestamp_ms=time, stamped_by_broker=False)
            return Decoded(record, self._event(keyed, stream, *self._read(row, received)))
        except BadInputError as error:
            return self._refused(record, stream, error, keyed=keyed if known else None)

    def _null(self, record: InputRecord) -> list[Decoded]:
        """Decode a null value that forgets no stream."""
        if self._ignores_nulls:
            return []
        if self._key_field is None and self._task != "symbol":
            return [Decoded(record, self._event(record, None, *missing(self._features)))]
        way = "if stream_by is key" if self._key_field is None else "if key_path is unset"
        raise BadInputError(
            "null_value",
            "received a null value without a key, expected a value: a null value with a key forgets its stream, " + way,
        )

    def _refused(
        self, record: InputRecord, stream: str | None, error: BadInputError, *, keyed: InputRecord | None
    ) -> Decoded:
        """Refuse an event; a number that cannot be read keeps its position, if its stream is known.

        ``keyed`` is the record with the key of its stream, None if the key is unknown.
        """
        if keyed is None or self._task != "number" or error.reason not in _UNREADABLE:
            return Decoded(record, None, error)
        return Decoded(record, self._event(keyed, stream, *missing(self._features)), error)

    def _require_small(self, value: bytes) -> None:
        if len(value) > self._max_value_bytes:
            raise BadInputError(
                "too_large",
                f"received a value of {len(value)} bytes, expected at most {self._max_value_bytes}: "
                "the setting max_value_bytes",
            )

    def _require_copyable(self, record: InputRecord) -> None:
        """Require that an output can hold the key, the key again as the name of the stream, and the headers."""
        key = record.key
        if key and 8 * len(key) >= self._max_copied_bytes:  # JSON escapes a byte with at most six bytes
            received = max(len(key), len(quote(stream_of(key) or "").encode()))
            if received > self._max_copied_bytes:
                raise BadInputError(
                    "key_too_large",
                    f"received a key that takes {received} bytes, itself or as JSON text, expected at most "
                    f"{self._max_copied_bytes}: a quarter of the setting max_output_bytes",
                )
        if record.headers and (received := headers_bytes(record.headers)) > self._max_copied_bytes:
            raise BadInputError(
                "headers_too_large",
                f"received {len(record.headers)} headers that take {received} bytes, expected at most "
                f"{self._max_copied_bytes}: a quarter of the setting max_output_bytes",
            )


def _number_event(record: InputRecord, stream: str | None, *value: Any) -> NumberEvent:
    vector, literal, ends, _ = VectorValue(*value)
    return NumberEvent(record, stream, vector, literal, ends)


_EVENTS: dict[str, Callable[..., Event]] = {"symbol": SymbolEvent, "number": _number_event, "label": LabelEvent}
