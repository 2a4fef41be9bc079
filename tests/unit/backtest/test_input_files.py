"""Files as the bytes that records would have."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from online_lstm.backtest.input_files import Line, format_of, open_input, read_lines
from online_lstm.errors import InputFileError


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.CSV", "csv"),
        ("a.tsv", "csv"),
        ("b.ndjson", "jsonl"),
        ("c.txt", "text"),
        ("d", "text"),
        ("-", "text"),
        ("a.csv.GZ", "csv"),
        ("b.zst", "text"),
    ],
)
def test_format_is_known_by_the_suffix(path: str, expected: str) -> None:
    """What has no known suffix is text."""
    assert expected == format_of(path)


def test_lines_come_as_they_are() -> None:
    """Blank lines and spaces stay; line ends and a mark of UTF-8 at the start are no content."""
    lines = read_lines(io.BytesIO(b"\xef\xbb\xbf4\r\n\n 5 \nlast"))
    assert [Line(0, b"4"), Line(1, b""), Line(2, b" 5 "), Line(3, b"last")] == list(lines)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_mark_says_how_lines_are_encoded(encoding: str) -> None:
    """Files of Windows are UTF-16; what comes of them is UTF-8, line by line."""
    file = io.BytesIO('4\r\n"größe"\n\n"\u0a0d"'.encode(encoding))
    assert [b"4", '"größe"'.encode(), b"", '"\u0a0d"'.encode()] == [line.value for line in read_lines(file)]


def test_lines_may_be_of_an_encoding_that_is_given() -> None:
    """Without a mark the bytes are those of the file, whatever they are."""
    content = '"größe"\n'.encode("latin-1")
    assert ['"größe"'.encode()] == [line.value for line in read_lines(io.BytesIO(content), "latin-1")]
    assert [content.strip()] == [line.value for line in read_lines(io.BytesIO(content))]


@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file"), ("", "Is a directory")])
def test_what_cannot_be_opened_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    """A missing file and a directory are told by their path."""
    with pytest.raises(InputFileError, match=f"{tmp_path}.*: {reason}"), open_input(str(tmp_path / name)):
        pass


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_compressed_files_are_read_by_their_first_bytes(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """Whatever they are called, and in several parts one after another; one that is cut off says so."""
    content = b"".join(b"%d\n" % number for number in range(50_000))
    half = len(content) // 2
    path = tmp_path / "values"
    path.write_bytes(compress(content[:half]) + compress(content[half:]))
    with open_input(str(path)) as file:
        assert content == b"".join(line.value + b"\n" for line in read_lines(file))
    path.write_bytes(compress(content)[:-20])
    with open_input(str(path)) as file, pytest.raises(InputFileError, match="cut off or damaged"):
        file.read()
