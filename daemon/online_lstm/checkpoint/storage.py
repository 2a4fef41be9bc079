"""Where named bytes are kept: a directory, or an object store through fsspec.

A name is a relative path with ``/`` between its parts. Under a name there are the bytes of one ``put``, whole and
durable, or nothing; of two that write the same name, one wins. What cannot be done is an OSError: TimeoutError or
ConnectionError if the place cannot be reached or is out of order, another one if it refuses.
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
"""Most time of one call to an object store, all tries together; what it carries comes on top."""

SLOWEST_BYTES_PER_S = 1e6
"""A transfer slower than this is given up."""

OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}
"""Those of fsspec that put atomically, can be bounded in time, and do not list an outage as nothing."""

_EXPECTED = "expected a directory, file:///directory, or an object store such as s3://bucket/prefix"
_UNREACHED = {"ConnectionError", "HTTPClientError", "ClientConnectionError"}
"""What errors without an answer derive from in botocore and aiohttp; by name, as the two may not be installed."""


class Storage(Protocol):
    """Keeps bytes under names."""

    def names(self, prefix: str) -> list[str]:
        """List all names below ``prefix/``, at any depth."""

    def get(self, name: str) -> bytes:
        """Give what is kept under a name; FileNotFoundError if nothing is."""

    def put(self, name: str, data: bytes) -> None:
        """Keep this under a name, instead of what was there."""

    def remove(self, name: str) -> None:
        """Keep nothing under a name."""

    def location(self, name: str) -> str:
        """Say where that is, for people."""


def storage_at(url: str) -> Storage:
    """Give the place that a URL or path names; it is not asked for anything yet.

    Raises:
        SettingsError: It is none, or the library for it is missing.
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
    """Files below a directory, which is made when it is first written to."""

    def __init__(self, path: str) -> None:
        self._root = Path(path)

    def names(self, prefix: str) -> list[str]:
        """List the files; a directory that does not exist has none."""

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise error

        walk = os.walk(self._root / prefix, onerror=refuse, followlinks=True)
        return [(Path(folder) / file).relative_to(self._root).as_posix() for folder, _, files in walk for file in files]

    def get(self, name: str) -> bytes:
        """Read a file."""
        return (self._root / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        """Write a durable file that only this user reads; remove what killed processes left beside it."""
        path = self._root / name
        _make_folder(path.parent)
        with replacing(path, durable=True) as partial:
            partial.touch(mode=0o600)
            partial.write_bytes(data)
        remove_abandoned(path)

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        (self._root / name).unlink(missing_ok=True)

    def location(self, name: str) -> str:
        """Give the path."""
        return str(self._root / name)


class ObjectStorage:
    """Objects below a URL, through fsspec: each is put as one; nothing that was listed is remembered.

    Addresses, credentials and number of tries of the client come from where its library looks for them, such as
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
        """List the objects, as they are now."""
        found = self._call(self._files.find, f"{self._root}/{prefix}")
        return [name.removeprefix(f"{self._root}/") for name in found]

    def get(self, name: str) -> bytes:
        """Fetch an object."""
        path = f"{self._root}/{name}"
        data: bytes = self._call(self._files.cat_file, path, size_bytes=self._call(self._files.size, path))
        return data

    def put(self, name: str, data: bytes) -> None:
        """Store an object; large ones in parts, which become visible together."""
        self._call(self._files.pipe_file, f"{self._root}/{name}", data, size_bytes=len(data))

    def remove(self, name: str) -> None:
        """Remove an object if it is there."""
        with suppress(FileNotFoundError):
            self._call(self._files.rm_file, f"{self._root}/{name}")

    def location(self, name: str) -> str:
        """Give the URL."""
        return f"{self._url}/{name}"

    def _call(self, method: Callable[..., Any], *args: Any, size_bytes: float = 0.0) -> Any:
        """Call the store, which tries again by itself, and turn whatever goes wrong into an OSError."""
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
    """Tell an error that may pass by itself from a refusal; the errno values stand for HTTP 500 and 503 in fsspec."""
    return (
        isinstance(error, ConnectionError)
        or getattr(error, "errno", None) in (errno.EBUSY, errno.EREMOTEIO)
        or any(kind.__name__ in _UNREACHED for kind in type(error).__mro__)
    )


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, all durable."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)
