import hashlib
import io
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from online_lstm.checkpoint.hdf5 import FORMAT, HEADER_BYTES, digest_of, pack, unpack
from online_lstm.errors import CheckpointDamagedError

STATE = {
    "lineage": "1f3a9c20",
    "records": np.int64(12_000),
    "streams": {"keys": ['"pump-7"', "null"], "arrays": {"window": np.arange(64, dtype=np.int32)}},
}

names = st.text("abcdefgh_0123456789", min_size=1, max_size=6)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
arrays = hnp.arrays(
    st.sampled_from(("bool", "uint8", "int32", "int64", "uint64", "float32", "float64")),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
states = st.recursive(
    st.dictionaries(names, arrays | texts | st.lists(texts, max_size=3), max_size=4),
    lambda nested: st.dictionaries(names, nested, max_size=3),
    max_leaves=6,
)


def with_digest(content: bytes, number: int = FORMAT) -> bytes:
    """Put the header before something that would begin at byte 512."""
    words = f"online-lstm checkpoint {number} {hashlib.sha256(content).hexdigest()}".encode()
    return words.ljust(HEADER_BYTES, b"\0") + content


@pytest.mark.long
@settings(max_examples=60)
@given(state=states)
def test_a_state_is_read_as_it_was_written(state: dict[str, Any]) -> None:
    """Nested arrays, texts and lists of texts come back with the same digest; the same state gives the same file."""
    data = pack(state)
    assert digest_of(state) == digest_of(unpack(data, "state.h5"))
    assert data == pack(state)


def test_a_file_does_not_depend_on_when_it_was_written() -> None:
    """HDF5 would keep the second in which a group was made; a checkpoint has the same bytes whenever it is written."""
    state = {"group": {"within": {"text": "x", "texts": ["y"], "array": np.arange(3)}}}
    data = pack(state)
    time.sleep(1.1)
    assert data == pack(state)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": np.int32(1)}, {"a": np.int64(1)}),
        ({"a": np.zeros((2, 3))}, {"a": np.zeros((3, 2))}),
        ({"a": np.float32(0.0)}, {"a": np.float32(-0.0)}),
        ({"a": ["x", "yz"]}, {"a": ["xy", "z"]}),
        ({"a": {"b": "x"}}, {"a": {}, "b": "x"}),
        ({"a": "x"}, {"a": ["x"]}),
        ({"a": ""}, {"b": ""}),
    ],
)
def test_other_states_have_other_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    """A dtype, a shape, a sign of zero, a border between texts: all are part of the digest."""
    assert digest_of(one) != digest_of(other)


def test_the_order_of_names_is_no_part_of_a_digest() -> None:
    """Dicts that are equal have one digest."""
    assert digest_of({"a": "1", "b": "2"}) == digest_of({"b": "2", "a": "1"})


def test_no_flipped_byte_goes_unnoticed() -> None:
    """A file with one bit flipped, wherever it is, is refused before HDF5 sees it (some make it hang)."""
    whole = pack(STATE)
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(CheckpointDamagedError, match=r"state\.h5: .*damaged"):
            unpack(bytes(damaged), "state.h5")


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.99])
def test_a_truncated_file_is_refused(share: float) -> None:
    """What is left of a file that was cut anywhere is not taken for a checkpoint."""
    whole = pack(STATE)
    with pytest.raises(CheckpointDamagedError, match=r"state\.h5: damaged"):
        unpack(whole[: int(share * len(whole))], "state.h5")


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_a_file_of_something_else_is_refused(content: bytes) -> None:
    """An empty file, a text, an HDF5 file of another program: the error says what it begins with."""
    with pytest.raises(
        CheckpointDamagedError, match=r"state\.h5: begins with b.*, expected 'online-lstm checkpoint 1'"
    ):
        unpack(content, "state.h5")


def test_another_format_is_told_apart_from_damage() -> None:
    """A whole file of another version says which; one that is damaged as well is a damaged one."""
    other = with_digest(b"whatever they will write", FORMAT + 1)
    with pytest.raises(CheckpointDamagedError, match=r"state\.h5: not damaged, but of format 2, expected 1"):
        unpack(other, "state.h5")
    with pytest.raises(CheckpointDamagedError, match=r"state\.h5: damaged"):
        unpack(other[:-1], "state.h5")


def looping() -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["itself"] = file["/"]
    return content.getvalue()


def dangling() -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["gone"] = h5py.SoftLink("/nowhere")
    return content.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"no HDF5", pack(STATE)[HEADER_BYTES:-400], looping(), dangling()], ids=range(5)
)
def test_what_has_its_digest_but_is_no_state_is_refused(content: bytes) -> None:
    """Whatever HDF5 makes of content that nobody damaged and that is none of ours, the error is ours."""
    with pytest.raises(CheckpointDamagedError, match=r"state\.h5: the digest matches, but HDF5 cannot read it"):
        unpack(with_digest(content), "state.h5")


def test_any_hdf5_tool_can_read_a_checkpoint(tmp_path: Path) -> None:
    """The header is in HDF5's user block, so the file is an ordinary one, with digest and origin as attributes."""
    (tmp_path / "state.h5").write_bytes(pack(STATE, {"cpu": "AVX2"}))
    with h5py.File(tmp_path / "state.h5", "r") as file:
        assert 12_000 == file["records"][()]
        assert {"digest": digest_of(STATE), "cpu": "AVX2"} == dict(file.attrs)
