"""Files and directories that are there whole or not at all: written beside their name, which they get at the end."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL_SUFFIX = ".part"
ABANDONED_AFTER_S = 600.0
"""A partial file that is older than this, seen from a new file, belongs to a process that was killed."""


@contextmanager
def replacing(target: Path, *, result: str = "", durable: bool = False) -> Iterator[Path]:
    """Yield a path beside ``target`` to make a file or a directory at; it replaces ``target`` when the context ends.

    After an exception ``target`` is what it was before. In both cases nothing else is left.

    Args:
        target: A file that may exist, or a directory that does not; its folder exists.
        result: What replaces ``target``, below the path, where only a part of what was made does.
        durable: Whether content and name are on the disk when the context ends.
    """
    partial = target.with_name(f".online-lstm-{secrets.token_hex(8)}{PARTIAL_SUFFIX}")
    try:
        yield partial
        if durable:
            sync(partial)
        (partial / result).replace(target)
    finally:
        _remove(partial)
    if durable:
        sync(target.parent)


def remove_abandoned(beside: Path) -> None:
    """Remove what killed processes left beside a file that was just written, by the clock of its disk."""
    now_s = beside.stat().st_mtime
    for partial in beside.parent.glob(f".*{PARTIAL_SUFFIX}"):
        with suppress(OSError):  # another process may be as far as this one
            if partial.stat().st_mtime < now_s - ABANDONED_AFTER_S:
                _remove(partial)


def sync(path: Path) -> None:
    """Have the disk hold a file's content, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(partial: Path) -> None:
    if partial.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
    else:
        with suppress(OSError):
            partial.unlink()
