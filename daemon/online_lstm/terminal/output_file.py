"""Output files that appear complete or not at all, and standard output."""

import io
import sys
from collections.abc import Iterator, Mapping
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
    """Open the output file of an option for writing; ``-`` is standard output.

    A file is written under a temporary name and renamed at the end of the context; after an exception, the former file,
    if any, is unchanged. A device or a pipe is written directly.

    Raises:
        SettingsError: The file cannot be written; raised when opening, or later when the disk is full.
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


def require_apart(results: Mapping[str, str | None], read: Mapping[str, str]) -> None:
    """Raise if two results are the same file, or a result is an input file.

    Args:
        results: Output paths by option; None for an option that is not used.
        read: Descriptions of the input files by path.

    Raises:
        SettingsError: Two of them are the same file.
    """
    used = {_file_id(path): use for path, use in read.items()}
    for option, path in results.items():
        if path is None:
            continue
        file_id = _file_id(path)
        if file_id in used:
            raise SettingsError(f"{option}: received {path}, which {used[file_id]}; expected another file")
        used[file_id] = f"--{option} writes to"


def _file_id(path: str) -> object:
    """Return a value that is equal for all paths of the same file."""
    if path == STANDARD_OUTPUT:
        return path
    target = Path(path)
    return (target.stat().st_dev, target.stat().st_ino) if target.is_file() else target.resolve()


def _open(option: str, path: str, target: Path) -> BinaryIO:
    try:
        return io.BufferedWriter(_Target(option, path, target))
    except OSError as error:
        raise _unwritable(option, path, error) from error


class _Target(io.FileIO):
    """A file whose write errors name the option it belongs to."""

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
