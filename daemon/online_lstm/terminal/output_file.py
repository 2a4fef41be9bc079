"""Where results go: files that are there whole or not at all, or standard output."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from online_lstm.atomic_write import replacing
from online_lstm.errors import SettingsError
from online_lstm.home_directory import expand_home

if TYPE_CHECKING:
    from typing_extensions import Buffer

STANDARD_OUTPUT = "-"


@contextmanager
def create_output(option: str, path: str) -> Iterator[BinaryIO]:
    """Open the file that an option names for writing; ``-`` is standard output.

    A file is written beside its name and gets it at the end of the context; after an exception there is none, or
    the one from before. What is no file (a device, a pipe) is written as it is.

    Raises:
        SettingsError: It cannot be written; at once, or when the disk is full.
    """
    if path == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        return
    target = expand_home(path).resolve()
    if target.exists() and not target.is_file():
        with _open(option, path, target) as file:
            yield file
        return
    with replacing(target) as partial, _open(option, path, partial) as file:
        yield file


def _open(option: str, path: str, target: Path) -> BinaryIO:
    try:
        return io.BufferedWriter(_Target(option, path, target))
    except OSError as error:
        raise _unwritable(option, path, error) from error


class _Target(io.FileIO):
    """A file that says what it was for when it cannot be written."""

    def __init__(self, option: str, path: str, target: Path) -> None:
        super().__init__(target, "w")
        self._option, self._path = option, path

    def write(self, content: "Buffer", /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            raise _unwritable(self._option, self._path, error) from error


def _unwritable(option: str, path: str, error: OSError) -> SettingsError:
    return SettingsError(
        f"{option}: cannot write {path}: {error.strerror}; expected a new file's path, and room for it"
    )
