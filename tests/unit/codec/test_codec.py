import hashlib
import json
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from online_lstm.codec import REASONS, Decoded, Decoder, Encoder, extend_digest, stream_of
from online_lstm.codec.size import record_bytes
from online_lstm.errors import BadInputError
from online_lstm.events import (
    NUMBER_SCORES,
    Event,
    InputRecord,
    Label,
    LabelEvent,
    NumberEvaluation,
    NumberEvent,
    NumberPrediction,
    NumberResult,
    OutputRecord,
    Symbol,
    SymbolEvaluation,
    SymbolEvent,
    SymbolPrediction,
    SymbolResult,
    Tombstone,
    Vector,
)
from online_lstm.settings import BYTES_OF_CHANNEL, BYTES_OF_MESSAGE, Settings, read_settings

FORMATS = ("auto", "double", "float", "long", "integer", "string")
SMALLEST = 10_000

RECORD = InputRecord("numbers", 0, 41, 1_760_000_000_123, b"pump-7", b"4", ())
VERDICT = SymbolEvaluation("4", hit=True, probability=0.93, surprise_bits=0.1047, expert_bits=(), confidence=0.5)
SYMBOL = read_settings({}, environment={}).predictors
OUTCOME = SymbolResult(
    event=42,
    fit_steps=1,
    skipped_steps=0,
    evaluation=VERDICT,
    prediction=SymbolPrediction((("8", 0.71), ("4", 0.27)), (("8", 0.6, 0.41), ("8", 0.9, 0.3), (None, 0.0, 0.25))),
    hits=SYMBOL.named((True, False, True, True, True, False, True)),
    hit_rates=SYMBOL.named((0.97, 0.5, 0.62, 0.6, 0.98, 0.6, 0.99)),
)
SILENT = SymbolResult(
    event=1, fit_steps=1, skipped_steps=0, evaluation=None, prediction=None, hits=None, hit_rates=None
)
ERROR = BadInputError("not_a_value", "received 'x', expected a number")


def settings(**given: Any) -> Settings:
    return read_settings(given, environment={})


DECODERS = {value_format: Decoder(settings(value_format=value_format)) for value_format in FORMATS}
AUTO = DECODERS["auto"]
ENCODER = Encoder(settings())
SMALL = settings(max_output_bytes=SMALLEST, top_k=100)


def event_of(record: InputRecord, decoder: Decoder = AUTO) -> Any:  # the class of the event depends on the task
    ((_, event, error),) = decoder.decode(record)
    if error is not None:
        raise error
    assert isinstance(event, Event)
    return event


def decode(value: bytes, decoder: Decoder = AUTO) -> Any:
    return event_of(replace(RECORD, value=value), decoder)


def refusal(value: bytes | None, decoder: Decoder = AUTO, **fields: Any) -> BadInputError:
    ((_, _, error),) = decoder.decode(replace(RECORD, value=value, **fields))
    assert error is not None
    return error


def assert_decoded_or_refused(value: bytes, decoder: Decoder = AUTO) -> None:
    for _, event, error in decoder.decode(replace(RECORD, value=value)):
        if error is not None:
            assert error.reason in REASONS
        else:
            assert isinstance(event, SymbolEvent)
            assert event.symbol == strict_json(event.literal)
            assert event.literal.encode()


def strict_json(text: str | bytes | None) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert text is not None
    return json.loads(text, parse_constant=refuse)


def size(record: InputRecord | OutputRecord) -> int:
    return record_bytes(record.key, record.value, record.headers)


@pytest.mark.parametrize(
    ("value", "symbol", "literal"),
    [
        (b"4", 4, "4"),
        (b" -1.5e3\n", -1500.0, "-1.5e3"),
        (b"4.0", 4, "4.0"),
        (b"4e0", 4, "4e0"),
        (b"-0", 0, "-0"),
        (b"+4", 4, "4"),
        (b".5", 0.5, "0.5"),
        (b"4.", 4, "4.0"),
        (b"007", 7, "7"),
        (b"-007.50", -7.5, "-7.5"),
        (b"9" * 100, 10**100 - 1, "9" * 100),
        (b"-" + b"9" * 100, 1 - 10**100, "-" + "9" * 100),
        (b"1e-999", 0, "1e-999"),
        (b'"on"', "on", '"on"'),
        (b'"4"', "4", '"4"'),
        (rb'"\u00e4\ud83d\ude00\u0000"', "ä😀\0", r'"ä😀\u0000"'),
        (b'""', "", '""'),
        (b'{"value": 1e3, "unit": [null, NaN, 1e999]}', 1000, "1e3"),
        (b'{"value": "on", "value2": {}}', "on", '"on"'),
        (b'"' + b"[" * 1000 + b'"', "[" * 1000, '"' + "[" * 1000 + '"'),
    ],
)
def test_auto_reads_numbers_and_strings(value: bytes, symbol: Symbol, literal: str) -> None:
    """The literal is the text that came, made canonical only where it is no JSON; the symbol is its value."""
    event = decode(value)
    assert (symbol, literal, False) == (event.symbol, event.literal, event.ends)


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        *[("not_finite", text) for text in (b"NaN", b"nan", b"-inf", b"Infinity", b"1e999", b"-1e999")],
        *[("not_finite", b'{"value": %s}' % text) for text in (b"NaN", b"-Infinity", b"1e999")],
        *[("not_a_value", text) for text in (b"", b" \n", b"yes", b"null", b"[1, 2]", b"{}x", b"4 5", b"1_0")],
        *[("not_a_value", b'{"value": %s}' % text) for text in (b"null", b"[4]", b"{}", b"007", b"")],
        ("not_a_value", b'{"value": 1, "value": 2}'),
        ("not_a_value", "٤".encode()),
        ("not_a_value", ("😀" * 1_000).encode()),
        ("not_a_value", b"9" * 101),
        ("not_a_value", b"9" * 60_000),
        ("not_a_value", b'{"value": %s}' % (b"9" * 60_000)),
        ("not_a_value", b"1." + b"0" * 99),
        ("not_a_value", b"[" * 60_000),
        ("not_a_value", b'{"value": 1, "deep": %s}' % (b"[" * 100 + b"]" * 100)),
        ("not_a_value", b'"' + rb"\"" * 30_000 + b"[" * 101),
        ("not_utf8", b"\xff\xfe4"),
        ("not_utf8", rb'"\ud800"'),
        ("missing_path", b'{"val": 4}'),
        ("schema_registry", b"\x00\x00\x00\x00\x2a4"),
        ("schema_registry", b"\x00\xff\xff\xff\xff\x08"),
        ("not_a_value", b"\x00\x004"),
        ("too_large", b"1" * 65_537),
    ],
)
def test_auto_refuses_what_is_no_value(reason: str, value: bytes) -> None:
    """What cannot be learned from is refused with its reason and a message of bounded length."""
    error = refusal(value)
    assert reason == error.reason
    assert len(str(error)) <= 300
    assert str(error).isprintable()


def test_a_refusal_shows_what_came_and_the_way_out() -> None:
    """A person who reads the dead letter sees what was received, what was expected, and what to do."""
    shown = r"received 'caf\xe9\x07', expected a number or JSON: "
    assert str(refusal("café\x07".encode())).startswith(shown)
    assert "vectors belong to other tasks" in str(refusal(b"[1, 2]"))
    assert "here schema 42" in str(refusal(b"\x00\x00\x00\x00\x2a..."))


def test_nesting_is_limited_by_levels_not_by_size() -> None:
    """An object may hold any number of arrays as long as they are not deep."""
    assert 1 == decode(b'{"value": 1, "wide": [%s []]}' % (b"[]," * 10_000)).symbol
    assert 1 == decode(b'{"value": 1, "deep": %s}' % (b"[" * 99 + b"]" * 99)).symbol


def test_equal_numbers_are_one_symbol() -> None:
    """4, 4.0 and 4e0 are one value, 0 and -0 another, and the string "4" a third."""
    written = (b"4", b"4.0", b"4e0", b"+4", b"0", b"-0", b"-0.0", b'"4"')
    assert {4, 0, "4"} == {decode(value).symbol for value in written}


@pytest.mark.parametrize(
    ("value", "ends"),
    [
        (b'{"value": 4, "end": true}', True),
        (b'{"value": 4, "end": false}', False),
        (b'{"value": 4, "end": 1}', False),
        (b'{"value": 4, "end": "true"}', False),
    ],
)
def test_only_true_ends_a_sequence(value: bytes, ends: bool) -> None:
    """Other people's JSON may have a field `end` that means something else."""
    assert ends == decode(value).ends


@pytest.mark.parametrize(
    ("path", "value", "symbol"),
    [
        ("reading", b'{"reading": 4, "value": 5}', 4),
        ("sensors.1.t", b'{"sensors": [{"t": 1}, {"t": 2.5}]}', 2.5),
        ("0", b"[7, 8]", 7),
        ("a.0", b'{"a": {"0": "zero"}}', "zero"),
    ],
)
def test_a_path_leads_through_objects_and_arrays(path: str, value: bytes, symbol: Symbol) -> None:
    """`value_path` finds the value in any JSON."""
    assert symbol == decode(value, Decoder(settings(value_path=path))).symbol


@pytest.mark.parametrize("value", [b"4", b'"s"', b'{"value": 4}', b'{"a": 4}', b'{"a": []}', b'{"a": [[4]]}'])
def test_a_path_that_leads_nowhere_is_refused(value: bytes) -> None:
    """Without a value at `value_path` there is nothing to learn from, not even in a bare number."""
    assert "missing_path" == refusal(value, Decoder(settings(value_path="a.0.1"))).reason


@pytest.mark.parametrize(
    ("value_format", "value", "symbol", "literal"),
    [
        ("double", struct.pack(">d", 0.1), 0.1, "0.1"),
        ("double", struct.pack(">d", -0.0), 0, "-0.0"),
        ("float", struct.pack(">f", 0.1), 0.1, "0.1"),
        ("float", struct.pack(">f", 16_777_216), 16_777_216, "16777216.0"),
        ("float", b"\x00\x00\x00\x01", 1e-45, "1e-45"),
        ("long", struct.pack(">q", -(2**63)), -(2**63), "-9223372036854775808"),
        ("integer", struct.pack(">i", 7), 7, "7"),
        ("string", b"4", "4", '"4"'),
        ("string", b"", "", '""'),
        ("string", " a\nä".encode(), " a\nä", r'" a\nä"'),
    ],
)
def test_serializers_of_kafka_are_read(value_format: str, value: bytes, symbol: Symbol, literal: str) -> None:
    """Binary values are big-endian, singles keep their shortest text, strings are never parsed."""
    event = decode(value, DECODERS[value_format])
    assert (symbol, literal) == (event.symbol, event.literal)


@pytest.mark.parametrize(
    ("reason", "value_format", "value"),
    [
        ("wrong_length", "double", b"1234567"),
        ("wrong_length", "float", b""),
        ("wrong_length", "long", b"4"),
        ("wrong_length", "integer", b"12345678"),
        ("not_finite", "double", struct.pack(">d", math.nan)),
        ("not_finite", "float", struct.pack(">f", -math.inf)),
        ("not_utf8", "string", b"\xff"),
    ],
)
def test_serializers_of_kafka_refuse(reason: str, value_format: str, value: bytes) -> None:
    """A binary value of another length was written by another serializer."""
    assert reason == refusal(value, DECODERS[value_format]).reason


def test_a_tombstone_forgets_its_stream() -> None:
    """A null value is an order to forget, whatever else the record carries."""
    record = replace(RECORD, value=None, headers=(("h", b"1" * 2_000_000),))
    assert [Decoded(record, Tombstone(record, "pump-7"))] == AUTO.decode(record)


@pytest.mark.parametrize(("task", "given"), [("number", {}), ("number", {"value_format": "float"}), ("label", {})])
def test_a_null_value_without_a_key_is_a_missing_number(task: str, given: dict[str, Any]) -> None:
    """It belongs to no key, so no stream is forgotten; what the format of other values is does not matter."""
    event = event_of(replace(RECORD, key=None, value=None), Decoder(settings(task=task, **given)))
    assert ((None,), "null", None) == (event.vector, event.literal, event.stream)


def test_a_null_value_without_a_key_is_a_missing_vector() -> None:
    """Each of its numbers is missing."""
    event = event_of(replace(RECORD, key=None, value=None), Decoder(settings(task="number", features=3)))
    assert ((None, None, None), "[null, null, null]") == (event.vector, event.literal)


def test_a_null_value_without_a_key_is_no_symbol() -> None:
    """It is refused, and so is one whose key names no stream."""
    assert "null_value" == refusal(None, key=None).reason
    assert "null_value" == refusal(None, Decoder(settings(stream_by="partition"))).reason


def test_a_dead_letter_of_nothing_has_a_form_that_clients_send() -> None:
    """They refuse a record with neither key nor value: its value is empty, and a header says so."""
    letter = ENCODER.dead_letter(replace(RECORD, key=None, value=None), ERROR)
    assert b"" == letter.value
    assert ("online_lstm_value", b"null") in letter.headers
    for other in (replace(RECORD, value=None), replace(RECORD, key=None, value=b"")):
        letter = ENCODER.dead_letter(other, ERROR)
        assert other.value == letter.value
        assert "online_lstm_value" not in dict(letter.headers)


def test_a_partition_may_be_one_stream_whatever_the_keys() -> None:
    """No stream is named then, and the output has the key of its record all the same."""
    event = event_of(RECORD, Decoder(settings(stream_by="partition")))
    assert None is event.stream
    output = ENCODER.output(event, SILENT, "1f3a9c20@1")
    assert RECORD.key == output.key
    assert None is strict_json(output.value)["stream"]


@pytest.mark.parametrize(
    ("value", "vector", "literal"),
    [
        (b'"25"', (25.0,), "25"),
        (b'{"value": "2.50"}', (2.5,), "2.50"),
        (b'{"value": " +.5 "}', (0.5,), "0.5"),
        (b'["1", 2, null]', (1.0, 2.0, None), "[1, 2, null]"),
        (b'"[1, 2, null]"', (1.0, 2.0, None), "[1, 2, null]"),
        (b'{"value": "[1, 2, null]"}', (1.0, 2.0, None), "[1, 2, null]"),
        (b'"{\\"value\\": 4}"', (4.0,), "4"),
        (b'"{\\"value\\": \\"4\\"}"', (4.0,), "4"),
    ],
)
def test_numbers_and_json_in_strings_are_read(value: bytes, vector: Vector, literal: str) -> None:
    """A producer that encodes twice, or puts numbers into quotes, means numbers."""
    event = decode(value, Decoder(settings(task="number", features=len(vector))))
    assert (vector, literal) == (event.vector, event.literal)


@pytest.mark.parametrize("value", [b'"{"', b'"[1, 2"', b'"{\\"a\\": 1, \\"a\\": 2}"', b'"1,5"'])
def test_other_strings_are_no_numbers(value: bytes) -> None:
    """What cannot be read is refused as a text."""
    assert "not_a_number" == refusal(value, Decoder(settings(task="number"))).reason


def test_a_symbol_in_quotes_is_another_one() -> None:
    """A text never equals a number."""
    assert ("25", 25) == (decode(b'"25"').symbol, decode(b"25").symbol)


@pytest.mark.parametrize(
    ("key", "stream"),
    [(None, None), (b"", ""), ("größe".encode(), "größe"), (b"\xff\x00", "base64:/wA=")],
)
def test_a_key_names_its_stream(key: bytes | None, stream: str | None) -> None:
    """Keys are text where they are UTF-8, base64 where they are not."""
    assert stream == stream_of(key) == event_of(replace(RECORD, key=key)).stream


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("key_too_large", {"key": b"k" * 250_001}),
        ("key_too_large", {"key": b"\0" * 50_000}),
        ("key_too_large", {"key": b"\xff" * 200_000}),
        ("headers_too_large", {"headers": (("h", b"1" * 250_000),)}),
        ("headers_too_large", {"headers": (("h", b""),) * 12_500}),
    ],
)
def test_what_outputs_could_not_carry_is_refused(reason: str, fields: dict[str, Any]) -> None:
    """Key and headers are copied to the output: a quarter of it each, and another for the key's text."""
    assert reason == refusal(b"4", **fields).reason


def test_the_largest_key_and_headers_are_taken() -> None:
    """The limits themselves are still good."""
    record = replace(RECORD, key=b"k" * 249_998, headers=(("h", b"1" * 249_979),))
    assert "k" * 249_998 == event_of(record).stream


@pytest.mark.long
@given(value=st.binary(max_size=40) | st.text(max_size=40).map(str.encode), form=st.sampled_from(FORMATS))
@example(value=b"\x7f\xf0\0\0\0\0\0\0", form="double")
def test_any_bytes_are_decoded_or_refused(value: bytes, form: str) -> None:
    """No input breaks the decoder, and a reason is always one of the closed set."""
    assert_decoded_or_refused(value, DECODERS[form])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "end"]), inner),
    max_leaves=5,
)


@given(message=JSON, ascii_only=st.booleans())
def test_any_json_is_decoded_or_refused(message: Any, ascii_only: bool) -> None:
    """What JSON can say is either a value whose literal reads as the symbol, or refused."""
    text = json.dumps(message, ensure_ascii=ascii_only)
    assert_decoded_or_refused(text.encode(errors="surrogatepass"))


@given(
    number=st.integers(min_value=-(10**100) + 1, max_value=10**100 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
def test_numbers_keep_value_and_text(number: float) -> None:
    """A number is exact, bare or in an object, and published as it was written."""
    text = json.dumps(number)
    for value in (text.encode(), b'{"value": %s}' % text.encode()):
        event = decode(value)
        assert (number, text) == (event.symbol, event.literal)
        assert type(number) is type(event.symbol)


def test_an_output_has_the_documented_bytes() -> None:
    """The message is a contract: names, order and spelling."""
    output = ENCODER.output(event_of(RECORD), OUTCOME, "1f3a9c20@42")
    expected = (
        '{"stream": "pump-7", "topic": "numbers", "partition": 0, "offset": 41, "event": 42, "value": 4, '
        '"evaluation": {"predicted": 4, "hit": true, "probability": 0.93, "surprise_bits": 0.1047, "drift": false}, '
        '"prediction": 8, "probability": 0.71, "top": [[8, 0.71], [4, 0.27]], '
        '"experts": {"lstm": [8, 0.6, 0.41], "suffix_memory": [8, 0.9, 0.3], '
        '"slow_suffix_memory": [null, null, 0.25]}, '
        '"hit_rate": 0.97, "baseline_hit_rate": 0.62, "kappa_temporal": 0.94, "model": "1f3a9c20@42"}'
    )
    headers = (
        ("ce_id", b"numbers/0/41"),
        ("ce_source", b"/online-lstm/numbers"),
        ("ce_type", b"online-lstm.prediction"),
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
        ("ce_time", b"2025-10-09T08:53:20.123Z"),
    )
    assert OutputRecord(0, 1_760_000_000_123, b"pump-7", expected.encode(), headers) == output


def test_what_is_not_known_yet_is_null() -> None:
    """A stream's first event has no evaluation, no prediction and no rates."""
    output = ENCODER.output(event_of(replace(RECORD, key=None)), SILENT, "m")
    message = strict_json(output.value)
    rates = ("hit_rate", "baseline_hit_rate", "kappa_temporal")
    assert {None} == {message[name] for name in ("stream", "evaluation", "prediction", "probability", *rates)}
    assert [] == message["top"]
    assert {} == message["experts"]
    assert output.key is None


def test_infinite_surprise_is_null_and_none_is_zero() -> None:
    """JSON has no infinity, and a certain hit surprises by 0.0, not by -0.0."""
    for bits, expected in ((math.inf, "null"), (-0.0, "0.0")):
        evaluation = replace(VERDICT, surprise_bits=bits, expert_bits=(), confidence=0.5)
        output = ENCODER.output(event_of(RECORD), replace(OUTCOME, evaluation=evaluation), "m")
        assert output.value is not None
        assert f'"surprise_bits": {expected}, "drift": false}}'.encode() in output.value


@pytest.mark.parametrize("timestamp_ms", [-1, -2, 253_402_300_800_000, 2**63 - 1])
def test_no_time_is_said_where_there_is_none(timestamp_ms: int) -> None:
    """A record without a timestamp, or with one that no calendar has, gets no `ce_time`."""
    output = ENCODER.output(event_of(replace(RECORD, timestamp_ms=timestamp_ms)), OUTCOME, "m")
    assert "ce_time" not in dict(output.headers)
    assert timestamp_ms == output.timestamp_ms


@pytest.mark.parametrize(
    ("timestamp_ms", "time"),
    [(0, b"1970-01-01T00:00:00.000Z"), (253_402_300_799_999, b"9999-12-31T23:59:59.999Z")],
)
def test_the_time_is_the_records_to_the_millisecond(timestamp_ms: int, time: bytes) -> None:
    """`ce_time` is exact to both ends of the calendar."""
    output = ENCODER.output(event_of(replace(RECORD, timestamp_ms=timestamp_ms)), OUTCOME, "m")
    assert time == dict(output.headers)["ce_time"]


def test_own_headers_are_copied_but_never_twice() -> None:
    """The input's headers follow in their order, except those that the output has its own of."""
    own = (("trace", b"1"), ("ce_id", b"theirs"), ("trace", b"2"), ("content-type", b"text/plain"))
    output = ENCODER.output(event_of(replace(RECORD, headers=own)), OUTCOME, "m")
    assert (("trace", b"1"), ("trace", b"2")) == output.headers[-2:]
    assert 1 == len([name for name, _ in output.headers if name == "ce_id"])
    assert b"application/json" == dict(output.headers)["content-type"]


def test_long_strings_are_cut_only_when_they_must() -> None:
    """A message over the limit keeps its form; headers tell length and digest of the whole one."""
    long = json.dumps("x" * 60_000)
    event = decode(long.encode())
    top = tuple((long, 1 / 32) for _ in range(3))
    prediction = SymbolPrediction(top, ((long, 1 / 32, 1 / 3),) * 3)
    whole = ENCODER.output(event, replace(OUTCOME, prediction=prediction), "m")
    assert whole.value is not None
    assert "online_lstm_sha256" not in dict(whole.headers)
    cut = Encoder(settings(max_output_bytes=200_000)).output(event, replace(OUTCOME, prediction=prediction), "m")
    message = strict_json(cut.value)
    assert ["x" * 999 + "…"] * 5 == [message["value"], message["prediction"], *[v for v, _ in message["top"]]]
    assert [["x" * 999 + "…", 0.03125, 0.3333]] * 3 == list(message["experts"].values())
    assert str(len(whole.value)).encode() == dict(cut.headers)["online_lstm_original_length"]
    assert hashlib.sha256(whole.value).hexdigest().encode() == dict(cut.headers)["online_lstm_sha256"]


@pytest.mark.parametrize("literal", [json.dumps("\0" * 2_000), json.dumps("😀" * 9_000, ensure_ascii=False), "9" * 100])
@pytest.mark.parametrize("key", [b"k" * 2_498, b"\0" * 416, b"\xff" * 1_866])
def test_the_smallest_limit_holds_the_worst_output(literal: str, key: bytes) -> None:
    """Largest key, headers, topic, offset and literals all at once fit into the least `max_output_bytes`."""
    record = InputRecord(
        topic="t" * 249,
        partition=2**31 - 1,
        offset=2**63 - 1,
        timestamp_ms=253_402_300_799_999,
        key=key,
        value=literal.encode(),
        headers=(("h", b"1" * 2_479),),
    )
    outcome = replace(
        OUTCOME,
        event=2**63 - 1,
        evaluation=SymbolEvaluation(
            literal, hit=False, probability=1e-7 / 3, surprise_bits=1073.12345, expert_bits=(), confidence=0.5
        ),
        prediction=SymbolPrediction(((literal, 1.234567e-5),) * 100, ((literal, 1.234567e-5, 1.23456789),) * 3),
        hit_rates=SYMBOL.named((2 / 3, 1 / 3, 1 / 3, 1 / 3, 2 / 3, 1 / 3, 1 / 3)),
    )
    output = Encoder(SMALL).output(event_of(record, Decoder(SMALL)), outcome, "0123abcd@9223372036854775807")
    strict_json(output.value)
    assert size(output) <= SMALLEST


@pytest.mark.parametrize(("features", "horizons"), [(1, "1"), (4, "1"), (1, "1-4"), (8, "1,2")])
@pytest.mark.parametrize(
    "longest", [lambda n: b"k" * (n - 2), lambda n: b"\0" * (n // 6), lambda n: b"\xff" * (n * 5 // 7)]
)
def test_the_limit_holds_the_worst_output_of_numbers(
    features: int, horizons: str, longest: Callable[[int], bytes]
) -> None:
    """As many of them as the limit allows, each with as many digits as a number has, and the longest spelling."""
    channels = features * len(settings(horizons=horizons).horizons)
    limit = max(SMALLEST, BYTES_OF_MESSAGE + channels * BYTES_OF_CHANNEL)
    chosen = settings(task="number", features=features, horizons=horizons, max_output_bytes=limit)
    number = -2.2250738585072014e-308
    literal = json.dumps(["?"] * features).replace('"?"', "-0." + "1" * 98)
    key, headers = longest(limit // 4), (("h", b"1" * (limit // 4 - 21)),)
    record = InputRecord("t" * 249, 2**31 - 1, 2**63 - 1, 253_402_300_799_999, key, literal.encode(), headers)
    numbers, each = (number,) * channels, (False,) * channels
    outcome = NumberResult(
        event=2**63 - 1,
        fit_steps=1,
        skipped_steps=0,
        evaluation=NumberEvaluation(numbers, each, numbers, each, (numbers,) * len(NUMBER_SCORES), np.zeros(0)),
        prediction=NumberPrediction(numbers, ((number, number),) * channels, ((numbers, (-1.23456,) * channels),) * 3),
        hits=chosen.predictors.named((1,) * 6),
        hit_rates=chosen.predictors.named((1 / 3,) * 6),
    )
    output = Encoder(chosen).output(event_of(record, Decoder(chosen)), outcome, "0123abcd@9223372036854775807")
    assert "online_lstm_sha256" not in dict(output.headers)
    strict_json(output.value)
    assert size(output) <= limit


LITERALS = (st.text(max_size=3) | st.integers(2, 5_000).map(lambda n: "ä\n" * n)).map(json.dumps) | st.integers().map(
    str
)
PROBABILITIES = st.floats(0, 1)


@given(
    literals=st.lists(LITERALS, min_size=3, max_size=12),
    probability=PROBABILITIES,
    bits=st.floats(min_value=0),
    key=st.none() | st.binary(max_size=20),
    header=st.tuples(st.text(max_size=10), st.binary(max_size=100)),
)
def test_any_output_is_strict_json_that_fits(
    literals: list[str], probability: float, bits: float, key: bytes | None, header: tuple[str, bytes]
) -> None:
    """Whatever was learned from, readers get JSON with all its fields, within the limit."""
    value, predicted, *top = literals
    record = replace(RECORD, key=key, value=value.encode(), headers=(header,))
    outcome = replace(
        OUTCOME,
        evaluation=SymbolEvaluation(
            predicted, hit=False, probability=probability, surprise_bits=bits, expert_bits=(), confidence=0.5
        ),
        prediction=SymbolPrediction(
            tuple((literal, probability) for literal in top), ((predicted, probability, 0.5),) * 3
        ),
    )
    output = Encoder(SMALL).output(event_of(record, Decoder(SMALL)), outcome, "m")
    message = strict_json(output.value)
    assert list(strict_json(ENCODER.output(event_of(RECORD), SILENT, "m").value)) == list(message)
    assert round(probability, 6) == message["evaluation"]["probability"] == message["probability"]
    assert size(output) <= SMALLEST


def test_a_dead_letter_keeps_the_record_and_says_why() -> None:
    """Bytes, key, timestamp and headers are the original's; the added headers lead back to it."""
    record = replace(RECORD, value=b"\xff", headers=(("trace", b"1"), ("ce_id", b"theirs")))
    expected = OutputRecord(
        source_partition=0,
        timestamp_ms=RECORD.timestamp_ms,
        key=b"pump-7",
        value=b"\xff",
        headers=(
            ("trace", b"1"),
            ("ce_id", b"theirs"),
            ("online_lstm_error", b"received 'x', expected a number"),
            ("online_lstm_reason", b"not_a_value"),
            ("online_lstm_topic", b"numbers"),
            ("online_lstm_partition", b"0"),
            ("online_lstm_offset", b"41"),
        ),
        dead_letter=True,
    )
    assert expected == ENCODER.dead_letter(record, ERROR)
    again = replace(record, headers=expected.headers)
    assert expected.headers == ENCODER.dead_letter(again, ERROR).headers


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    ("record", "missing"),
    [
        (replace(RECORD, headers=(("h", b"1"),) * 10_000, value=b"4" * 900_000), {"headers"}),
        (replace(RECORD, headers=(("h", b"1" * MEGABYTE),)), {"headers"}),
        (replace(RECORD, value=b"v" * 2 * MEGABYTE), {"value"}),
        (replace(RECORD, value=b"v" * MEGABYTE, headers=(("h", b"1"),)), {"headers", "value"}),
        (replace(RECORD, key=b"k" * MEGABYTE), {"key"}),
        (replace(RECORD, key=b"k" * MEGABYTE, value=b"v" * MEGABYTE), {"key", "value"}),
        (replace(RECORD, key=b"k" * MEGABYTE, value=None), {"key"}),
    ],
)
def test_any_dead_letter_fits_and_says_what_is_missing(record: InputRecord, missing: set[str]) -> None:
    """Headers go first, then a key's second half, then the value's end; what was cut is described."""
    letter = ENCODER.dead_letter(record, ERROR)
    headers = dict(letter.headers)
    assert size(letter) <= MEGABYTE
    assert ("headers" in missing) == ("online_lstm_headers_dropped" in headers)
    for field, length, sha256 in (
        ("key", "online_lstm_key_length", "online_lstm_key_sha256"),
        ("value", "online_lstm_original_length", "online_lstm_sha256"),
    ):
        whole, kept = getattr(record, field), getattr(letter, field)
        if field in missing:
            assert kept
            assert whole.startswith(kept)
            assert str(len(whole)).encode() == headers[length]
            assert hashlib.sha256(whole).hexdigest().encode() == headers[sha256]
        else:
            assert (whole, False) == (kept, length in headers)


@given(
    key_bytes=st.integers(0, 20_000),
    value_bytes=st.integers(0, 20_000),
    header_bytes=st.integers(0, 20_000),
    message=st.text(max_size=2_000),
)
def test_dead_letters_fit_the_smallest_limit(key_bytes: int, value_bytes: int, header_bytes: int, message: str) -> None:
    """No record and no message is too large to be refused, and nothing is cut that could stay."""
    record = InputRecord(
        topic="t" * 249,
        partition=2**31 - 1,
        offset=2**63 - 1,
        timestamp_ms=-1,
        key=b"k" * key_bytes,
        value=b"v" * value_bytes,
        headers=(("h", b"1" * header_bytes),),
    )
    letter = Encoder(SMALL).dead_letter(record, BadInputError("headers_too_large", message))
    assert size(letter) <= SMALLEST
    if size(record) <= SMALLEST - 2_200:
        assert (record.key, record.value) == (letter.key, letter.value)


CHAINED = OutputRecord(0, 5, b"key", b"value", (("a", b"12"), ("b", b"")))


@pytest.mark.parametrize(
    "changes",
    [
        {"dead_letter": True},
        {"timestamp_ms": 6},
        {"key": b"keyv", "value": b"alue"},
        {"key": None},
        {"key": b""},
        {"value": None},
        {"value": b""},
        {"headers": ()},
        {"headers": (("a", b"12"),)},
        {"headers": (("a1", b"2"), ("b", b""))},
        {"headers": (("b", b""), ("a", b"12"))},
        {"headers": (("a", b"12b"), ("", b""))},
        {"headers": (("a", b"12"), ("", b"b"))},
        {"value": b"valuea", "headers": (("", b"12"), ("b", b""))},
    ],
)
def test_the_chain_sees_every_field(changes: dict[str, Any]) -> None:
    """A change in any field, and bytes moved from one into another, give another digest."""
    assert extend_digest(bytes(16), CHAINED) != extend_digest(bytes(16), replace(CHAINED, **changes))


def test_null_and_empty_are_different_to_the_chain() -> None:
    """A null key is not an empty one."""
    empty, null = replace(CHAINED, key=b""), replace(CHAINED, key=None)
    assert extend_digest(bytes(16), empty) != extend_digest(bytes(16), null)


def test_the_chain_depends_on_all_before() -> None:
    """The digest covers the whole history in its order, and stays the same from release to release."""
    other = replace(CHAINED, value=b"other")
    forward = extend_digest(extend_digest(bytes(16), CHAINED), other)
    assert forward != extend_digest(extend_digest(bytes(16), other), CHAINED)
    assert "189c9abd635a1867ee60413312e6ba4d" == forward.hex()


RECORDS = st.builds(
    OutputRecord,
    source_partition=st.just(0),
    timestamp_ms=st.integers(-1, 2),
    key=st.none() | st.binary(max_size=2),
    value=st.none() | st.binary(max_size=2),
    headers=st.lists(st.tuples(st.sampled_from(["", "a", "ä"]), st.binary(max_size=2)), max_size=2).map(tuple),
    dead_letter=st.booleans(),
)


@given(first=RECORDS, second=RECORDS)
def test_the_chain_tells_any_two_records_apart(first: OutputRecord, second: OutputRecord) -> None:
    """Digests are equal exactly where records are."""
    assert (first == second) == (extend_digest(bytes(16), first) == extend_digest(bytes(16), second))


VECTORS = Decoder(settings(task="number", features=3))


@pytest.mark.parametrize(
    ("value", "vector", "literal"),
    [
        (b"[1, 2.50, -3e2]", (1.0, 2.5, -300.0), "[1, 2.50, -3e2]"),
        (b" [1,2,\n3] ", (1.0, 2.0, 3.0), "[1, 2, 3]"),
        (b'{"value": [1, null, 3], "unit": "bar"}', (1.0, None, 3.0), "[1, null, 3]"),
        (b"[null, null, null]", (None, None, None), "[null, null, null]"),
    ],
)
def test_vectors_are_read_with_what_is_missing(value: bytes, vector: Vector, literal: str) -> None:
    """Each number is as it came, and null is neither a number nor zero."""
    event = decode(value, VECTORS)
    assert (vector, literal) == (event.vector, event.literal)
    assert (*vector,) == tuple(json.loads(event.literal))


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("wrong_length", b"[1, 2]"),
        ("wrong_length", b"[]"),
        ("wrong_length", b"4"),
        ("wrong_length", b"[1, 2, 3, 4]"),
        ("not_a_number", b'[1, 2, "three"]'),
        ("not_a_number", b"[1, 2, [3]]"),
        ("not_a_number", b'"four"'),
        ("not_finite", b"[1, 2, Infinity]"),
        ("wrong_length", b'"4"'),
        ("not_finite", b"[1, 2, 1e999]"),
        ("not_a_value", b"[1, 2, 3"),
        ("wrong_length", b"[null]"),
        ("missing_path", b'{"values": [1, 2, 3]}'),
    ],
)
def test_vectors_of_another_kind_are_refused(reason: str, value: bytes) -> None:
    """A vector with another length, or with anything but numbers, is refused, and the message says what came."""
    error = refusal(value, VECTORS)
    assert reason == error.reason
    assert "received" in str(error)
    assert len(str(error)) <= 300


def test_a_number_is_a_vector_of_one() -> None:
    """One number may come with or without brackets."""
    scalars = Decoder(settings(task="number"))
    assert (4.0,) == decode(b"4", scalars).vector == decode(b"[4]", scalars).vector
    missing = (b"null", b'{"value": null}', b"[null]")
    assert {(None,)} == {decode(value, scalars).vector for value in missing}
    assert "expected 1: the setting features" in str(refusal(b"[4, 5]", scalars))


@pytest.mark.parametrize(
    ("value", "vector", "label", "ends"),
    [
        (b'{"value": [1, 2], "label": 1}', (1.0, 2.0), (1, "1"), False),
        (b'{"value": [1, 2], "label": "faulty", "end": true}', (1.0, 2.0), ("faulty", '"faulty"'), True),
        (b'{"label": 1.0, "end": true}', (), (1.0, "1.0"), True),
        (b'{"label": true}', (), (1, "true"), False),
        (b'{"value": [1, 2], "label": null}', (1.0, 2.0), None, False),
        (b'{"value": null, "label": 1}', (), (1, "1"), False),
        (b"[1, 2]", (1.0, 2.0), None, False),
    ],
)
def test_labels_are_read_with_a_value_or_alone(value: bytes, vector: Vector, label: Label | None, ends: bool) -> None:
    """A label is a number, a string or a boolean; null is none."""
    read = decode(value, Decoder(settings(task="label", features=2)))
    assert (vector, label, ends) == (read.vector, read.label, read.ends)


@pytest.mark.parametrize("label", [b"NaN", b'"NaN"', b'" "', b"null"])
def test_a_missing_label_is_none_and_loses_nothing_else(label: bytes) -> None:
    """Sample and end of the sequence stay; a text that names a class stays one, whatever marks missing numbers."""
    decoder = Decoder(settings(task="label", missing_values="unknown"))
    sample = decode(b'{"value": 3, "label": %s, "end": true}' % label, decoder)
    assert ((3.0,), None, True) == (sample.vector, sample.label, sample.ends)
    assert ("unknown", '"unknown"') == decode(b'{"value": 3, "label": "unknown"}', decoder).label


def test_labels_are_found_where_the_path_says() -> None:
    """Other people's JSON has its own names."""
    decoder = Decoder(settings(task="label", value_path="data.x", label_path="data.class"))
    read = decode(b'{"data": {"x": [1], "class": "a"}}', decoder)
    assert ((1.0,), ("a", '"a"')) == (read.vector, read.label)


@pytest.mark.parametrize(
    ("reason", "label"), [("not_a_value", b"[1]"), ("not_a_value", b"{}"), ("not_finite", b"-1e999")]
)
def test_what_is_no_label_is_refused(reason: str, label: bytes) -> None:
    """Arrays and objects name no class."""
    assert reason == refusal(b'{"value": [1], "label": %s}' % label, Decoder(settings(task="label"))).reason


@pytest.mark.parametrize(
    "value",
    [
        *(b"NA", b"n/a", b" nan ", b"-NaN", b"?", b"-", b"unknown", b"Unavailable", b"", b" \n", b"null", b"None"),
        *(b"-200", b"-200.0", b"-2e2", b'"-"', b'{"value": NaN}', b'{"value": "unavailable"}', b'{"value": ""}'),
        *(b'{"value": -200.00}', b'{"value": null}'),
    ],
)
@pytest.mark.parametrize("features", [1, 3])
def test_a_marked_number_is_missing(value: bytes, features: int) -> None:
    """However the marker is written, alone or in JSON; of a vector every number is missing."""
    chosen = settings(task="number", features=features, missing_values="NA,N/A,None,?,-,unknown,unavailable,-200")
    event = decode(value, Decoder(chosen))
    assert (None,) * features == event.vector
    assert json.loads(event.literal) == ([None] * 3 if features == 3 else None)


@pytest.mark.parametrize(
    ("value", "vector"),
    [
        (b"[3.1, NaN, 385]", (3.1, None, 385)),
        (b'[3.1, "NA", 385]', (3.1, None, 385)),
        (b'{"value": ["?", 0, "unavailable"]}', (None, 0, None)),
    ],
)
def test_a_missing_component_is_not_the_vector(value: bytes, vector: Vector) -> None:
    """The numbers beside it are read, and what is published is JSON."""
    event = decode(value, VECTORS)
    assert vector == event.vector == (*strict_json(event.literal),)


@pytest.mark.parametrize(
    ("value_format", "value"),
    [
        ("double", struct.pack(">d", math.nan)),
        ("float", struct.pack(">f", math.nan)),
        ("long", struct.pack(">q", -200)),
        ("integer", struct.pack(">i", -200)),
    ],
)
def test_binary_numbers_may_be_missing_too(value_format: str, value: bytes) -> None:
    """NaN, and a number that the settings name."""
    chosen = settings(task="number", value_format=value_format, missing_values="-200")
    assert (None,) == decode(value, Decoder(chosen)).vector


def test_markers_mean_nothing_to_symbols() -> None:
    """A text in quotes is a symbol like any other; NaN and words without quotes are refused as before."""
    assert ["unknown", "NA", ""] == [decode(value).symbol for value in (b'"unknown"', b'"NA"', b'""')]
    assert ["not_finite", "not_a_value", "not_a_value"] == [refusal(value).reason for value in (b"NaN", b"NA", b"")]


@pytest.mark.parametrize("value", [b"4", b'{"value": 4}', b' {"value":4}'])
def test_a_mark_of_utf8_before_a_value_is_no_part_of_it(value: bytes) -> None:
    """Programs that write files put one before each record."""
    assert 4 == decode(b"\xef\xbb\xbf" + value).symbol


@pytest.mark.parametrize(
    ("task", "value", "event"),
    [
        ("symbol", b'{"value": 4.0, "end": true}', SymbolEvent(RECORD, "pump-7", 4, "4.0", ends=True)),
        ("number", b'{"value": 4.0, "end": true}', NumberEvent(RECORD, "pump-7", (4.0,), "4.0", ends=True)),
        ("label", b'{"value": 4.0, "label": "up"}', LabelEvent(RECORD, "pump-7", (4.0,), "4.0", label=("up", '"up"'))),
        ("label", b'{"label": "up"}', LabelEvent(RECORD, "pump-7", (), "null", label=("up", '"up"'))),
    ],
)
def test_each_task_has_its_own_event(task: str, value: bytes, event: Event) -> None:
    """A value is decoded into a symbol, into numbers, or into a sample with or without the label of its sequence."""
    record = replace(RECORD, value=value)
    assert replace(event, record=record) == event_of(record, Decoder(settings(task=task)))
