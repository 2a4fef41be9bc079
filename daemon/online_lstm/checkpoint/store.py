"""The checkpoints of one consumer group: names, reading, writing and retention."""

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from online_lstm.checkpoint.hdf5 import pack, unpack
from online_lstm.checkpoint.storage_backends import storage_at
from online_lstm.errors import CheckpointDamagedError, CheckpointsUnavailableError, SettingsError
from online_lstm.events import TopicPartition
from online_lstm.learning.state.schema import PartitionState
from online_lstm.logs import EventLogger

KEEP = 3
"""Number of newest checkpoints kept for a lineage, in addition to its first one."""

_FILE = re.compile(r"([^/]+)/([0-9]{20})\.h5")
_log = EventLogger(__name__)


class CheckpointStore:
    """The checkpoints of one consumer group below a directory or the URL of an object store.

    A file is ``<group>/<topic>/<partition>/<lineage>/<offset>.h5``; the offset is the next one to read. Of each lineage
    the store keeps several newest files, because any file may be damaged, and the first file, because from there the
    whole lineage can be replayed.

    ``origin`` describes where the state was computed; each file has it as attributes, for people.
    """

    def __init__(self, url: str, group_id: str, origin: Mapping[str, str] | None = None) -> None:
        self._url = url
        self._storage = storage_at(url)
        self._origin = dict(origin or {})
        self._group = quote(group_id, safe="").replace(".", "%2E")

    def require_writable(self) -> None:
        """Check access: write, read and remove a small file below the group, and list the files.

        Raises:
            SettingsError: The storage refuses one of these operations.
            CheckpointsUnavailableError: The object store cannot be reached.
        """
        probe = f"{self._group}/.probe-{uuid4().hex}"
        try:
            self._storage.put(probe, b"online-lstm probe")
            self._storage.get(probe)
            self._storage.remove(probe)
            self._storage.names(probe)
        except (TimeoutError, ConnectionError) as error:
            raise CheckpointsUnavailableError(
                f"checkpoint_url: received {self._url!r}, which cannot be reached ({error}); start the object store, "
                "or name another location"
            ) from error
        except OSError as error:
            raise SettingsError(
                f"checkpoint_url: received {self._url!r}, which cannot be used ({error}); expected a directory, or "
                "a bucket and prefix, in which this process may list, read, write and remove files"
            ) from error

    def lineages(self, source: TopicPartition) -> list[str]:
        """Return the lineages that have a checkpoint, in alphabetical order.

        Raises:
            CheckpointsUnavailableError: The storage cannot list the checkpoints.
        """
        with self._must_answer(self._folder(source)):
            return sorted({lineage for lineage, _ in self._list(source)})

    def offsets(self, source: TopicPartition, lineage: str) -> list[int]:
        """Return the offsets of a lineage's checkpoints, newest first.

        Raises:
            CheckpointsUnavailableError: The storage cannot list the checkpoints.
        """
        with self._must_answer(self._folder(source, lineage)):
            return self._offsets(source, lineage)

    def location(self, source: TopicPartition, lineage: str, offset: int) -> str:
        """Return the path or URL of a checkpoint."""
        return self._storage.location(self._name(source, lineage, offset))

    def path(self, source: TopicPartition, lineage: str, offset: int) -> Path:
        """Return the path of a checkpoint in a directory."""
        return Path(self.location(source, lineage, offset))

    def write(self, source: TopicPartition, offset: int, state: PartitionState) -> int:
        """Write a durable checkpoint, remove expired older ones, and return the size in bytes.

        Raises:
            OSError: The write failed, or is not confirmed.
        """
        lineage = state.commit_metadata.lineage
        data = pack(state.to_arrays(), self._origin)
        self._storage.put(self._name(source, lineage, offset), data)
        try:
            up_to_this = [known for known in self._offsets(source, lineage) if known <= offset]
            for old in up_to_this[KEEP:-1]:
                self._storage.remove(self._name(source, lineage, old))
        except OSError as error:
            _log.warning("old checkpoints not removed", source=source, lineage=lineage, error=error)
        return len(data)

    def read(self, source: TopicPartition, lineage: str, offset: int) -> PartitionState:
        """Read the state of a checkpoint.

        Raises:
            CheckpointDamagedError: The file is gone, cannot be read, or differs from the written content.
            CheckpointsUnavailableError: The whole storage cannot be read.
        """
        name = self._name(source, lineage, offset)
        location = self._storage.location(name)
        with self._must_answer(name):
            try:
                data = self._storage.get(name)
            except OSError as error:
                if not (isinstance(error, FileNotFoundError | IsADirectoryError) or error.errno == errno.EIO):
                    raise
                self._list(source, lineage)  # raises if the problem is not limited to this file
                raise CheckpointDamagedError(f"{location}: cannot be read ({error})") from error
        return PartitionState.from_arrays(unpack(data, location))

    def _list(self, source: TopicPartition, lineage: str = "") -> list[tuple[str, int]]:
        """Return the lineage and offset of each checkpoint of a partition, or of one lineage."""
        folder = self._folder(source)
        names = self._storage.names(self._folder(source, lineage))
        matches = (_FILE.fullmatch(name.removeprefix(f"{folder}/")) for name in names)
        return [(match[1], int(match[2])) for match in matches if match]

    def _offsets(self, source: TopicPartition, lineage: str) -> list[int]:
        return sorted((offset for _, offset in self._list(source, lineage)), reverse=True)

    def _folder(self, source: TopicPartition, lineage: str = "") -> str:
        return f"{self._group}/{source.topic}/{source.partition}/{lineage}".rstrip("/")

    def _name(self, source: TopicPartition, lineage: str, offset: int) -> str:
        return f"{self._folder(source, lineage)}/{offset:020d}.h5"

    @contextmanager
    def _must_answer(self, name: str) -> Iterator[None]:
        """Translate an OSError: a missing answer from the storage does not mean that there are no checkpoints."""
        try:
            yield
        except OSError as error:
            raise CheckpointsUnavailableError(
                f"checkpoint_url: {self._storage.location(name)} cannot be read ({error}); the learned state could be "
                "lost without it: make it reachable and readable for this process"
            ) from error
