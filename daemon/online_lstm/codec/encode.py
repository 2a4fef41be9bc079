"""The encoder of output records: predictions as CloudEvents with a JSON value, refused records as dead letters.

The bytes depend on the arguments and ``max_output_bytes`` alone, and every record fits into ``max_output_bytes``.
"""

import functools
import hashlib
import json
import struct
from dataclasses import replace
from datetime import timedelta

from online_lstm.codec.cell_text import quote
from online_lstm.codec.output_forms import TIMESTAMP
from online_lstm.codec.output_messages import writer_of
from online_lstm.codec.size import record_bytes
from online_lstm.errors import BadInputError
from online_lstm.events import (
    Event,
    EventResult,
    Header,
    InputRecord,
    LabelResult,
    OutputRecord,
    SymbolResult,
)
from online_lstm.settings import Settings
from online_lstm.timestamps import EPOCH

DIGEST_BYTES = 16
"""Length of the digests that ``extend_digest`` takes and returns; the first digest of a chain is zeros."""

MAX_ERROR_CHARACTERS = 300

NO_TIMESTAMP: Header = (TIMESTAMP, b"-1")
"""Header of a dead letter whose record had no timestamp: it gets a timestamp when it is published."""

NULL_VALUE: Header = ("online_lstm_value", b"null")
"""Header of a dead letter whose record had no key and no value: no client can send that, so its value is empty."""

INDEX = "online_lstm_index"
"""Header of a dead letter with the index of the refused event, if its record has several."""

# Maximum characters of a literal, entries of `top` and of `experts`; the second triple fits any `max_output_bytes`.
_CUTS = ((1000, 100, 100), (20, 1, 0))
YEAR_10000_MS = 253_402_300_800_000
_CONSTANT_HEADERS: tuple[Header, ...] = (
    ("ce_type", b"online-lstm.prediction"),
    ("ce_specversion", b"1.0"),
    ("content-type", b"application/json"),
)
_VALUE_NAMES = ("online_lstm_original_length", "online_lstm_sha256")
_KEY_NAMES = ("online_lstm_key_length", "online_lstm_key_sha256")


class Encoder:
    """An encoder of records of at most ``max_output_bytes``."""

    def __init__(self, settings: Settings) -> None:
        self._max_bytes = settings.max_output_bytes
        self._write = writer_of(settings)

    def output(self, event: Event, outcome: EventResult, model: str) -> OutputRecord:
        """Encode the output for an event of a record that ``Decoder`` accepted.

        If the message is too large, its strings are cut, and headers have the length and the SHA-256 of the whole
        message.
        """
        record = event.record
        headers = _cloud_event(record) + _copied(record)
        value = self._write(event, outcome, model).encode()
        if record_bytes(record.key, value, headers) > self._max_bytes:
            headers += _fingerprint(value, *_VALUE_NAMES)
            for cuts in _CUTS:
                value = self._write(*_cut(event, outcome, *cuts), model).encode()
                if record_bytes(record.key, value, headers) <= self._max_bytes:
                    break
        return OutputRecord(record.partition, record.timestamp_ms, record.key, value, headers)

    def dead_letter(self, record: InputRecord, error: BadInputError) -> OutputRecord:
        """Encode a refused record with headers for the reason and for the position of the record.

        If the dead letter is too large, it loses the input's headers first, then the part of the key beyond half of the
        limit, then the end of the value; headers describe the missing parts.
        """
        own = tuple(header for header in record.headers if not header[0].startswith("online_lstm_"))
        refusal = (
            ("online_lstm_error", str(error)[:MAX_ERROR_CHARACTERS].encode()),
            ("online_lstm_reason", error.reason.encode()),
            ("online_lstm_topic", record.topic.encode()),
            ("online_lstm_partition", b"%d" % record.partition),
            ("online_lstm_offset", b"%d" % record.offset),
            *(() if record.index is None else ((INDEX, b"%d" % record.index),)),
            *((NO_TIMESTAMP,) if record.timestamp_ms < 0 else ()),
            *((NULL_VALUE,) if record.key is None and record.value is None else ()),
        )
        key, value, headers = record.key, b"" if NULL_VALUE in refusal else record.value, own + refusal
        if own and self._excess(key, value, headers) > 0:
            headers = (*refusal, ("online_lstm_headers_dropped", b"%d" % len(own)))
        if key and len(key) > self._max_bytes // 2 and self._excess(key, value, headers) > 0:
            headers += _fingerprint(key, *_KEY_NAMES)
            key = key[: self._max_bytes // 2]
        if value and self._excess(key, value, headers) > 0:
            headers += _fingerprint(value, *_VALUE_NAMES)
            value = value[: -self._excess(key, value, headers)]
        return OutputRecord(record.partition, record.timestamp_ms, key, value, headers, dead_letter=True)

    def _excess(self, key: bytes | None, value: bytes | None, headers: tuple[Header, ...]) -> int:
        return record_bytes(key, value, headers) - self._max_bytes


def extend_digest(digest: bytes, record: OutputRecord) -> bytes:
    """Extend a rolling BLAKE2b-128 digest by everything that a reader of this record can see.

    All lengths come before all contents, so no byte can move from one field to another unnoticed.
    """
    names = [name.encode() for name, _ in record.headers]
    contents = [record.key or b"", record.value or b"", *names, *[value for _, value in record.headers]]
    lengths = struct.pack(
        f">???q{len(contents)}I",
        record.dead_letter,
        record.key is None,
        record.value is None,
        record.timestamp_ms,
        *map(len, contents),
    )
    count = len(names).to_bytes(4)
    return hashlib.blake2b(b"".join((digest, count, lengths, *contents)), digest_size=DIGEST_BYTES).digest()


def _cut(event: Event, outcome: EventResult, characters: int, entries: int, experts: int) -> tuple[Event, EventResult]:
    """Shorten the parts that long values make long; numbers are never shortened."""
    if isinstance(outcome, SymbolResult):
        outcome = _cut_symbols(outcome, characters, entries, experts)
    elif isinstance(outcome, LabelResult):
        outcome = _cut_labels(outcome, characters, entries)
    return replace(event, literal=_cut_literal(event.literal, characters)), outcome


def _cut_symbols(outcome: SymbolResult, characters: int, entries: int, experts: int) -> SymbolResult:
    evaluation, prediction = outcome.evaluation, outcome.prediction
    if evaluation is not None:
        evaluation = replace(evaluation, predicted=_cut_literal(evaluation.predicted, characters))
    if prediction is not None:
        top = tuple((_cut_literal(literal, characters), p) for literal, p in prediction.top[:entries])
        by_expert = tuple(
            (None if literal is None else _cut_literal(literal, characters), p, w)
            for literal, p, w in prediction.experts[:experts]
        )
        prediction = replace(prediction, top=top, experts=by_expert)
    return replace(outcome, evaluation=evaluation, prediction=prediction)


def _cut_labels(outcome: LabelResult, characters: int, entries: int) -> LabelResult:
    evaluation, prediction = outcome.evaluation, outcome.prediction
    if evaluation is not None:
        label, predicted = _cut_literal(evaluation.label, characters), _cut_literal(evaluation.predicted, characters)
        evaluation = replace(evaluation, label=label, predicted=predicted)
    if prediction is not None:
        ranked = tuple((_cut_literal(literal, characters), p) for literal, p in prediction.probabilities[:entries])
        prediction = replace(prediction, probabilities=ranked)
    return replace(outcome, evaluation=evaluation, prediction=prediction)


def _cut_literal(literal: str, characters: int) -> str:
    if not literal.startswith('"'):  # a number is short by itself
        return literal
    text: str = json.loads(literal)
    return literal if len(text) <= characters else quote(text[: characters - 1] + "…")


def _cloud_event(record: InputRecord) -> tuple[Header, ...]:
    """Return the headers of the CloudEvents Kafka protocol binding 1.0.2, binary mode."""
    position = f"{record.topic}/{record.partition}/{record.offset}"
    if record.index is not None:
        position += f"/{record.index}"
    headers = (
        ("ce_id", position.encode()),
        ("ce_source", f"/online-lstm/{record.topic}".encode()),
        *_CONSTANT_HEADERS,
    )
    # Brokers accept timestamps after the year 9999, for instance microseconds given as milliseconds.
    if 0 <= record.timestamp_ms < YEAR_10000_MS:
        return (*headers, ("ce_time", _time(record.timestamp_ms)))
    return headers


def _time(timestamp_ms: int) -> bytes:
    seconds, milliseconds = divmod(timestamp_ms, 1000)
    return b"%s.%03dZ" % (_second(seconds), milliseconds)


@functools.lru_cache(maxsize=16)
def _second(seconds: int) -> bytes:
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}".encode()


def _copied(record: InputRecord) -> tuple[Header, ...]:
    return tuple(
        [
            header
            for header in record.headers
            if not header[0].startswith(("ce_", "online_lstm_")) and header[0] != "content-type"
        ]
    )


def _fingerprint(content: bytes, length: str, sha256: str) -> tuple[Header, Header]:
    return (length, b"%d" % len(content)), (sha256, hashlib.sha256(content).hexdigest().encode())
