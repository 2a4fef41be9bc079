"""The fields of a message: several values, key, time and end, by paths whose names may have dots."""

import json
from dataclasses import replace
from typing import Any

import pytest
from online_lstm.codec import Decoded, Decoder
from online_lstm.codec.field_path import NOTHING, FieldPath
from online_lstm.errors import BadInputError, SettingsError
from online_lstm.events import InputRecord, NumberEvent
from online_lstm.settings import read_settings

RECORD = InputRecord("numbers", 0, 41, 1_760_000_000_123, b"pump-7", b"4", ())
SENSOR = {"sensor_id": "press-3", "ts": 1_760_000_000_456, "temp": 21.4, "hum": 40, "co2": 412}
FIELDS: dict[str, Any] = {
    "task": "number",
    "value_path": ["temp", "hum", "co2"],
    "key_path": "sensor_id",
    "time_path": "ts",
}


def decoded(message: object, /, key: bytes | None = None, **given: Any) -> list[Decoded]:
    value = message if isinstance(message, bytes) else json.dumps(message).encode()
    return Decoder(read_settings(given, environment={})).decode(replace(RECORD, key=key, value=value))


def event_of(message: object, /, key: bytes | None = None, **given: Any) -> Any:
    ((_, event, error),) = decoded(message, key=key, **given)
    if error is not None:
        raise error
    return event


def refusal(message: object, /, key: bytes | None = None, **given: Any) -> BadInputError:
    ((_, _, error),) = decoded(message, key=key, **given)
    assert error is not None
    return error


@pytest.mark.parametrize(
    ("path", "message", "expected"),
    [
        ("PT08.S1(CO)", {"PT08.S1(CO)": 1360.0, "service.name": "a"}, 1360.0),
        ("service.name", {"service.name": "a"}, "a"),
        ("raw.PT08.S1(CO)", {"raw": {"PT08.S1(CO)": 7}}, 7),
        ("a.b.c", {"a": {"b.c": 1, "b": {"c": 2}}}, 1),
        ("/a/b/c", {"a": {"b.c": 1, "b": {"c": 2}}}, 2),
        ("/a~1b/m~0n", {"a/b": {"m~n": 3}}, 3),
        ("rows.1.t", {"rows": [{"t": 1}, {"t": 2.5}]}, 2.5),
        ("/rows/0/t", {"rows": [{"t": 1}]}, 1),
        ("temp[C]", {"temp[C]": 4}, 4),
        ("", {"": 5}, 5),
        ("a.b", {"a": 4}, NOTHING),
        ("a.1", {"a": [4]}, NOTHING),
        ("a.x", {"a": [4]}, NOTHING),
        ("a", 4, NOTHING),
    ],
)
def test_a_path_takes_the_longest_name_there_is(path: str, message: object, expected: object) -> None:
    """Names may have dots and brackets; a JSON Pointer names any field, also behind such a name."""
    assert expected == FieldPath(path).find(message)


def test_several_fields_form_a_vector_with_key_and_time() -> None:
    """Key and time of the message replace those of the record, and the numbers are in the order of the paths."""
    event = event_of(SENSOR, **FIELDS)
    assert ((21.4, 40.0, 412.0), "[21.4, 40, 412]", "press-3") == (event.vector, event.literal, event.stream)
    assert (b"press-3", 1_760_000_000_456) == (event.record.key, event.record.timestamp_ms)


def test_names_define_the_number_of_features() -> None:
    """Nobody counts what they have listed; another count is refused."""
    assert 3 == read_settings(FIELDS, environment={}).features
    assert 3 == read_settings({**FIELDS, "value_path": "temp,hum,co2"}, environment={}).features
    assert ("a", "b") == read_settings({"task": "number", "components": "a,b"}, environment={}).component_names
    with pytest.raises(SettingsError, match="value_path: received temp, hum, co2, expected 2 of them"):
        read_settings({**FIELDS, "features": 2}, environment={})
    with pytest.raises(SettingsError, match="expected one path, as task is symbol"):
        read_settings({"value_path": "a,b"}, environment={})


@pytest.mark.parametrize("hum", [None, "NA", "", "?", float("nan")])
def test_a_missing_field_is_a_missing_number(hum: object) -> None:
    """Whether the field is marked or is not there at all."""
    absent = {name: part for name, part in SENSOR.items() if name != "hum"}
    for message in (absent, {**SENSOR, "hum": hum}):
        assert (21.4, None, 412.0) == event_of(message, **FIELDS).vector


def test_a_message_without_any_field_is_refused() -> None:
    """All fields that were looked for are named; a key alone makes no event."""
    error = refusal({"sensor_id": "press-3", "ts": 1_760_000_000_456}, **FIELDS)
    assert "missing_path" == error.reason
    assert "expected a value at 'temp' or 'hum' or 'co2': the setting value_path" in str(error)


@pytest.mark.parametrize(
    ("hum", "text"),
    [
        ("wet", "received 'wet' at 'hum', expected a number"),
        ([1], "received a vector with an array at 'hum' in"),
        ({"a": 1}, "received a vector with an object at 'hum' in"),
    ],
)
def test_a_field_that_is_no_number_is_named(hum: object, text: str) -> None:
    """With its path, its content and what was expected; its position in time is kept as a missing value."""
    ((_, event, error),) = decoded({**SENSOR, "hum": hum}, **FIELDS)
    assert isinstance(event, NumberEvent)
    assert ("press-3", (None, None, None)) == (event.stream, event.vector)
    assert text in str(error)


def test_a_missing_key_is_refused() -> None:
    """No other stream may learn the value, so its position in time is not kept either."""
    for key in (None, b"other"):
        ((_, event, error),) = decoded({"temp": 1, "ts": 1_760_000_000_456}, key=key, **FIELDS)
        assert error is not None
        assert ("missing_path", None) == (error.reason, event)
        assert "expected the key of its stream at 'sensor_id': the setting key_path" in str(error)


@pytest.mark.parametrize(
    ("key", "stream"),
    [(7, "7"), (True, "true"), ("ä", "ä"), ({"id": 7, "at": "a"}, '{"id":7,"at":"a"}'), ([1.5, None], "[1.5,null]")],
)
def test_any_content_can_be_a_key(key: object, stream: str) -> None:
    """A text as it is, anything else as its JSON."""
    event = event_of({"k": key, "value": 4}, key_path="k")
    assert (stream, stream.encode()) == (event.stream, event.record.key)


def test_a_key_field_may_be_copied_only() -> None:
    """With one stream for a partition, the output has the key and the stream has no name."""
    event = event_of({"k": "a", "value": 4}, key_path="k", stream_by="partition")
    assert (None, b"a") == (event.stream, event.record.key)


def test_a_null_value_forgets_no_stream_of_a_key_field() -> None:
    """The record's key names no stream there, and a null value has no fields."""
    ((_, event, error),) = Decoder(read_settings({"key_path": "k"}, environment={})).decode(replace(RECORD, value=None))
    assert error is not None
    assert ("null_value", None) == (error.reason, event)


@pytest.mark.parametrize(
    ("time", "given", "milliseconds"),
    [
        (1_760_000_000, {}, 1_760_000_000_000),
        (1_760_000_000.25, {}, 1_760_000_000_250),
        (1_760_000_000_123, {}, 1_760_000_000_123),
        (1_760_000_000_123_456, {}, 1_760_000_000_123),
        ("1760000000123456789", {}, 1_760_000_000_123),
        ("2026-01-31T12:00:00+05:30", {}, 1_769_841_000_000),
        ("2026-01-31T12:00:00Z", {}, 1_769_860_800_000),
        ("2026-01-31 12:00", {}, 1_769_860_800_000),
        (90, {"time_format": "s"}, 90_000),
        ("31/01/2026 24:00", {"time_format": "%d/%m/%Y"}, 1_769_904_000_000),
    ],
)
def test_times_are_read_by_their_form(time: object, given: dict[str, Any], milliseconds: int) -> None:
    """A number by its size, which fits one unit only, a text as ISO 8601, anything else by the setting."""
    event = event_of({"value": 4, "at": {"t": time}}, time_path="at.t", **given)
    assert milliseconds == event.record.timestamp_ms


@pytest.mark.parametrize("time", [7, "20140401", "01/02/2026", None, True, [1], "soon", "1969-12-31T23:59:59Z"])
def test_a_time_that_is_not_sure_is_refused(time: object) -> None:
    """It is quoted with the settings that would take it; a number keeps its position as a missing value."""
    ((_, event, error),) = decoded({"value": 4, "t": time}, task="number", time_path="t")
    assert isinstance(event, NumberEvent)
    assert ((None,), RECORD.timestamp_ms) == (event.vector, event.record.timestamp_ms)
    assert error is not None
    assert "not_a_time" == error.reason
    assert "at 't' in" in str(error)
    assert "time_path and time_format" in str(error)


def test_the_end_of_a_sequence_has_a_path_too() -> None:
    """Only true ends it."""
    assert [True, False] == [
        event_of({"value": 4, "meta": {"last": last}}, end_path="meta.last").ends for last in (True, "true")
    ]


@pytest.mark.parametrize("value", [b"true", b"TRUE", b'{"value": true}', b"[true]"])
def test_a_boolean_is_a_number(value: bytes) -> None:
    """True is 1 and false 0; a learner of numbers publishes them as such."""
    for text, number in ((value, 1.0), (value.replace(b"true", b"false").replace(b"TRUE", b"FALSE"), 0.0)):
        event = event_of(text, task="number")
        assert ((number,), f"{number:g}") == (event.vector, event.literal.strip("[]"))


@pytest.mark.parametrize("value", [b"true", b"TRUE", b'{"value": true}', b"\1"])
def test_a_boolean_is_a_symbol(value: bytes) -> None:
    """It stays true and false in what is published."""
    given: dict[str, Any] = {"value_format": "boolean"} if value == b"\1" else {}
    event = event_of(value, **given)
    assert (1, "true") == (event.symbol, event.literal)


def test_serializers_of_short_and_boolean_are_read() -> None:
    """A short has two bytes, a boolean one, which is 0 or 1."""
    event = event_of(b"\0\7", value_format="short")
    assert (7, "7") == (event.symbol, event.literal)
    assert -1 == event_of(b"\xff\xff", value_format="short").symbol
    assert "false" == event_of(b"\0", value_format="boolean").literal
    assert "wrong_length" == refusal(b"\0\0", value_format="boolean").reason
    assert "expected the byte 0 or 1" in str(refusal(b"\2", value_format="boolean"))


def test_numbers_in_strings_may_be_refused() -> None:
    """The setting that takes them is named."""
    for value in (b'{"value": "25"}', b'"25"', b'["25"]'):
        assert 25.0 == event_of(value, task="number").vector[0]
        error = refusal(value, task="number", text_numbers=False)
        assert "not_a_number" == error.reason
    error = refusal(b'"25"', task="number", text_numbers=False)
    assert "the setting text_numbers excludes numbers in strings" in str(error)
    assert (None,) == event_of(b'{"value": "NA"}', task="number", text_numbers=False).vector


@pytest.mark.parametrize(
    ("given", "value", "number"),
    [
        ({"decimal": ","}, b"0,054", 0.054),
        ({"decimal": ","}, b'{"value": "1234,5"}', 1234.5),
        ({"decimal": ",", "thousands": "."}, b'"1.234,5"', 1234.5),
        ({"thousands": ","}, b'["12,345"]', 12345.0),
        ({"thousands": "space"}, '"1\u00a0234"'.encode(), 1234.0),
        ({"decimal": ","}, b'{"value": 1.5}', 1.5),
        ({"decimal": ","}, b'{"value": "NA"}', None),
    ],
)
def test_texts_may_have_another_notation(given: dict[str, Any], value: bytes, number: float | None) -> None:
    """The settings name decimal mark and thousands separator; numbers of JSON are as JSON says."""
    event = event_of(value, task="number", **given)
    assert (number,) == event.vector
    assert [number] == [*json.loads(f"[{event.literal.strip('[]')}]")]


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({}, b'"1,234"'),
        ({}, b'{"value": "1,5"}'),
        ({}, b'"1.234.567"'),
        ({"decimal": ","}, b"1.5"),
        ({"decimal": ","}, b'"1.5"'),
        ({"thousands": ","}, b'{"value": "1,23"}'),
    ],
)
def test_another_notation_is_never_guessed(given: dict[str, Any], value: bytes) -> None:
    """No part of it is learned; the settings that would take it are named."""
    ((_, event, error),) = decoded(value, task="number", **given)
    assert error is not None
    assert "not_a_number" == error.reason
    assert "the settings decimal and thousands" in str(error)
    assert isinstance(event, NumberEvent)
    assert (None,) == event.vector


@pytest.mark.parametrize(
    ("value", "symbol", "literal"),
    [
        (b"9007199254740993", 9007199254740993, "9007199254740993"),
        (
            b'{"value": 1234567890123456789012}',
            1234567890123456789012,
            "1234567890123456789012",
        ),
        (b"-0", 0, "-0"),
        (b"007", 7, "7"),
        (b"1e3", 1000, "1e3"),
        (b"\xef\xbb\xbf4", 4, "4"),
        (b'\xef\xbb\xbf{"value":4}', 4, "4"),
    ],
)
def test_notations_of_numbers_have_one_meaning(value: bytes, symbol: float, literal: str) -> None:
    """A symbol is exact beyond 2**53; the number of a learner is the nearest double."""
    event = event_of(value)
    assert (symbol, literal) == (event.symbol, event.literal)
    number = event_of(value, task="number")
    assert ((float(symbol),), literal) == (number.vector, number.literal)


def test_an_array_of_objects_is_several_events() -> None:
    """One for each object, in order, with its index, key and time."""
    readings = [{"id": "a", "value": 1, "time": 1_451_357_716.011}, {"id": "b", "value": 2, "time": 1_451_357_717.011}]
    events: list[Any] = [one.event for one in decoded(readings, task="number", key_path="id", time_path="time")]
    assert [(1.0,), (2.0,)] == [event.vector for event in events]
    assert [("a", 0, 1_451_357_716_011), ("b", 1, 1_451_357_717_011)] == [
        (event.stream, event.record.index, event.record.timestamp_ms) for event in events
    ]


def test_a_path_may_lead_into_an_array_of_objects() -> None:
    """Then the record is one event, as it says where the value is."""
    assert 2 == event_of([{"v": 1}, {"v": 2}], value_path="1.v").symbol


def test_an_event_of_an_array_is_refused_alone() -> None:
    """The others are events; a refused number keeps its position among them."""
    one, two, three = decoded([{"value": 1}, {"value": "x"}, {"value": 3}], task="number")
    assert [(1.0,), (None,), (3.0,)] == [part.event.vector for part in (one, two, three)]  # type: ignore[union-attr]
    assert [None, "not_a_number", None] == [part.error and part.error.reason for part in (one, two, three)]
    assert 1 == two.record.index


@pytest.mark.parametrize("value", [b"[]", b'[{"value": 1}, 2]', b"[[1], [2]]"])
def test_other_arrays_are_no_events(value: bytes) -> None:
    """They are a vector, or refused as one."""
    assert refusal(value, task="number").reason in {"wrong_length", "not_a_number"}
    assert "not_a_value" == refusal(value).reason


@pytest.mark.parametrize("value", [b'{"value":4}', b' {"value": 4}', b'[{"value": 4}]'])
def test_json_after_a_schema_id_is_read(value: bytes) -> None:
    """The wire format of a Schema Registry's JSON: a zero byte, the id of the schema, and JSON."""
    for value_format in ("auto", "json_schema"):
        assert 4 == event_of(b"\0\0\0\0\1" + value, value_format=value_format).symbol


def test_only_the_format_says_that_text_follows_an_id() -> None:
    """An Avro value may look like a number, so it is not guessed."""
    assert 4 == event_of(b"\0\0\0\0\x014", value_format="json_schema").symbol
    assert "schema_registry" == refusal(b"\0\0\0\0\x014").reason
    assert "the setting value_format is json_schema" in str(refusal(b'{"value":4}', value_format="json_schema"))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"value_path": "a..b"}, "value_path: received 'a..b', expected names separated by dots, or a JSON Pointer"),
        ({"value_path": "a,a", "task": "number"}, "expected each path once"),
        ({"task": "number", "decimal": ",", "thousands": ","}, "expected another mark than decimal"),
        ({"time_format": "soon"}, "expected auto, s, ms, us, ns, iso, or a pattern like %d/%m/%Y"),
        (
            {"key_path": "k", "value_format": "long"},
            "key_path: received a path into messages, but value_format is",
        ),
        ({"envelope": "connect", "value_format": "string"}, "envelope: received a path into messages"),
    ],
)
def test_fields_that_cannot_be_are_refused(given: dict[str, Any], text: str) -> None:
    """Before anything is read."""
    with pytest.raises(SettingsError) as raised:
        read_settings(given, environment={})
    assert text in str(raised.value)
