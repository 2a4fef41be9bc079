"""Files as the bytes that records would have."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from daemon.commands.inputs import Line, format_of, open_input, read_columns, read_lines
from daemon.errors import InputFileError


def columns(content: bytes, *, columns: Sequence[str] = (), key_column: str | None = None) -> list[Line]:
    return list(read_columns(io.BytesIO(content), "pumps.csv", columns=columns, key_column=key_column))


@pytest.mark.parametrize(
    ("path", "expected"), [("a.CSV", "csv"), ("b.ndjson", "jsonl"), ("c.txt", "text"), ("d", "text"), ("-", "text")]
)
def test_format_is_known_by_the_suffix(path: str, expected: str) -> None:
    """What has no known suffix is text."""
    assert expected == format_of(path)


def test_lines_come_as_they_are() -> None:
    """Blank lines and spaces stay; line ends and a mark of UTF-8 at the start are no content."""
    lines = read_lines(io.BytesIO(b"\xef\xbb\xbf4\r\n\n 5 \nlast"), "values.txt")
    assert [Line(0, b"4"), Line(1, b""), Line(2, b" 5 "), Line(3, b"last")] == list(lines)


def test_utf16_text_is_refused() -> None:
    """It would otherwise be a file of dead letters."""
    with pytest.raises(InputFileError, match=r"values.txt: received UTF-16, expected UTF-8"):
        list(read_lines(io.BytesIO("4\n".encode("utf-16")), "values.txt"))


def test_columns_give_values_and_keys_with_the_line_they_begin_on() -> None:
    """Quoted line breaks and blank lines count as lines; a missing cell is an empty value."""
    content = b'\xef\xbb\xbfkey,value\r\na,4\r\n\r\nb,"5\r\n"\r\nc\r\n'
    expected = [Line(1, b"4", b"a"), Line(3, b"5\r\n", b"b"), Line(5, b"", b"c")]
    assert expected == columns(content, columns=["value"], key_column="key")


def test_the_only_column_beside_the_keys_has_the_values() -> None:
    """``--column`` is for when there is a choice."""
    assert [Line(1, b"4", b"a")] == columns(b"key,value\na,4\n", key_column="key")
    assert [Line(1, b"4")] == columns(b"value\n4\n")
    assert [] == columns(b"")


def test_several_columns_are_vectors() -> None:
    """In the order they are asked for; an empty cell is missing, and what is no number is left to be refused."""
    content = b"key,a,b\nx,1.50,2\nx,, 3 \nx,n/a\n"
    expected = [b"[2, 1.50]", b"[3, null]", b'[null, "n/a"]']
    assert expected == [line.value for line in columns(content, columns=["b", "a"], key_column="key")]


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        (b"a,b\n1,2\n", "c", r"pumps.csv: no column 'c'; expected one of a, b"),
        (b"a,b\n1,2\n", None, r"pumps.csv: received the columns a, b; --column says which"),
        (b"a\n1\n\xff\n", "a", r"pumps.csv: received b'\\xff'; expected CSV in UTF-8"),
        (b'a\n"1\n', "a", r"pumps.csv: line 2: unexpected end of data; expected CSV"),
    ],
)
def test_what_is_no_csv_with_that_column_is_refused(content: bytes, column: str | None, message: str) -> None:
    """The message says what was found and what was expected."""
    with pytest.raises(InputFileError, match=message):
        columns(content, columns=[column] if column else [])


def test_a_file_may_be_closed_before_its_rows_are_given_up(tmp_path: Path) -> None:
    """Whoever stops early needs no order; Python would complain of an exception that it has to ignore."""
    (tmp_path / "pumps.csv").write_bytes(b"value\n4\n8\n")
    with open_input(str(tmp_path / "pumps.csv")) as file:
        rows = read_columns(file, "pumps.csv", key_column=None)
        assert Line(1, b"4") == next(rows)
    rows.close()


@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file"), ("", "Is a directory")])
def test_what_cannot_be_opened_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    """A missing file and a directory are told by their path."""
    with pytest.raises(InputFileError, match=f"{tmp_path}.*: {reason}"), open_input(str(tmp_path / name)):
        pass


def test_times_may_be_in_a_column_of_their_own() -> None:
    """ISO 8601 or milliseconds; what is neither is no time, and the value is read all the same."""
    content = b"value,time\n4,1970-01-01 00:00:01\n8,2000\n4,T\n8,\n"
    lines = list(read_columns(io.BytesIO(content), "pumps.csv", time_column="time"))
    assert [(b"4", 1000), (b"8", 2000), (b"4", -1), (b"8", -1)] == [(line.value, line.timestamp_ms) for line in lines]


def test_a_number_that_is_missing_is_null_and_a_symbol_is_not() -> None:
    """An empty cell of numbers is known to be missing; of symbols it stays what it is, and is refused."""
    file = b"time,value\n1,4\n2,\n3, \n4,0.10\n"
    for numbers, values in ((True, [b"4", b"[null]", b"[null]", b"0.10"]), (False, [b"4", b"", b" ", b"0.10"])):
        lines = read_columns(io.BytesIO(file), "file", columns=["value"], numbers=numbers)
        assert values == [line.value for line in lines]
