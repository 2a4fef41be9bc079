"""What the reference says of messages, made by the code that publishes them.

The words about each field and header are here; that they are about all that there are, and about no others, is checked
when the tables are made.
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
from online_lstm.codec.cells import Markers
from online_lstm.codec.forms import REFUSED_OUTPUT, Forms
from online_lstm.devtools.sample_data import demo_stream
from online_lstm.events import Header, InputRecord, OutputRecord, TopicPartition
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import Partition, initial_metadata, next_metadata
from online_lstm.settings import read_settings

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
WIDTH = 84
"""Characters of an example's lines, where a field is not longer."""
FIRST_TIMESTAMP_MS = 1_767_225_600_000
"""The beginning of 2026."""
TASKS: Mapping[str, Mapping[str, object]] = {
    "symbol": {},
    "number": {"task": "number"},
    "label": {"task": "label", "features": 3},
}
"""The settings that the examples are made with."""

_PLACE = {
    "stream": "the key, as text; `base64:…` where it is none; null without a key",
    "topic": "of the input record",
    "partition": "of the input record",
    "offset": "of the input record; `ce_id` has topic, partition and offset in one",
}
_RATES = {
    "hit_rate": "share of hits among the last `score_window` scored predictions; null before the first",
    "baseline_hit_rate": "that of the best baseline on the same values",
    "model": "lineage, `@`, and how many events it had learned; ends in ` frozen` while `learn` is false",
}
_KAPPA = {
    "kappa_temporal": "share of what the last value has wrong that the prediction has right, over the same values: 1 "
    "is perfect, 0 as good as repeating the last value, below 0 worse; null where the last value is always right",
}
_DRIFT = {
    "evaluation.drift": "whether the stream was found to have changed, as its misses rose (`drift_delta`, "
    "`drift_threshold`)",
}
_PROBABLE = {
    "evaluation.hit": "whether that was right",
    "evaluation.probability": "what had been given to {it}",
    "evaluation.surprise_bits": "its negative logarithm to base 2; null where it had been given nothing at all",
}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "symbol": {
        **_PLACE,
        "event": "events of the stream so far, this one included",
        "value": "what came, as it was written",
        "evaluation": "about the prediction in the stream's message before; null if there was none",
        "evaluation.predicted": "what it said",
        **{name: text.format(it="the value that came") for name, text in _PROBABLE.items()},
        **_DRIFT,
        "prediction": "the likeliest next value; null while nothing is known",
        "probability": "its probability",
        "top": "the `top_k` likeliest values with their probabilities; what is missing from 1 is for values never seen",
        "experts": "of each expert its own likeliest value, the probability that it gives to it, and its weight",
        **_RATES,
        **_KAPPA,
    },
    "number": {
        **_PLACE,
        "event": "events of the stream so far, this one included",
        "value": "what came, as it was written; null for a number that is missing",
        "evaluation": "about what had been predicted of this value one horizon before; null if nothing was",
        "evaluation.predicted": "what it said",
        "evaluation.hit": "whether the value is within `tolerance` of that; null if it is missing",
        "evaluation.error": "value minus what was predicted",
        "evaluation.covered": "whether the value came within the interval; null if there was none",
        "evaluation.mean_absolute_error": "over the last `score_window` evaluations, as are those that follow",
        "evaluation.baseline_mean_absolute_error": "that of the best baseline",
        "evaluation.root_mean_squared_error": "root of the mean of the squares of the errors",
        "evaluation.mean_absolute_percentage_error": "mean of the errors by their values, without signs; 0.05 is 5 %",
        "evaluation.skill_last_value": "1 minus the mean absolute error by that of the last value; below 0 is worse",
        "evaluation.skill_seasonal_naive": "the same against the value a season ago",
        "evaluation.interval_coverage": "share of the values that came within their intervals",
        **_DRIFT,
        "prediction": "the value that comes one horizon on; null while nothing is known",
        "interval": "what holds it with probability `interval_level`; null until there are errors enough to tell",
        "experts": "of each expert what it says, and its weight; weights of 0 mean that a baseline is published",
        **_RATES,
    },
    "label": {
        **_PLACE,
        "event": "events of the partition so far, with labels that came alone",
        "value": "the sample, as it was written; null for a label alone",
        "evaluation": "about the prediction after the last sample of a sequence that is over and has its label, in the "
        "message of the event that brought both together; else null",
        "evaluation.label": "the label",
        "evaluation.predicted": "what had been the likeliest one",
        **{name: text.format(it="the label") for name, text in _PROBABLE.items()},
        "evaluation.samples": "how many samples the sequence had",
        "evaluation.stable_since_sample": "the sample from which on the prediction had not changed any more",
        **_DRIFT,
        "sample": "samples of the sequence so far, this one included; null for a label alone",
        "prediction": "the label of the sequence, as far as it is known; null before any was learned",
        "probability": "its probability",
        "probabilities": "the `top_k` likeliest labels with their probabilities",
        **_RATES,
        **_KAPPA,
        "hit_rate": "share of hits among the last `score_window` sequences of the partition",
    },
}
OUTPUT_HEADERS = {
    "ce_id": "input topic, partition and offset: the same whenever this message is published again",
    "ce_source": "the daemon and the input topic",
    "ce_type": "what this is",
    "ce_specversion": "of CloudEvents",
    "content-type": "of the value",
    "ce_time": "the time stamp of the input record; missing where that has none",
    "online_lstm_original_length": "only where texts were cut to fit into `max_output_bytes`: bytes of the whole value",
    "online_lstm_sha256": "likewise: SHA-256 of the whole value",
}
DEAD_LETTER_HEADERS = {
    "online_lstm_error": "what is wrong, in words for a person",
    "online_lstm_reason": "one of the words below",
    "online_lstm_topic": "where the record was",
    "online_lstm_partition": "likewise",
    "online_lstm_offset": "likewise",
    "online_lstm_timestamp": "only where the dead letter has another time stamp than its record: that one, -1 for none",
    "online_lstm_value": "only of a record with neither key nor value, which no client sends: its dead letter is empty",
    "online_lstm_headers_dropped": "only where the record's own headers had no room: how many there were",
    "online_lstm_key_length": "only where the key was cut: bytes of the whole one",
    "online_lstm_key_sha256": "likewise: SHA-256 of the whole one",
    "online_lstm_original_length": "only where the value was cut: bytes of the whole one",
    "online_lstm_sha256": "likewise: SHA-256 of the whole one",
}


@cache
def _partition(task: str) -> tuple[Partition, list[OutputRecord]]:
    """Let a learner with the default settings learn an example, and give it with what it said."""
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
    """Give the last message of the example; what stands there stays, if it only differs in digits."""

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
    """Say whether two messages are the same, but for what another machine computes otherwise.

    Fields, their order, texts and whole numbers are the same; other numbers are near, and so is the model's name.
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
    """The lineage in a model's name is a hash of all settings of the shape, of which there may be new ones."""
    return name == "model"


def _wrapped(message: Mapping[str, Any], indent: str = " ") -> str:
    """Write a message with a line for each few fields, as one may read it."""
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
    """Give the function that lists the fields of a task's messages."""

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
    """List the headers of outputs, with those of one that was cut as well."""
    settings = read_settings({"max_output_bytes": 10_000, "network": "lstm 4"}, environment={})
    source = TopicPartition("numbers", 0)
    partition = Partition(
        settings, source, next_metadata(settings, source, 0, initial_metadata(1)), model_factory(settings)
    )
    (cut,) = partition.process([_record("numbers", 41, json.dumps("x" * 20_000).encode(), b"pump-7")]).outputs
    return _headers_table(cut.headers, OUTPUT_HEADERS)


def dead_letter_headers() -> str:
    """List the headers of dead letters, with those of one that had to be cut everywhere and of one without a value."""
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
    return table(("header", "for instance", "meaning"), rows)


def _shortened(text: str) -> str:
    return text if len(text) <= 48 else f"{text[:40]}…"


MEANINGS = {
    "too_large": "longer than `max_value_bytes`",
    "key_too_large": "the key would take more than a quarter of `max_output_bytes`",
    "headers_too_large": "so would the headers",
    "not_utf8": "text that is none",
    "not_a_value": "neither a number nor JSON, or JSON of another kind",
    "not_a_number": "a text where numbers are learned, and none that `missing_values` names",
    "not_finite": "infinite, or too large for a double; NaN where it is no missing number (task `symbol`)",
    "missing_path": "JSON without anything at `value_path`",
    "schema_registry": "bytes of a Schema Registry's serializer",
    "null_value": "a null value that belongs to no key, with the task symbol",
    "wrong_length": "a vector of another length than `features`, or bytes of another length than `value_format` has",
    "too_many_labels": "a label that would be one more than `classes`",
    "no_sequence": "a label alone, of which no sequence is known",
    "refused_output": "the output topic refused the prediction, which is in the dead letter; the value was learned",
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
    "not_finite": ({}, _record("numbers", 41, b"NaN", None)),
    "missing_path": ({"value_path": "state.now"}, _record("numbers", 41, b'{"state": 4}', None)),
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
    """List the reasons of dead letters, each with what one says that was refused for it."""
    assert list(MEANINGS) == list(REASONS)
    rows = [(f"`{reason}`", MEANINGS[reason], f"`{_refusal(reason)}`") for reason in REASONS]
    return table(("reason", "when", "for instance"), rows)


def _refused_output() -> str:
    """Have a prediction refused in all of its forms, and give the words of its dead letter."""
    _, outputs = _partition("symbol")
    source = TopicPartition("numbers", 0)
    forms = Forms({source: outputs[-1:]}, lambda _, dead_letter: "numbers.dlq" if dead_letter else "predictions")
    for _ in range(2):
        forms.refuse([(source, 0)], "")
    ((_, letter),) = forms.records({}, now_ms=0)[source]
    return dict(letter.headers)["online_lstm_error"].decode()


def _refusal(reason: str) -> str:
    """Have a record refused for a reason, and give the words."""
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
