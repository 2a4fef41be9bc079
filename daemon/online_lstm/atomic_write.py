"""Atomic writes of files and directories: written under a temporary name beside the target, then renamed."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL_SUFFIX = ".part"
ABANDONED_AFTER_S = 600.0
"""A partial file that is this much older than a new file was left behind by a killed process."""


@contextmanager
def replacing(target: Path, *, result: str = "", durable: bool = False) -> Iterator[Path]:
    """Yield a path beside ``target`` to make a file or a directory at; it replaces ``target`` when the context ends.

    After an exception ``target`` is unchanged. In both cases no other file remains.

    Args:
        target: A file that may exist, or a directory that does not; its folder exists.
        result: Path, below the yielded path, of the part that replaces ``target``; empty for everything.
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
    """Remove partial files of killed processes beside a newly written file; its modification time is the clock.

    Nothing is removed if another process has already removed the new file: it does the same after its own write.
    """
    try:
        now_s = beside.stat().st_mtime
    except FileNotFoundError:
        return
    for partial in beside.parent.glob(f".*{PARTIAL_SUFFIX}"):
        with suppress(OSError):  # another process may remove it at the same time
            if partial.stat().st_mtime < now_s - ABANDONED_AFTER_S:
                _remove(partial)


def sync(path: Path) -> None:
    """Flush a file's content, or the names in a folder, to the disk."""
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
