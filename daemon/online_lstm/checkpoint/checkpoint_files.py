"""Checkpoint files of any group, by path or URL, for commands that inspect or load them."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from online_lstm.checkpoint.hdf5 import attributes_of, pack, unpack
from online_lstm.checkpoint.storage_backends import storage_at
from online_lstm.errors import CheckpointDamagedError, CheckpointsUnavailableError, InputFileError
from online_lstm.events import TopicPartition
from online_lstm.learning.network import fingerprint
from online_lstm.learning.state.schema import PartitionState

SUFFIX = ".h5"
_NAME = re.compile(r"([^/]+)/([^/]+)/([0-9]+)/([^/]+)/([0-9]{20})\.h5\Z")


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One checkpoint file: its ``state``, or None and a description of its ``damage``.

    ``group``, ``source``, ``lineage`` and ``offset`` are parsed from the path; they are None if the path names no
    checkpoint.
    """

    location: str
    size: int
    group: str | None
    source: TopicPartition | None
    lineage: str | None
    offset: int | None
    state: PartitionState | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    damage: str | None = None


def find_files(url: str) -> list[str]:
    """Return the locations of the checkpoints at any depth below a directory or URL, sorted.

    The location of a file, or a URL with the suffix of a checkpoint, is returned unchanged.

    Raises:
        InputFileError: There are no checkpoints, or this process may not list them.
        CheckpointsUnavailableError: The object store cannot be reached.
    """
    if url.endswith(SUFFIX) or Path(url).is_file():
        return [url]
    try:
        names = storage_at(url).names("")
    except OSError as error:
        raise _unreadable(url, error) from error
    urls = sorted(f"{url.rstrip('/')}/{name}" for name in names if name.endswith(SUFFIX))
    if not urls:
        raise InputFileError(
            f"{url}: no checkpoints there; expected a file, or a directory or URL with checkpoints below it"
        )
    return urls


def read_file(url: str) -> CheckpointFile:
    """Read a checkpoint file; return a damaged file with its ``damage`` instead of a state.

    Raises:
        InputFileError: The file does not exist, or this process may not read it.
        CheckpointsUnavailableError: The object store cannot be reached.
    """
    folder, _, name = url.rpartition("/")
    storage = storage_at(folder or ("/" if url.startswith("/") else "."))
    try:
        data = storage.get(name)
    except OSError as error:
        raise _unreadable(url, error) from error
    named = _NAME.search(url)
    known: dict[str, Any] = {"group": None, "source": None, "lineage": None, "offset": None}
    if named:
        source = TopicPartition(named[2], int(named[3]))
        known = {"group": named[1], "source": source, "lineage": named[4], "offset": int(named[5])}
    try:
        state = unpack_state(data, url)
    except CheckpointDamagedError as error:
        return CheckpointFile(url, len(data), **known, damage=str(error))
    return CheckpointFile(url, len(data), **known, state=state, attributes=attributes_of(data))


def pack_state(state: PartitionState) -> bytes:
    """Return the content of a checkpoint file."""
    return pack(state.to_arrays(), fingerprint())


def unpack_state(data: bytes, name: str) -> PartitionState:
    """Return the state in the content of a checkpoint file; ``name`` is what errors call it.

    Raises:
        CheckpointDamagedError: The content is damaged, or no checkpoint.
    """
    return PartitionState.from_arrays(unpack(data, name))


def _unreadable(url: str, error: OSError) -> InputFileError | CheckpointsUnavailableError:
    if isinstance(error, TimeoutError | ConnectionError):
        return CheckpointsUnavailableError(
            f"{url}: cannot be reached ({error}); start the object store, or name another location"
        )
    if isinstance(error, FileNotFoundError):
        return InputFileError(
            f"{url}: no such file; expected a checkpoint, or a directory or URL with checkpoints below it"
        )
    return InputFileError(f"{url}: cannot be read ({error}); expected a checkpoint that this process may read")
