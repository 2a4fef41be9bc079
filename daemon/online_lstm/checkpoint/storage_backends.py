"""Storage of named bytes: a directory, or an object store through fsspec.

A name is a relative path with ``/`` between its parts. A name holds the complete, durable bytes of one ``put``, or
nothing; of two writers of the same name, one wins. Failures are OSErrors: TimeoutError or ConnectionError if the
storage cannot be reached or is out of order, another OSError if the storage refuses. The module must not know the
content of the bytes.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from online_lstm.atomic_write import remove_abandoned, replacing, sync
from online_lstm.errors import SettingsError

TIMEOUT_S = 30.0
"""Timeout of one call to an object store, including retries; the time for the transferred data is added."""

SLOWEST_BYTES_PER_S = 1e6
"""Transfer rate from which the additional time for data is computed; slower transfers time out."""

OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}
"""URL schemes of the fsspec stores with atomic puts, timeouts, and an error (not an empty list) during an outage."""

_EXPECTED = "expected a directory, file:///directory, or an object store such as s3://bucket/prefix"
_UNREACHED = {"ConnectionError", "HTTPClientError", "ClientConnectionError"}
"""Base classes of connection errors in botocore and aiohttp; by name, because the libraries may not be installed."""


class Storage(Protocol):
    """A storage of bytes under names."""

    def names(self, prefix: str) -> list[str]:
        """Return all names below ``prefix/``, at any depth."""

    def get(self, name: str) -> bytes:
        """Return the bytes under a name; raise FileNotFoundError if there are none."""

    def put(self, name: str, data: bytes) -> None:
        """Store bytes under a name, replacing existing ones."""

    def remove(self, name: str) -> None:
        """Remove the bytes under a name, if any."""

    def location(self, name: str) -> str:
        """Return the path or URL of a name, for messages."""


def storage_at(url: str) -> Storage:
    """Return the storage at a URL or path, without accessing it.

    Raises:
        SettingsError: The URL is invalid, or the library for its scheme is missing.
    """
    if url.startswith("file:///"):
        return LocalStorage(unquote(url.removeprefix("file://")))
    scheme, separator, path = url.partition("://")
    if not separator:
        return LocalStorage(url)
    if scheme not in OBJECT_STORES or path[:1] in ("", "/"):
        raise SettingsError(f"checkpoint_url: received {url!r}, {_EXPECTED}")
    return ObjectStorage(url)


class LocalStorage:
    """Files below a directory; the first write creates the directory."""

    def __init__(self, path: str) -> None:
        self._root = Path(path)

    def names(self, prefix: str) -> list[str]:
        """Return the names of the files; an empty list if the directory does not exist."""

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise error

        walk = os.walk(self._root / prefix, onerror=refuse, followlinks=True)
        return [(Path(folder) / file).relative_to(self._root).as_posix() for folder, _, files in walk for file in files]

    def get(self, name: str) -> bytes:
        """Read a file."""
        return (self._root / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        """Write a durable file that only this user may read; remove partial files of killed processes."""
        path = self._root / name
        _make_folder(path.parent)
        with replacing(path, durable=True) as partial:
            partial.touch(mode=0o600)
            partial.write_bytes(data)
        remove_abandoned(path)

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        (self._root / name).unlink(missing_ok=True)

    def location(self, name: str) -> str:
        """Return the path of a file."""
        return str(self._root / name)


class ObjectStorage:
    """Objects below a URL, through fsspec, with atomic puts and without a cache of listings.

    The client library takes address, credentials and number of attempts from its usual sources, such as
    AWS_ENDPOINT_URL, AWS_PROFILE and AWS_MAX_ATTEMPTS.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self._url = url.rstrip("/")
        try:
            self._files, path = fsspec.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        except ImportError as error:
            way = "pip install 'online-lstm[s3]'" if url.startswith("s3") else str(error)
            raise SettingsError(
                f"checkpoint_url: received {url!r}, but the library for it is not installed: {way}"
            ) from error
        except ValueError as error:
            raise SettingsError(f"checkpoint_url: received {url!r} ({error}), {_EXPECTED}") from error
        self._root = path.strip("/")

    def names(self, prefix: str) -> list[str]:
        """Return the names of the objects, without a cache."""
        paths = self._call(self._files.find, f"{self._root}/{prefix}")
        return [name.removeprefix(f"{self._root}/") for name in paths]

    def get(self, name: str) -> bytes:
        """Return the bytes of an object."""
        path = f"{self._root}/{name}"
        data: bytes = self._call(self._files.cat_file, path, size_bytes=self._call(self._files.size, path))
        return data

    def put(self, name: str, data: bytes) -> None:
        """Store an object; the parts of a large object become visible together."""
        self._call(self._files.pipe_file, f"{self._root}/{name}", data, size_bytes=len(data))

    def remove(self, name: str) -> None:
        """Remove an object if it exists."""
        with suppress(FileNotFoundError):
            self._call(self._files.rm_file, f"{self._root}/{name}")

    def location(self, name: str) -> str:
        """Return the URL of an object."""
        return f"{self._url}/{name}"

    def _call(self, method: Callable[..., Any], *args: Any, size_bytes: float = 0.0) -> Any:
        """Call the object store, whose client retries by itself, and translate every error into an OSError."""
        timeout_s = TIMEOUT_S + size_bytes / SLOWEST_BYTES_PER_S
        try:
            return method(*args, timeout=timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {timeout_s:.3g} s") from error
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            if _is_outage(error):
                raise ConnectionError(reason) from error
            raise OSError(reason) from error


def _is_outage(error: Exception) -> bool:
    """Return whether an error is an outage instead of a refusal; fsspec maps HTTP 500 and 503 to the errno values."""
    return (
        isinstance(error, ConnectionError)
        or getattr(error, "errno", None) in (errno.EBUSY, errno.EREMOTEIO)
        or any(kind.__name__ in _UNREACHED for kind in type(error).__mro__)
    )


def _make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, all durable."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)
