"""Values with a schema of a registry: Avro and Protobuf become the messages that JSON would be."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st
from online_lstm.codec import REASONS, Decoder
from online_lstm.codec.protobuf_content import _compiled, protobuf_reader
from online_lstm.codec.schemas import Schema
from online_lstm.errors import BadInputError, SettingsError
from online_lstm.events import InputRecord, Tombstone
from online_lstm.settings import read_settings
from support.schema_registry import framed

RECORD = InputRecord("numbers", 0, 41, 1_760_000_000_123, b"pump-7", b"4", ())
READING = {
    "type": "record",
    "name": "Reading",
    "namespace": "plant",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "temp", "type": ["null", "double"]},
        {"name": "load", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["ON", "OFF"]}},
        {"name": "tags", "type": {"type": "map", "values": "int"}},
        {"name": "raw", "type": "bytes"},
        {"name": "on", "type": "boolean"},
    ],
}
LATER = {**READING, "fields": [*READING["fields"], {"name": "hum", "type": "float", "default": 0}]}
VALUE = {
    "id": "press-3",
    "at": datetime(2026, 1, 31, 12, tzinfo=UTC),
    "temp": 21.5,
    "load": Decimal("10.32"),
    "day": date(2026, 1, 31),
    "state": "OFF",
    "tags": {"a": 7},
    "raw": b"\xff",
    "on": True,
}
PROTO = """syntax = "proto3"; package plant;
import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto";
import "confluent/type/decimal.proto"; import "units.proto";
message Other { string x = 1; message Inner { double v = 1; } }
message Reading {
  string id = 1; google.protobuf.Timestamp at = 2; optional double temp = 3; confluent.type.Decimal load = 4;
  enum State { ON = 0; OFF = 1; } State state = 5; map<string, int32> tags = 6; bytes raw = 7; bool on = 8;
  repeated double xs = 9; float small = 10; google.protobuf.DoubleValue wrapped = 11; Unit unit = 12; int64 count = 13;
}
"""
UNITS = 'syntax = "proto3"; package plant; message Unit { string name = 1; }'


class Known:
    """The schemas of a registry, by id."""

    def __init__(self, schemas: Mapping[int, Schema]) -> None:
        self._schemas = schemas

    def schema(self, schema_id: int) -> Schema | None:
        return self._schemas.get(schema_id)


SCHEMAS = Known(
    {
        1: Schema("AVRO", json.dumps(READING)),
        2: Schema("AVRO", json.dumps(LATER)),
        3: Schema("AVRO", '"double"'),
        4: Schema("AVRO", '{"type": "record", "name": "K", "fields": [{"name": "id", "type": "int"}]}'),
        5: Schema(
            "AVRO",
            '{"type": "record", "name": "Whole", "fields": [{"name": "r", "type": "plant.Reading"}]}',
            (("plant.Reading", json.dumps(READING)),),
        ),
        6: Schema("PROTOBUF", PROTO, (("units.proto", UNITS),)),
        7: Schema("JSON", "{}"),
        8: Schema("AVRO", '{"type": "recrod"}'),
        9: Schema("PROTOBUF", "message"),
        10: Schema("AVRO", '"string"'),
    }
)


def decoder(**given: Any) -> Decoder:
    given = {"value_format": "avro", "schema_registry_url": "http://localhost:8081", **given}
    return Decoder(read_settings(given, environment={}), SCHEMAS)


def event_of(value: bytes | None, /, key: bytes | None = b"pump-7", **given: Any) -> Any:
    ((_, event, error),) = decoder(**given).decode(replace(RECORD, key=key, value=value))
    if error is not None:
        raise error
    return event


def refusal(value: bytes, /, key: bytes | None = b"pump-7", **given: Any) -> BadInputError:
    ((_, _, error),) = decoder(**given).decode(replace(RECORD, key=key, value=value))
    assert error is not None
    return error


def avro(schema_id: int, value: object) -> bytes:
    schema = SCHEMAS.schema(schema_id)
    assert schema is not None
    named: dict[str, Any] = {}
    for _, text in schema.references:
        fastavro.parse_schema(json.loads(text), named_schemas=named)
    content = io.BytesIO()
    fastavro.schemaless_writer(content, fastavro.parse_schema(json.loads(schema.text), named_schemas=named), value)
    return framed(schema_id, content.getvalue())


def protobuf(index: bytes = b"\2\2", **fields: Any) -> bytes:
    """Return a value of the second message type of the schema."""
    message = READINGS(**fields)
    return framed(6, index + message.SerializeToString())


def _message_class() -> Any:
    schema, pool = SCHEMAS.schema(6), DescriptorPool()
    assert schema is not None
    for file in _compiled(schema).file:
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("plant.Reading"))


READINGS = _message_class()


@pytest.mark.parametrize(
    ("path", "symbol", "literal"),
    [
        ("id", "press-3", '"press-3"'),
        ("temp", 21.5, "21.5"),
        ("load", 10.32, "10.32"),
        ("day", "2026-01-31", '"2026-01-31"'),
        ("at", "2026-01-31T12:00:00+00:00", '"2026-01-31T12:00:00+00:00"'),
        ("state", "OFF", '"OFF"'),
        ("tags.a", 7, "7"),
        ("raw", "/w==", '"/w=="'),
        ("on", 1, "true"),
    ],
)
def test_avro_is_read_like_json(path: str, symbol: object, literal: str) -> None:
    """Decimals are numbers, times texts, and enumerations their symbols; also of a schema that another refers to."""
    for value, prefix in ((avro(1, VALUE), ""), (avro(5, {"r": VALUE}), "r.")):
        event = event_of(value, value_path=prefix + path)
        assert (symbol, literal) == (event.symbol, event.literal)


def test_fields_of_avro_are_key_time_and_vector() -> None:
    """A union with null is a missing number, and so is a field that an earlier schema does not have."""
    given: dict[str, Any] = {"task": "number", "value_path": "temp,load,hum", "key_path": "id", "time_path": "at"}
    event = event_of(avro(1, {**VALUE, "temp": None}), **given)
    assert ((None, 10.32, None), "press-3", 1_769_860_800_000) == (
        event.vector,
        event.stream,
        event.record.timestamp_ms,
    )
    assert (21.5, 10.32, 0.5) == event_of(avro(2, {**VALUE, "hum": 0.5}), **given).vector


def test_a_bare_value_of_avro_needs_no_path() -> None:
    """A schema may be a number alone; NaN is missing."""
    assert (4.5,) == event_of(avro(3, 4.5), task="number").vector
    assert (None,) == event_of(avro(3, float("nan")), task="number").vector


@pytest.mark.parametrize(("key", "stream"), [(avro(4, {"id": 7}), '{"id":7}'), (avro(10, "a"), "a"), (None, None)])
def test_a_key_of_avro_names_its_stream(key: bytes | None, stream: str | None) -> None:
    """Its content, not its bytes; the output is keyed as the input."""
    event = event_of(b"4", key=key, key_format="avro", value_format="auto")
    assert (stream, key) == (event.stream, event.record.key)
    if key is not None:
        forgotten = event_of_tombstone(key)
        assert stream == forgotten.stream


def event_of_tombstone(key: bytes) -> Tombstone:
    ((_, event, _),) = decoder(key_format="avro").decode(replace(RECORD, key=key, value=None))
    assert isinstance(event, Tombstone)
    return event


def test_a_key_that_cannot_be_read_is_refused() -> None:
    """No stream learns the value, and its position is in none."""
    ((_, event, error),) = decoder(key_format="avro", task="number").decode(replace(RECORD, value=avro(3, 4.5)))
    assert error is not None
    assert ("schema_registry", None) == (error.reason, event)
    assert "the setting key_format is avro" in str(error)


def test_keys_of_json_schema_are_read() -> None:
    """A text is the name, an object its JSON."""
    for content, stream in ((b'"pump-7"', "pump-7"), (b'{"id": 7}', '{"id":7}')):
        key = framed(1, content)
        assert stream == event_of(b"4", key=key, key_format="json_schema", value_format="auto").stream


@pytest.mark.parametrize(
    ("path", "symbol"),
    [
        ("id", "press-3"),
        ("temp", 21.5),
        ("load", 10.32),
        ("at", "2026-01-31T12:00:00+00:00"),
        ("state", "OFF"),
        ("tags.a", 7),
        ("raw", "/w=="),
        ("on", 1),
        ("xs.1", 2.5),
        ("small", 0.1),
        ("wrapped", 3.5),
        ("unit.name", "bar"),
        ("count", 2**60),
    ],
)
def test_protobuf_is_read_like_json(path: str, symbol: object) -> None:
    """Well-known types are the values that they stand for; imports come from references."""
    value = protobuf(
        id="press-3",
        at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        temp=21.5,
        load={"value": (1032).to_bytes(2), "precision": 9, "scale": 2},
        state="OFF",
        tags={"a": 7},
        raw=b"\xff",
        on=True,
        xs=[1.5, 2.5],
        small=0.1,
        wrapped={"value": 3.5},
        unit={"name": "bar"},
        count=2**60,
    )
    assert symbol == event_of(value, value_format="protobuf", value_path=path).symbol


def test_an_unset_field_of_protobuf_is_missing_or_zero() -> None:
    """With presence it is missing; without, it is the default that the producer meant."""
    given: dict[str, Any] = {"task": "number", "value_format": "protobuf", "value_path": "temp,wrapped,small"}
    assert (None, None, 0.0) == event_of(protobuf(), **given).vector


def test_the_index_names_the_type_of_a_message() -> None:
    """The first type has a short form; a type may be in another one."""
    given: dict[str, Any] = {"value_format": "protobuf"}
    first = b"\n\1a"
    assert "a" == event_of(framed(6, b"\0" + first), value_path="x", **given).symbol
    assert "a" == event_of(framed(6, b"\2\0" + first), value_path="x", **given).symbol
    inner = b"\t" + b"\0" * 6 + b"\x10@"
    assert 4.0 == event_of(framed(6, b"\4\0\0" + inner), value_path="v", **given).symbol
    assert "not_a_value" == refusal(framed(6, b"\2\x20" + first), value_path="x", **given).reason


@pytest.mark.parametrize(
    ("value", "reason", "text"),
    [
        (b"4", "schema_registry", "expected a zero byte, the id of a schema in four bytes, and the content"),
        (framed(99, b""), "schema_registry", "received a value of schema 99, which the registry does not have"),
        (framed(7, b"{}"), "schema_registry", "of schema 7, which is of type JSON; expected one of type AVRO"),
        (framed(8, b""), "schema_registry", "of schema 8, which cannot be compiled"),
        (avro(1, VALUE)[:-3], "not_a_value", "expected a value of its schema 1"),
        (avro(1, VALUE) + b"\0", "not_a_value", "expected a value of its schema 1"),
    ],
)
def test_another_value_is_refused(value: bytes, reason: str, text: str) -> None:
    """With the schema that it names, and the setting."""
    error = refusal(value, value_path="temp")
    assert reason == error.reason
    assert text in str(error)


def test_a_protobuf_schema_that_is_none_is_refused() -> None:
    """Its values are dead letters."""
    error = refusal(framed(9, b"\0"), value_format="protobuf", value_path="temp")
    assert "of schema 9, which cannot be compiled" in str(error)
    with pytest.raises(ValueError, match="outside of the schema"):
        protobuf_reader(Schema("PROTOBUF", PROTO, (("../../x.proto", UNITS),)))


@given(st.sampled_from([1, 2, 3, 4, 5, 10]), st.binary(max_size=60))
def test_any_bytes_of_avro_are_read_or_refused(schema_id: int, content: bytes) -> None:
    """Nothing but a refusal stops a value."""
    for _, event, error in decoder(value_path="temp").decode(replace(RECORD, value=framed(schema_id, content))):
        assert event is not None or (error is not None and error.reason in REASONS)


@given(st.binary(max_size=60))
def test_any_bytes_of_protobuf_are_read_or_refused(content: bytes) -> None:
    """Also of the index of the type."""
    chosen = decoder(value_path="temp", value_format="protobuf")
    for _, event, error in chosen.decode(replace(RECORD, value=framed(6, content))):
        assert event is not None or (error is not None and error.reason in REASONS)


@pytest.mark.parametrize("name", ["value_format", "key_format"])
def test_a_format_with_schemas_needs_a_registry(name: str) -> None:
    """Which is said at the start."""
    with pytest.raises(SettingsError, match=f"{name}: received avro, expected schema_registry_url as well"):
        read_settings({name: "avro"}, environment={})
