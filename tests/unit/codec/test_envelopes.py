"""The envelopes of other programs: what changed is read, and removals forget no stream that they do not name."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from online_lstm.codec import Decoded, Decoder
from online_lstm.codec.envelopes import DECIMAL, VARIABLE_DECIMAL
from online_lstm.events import InputRecord, Tombstone
from online_lstm.settings import read_settings

RECORD = InputRecord("numbers", 0, 41, 1_760_000_000_123, b'{"id": 7}', b"4", ())
CREATED = {"before": None, "after": {"id": 7, "load": "BAg="}, "op": "c", "ts_ms": 1_760_000_000_456}
DELETED = {"before": {"id": 7}, "after": None, "op": "d"}


def decoded(message: object, /, key: bytes | None = RECORD.key, **chosen: Any) -> list[Decoded]:
    value = None if message is None else json.dumps(message).encode()
    settings = read_settings({"task": "number", **chosen}, environment={})
    return Decoder(settings).decode(replace(RECORD, key=key, value=value))


def event_of(message: object, /, **chosen: Any) -> Any:
    ((_, event, error),) = decoded(message, **chosen)
    if error is not None:
        raise error
    return event


@pytest.mark.parametrize(("payload", "vector"), [(4, (4.0,)), (None, (None,)), ({"value": 4}, (4.0,))])
def test_a_payload_of_connect_is_the_value(payload: object, vector: tuple[float | None]) -> None:
    """By the envelope or by a path, as before; a payload of null is a missing value."""
    message = {"schema": {"type": "int64", "optional": True}, "payload": payload}
    assert vector == event_of(message, envelope="connect").vector
    if not isinstance(payload, dict):
        assert vector == event_of(message, value_path="payload").vector


def test_decimals_of_connect_have_the_scale_of_their_schema() -> None:
    """In fields, in arrays, and with a scale of their own, as Debezium writes them."""
    scaled = {"type": "bytes", "name": DECIMAL, "parameters": {"scale": "2"}}
    variable = {"type": "struct", "name": VARIABLE_DECIMAL}
    fields = [
        {"field": "load", **scaled},
        {"field": "loads", "type": "array", "items": scaled},
        {"field": "free", **variable},
    ]
    message = {
        "schema": {"type": "struct", "fields": fields},
        "payload": {"load": "BAg=", "loads": ["/w==", None], "free": {"scale": 3, "value": "BAg="}, "id": 7},
    }
    for path, literal in (("load", "10.32"), ("loads", "[-0.01, null]"), ("free", "1.032"), ("id", "7")):
        features = 2 if path == "loads" else 1
        assert literal == event_of(message, envelope="connect", value_path=path, features=features).literal


def test_the_scale_of_a_decimal_may_be_a_setting() -> None:
    """The scale is nowhere in the message; a text that is no decimal is refused, and the setting is named."""
    chosen: dict[str, Any] = {"envelope": "debezium", "value_path": "load"}
    event = event_of(CREATED, decimal_scale=2, **chosen)
    assert ((10.32,), "10.32") == (event.vector, event.literal)
    ((_, _, error),) = decoded(CREATED, **chosen)
    assert error is not None
    assert "decimal_scale" in str(error)


@pytest.mark.parametrize("operation", ["c", "u", "r"])
def test_a_change_is_the_row_after_it(operation: str) -> None:
    """Created, updated or read for the first time; with or without the schema around it."""
    change = {"before": {"load": 3}, "after": {"load": 4}, "op": operation, "ts_ms": 1_760_000_000_456}
    for message in (change, {"schema": {"type": "struct"}, "payload": change}):
        event = event_of(message, envelope="debezium", value_path="load", time_path="ts_ms")
        assert ((4.0,), 1_760_000_000_456) == (event.vector, event.record.timestamp_ms)


def test_a_path_leads_into_the_message_around_a_row_second() -> None:
    """The row has its own `op`, the message its time."""
    message = {"after": {"op": "weld"}, "op": "c", "source": {"table": "jobs"}}
    chosen: dict[str, Any] = {"task": "symbol", "envelope": "debezium"}
    assert "weld" == event_of(message, value_path="op", **chosen).symbol
    assert "jobs" == event_of(message, value_path="source.table", **chosen).symbol


def test_a_removal_forgets_the_stream_that_the_key_names() -> None:
    """Deleted, and then the tombstone for the same key; both name the stream of the row."""
    for message in (DELETED, None):
        ((_, event, error),) = decoded(message, envelope="debezium")
        assert error is None
        assert isinstance(event, Tombstone)
        assert '{"id": 7}' == event.stream


@pytest.mark.parametrize("chosen", [{"key_path": "id"}, {"stream_by": "partition"}])
@pytest.mark.parametrize("message", [DELETED, None, {"op": "t"}, {"op": "m", "message": {}}])
def test_a_removal_forgets_no_other_stream(message: object, chosen: dict[str, Any]) -> None:
    """Where the key of the row is no stream's, its removal is nothing to learn from, and no fault."""
    assert [] == decoded(message, envelope="debezium", **chosen)


def test_the_payload_of_a_key_names_the_stream() -> None:
    """The schema around it does not."""
    key = {"schema": {"type": "struct", "fields": []}, "payload": {"id": 7}}
    assert '{"id":7}' == event_of(CREATED, key=json.dumps(key).encode(), envelope="debezium", value_path="id").stream
    assert "pump-7" == event_of(CREATED, key=b"pump-7", envelope="debezium", value_path="id").stream


def test_the_data_of_a_cloud_event_is_the_value() -> None:
    """Its attributes can be key and time; without data, the value is missing."""
    message = {"specversion": "1.0", "id": "1", "source": "/m", "subject": "press-3", "time": "2026-01-31T12:00:00Z"}
    chosen: dict[str, Any] = {"envelope": "cloudevents", "key_path": "subject", "time_path": "time"}
    event = event_of({**message, "data": {"value": 4}}, **chosen)
    assert ((4.0,), "press-3", 1_769_860_800_000) == (event.vector, event.stream, event.record.timestamp_ms)
    assert (4.0,) == event_of({**message, "data": 4}, **chosen).vector
    assert (None,) == event_of(message, **chosen).vector


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        ("connect", "expected an object with schema and payload: the setting envelope is connect"),
        ("debezium", "expected an object with op, and after for the ops c, u and r: the setting envelope is debezium"),
        ("cloudevents", "expected an object with specversion and data: the setting envelope is cloudevents"),
    ],
)
@pytest.mark.parametrize("message", [4, {"value": 4}, {"op": "x", "after": None}, {"op": ["c"]}])
def test_another_message_is_refused(envelope: str, expected: str, message: object) -> None:
    """What was expected is in the error, and the setting."""
    ((_, _, error),) = decoded(message, envelope=envelope)
    assert error is not None
    assert "not_a_value" == error.reason
    assert expected in str(error)


PARTS = st.recursive(
    st.none() | st.integers() | st.sampled_from(["BAg=", "2", "c", "struct", "array", DECIMAL, VARIABLE_DECIMAL]),
    lambda parts: (
        st.lists(parts, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["schema", "payload", "after", "op", "type", "name", "fields", "field", "items", "parameters", "scale"]
            ),
            parts,
            max_size=4,
        )
    ),
)


@given(st.sampled_from(["connect", "debezium", "cloudevents"]), PARTS, PARTS)
def test_any_envelope_is_read_or_refused(envelope: str, schema: Any, payload: Any) -> None:
    """Whatever its schema says; nothing but a refusal stops a value."""
    for message in (schema, {"schema": schema, "payload": payload}):
        for _, event, error in decoded(message, key=json.dumps(message).encode(), envelope=envelope):
            assert event is not None or error is not None
