"""The forms of a record for topics that do not accept it as encoded, and the way back to the encoded record.

The digest of a lineage covers the records as ``Encoder`` wrote them. Which records a topic accepts depends on its
configuration and on the time, and must not change the digest. A record may therefore be published with the time of
publication, with a key, or as a dead letter. Headers have the replaced values, and ``original`` restores the encoded
record from them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Literal, get_args

from online_lstm.errors import UnfitTopicError
from online_lstm.events import Header, OutputRecord, TopicPartition

Form = Literal["publication_time", "partition_key", "dead_letter"]
FORMS: tuple[Form, ...] = get_args(Form)

TIMESTAMP = "online_lstm_timestamp"
"""Header with the encoded timestamp of a record that is published with another one; -1 in a dead letter without one."""
NO_KEY: Header = ("online_lstm_key", b"none")
"""Header of a record that is encoded without a key and published with one."""
REFUSED_OUTPUT = "refused_output"
"""Reason of a dead letter whose prediction the output topic refused."""
MAX_FORM_BYTES = 2000
"""Maximum bytes that all forms together add to a record."""
MAX_LONG = 2**63 - 1
_REFUSAL = tuple(f"online_lstm_{name}" for name in ("error", "reason", "topic", "partition", "offset"))
_MAX_ERROR_BYTES = 300


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """The records that a topic accepts and keeps; the defaults are a broker's, for unknown parts of the configuration.

    Times are in milliseconds: a timestamp may be ``before_ms`` older and ``after_ms`` younger than the broker's clock.
    ``stamps`` says that the topic replaces timestamps (``LogAppendTime``), ``retention_ms`` is -1 for unlimited, and
    ``compacted`` is None if it is unknown.
    """

    compacted: bool | None = None
    stamps: bool = False
    before_ms: int = MAX_LONG
    after_ms: int = 3_600_000
    max_message_bytes: int = 1_048_588
    retention_ms: int = -1

    def takes_timestamp(self, timestamp_ms: int, now_ms: int) -> bool:
        """Return whether the topic accepts a timestamp; a topic that replaces timestamps accepts all of them."""
        return self.stamps or -self.before_ms <= timestamp_ms - now_ms <= self.after_ms


class _Step(IntEnum):
    """The distance of a record from its encoded form: each refusal moves it one step further."""

    FITTED = 0
    PLAIN = 1
    DEAD_LETTER = 2
    NONE = 3


Position = tuple[TopicPartition, int]
"""A record of a batch: its input partition, and its index among the partition's outputs."""


class Forms:
    """The forms of one batch: chosen by the limits of the topics, then by the refusals of the topics.

    Args:
        outputs: The records as they were encoded.
        topic_of: Returns the topic of a record of an input partition; with True, the topic of a dead letter.
    """

    def __init__(
        self,
        outputs: Mapping[TopicPartition, Sequence[OutputRecord]],
        topic_of: Callable[[TopicPartition, bool], str],
    ) -> None:
        self._outputs, self._topic_of = outputs, topic_of
        self._steps: dict[Position, _Step] = {}
        self.counts: Counter[tuple[TopicPartition, Form]] = Counter()

    def records(
        self, limits: Mapping[str, TopicLimits], now_ms: int
    ) -> dict[TopicPartition, list[tuple[str, OutputRecord]]]:
        """Return the records to publish now, each with its topic; ``counts`` then has the forms among them."""
        self.counts.clear()
        return {
            source: [self._formed((source, index), record, limits, now_ms) for index, record in enumerate(records)]
            for source, records in self._outputs.items()
        }

    def refuse(self, positions: Iterable[Position], error: str) -> None:
        """Move records that a topic refused to their next form.

        Raises:
            UnfitTopicError: A record was refused in its last form.
        """
        for position in positions:
            source, index = position
            record = self._outputs[source][index]
            step = _Step(self._steps.get(position, _Step.FITTED) + 1)
            if step == _Step.PLAIN and record.timestamp_ms < 0 and record.key is not None:
                step = _Step.DEAD_LETTER
            if step == _Step.NONE or (step == _Step.DEAD_LETTER and record.dead_letter):
                topic = self._topic_of(source, step == _Step.NONE or record.dead_letter)
                raise UnfitTopicError(
                    f"topic {topic} refuses a record of {source} in every form: with the time of publication, with a "
                    f"key, as a dead letter ({error}): change the topic's configuration, or name another topic "
                    "(output_topic, dead_letter_topic)"
                )
            self._steps[position] = step

    def _formed(
        self, position: Position, record: OutputRecord, limits: Mapping[str, TopicLimits], now_ms: int
    ) -> tuple[str, OutputRecord]:
        source, _ = position
        step = self._steps.get(position, _Step.FITTED)
        if step == _Step.DEAD_LETTER:
            topic = self._topic_of(source, True)
            refused_by = self._topic_of(source, False)
            record = _dead_letter(record, source, f"topic {refused_by} refused the prediction")
            self.counts[source, "dead_letter"] += 1
        else:
            topic = self._topic_of(source, record.dead_letter)
        takes = limits.get(topic, TopicLimits())
        plain = step != _Step.FITTED
        if record.timestamp_ms >= 0:
            if plain or not takes.takes_timestamp(record.timestamp_ms, now_ms):
                record = _with(record, (TIMESTAMP, b"%d" % record.timestamp_ms), timestamp_ms=-1)
                self.counts[source, "publication_time"] += 1
            elif takes.stamps and not any(name == "ce_time" for name, _ in record.headers):
                record = _with(record, (TIMESTAMP, b"%d" % record.timestamp_ms))  # no other header has it
        if record.key is None and (takes.compacted or (plain and takes.compacted is None)):
            record = _with(record, NO_KEY, key=str(source).encode())
            self.counts[source, "partition_key"] += 1
        return topic, record


def original(record: OutputRecord) -> OutputRecord:
    """Return the record as it was encoded, from a record that may have been published in another form.

    A record without headers of a form is returned unchanged; its timestamp may then be the topic's own.
    """
    named = dict(record.headers)
    if NO_KEY in record.headers:
        record = _without(replace(record, key=None), NO_KEY[0])
    if (stamp := named.get(TIMESTAMP, b"")).isdigit():
        record = _without(replace(record, timestamp_ms=int(stamp)), TIMESTAMP)
    if record.dead_letter and is_refused_output(record.headers):
        record = _without(replace(record, dead_letter=False), *_REFUSAL)
    return record


def is_refused_output(headers: Iterable[Header]) -> bool:
    """Return whether a dead letter holds a prediction that the output topic refused."""
    return ("online_lstm_reason", REFUSED_OUTPUT.encode()) in headers


def _dead_letter(record: OutputRecord, source: TopicPartition, error: str) -> OutputRecord:
    offset = dict(record.headers)["ce_id"].split(b"/")[2]
    values = (
        error.encode()[:_MAX_ERROR_BYTES],
        REFUSED_OUTPUT.encode(),
        source.topic.encode(),
        b"%d" % source.partition,
        offset,
    )
    return replace(record, dead_letter=True, headers=(*record.headers, *zip(_REFUSAL, values, strict=True)))


def _with(record: OutputRecord, header: Header, **changes: Any) -> OutputRecord:
    return replace(record, headers=(*record.headers, header), **changes)


def _without(record: OutputRecord, *names: str) -> OutputRecord:
    return replace(record, headers=tuple(header for header in record.headers if header[0] not in names))
