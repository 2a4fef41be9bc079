"""The decoder of input records: the stream, the value, and a check that an output can hold the copied key and headers.

Which records are refused, and the error messages, depend on the record and the settings alone, because a replay must
produce the same dead letters.
"""

import base64
from collections.abc import Callable
from functools import partial

from online_lstm.codec.cell_text import quote, quote_for_error
from online_lstm.codec.output_forms import REFUSED_OUTPUT
from online_lstm.codec.size import headers_bytes
from online_lstm.codec.values import SymbolValue, VectorValue, missing, symbol_reader, vector_reader
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
_UNREADABLE = {"not_utf8", "not_a_value", "not_a_number", "not_finite"}
"""Reasons of values that should be numbers and could not be read."""


class Decoder:
    """A decoder of records into the events of the task, within the size limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._max_value_bytes = settings.max_value_bytes
        # Key, key again as "stream", and headers fill at most three quarters of an output; the encoder limits the rest.
        self._max_copied_bytes = settings.max_output_bytes // 4
        self._task = settings.task
        self._by_key = settings.stream_by == "key"
        self._features = settings.features
        self._event: Callable[[InputRecord, str | None], Event]
        if settings.task == "symbol":
            read_symbol = symbol_reader(settings.value_format, settings.value_path)
            self._event = partial(self._symbol_event, read=read_symbol)
        else:
            read_vector = vector_reader(
                settings.value_format,
                settings.value_path,
                task=settings.task,
                features=settings.features,
                missing_values=settings.missing_values,
                label_path=settings.label_path if settings.task == "label" else None,
            )
            event = self._number_event if settings.task == "number" else self._label_event
            self._event = partial(event, read=read_vector)

    def decode(self, record: InputRecord) -> Event | Tombstone:
        """Decode one record; a null value is a tombstone: the stream of its key is forgotten.

        Without a key, or if ``stream_by`` is not key, there is no stream to forget. A null value is then a missing
        value, if the task has missing values.

        Raises:
            BadInputError: The value cannot be learned from, or key or headers are too large to be published.
        """
        stream = self._stream(record)
        if record.value is None and stream is not None:
            return Tombstone(record, stream)
        if record.key:
            self._require_copyable_key(record.key)
        if record.headers:
            self._require_copyable_headers(record)
        return self._event(record, stream)

    def gap(self, record: InputRecord, error: BadInputError) -> NumberEvent | None:
        """Return a missing value in place of a refused number, so that later values keep their positions; else None."""
        if self._task != "number" or error.reason not in _UNREADABLE:
            return None
        value = missing(self._features)
        return NumberEvent(record, self._stream(record), value.vector, value.literal)

    def _stream(self, record: InputRecord) -> str | None:
        return stream_of(record.key) if self._by_key else None

    def _symbol_event(
        self, record: InputRecord, stream: str | None, read: Callable[[bytes], SymbolValue]
    ) -> SymbolEvent:
        if record.value is None:
            raise BadInputError(
                "null_value",
                "received a null value without a key, expected a value: a null value with a key forgets its stream, "
                "if stream_by is key",
            )
        self._require_small(record.value)
        return SymbolEvent(record, stream, *read(record.value))

    def _number_event(
        self, record: InputRecord, stream: str | None, read: Callable[[bytes], VectorValue]
    ) -> NumberEvent:
        vector, literal, ends, _ = self._vector_value(record.value, read)
        return NumberEvent(record, stream, vector, literal, ends)

    def _label_event(self, record: InputRecord, stream: str | None, read: Callable[[bytes], VectorValue]) -> LabelEvent:
        return LabelEvent(record, stream, *self._vector_value(record.value, read))

    def _vector_value(self, value: bytes | None, read: Callable[[bytes], VectorValue]) -> VectorValue:
        if value is None:
            return missing(self._features)
        self._require_small(value)
        received = read(value)
        if len(received.vector) != self._features and not (received.label and not received.vector):
            raise BadInputError(
                "wrong_length",
                f"received {quote_for_error(received.literal)} with {len(received.vector)} numbers, expected "
                f"{self._features}: the setting features",
            )
        return received

    def _require_small(self, value: bytes) -> None:
        if len(value) > self._max_value_bytes:
            raise BadInputError(
                "too_large",
                f"received a value of {len(value)} bytes, expected at most {self._max_value_bytes}: "
                "the setting max_value_bytes",
            )

    def _require_copyable_key(self, key: bytes) -> None:
        if 8 * len(key) < self._max_copied_bytes:  # JSON escapes a byte with at most six bytes
            return
        received = max(len(key), len(quote(stream_of(key) or "").encode()))
        if received > self._max_copied_bytes:
            raise BadInputError(
                "key_too_large",
                f"received a key that takes {received} bytes, itself or as JSON text, expected at most "
                f"{self._max_copied_bytes}: a quarter of the setting max_output_bytes",
            )

    def _require_copyable_headers(self, record: InputRecord) -> None:
        received = headers_bytes(record.headers)
        if received > self._max_copied_bytes:
            raise BadInputError(
                "headers_too_large",
                f"received {len(record.headers)} headers that take {received} bytes, expected at most "
                f"{self._max_copied_bytes}: a quarter of the setting max_output_bytes",
            )


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
