"""Compressed files, gzip or zstd, as streams of their content; recognized by their first bytes."""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import zstandard

from online_lstm.errors import InputFileError

SUFFIXES = {".gz", ".zst"}
_PART_BYTES = 65_536
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_FAULTS = (EOFError, OSError, zlib.error, zstandard.ZstdError)


def decompressed(file: io.BufferedReader, name: str) -> BinaryIO:
    """Return the content of a compressed file, or the file itself if it is not compressed.

    The content can be read once, and raises InputFileError where the file is cut off or damaged.
    """
    head = file.peek(4)
    if head.startswith(_GZIP):
        return io.BufferedReader(_Content(_gzip_parts(file), name))
    if head.startswith(_ZSTD):
        return io.BufferedReader(_Content(_zstd_parts(file), name))
    return file


def _gzip_parts(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as content:
        while part := content.read(_PART_BYTES):
            yield part


def _zstd_parts(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of all frames; the library's own reader does not notice that a file is cut off."""
    frame = None
    while part := file.read(_PART_BYTES):
        while part:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(part)
            part = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("the last frame is not whole")


class _Content(io.RawIOBase):
    """A stream of parts, with the errors of this program in place of the library's."""

    def __init__(self, parts: Iterator[bytes], name: str) -> None:
        self._parts, self._name, self._rest = parts, name, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            while not self._rest and (part := next(self._parts, None)) is not None:
                self._rest = part
        except _FAULTS as error:
            raise InputFileError(
                f"{self._name}: the compressed file is cut off or damaged ({error}); expected a whole file"
            ) from error
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
