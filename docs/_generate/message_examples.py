"""The parts of the reference about messages, made by the code that publishes messages.

The descriptions of fields and headers are here. Making a table fails if a published field or header has no description,
or a description has no field or header.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from _generate.reference_tables import table
from online_lstm.backtest.columns import read_columns
from online_lstm.codec import REASONS
from online_lstm.codec.cell_text import Markers
from online_lstm.codec.output_forms import REFUSED_OUTPUT, Forms
from online_lstm.devtools.sample_data import demo_stream
from online_lstm.events import Header, InputRecord, OutputRecord, TopicPartition
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import Partition, initial_metadata, next_metadata
from online_lstm.settings import read_settings

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
WIDTH = 84
"""Maximum characters of a line in an example, unless one field is longer."""
FIRST_TIMESTAMP_MS = 1_767_225_600_000
"""The beginning of 2026."""
TASKS: Mapping[str, Mapping[str, object]] = {
    "symbol": {},
    "number": {"task": "number"},
    "label": {"task": "label", "features": 3},
}
"""The settings that the examples are made with."""

_PLACE = {
    "stream": "the key as text, or `base64:…` if it is not UTF-8; null without a key",
    "topic": "topic of the input record",
    "partition": "partition of the input record",
    "offset": "offset of the input record; the header `ce_id` combines topic, partition and offset",
}
_RATES = {
    "hit_rate": "share of hits among the last `score_window` scored predictions; null before the first one",
    "baseline_hit_rate": "hit rate of the best baseline on the same values",
    "model": "lineage, `@` and the number of learned events; ends in ` frozen` if `learn` is false",
}
_KAPPA = {
    "kappa_temporal": "share of the errors of the baseline last value that the prediction avoids, on the same values: "
    "1 is perfect, 0 no better than repeating the last value, below 0 worse; null if the last value is always right",
}
_DRIFT = {
    "evaluation.drift": "whether this event revealed a drift: predictions miss more often than before "
    "(`drift_delta`, `drift_threshold`)",
}
_PROBABLE = {
    "evaluation.hit": "whether the prediction was right",
    "evaluation.probability": "predicted probability of {it}",
    "evaluation.surprise_bits": "-log2 of this probability; null if the probability was 0",
}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "symbol": {
        **_PLACE,
        "event": "number of events of the stream so far, including this one",
        "value": "the value as received",
        "evaluation": "score of the prediction in the previous message of the stream; null if there was none",
        "evaluation.predicted": "the predicted value",
        **{name: text.format(it="the value") for name, text in _PROBABLE.items()},
        **_DRIFT,
        "prediction": "the most likely next value; null before anything is learned",
        "probability": "predicted probability of `prediction`",
        "top": "the `top` most likely values with their probabilities; the rest up to 1 is for other and unseen values",
        "experts": "for each expert: its most likely value, the predicted probability of this value, and the weight "
        "of the expert",
        **_RATES,
        **_KAPPA,
    },
    "number": {
        **_PLACE,
        "event": "number of events of the stream so far, including this one",
        "value": "the value as received; null for a missing number",
        "evaluation": "score of the prediction that was made for this value one horizon earlier; null if there was "
        "none",
        "evaluation.predicted": "the predicted value",
        "evaluation.hit": "whether the value is within `tolerance` of the predicted value; null if the value is "
        "missing",
        "evaluation.error": "value minus predicted value",
        "evaluation.covered": "whether the value was inside the interval; null without an interval",
        "evaluation.mean_absolute_error": "mean absolute error over the last `score_window` evaluations, like the "
        "following scores",
        "evaluation.baseline_mean_absolute_error": "mean absolute error of the best baseline",
        "evaluation.root_mean_squared_error": "root mean squared error",
        "evaluation.mean_absolute_percentage_error": "mean of absolute error divided by absolute value; 0.05 is 5 %",
        "evaluation.skill_last_value": "1 minus the ratio of the mean absolute error to the error of the baseline "
        "last value; below 0 is worse than the baseline",
        "evaluation.skill_seasonal_naive": "the same for the baseline seasonal naive",
        "evaluation.interval_coverage": "share of values inside their intervals",
        **_DRIFT,
        "prediction": "the predicted value one horizon ahead, in the plausible range; null before anything is learned",
        "interval": "lower and upper bound in the plausible range, which contain the value with probability "
        "`interval_level`; null until "
        "there are enough errors to estimate it",
        "experts": "for each expert: its prediction and its weight; the rest of the weight is that of the baselines",
        **_RATES,
    },
    "label": {
        **_PLACE,
        "event": "number of events of the partition so far, including labels that arrived alone",
        "value": "the sample as received; null for a label alone",
        "evaluation": "score of the prediction after the last sample of a sequence, in the message of the event "
        "with which the sequence has both an end and a label; else null",
        "evaluation.label": "the label",
        "evaluation.predicted": "the label that was most likely",
        **{name: text.format(it="the label") for name, text in _PROBABLE.items()},
        "evaluation.samples": "number of samples of the sequence",
        "evaluation.stable_since_sample": "number of the sample from which on the prediction stayed the same",
        **_DRIFT,
        "sample": "number of samples of the sequence so far, including this one; null for a label alone",
        "prediction": "the most likely label of the sequence; null before any label is learned",
        "probability": "predicted probability of `prediction`",
        "probabilities": "the `top` most likely labels with their probabilities",
        **_RATES,
        **_KAPPA,
        "hit_rate": "share of hits among the last `score_window` sequences of the partition",
    },
}
OUTPUT_HEADERS = {
    "ce_id": "input topic, partition and offset; the same if the message is published again",
    "ce_source": "the daemon and the input topic",
    "ce_type": "type of the message",
    "ce_specversion": "version of CloudEvents",
    "content-type": "content type of the value",
    "ce_time": "timestamp of the input record; absent if the record has none",
    "online_lstm_original_length": "only if texts were cut to fit into `max_output_bytes`: number of bytes of the "
    "whole value",
    "online_lstm_sha256": "only if texts were cut: SHA-256 of the whole value",
}
DEAD_LETTER_HEADERS = {
    "online_lstm_error": "description of the problem",
    "online_lstm_reason": "one of the reasons below",
    "online_lstm_topic": "topic of the record",
    "online_lstm_partition": "partition of the record",
    "online_lstm_offset": "offset of the record",
    "online_lstm_timestamp": "only if the timestamp of the dead letter differs: timestamp of the record, -1 for none",
    "online_lstm_value": "only for a record with neither key nor value, whose dead letter is empty",
    "online_lstm_headers_dropped": "only if the record's headers did not fit: their number",
    "online_lstm_key_length": "only if the key was cut: number of bytes of the whole key",
    "online_lstm_key_sha256": "only if the key was cut: SHA-256 of the whole key",
    "online_lstm_original_length": "only if the value was cut: number of bytes of the whole value",
    "online_lstm_sha256": "only if the value was cut: SHA-256 of the whole value",
}


@cache
def _partition(task: str) -> tuple[Partition, list[OutputRecord]]:
    """Return a learner with the default settings after an example, and its outputs."""
    settings = read_settings(dict(TASKS[task]), environment={})
    source = TopicPartition({"symbol": "numbers", "number": "visitors", "label": "runs"}[task], 0)
    partition = Partition(
        settings, source, next_metadata(settings, source, 0, initial_metadata(1)), model_factory(settings)
    )
    key = {"symbol": b"pump-7", "label": b"press-3"}.get(task)
    records = [_record(source.topic, offset, value, key) for offset, value in enumerate(_values(task))]
    return partition, partition.process(records).outputs


def _values(task: str) -> Iterator[bytes]:
    if task == "symbol":
        yield from demo_stream(80)
    elif task == "number":
        path = EXAMPLES / "visitors.csv"
        with path.open("rb") as file:
            lines = list(read_columns(file, path.name, columns=["visitors"], markers=Markers()))
        yield from (line.value for line in lines[:1000])
    else:
        yield from (EXAMPLES / "runs.jsonl").read_bytes().splitlines()[:700]


def _record(
    topic: str, offset: int, value: bytes | None, key: bytes | None, headers: tuple[Header, ...] = ()
) -> InputRecord:
    return InputRecord(topic, 0, offset, FIRST_TIMESTAMP_MS + 1000 * offset, key, value, headers)


def _message(task: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(_partition(task)[1][-1].value or b"")
    return message


def example_of(task: str) -> Callable[[str], str]:
    """Return a function that makes the last message of the example, unless the present one differs only in digits."""

    def make(there: str) -> str:
        made = _partition(task)[1][-1].value or b""
        before = there.removeprefix("```json\n").removesuffix("\n```")
        try:
            same = alike(json.loads(before), json.loads(made))
        except ValueError:
            same = False
        return there if same else f"```json\n{_wrapped(json.loads(made))}\n```"

    return make


def alike(one: Any, other: Any) -> bool:
    """Return whether two messages are the same, except for differences between machines.

    Fields, their order, texts and integers are equal; floats are close; the name of the model may differ.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(
            alike(one[name], other[name]) for name in one if not _depends_on_settings(name)
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=0.05, abs_tol=0.05)
    return type(one) is type(other) and one == other


def _depends_on_settings(name: str) -> bool:
    """Return whether a field contains the lineage, which is a hash of all shape settings and changes with a new one."""
    return name == "model"


def _wrapped(message: Mapping[str, Any], indent: str = " ") -> str:
    """Return a message as JSON with a few fields per line."""
    lines, line = [], ""
    for name, value in message.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, dict) and len(text) > WIDTH:
            text = _wrapped(value, indent + " " * (len(name) + 5))
        field = f"{json.dumps(name)}: {text}"
        if line and len(line) + len(field) > WIDTH:
            lines.append(line)
            line = field
        else:
            line = f"{line}, {field}" if line else field
    return "{" + f",\n{indent}".join([*lines, line]) + "}"


def fields_of(task: str) -> Callable[[], str]:
    """Return the function that lists the fields of a task's messages."""

    def make() -> str:
        found = list(_paths(_message(task)))
        described = FIELDS[task]
        assert set(found) == set(described), f"{task}: described and published differ: {set(found) ^ set(described)}"
        return table(("field", "meaning"), [(f"`{name}`", described[name]) for name in found])

    return make


def _paths(message: Mapping[str, Any]) -> Iterator[str]:
    for name, value in message.items():
        yield name
        if name == "evaluation":
            yield from (f"{name}.{inner}" for inner in value)


def output_headers() -> str:
    """List the headers of outputs, including the headers of an output that was cut."""
    settings = read_settings({"max_output_bytes": 10_000, "network": "lstm 4"}, environment={})
    source = TopicPartition("numbers", 0)
    partition = Partition(
        settings, source, next_metadata(settings, source, 0, initial_metadata(1)), model_factory(settings)
    )
    (cut,) = partition.process([_record("numbers", 41, json.dumps("x" * 20_000).encode(), b"pump-7")]).outputs
    return _headers_table(cut.headers, OUTPUT_HEADERS)


def dead_letter_headers() -> str:
    """List the headers of dead letters, including a dead letter that was cut and one without a value."""
    settings = read_settings({"max_output_bytes": 10_000, "network": "lstm 4"}, environment={})
    source = TopicPartition("numbers", 0)
    partition = Partition(
        settings, source, next_metadata(settings, source, 0, initial_metadata(1)), model_factory(settings)
    )
    large = InputRecord("numbers", 0, 41, -1, b"k" * 6000, b"{" * 6000, (("trace", b"t" * 6000),))
    empty = InputRecord("numbers", 0, 42, 0, None, None)
    letter, null = partition.process([large, empty]).outputs
    found = dict(null.headers) | dict(letter.headers)
    return _headers_table(found.items(), DEAD_LETTER_HEADERS)


def _headers_table(found: Iterable[Header], described: Mapping[str, str]) -> str:
    values = {name: value.decode() for name, value in found}
    assert set(values) == set(described), f"described and published differ: {set(values) ^ set(described)}"
    rows = [(f"`{name}`", f"`{_shortened(values[name])}`", meaning) for name, meaning in described.items()]
    return table(("header", "example", "meaning"), rows)


def _shortened(text: str) -> str:
    return text if len(text) <= 48 else f"{text[:40]}…"


MEANINGS = {
    "too_large": "the value is longer than `max_value_bytes`",
    "key_too_large": "the key would take more than a quarter of `max_output_bytes`",
    "headers_too_large": "the headers would take more than a quarter of `max_output_bytes`",
    "not_utf8": "the bytes are not UTF-8 text",
    "not_a_value": "the value is neither a number nor JSON, or JSON of an unsupported type",
    "not_a_number": "a text instead of a number, and not one of `missing_values`",
    "not_a_time": "nothing at `time_path` that is a time since 1970 in the form `time_format`",
    "not_finite": "infinite, or too large for a double; NaN with the task `symbol`",
    "missing_path": "the message has nothing at `value_path`, or no key at `key_path`",
    "schema_registry": "the value is in the wire format of a Schema Registry and `value_format` is not, or vice versa",
    "null_value": "a null value without a stream key, with the task `symbol`",
    "wrong_length": "the length of the vector is not `features`, or the number of bytes does not match `value_format`",
    "too_many_labels": "a new label beyond `classes`",
    "no_sequence": "a label alone, without a sequence that it could belong to",
    "refused_output": "the output topic refused the prediction, which the dead letter contains; the value was learned",
}
_LABELS = {"task": "label", "features": 3}
_CASES: Mapping[str, tuple[Mapping[str, object], InputRecord]] = {
    "too_large": ({"max_value_bytes": 10}, _record("numbers", 41, b'"a long value"', None)),
    "key_too_large": ({"max_output_bytes": 10_000}, _record("numbers", 41, b"4", b"k" * 3000)),
    "headers_too_large": (
        {"max_output_bytes": 10_000},
        _record("numbers", 41, b"4", None, (("trace", b"t" * 3000),)),
    ),
    "not_utf8": ({}, _record("numbers", 41, b"\xff\xfe4", None)),
    "not_a_value": ({}, _record("numbers", 41, b"open", None)),
    "not_a_number": ({"task": "number"}, _record("numbers", 41, b'"open"', None)),
    "not_a_time": (
        {"time_path": "ts"},
        _record("numbers", 41, b'{"value": 4, "ts": "01/02/2020"}', None),
    ),
    "not_finite": ({}, _record("numbers", 41, b"NaN", None)),
    "missing_path": ({"value_path": ["state.now"]}, _record("numbers", 41, b'{"state": 4}', None)),
    "schema_registry": ({}, _record("numbers", 41, b"\0\0\0\0\7\2", None)),
    "null_value": ({}, _record("numbers", 41, None, None)),
    "wrong_length": ({"task": "number", "features": 3}, _record("numbers", 41, b"[1, 2]", None)),
    "too_many_labels": (
        _LABELS,
        _record("runs", 41, b'{"value": [1.2, 61.0, 44], "label": "other", "end": true}', b"run-17"),
    ),
    "no_sequence": (_LABELS, _record("runs", 41, b'{"label": 1}', b"run-18")),
}


def reasons() -> str:
    """List the reasons of dead letters, each with the error text of an example."""
    assert list(MEANINGS) == list(REASONS)
    rows = [(f"`{reason}`", MEANINGS[reason], f"`{_refusal(reason)}`") for reason in REASONS]
    return table(("reason", "when", "example"), rows)


def _refused_output() -> str:
    """Return the error text of a dead letter whose prediction was refused in all forms."""
    _, outputs = _partition("symbol")
    source = TopicPartition("numbers", 0)
    forms = Forms({source: outputs[-1:]}, lambda _, dead_letter: "numbers.dlq" if dead_letter else "predictions")
    for _ in range(2):
        forms.refuse([(source, 0)], "")
    ((_, letter),) = forms.records({}, now_ms=0)[source]
    return dict(letter.headers)["online_lstm_error"].decode()


def _refusal(reason: str) -> str:
    """Return the error text of a record that is refused for a reason."""
    if reason == REFUSED_OUTPUT:
        return _refused_output()
    given, record = _CASES[reason]
    if given is _LABELS:
        partition, _ = _partition("label")
    else:
        settings = read_settings({"network": "lstm 4", **given}, environment={})
        source = TopicPartition(record.topic, 0)
        partition = Partition(
            settings, source, next_metadata(settings, source, 0, initial_metadata(1)), model_factory(settings)
        )
    (letter,) = partition.process([record]).outputs
    headers = dict(letter.headers)
    assert headers["online_lstm_reason"].decode() == reason
    return headers["online_lstm_error"].decode()
