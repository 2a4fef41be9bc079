"""Checkpoints: one HDF5 file with the learned state of one partition at one offset.

A file appears under its final name only when it is whole and on the disk. It begins with a digest of all that
follows, which is checked before HDF5 reads a byte: on damaged files HDF5 may crash or never return. So a file is
either what was written or known to be damaged. This is the only module that knows HDF5. It does not know what is
in a state: nested dicts of arrays, strings and lists of strings.
"""

import hashlib
import logging
import os
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import h5py
import numpy as np

from daemon.errors import CheckpointDamagedError, SettingsError
from daemon.records import TopicPartition
from daemon.reports import CheckpointReport

FORMAT = b"online-lstm checkpoint 1 "
HEADER_BYTES = 512
"""Room for format and digest: a user block, which is a power of two from 512 on and which HDF5 leaves alone."""

KEEP = 3
"""Files of a lineage that are kept."""

_FILE_NAMES = "[0-9]" * 20 + ".h5"
_TEXT = h5py.string_dtype("utf-8")
_log = logging.getLogger(__name__)


class CheckpointStore:
    """The checkpoints of one consumer group below a directory.

    A file is ``<group>/<topic>/<partition>/<lineage>/<offset>.h5``; the offset is the next one to read. ``origin``
    says where the bits in it were made; it is kept beside the state, for people.
    """

    def __init__(self, url: str, group_id: str, origin: Mapping[str, str] | None = None) -> None:
        directory = unquote(url.removeprefix("file://")) if url.startswith("file:///") else url
        if "://" in directory:
            raise SettingsError(f"checkpoint_url: received {url!r}, expected a directory or file:///directory")
        self._origin = dict(origin or {})
        self._root = Path(directory) / quote(group_id, safe="").replace(".", "%2E")

    def exist(self, source: TopicPartition) -> bool:
        """Say whether there is any checkpoint of this partition, of whatever lineage."""
        return any(self._folder(source).glob(f"*/{_FILE_NAMES}"))

    def offsets(self, source: TopicPartition, lineage: str) -> list[int]:
        """List the offsets of a lineage's checkpoints, newest first."""
        paths = self._folder(source, lineage).glob(_FILE_NAMES)
        return sorted((int(path.stem) for path in paths), reverse=True)

    def path(self, source: TopicPartition, lineage: str, offset: int) -> Path:
        """Name the file."""
        return self._folder(source, lineage) / f"{offset:020d}.h5"

    def write(self, source: TopicPartition, offset: int, state: Mapping[str, Any]) -> int:
        """Write a checkpoint durably, remove those no longer kept, and give its size in bytes."""
        path = self.path(source, state["lineage"], offset)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = write_state(path, state, self._origin)
        for old in self.offsets(source, state["lineage"])[KEEP:]:
            self.path(source, state["lineage"], old).unlink(missing_ok=True)
        # what a process left that was killed while it wrote
        for torn in path.parent.glob(f".{_FILE_NAMES}.*"):
            if torn.name[1:] < path.name:
                torn.unlink(missing_ok=True)
        return size

    def read(self, source: TopicPartition, lineage: str, offset: int) -> dict[str, Any]:
        """Read a checkpoint back; raises what ``read_state`` raises."""
        return read_state(self.path(source, lineage, offset))

    def _folder(self, source: TopicPartition, lineage: str = "") -> Path:
        return self._root / source.topic / str(source.partition) / lineage


class CheckpointWriter:
    """Writes checkpoints on a thread of its own, one after another, so that learning goes on meanwhile."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint-writer")
        self._unheard: deque[Future[CheckpointReport]] = deque()

    @property
    def busy(self) -> bool:
        """Say whether something is still to be written."""
        return any(not report.done() for report in self._unheard)

    def submit(self, source: TopicPartition, offset: int, state: Mapping[str, Any]) -> None:
        """Have a state written; it must not be changed any more."""
        self._unheard.append(self._thread.submit(self._write, source, offset, state))

    def finished(self) -> Iterator[CheckpointReport]:
        """Give the reports of what was written since the last call."""
        while self._unheard and self._unheard[0].done():
            yield self._unheard.popleft().result()

    def drain(self) -> None:
        """Wait until all is written."""
        wait(self._unheard)

    def close(self) -> None:
        """Write what was submitted, then end the thread."""
        self._thread.shutdown()

    def _write(self, source: TopicPartition, offset: int, state: Mapping[str, Any]) -> CheckpointReport:
        started = time.perf_counter()
        try:
            size = self._store.write(source, offset, state)
        except OSError as error:
            _log.warning("checkpoint failed source=%s offset=%d error=%s", source, offset, error)
            return CheckpointReport(source, offset, "failed")
        return CheckpointReport(source, offset, "written", time.perf_counter() - started, size)


def write_state(path: Path, state: Mapping[str, Any], origin: Mapping[str, str] | None = None) -> int:
    """Write a state beside ``path``, sync it, rename it into place, and give its size in bytes."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        with _as_os_errors(), h5py.File(temporary, "w", libver="latest", userblock_size=HEADER_BYTES) as file:
            _write_group(file, state)
            file.attrs.update({"digest": digest_of(state), **(origin or {})})
        with Path(temporary).open("r+b") as written:
            header = _header_of(written)
            written.seek(0)
            written.write(header)
            written.flush()
            os.fsync(written.fileno())
            size = os.fstat(written.fileno()).st_size
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return size


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """HDF5 reports a full disk sometimes as an error of its own."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(str(error)) from error


def read_state(path: Path) -> dict[str, Any]:
    """Read a state back.

    Raises:
        CheckpointDamagedError: The file is not a checkpoint, or not the content that was written.
    """
    try:
        with path.open("rb") as file:
            received = file.read(HEADER_BYTES)
            if not received.startswith(FORMAT):
                raise CheckpointDamagedError(f"{path}: begins with {received[:32]!r}, expected {FORMAT!r}")
            expected = _header_of(file)
        if received != expected:
            raise CheckpointDamagedError(f"{path}: the content is not what was written")
        with h5py.File(path, "r") as file:
            return _read_group(file)
    except OSError as error:
        raise CheckpointDamagedError(f"{path}: not readable as a checkpoint ({error})") from error


def digest_of(state: Mapping[str, Any]) -> str:
    """Fingerprint a state: equal states, and only they, have equal digests (SHA-256, hexadecimal)."""
    digest = hashlib.sha256()
    _feed(digest, state)
    return digest.hexdigest()


def _header_of(file: BufferedIOBase) -> bytes:
    """Give what a file has to begin with."""
    file.seek(HEADER_BYTES)
    digest = hashlib.file_digest(file, "sha256")
    return (FORMAT + digest.hexdigest().encode()).ljust(HEADER_BYTES, b"\0")


def _feed(digest: "hashlib._Hash", node: Any) -> None:
    if isinstance(node, Mapping):
        digest.update(f"dict {len(node)};".encode())
        for name in sorted(node):
            _feed(digest, name)
            _feed(digest, node[name])
    elif isinstance(node, str):
        text = node.encode()
        digest.update(f"text {len(text)};".encode() + text)
    elif isinstance(node, list):
        digest.update(f"list {len(node)};".encode())
        for item in node:
            _feed(digest, item)
    else:
        array = np.asarray(node, order="C")
        digest.update(f"array {array.dtype.str} {array.shape};".encode())
        digest.update(array.tobytes())


def _write_group(group: h5py.Group, state: Mapping[str, Any]) -> None:
    for name, node in state.items():
        if isinstance(node, Mapping):
            _write_group(group.create_group(name), node)
        elif isinstance(node, str):
            group.create_dataset(name, data=node, dtype=_TEXT)
        elif isinstance(node, list):
            group.create_dataset(name, data=np.array(node, object), shape=(len(node),), dtype=_TEXT)
        else:
            group.create_dataset(name, data=np.asarray(node))


def _read_group(group: h5py.Group) -> dict[str, Any]:
    return {name: _read_node(node) for name, node in group.items()}


def _read_node(node: h5py.Group | h5py.Dataset) -> Any:
    if isinstance(node, h5py.Group):
        return _read_group(node)
    if h5py.check_string_dtype(node.dtype) is None:
        return node[()]
    text = node.asstr()[()]
    return text if isinstance(text, str) else list(text)
