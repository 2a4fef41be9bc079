"""The file format of checkpoints: an HDF5 file behind a header with the digest of the rest of the file.

The digest is checked before HDF5 reads any byte, because on damaged files HDF5 may crash or never return. Damage is
therefore always detected. Only this module knows HDF5; it must not know where files are stored.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from h5py import h5f, h5fd, h5g, h5p

from online_lstm.errors import CheckpointDamagedError

FORMAT = 1
HEADER_BYTES = 512
"""Size of the header with format and digest: an HDF5 user block (a power of two, at least 512), ignored by HDF5."""

_WORDS = "online-lstm checkpoint"
_BEGINNING = re.compile(rf"{_WORDS} ([0-9]+) ".encode())
_HDF5 = b"\x89HDF\r\n\x1a\n"
"""The first bytes of any HDF5 file without a user block."""
_OF_KERAS = b"keras_version"
"""An attribute of Keras's files, searched for in the raw bytes, because the content may be damaged."""
_TEXT = h5py.string_dtype("utf-8")
_TIMELESS = h5p.create(h5p.GROUP_CREATE)
_TIMELESS.set_obj_track_times(False)


def pack(state: Mapping[str, Any], origin: Mapping[str, str] | None = None) -> bytes:
    """Return a state as the bytes of a file; ``origin`` and the state's digest become attributes of the file.

    The bytes depend only on the arguments: HDF5 groups are created without timestamps.
    """
    creation = h5p.create(h5p.FILE_CREATE)
    creation.set_userblock(HEADER_BYTES)
    creation.set_obj_track_times(False)
    content = io.BytesIO()
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_libver_bounds(h5f.LIBVER_LATEST, h5f.LIBVER_LATEST)
    access.set_fileobj_driver(h5fd.fileobj_driver, content)
    with h5py.File(h5f.create(b"state", h5f.ACC_TRUNC, creation, access)) as file:
        _write_group(file, state)
        file.attrs.update({"digest": digest_of(state), **(origin or {})})
    with content.getbuffer() as whole:
        whole[:HEADER_BYTES] = _header_of(FORMAT, whole)
    return content.getvalue()


def unpack(data: bytes, name: str) -> dict[str, Any]:
    """Return the state in bytes that ``pack`` returned; ``name`` appears in error messages.

    Raises:
        CheckpointDamagedError: The data is not a checkpoint, differs from the written content, or has another format.
    """
    beginning = _BEGINNING.match(data)
    if data.startswith(_HDF5) and _OF_KERAS in data:
        raise CheckpointDamagedError(
            f"{name}: a model that Keras saved as HDF5, the format of Keras 2, and no checkpoint: to convert it, build "
            "its layers with Keras 3, call model.load_weights() with this file, and model.save() with a name that "
            "ends in .keras"
        )
    if beginning is None:
        raise CheckpointDamagedError(
            f"{name}: begins with {data[:32]!r}, expected '{_WORDS} {FORMAT}': not a checkpoint, or a damaged one"
        )
    written_format = int(beginning[1])
    if data[:HEADER_BYTES] != _header_of(written_format, memoryview(data)):
        raise CheckpointDamagedError(f"{name}: damaged: the content does not match its digest")
    if written_format != FORMAT:
        raise CheckpointDamagedError(
            f"{name}: not damaged, but of format {written_format}, expected {FORMAT}: use the online-lstm that wrote it"
        )
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return _read_group(file)
    except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:  # h5py raises these for errors of HDF5
        raise CheckpointDamagedError(f"{name}: the digest matches, but HDF5 cannot read it ({error})") from error


def attributes_of(data: bytes) -> dict[str, str]:
    """Return the attributes (state digest and origin) of a file that ``unpack`` can read."""
    with h5py.File(io.BytesIO(data), "r") as file:
        return {name: str(content) for name, content in file.attrs.items()}


def digest_of(state: Mapping[str, Any]) -> str:
    """Return the SHA-256 digest of a state in hexadecimal; equal states, and only equal states, have equal digests."""
    digest = hashlib.sha256()
    _feed(digest, state)
    return digest.hexdigest()


def _header_of(number: int, whole: bytes | memoryview) -> bytes:
    """Return the header that a file of this format must have."""
    digest = hashlib.sha256(whole[HEADER_BYTES:]).hexdigest()
    return f"{_WORDS} {number} {digest}".encode().ljust(HEADER_BYTES, b"\0")


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
        digest.update(array.reshape(-1).view(np.uint8).data)


def _write_group(group: h5py.Group, state: Mapping[str, Any]) -> None:
    for name, node in state.items():
        if isinstance(node, Mapping):
            _write_group(h5py.Group(h5g.create(group.id, name.encode(), gcpl=_TIMELESS)), node)
        elif isinstance(node, str):
            group.create_dataset(name, data=node, dtype=_TEXT)
        elif isinstance(node, list):
            group.create_dataset(name, data=np.array(node, object), shape=(len(node),), dtype=_TEXT)
        else:
            group.create_dataset(name, data=np.asarray(node))


def _read_group(group: h5py.Group) -> dict[str, Any]:
    return {name: _read_node(group[name]) for name in group}


def _read_node(node: h5py.Group | h5py.Dataset) -> Any:
    if isinstance(node, h5py.Group):
        return _read_group(node)
    if h5py.check_string_dtype(node.dtype) is None:
        return node[()]
    text = node.asstr()[()]
    return text if isinstance(text, str) else list(text)
