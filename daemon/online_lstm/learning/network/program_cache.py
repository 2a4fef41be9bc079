"""Compiled programs of earlier processes, kept in the user's cache directory; each is verified before it runs.

TensorFlow can keep what it compiles in a directory. It compares the program of an entry with the program at hand, but
runs the machine code unverified, and fails if the disk is full. Therefore its directory is in the memory of the process
(``ram://``): before a compilation it gets the entries with a correct checksum, and a new entry goes to the disk after
it. Whatever the cache lacks, or cannot write, is compiled.
"""

import hashlib
import os
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path

from online_lstm.atomic_write import remove_abandoned, replacing
from online_lstm.errors import SettingsError
from online_lstm.home_directory import expand_home

MAX_ENTRIES = 64
"""Most entries in the directory, some 1 MB each; the oldest are removed."""
_MEMORY = "ram://online-lstm"
_FLAG = "--tf_xla_persistent_cache_directory="
_WRITABLE_BY_OTHERS = 0o022
_DIGEST_BYTES = hashlib.sha256().digest_size
_one_at_a_time = threading.Lock()


def enable(environment: MutableMapping[str, str] = os.environ) -> None:
    """Add the flag that TensorFlow reads when it loads, unless the user has chosen a directory."""
    flags = environment.get("TF_XLA_FLAGS", "")
    if _FLAG not in flags:
        environment["TF_XLA_FLAGS"] = f"{flags} {_FLAG}{_MEMORY}".strip()


@contextmanager
def cached(key: str) -> Iterator[None]:
    """Serve the compilations of this context from the cache, and add to it what it lacks.

    Args:
        key: Characters for a file name; entries with this key are read. It contains whatever makes an entry useless
            elsewhere, such as the processor, and may be the same for several programs.
    """
    folder = _folder()
    if folder is None or _FLAG + _MEMORY not in os.environ.get("TF_XLA_FLAGS", ""):
        yield
        return
    from tensorflow.io import gfile  # noqa: PLC0415 - loaded only where something is compiled

    with _one_at_a_time:
        read = dict(_entries(folder, key))
        gfile.makedirs(_MEMORY)
        for name, content in read.items():
            with gfile.GFile(f"{_MEMORY}/{name}", "wb") as file:
                file.write(content)
        try:
            yield
            for name in gfile.listdir(_MEMORY):
                with gfile.GFile(f"{_MEMORY}/{name}", "rb") as file:
                    content = file.read()
                if content != read.get(name):
                    _write(folder / f"{key}-{name}", content)
        finally:
            for name in gfile.listdir(_MEMORY):
                gfile.remove(f"{_MEMORY}/{name}")


def _folder() -> Path | None:
    """Return the directory of the cache, which only this user can write to; None if there is none."""
    with suppress(OSError, SettingsError):  # SettingsError: the user has no home directory
        folder = expand_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "online-lstm/programs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if status.st_uid == os.getuid() and not status.st_mode & _WRITABLE_BY_OTHERS:
            return folder
    return None


def _entries(folder: Path, key: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each entry with this key; remove those that are damaged."""
    for path in folder.glob(f"{key}-*"):
        with suppress(OSError):  # another process may have removed it
            content = path.read_bytes()
            if content[:_DIGEST_BYTES] == hashlib.sha256(content[_DIGEST_BYTES:]).digest():
                yield path.name.removeprefix(f"{key}-"), content[_DIGEST_BYTES:]
            else:
                path.unlink()


def _write(path: Path, content: bytes) -> None:
    """Write an entry after its checksum; if that fails, the next process compiles again."""
    with suppress(OSError):
        with replacing(path) as partial:
            partial.write_bytes(hashlib.sha256(content).digest() + content)
        remove_abandoned(path)
        newest_first = sorted(path.parent.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
        for old in newest_first[MAX_ENTRIES:]:
            old.unlink(missing_ok=True)
