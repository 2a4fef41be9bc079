"""JSON files in each of their forms: the values as written, with keys and times where a dump has them."""

import io
import json

import pytest
from online_lstm.backtest.input_files import Line
from online_lstm.backtest.json_files import read_json
from online_lstm.errors import InputFileError


def read(content: bytes) -> tuple[list[Line], list[str]]:
    notices: list[str] = []
    return [*read_json(io.BytesIO(content), "a.json", notify=notices.append)], notices


def values_of(content: bytes) -> list[bytes]:
    return [line.value for line in read(content)[0]]


@pytest.mark.parametrize(
    "content",
    [b'{"value": 4}\n{"value": 5}\n', b"4\n5", b"[1, 2]\n[3, 4]\n", b'[{"value": 1}]\n[{"value": 2}]', b"[1, 2]", b""],
)
def test_a_value_in_each_line_is_read_as_it_is(content: bytes) -> None:
    """Vectors too, and arrays of events; nothing is said."""
    lines, notices = read(content)
    assert content.split(b"\n")[: len(lines)] == [line.value for line in lines]
    assert [] == notices


def test_one_array_has_a_value_in_each_element() -> None:
    """However it is broken into lines; numbers keep their notation, and the values their order."""
    written = b'\n [\n {"v": 1.50,\n  "t": 1},\n{"v": 2e0}]\n'
    assert [b'{"v": 1.50,   "t": 1}', b'{"v": 2e0}'] == values_of(written)
    assert [b'{"v": 1}', b'{"v": 2}'] == values_of(b'[{"v": 1}, {"v": 2}]')
    assert [b"4", b"5.0"] == values_of(b"[\n4,\n5.0\n]")
    lines, notices = read(written)
    assert [0, 1] == [line.number for line in lines]
    assert ["a.json: read as: one array, a value in each element"] == notices


@pytest.mark.parametrize("content", [b'[{"v": 1},\n{"v": ', b'[\n{"v": 1}\n{"v": x}]', b"[\n4,\n5"])
def test_an_array_that_is_cut_off_is_refused(content: bytes) -> None:
    """After the elements before it, with the element and what to do."""
    with pytest.raises(InputFileError, match=r"a\.json: element \d of the array is cut off or damaged"):
        read(content)


def test_a_dump_of_kcat_has_keys_and_times() -> None:
    """As the topic had them; a payload of null is a null value, and an unknown time is none."""
    base = {"topic": "t", "partition": 0, "offset": 41, "tstype": "create", "ts": 1_760_000_000_123, "key": "k"}
    messages = [
        {**base, "payload": '{"value": 4}'},
        {**base, "key": None, "payload": None},
        {**base, "tstype": "unknown", "ts": 0, "payload": {"value": 5}},
    ]
    lines, notices = read("\n".join(map(json.dumps, messages)).encode())
    assert [
        Line(0, b'{"value": 4}', b"k", 1_760_000_000_123),
        Line(1, b"", None, 1_760_000_000_123, is_null=True),
        Line(2, b'{"value": 5}', b"k", -1),
    ] == lines
    assert ["a.json: read as: messages of kcat -J"] == notices


def test_another_line_in_a_dump_is_refused() -> None:
    """It would lose its key."""
    dump = b'{"topic": "t", "partition": 0, "offset": 1, "payload": "4"}\n{"value": 4}'
    with pytest.raises(InputFileError, match=r"a\.json: line 2: received .* expected a message of kcat -J"):
        read(dump)
