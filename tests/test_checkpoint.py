from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from daemon.checkpoint import KEEP, CheckpointStore, CheckpointWriter, digest_of, read_state, write_state
from daemon.errors import CheckpointDamagedError, SettingsError
from daemon.records import TopicPartition

SOURCE = TopicPartition("numbers", 3)

names = st.text("abcdefgh_0123456789", min_size=1, max_size=6)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
arrays = hnp.arrays(
    st.sampled_from(("bool", "uint8", "int32", "int64", "uint64", "float32", "float64")),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
states = st.recursive(
    st.dictionaries(names, arrays | texts | st.lists(texts, max_size=3), max_size=4),
    lambda nested: st.dictionaries(names, nested, max_size=3),
    max_leaves=6,
)


def state_at(offset: int, *, lineage: str = "1f3a9c20") -> dict[str, Any]:
    return {
        "lineage": lineage,
        "records": np.int64(offset),
        "streams": {"keys": ['"pump-7"', "null"], "arrays": {"window": np.arange(64, dtype=np.int32)}},
    }


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(str(tmp_path), "online-lstm")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=states)
def test_a_state_is_read_as_it_was_written(tmp_path: Path, state: dict[str, Any]) -> None:
    """Nested arrays, texts and lists of texts come back with the same digest."""
    write_state(tmp_path / "state.h5", state)
    assert digest_of(state) == digest_of(read_state(tmp_path / "state.h5"))


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


def test_no_flipped_byte_goes_unnoticed(tmp_path: Path) -> None:
    """A file with one bit flipped, wherever it is, is refused before HDF5 sees it (some make it hang)."""
    path = tmp_path / "state.h5"
    write_state(path, state_at(12_000))
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointDamagedError, match=r"state\.h5"):
            read_state(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    """What is left of a file that was cut anywhere is not taken for a checkpoint."""
    path = tmp_path / "state.h5"
    write_state(path, state_at(12_000))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointDamagedError, match=r"state\.h5"):
        read_state(path)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no HDF5 is named in the error."""
    path = tmp_path / "state.h5"
    path.write_bytes(content)
    with pytest.raises(CheckpointDamagedError, match=r"state\.h5: begins with"):
        read_state(path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    """HDF5 files of other programs, and files of other versions, are told apart from damage."""
    path = tmp_path / "state.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = 1
    with pytest.raises(CheckpointDamagedError, match=r"begins with .*HDF.*, expected .*checkpoint 1"):
        read_state(path)
    write_state(path, state_at(1))
    path.write_bytes(path.read_bytes().replace(b"checkpoint 1", b"checkpoint 2", 1))
    with pytest.raises(CheckpointDamagedError, match=r"begins with .*checkpoint 2"):
        read_state(path)


def test_any_hdf5_tool_can_read_a_checkpoint(tmp_path: Path) -> None:
    """The header is in HDF5's user block, so the file is an ordinary one, with the digest of its state."""
    write_state(tmp_path / "state.h5", state_at(7))
    with h5py.File(tmp_path / "state.h5", "r") as file:
        assert 7 == file["records"][()]
        assert digest_of(state_at(7)) == file.attrs["digest"]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that went away between listing and reading is like a damaged one: the one before it is used."""
    with pytest.raises(CheckpointDamagedError, match=r"gone\.h5"):
        read_state(tmp_path / "gone.h5")


def test_a_crash_before_the_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a checkpoint is whole, its name belongs to the one before; nothing else stays in the directory."""

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "state.h5"
    write_state(path, state_at(1))
    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_state(path, state_at(2))
    assert digest_of(state_at(1)) == digest_of(read_state(path))
    assert [path] == list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed(store: CheckpointStore) -> None:
    """A torn file does not stay once a later checkpoint is written; it never counts as a checkpoint."""
    store.write(SOURCE, 1, state_at(1))
    torn = store.path(SOURCE, "1f3a9c20", 2).with_name(".00000000000000000002.h5.x7f")
    torn.write_bytes(b"half a")
    assert [1] == store.offsets(SOURCE, "1f3a9c20")
    store.write(SOURCE, 3, state_at(3))
    assert not torn.exists()


def test_the_last_files_of_a_lineage_are_kept(store: CheckpointStore) -> None:
    """Older files of the same lineage go, those of other lineages and partitions stay."""
    other = TopicPartition("numbers", 4)
    store.write(SOURCE, 5, state_at(5, lineage="00000000"))
    store.write(other, 5, state_at(5))
    for offset in (10, 20, 30, 40, 50):
        store.write(SOURCE, offset, state_at(offset))
    assert [50, 40, 30] == store.offsets(SOURCE, "1f3a9c20")
    assert KEEP == len(store.offsets(SOURCE, "1f3a9c20"))
    assert [5] == store.offsets(SOURCE, "00000000")
    assert [5] == store.offsets(other, "1f3a9c20")


def test_other_files_in_the_directory_are_left_alone(store: CheckpointStore) -> None:
    """A copy that somebody made under another name is no checkpoint and does no harm."""
    store.write(SOURCE, 7, state_at(7))
    copy = store.path(SOURCE, "1f3a9c20", 7).with_name("before the update.h5")
    copy.write_bytes(b"")
    assert [7] == store.offsets(SOURCE, "1f3a9c20")
    for offset in (8, 9, 10, 11):
        store.write(SOURCE, offset, state_at(offset))
    assert copy.exists()


GROUPS = ("a/b", "a%2Fb", "..", ".", "ü", "a b", "a", "A", "~")


def test_groups_of_any_name_have_their_own_directory(tmp_path: Path) -> None:
    """No group name leads out of the directory, or into another group's."""
    for count, group in enumerate(GROUPS):
        store = CheckpointStore(str(tmp_path / "root"), group)
        assert not store.exist(SOURCE), group
        store.write(SOURCE, count, state_at(count))
        assert store.exist(SOURCE)
    for count, group in enumerate(GROUPS):
        assert [count] == CheckpointStore(str(tmp_path / "root"), group).offsets(SOURCE, "1f3a9c20")
    assert [tmp_path / "root"] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["plain", "a#b", "what?", "50%", "ü"])
def test_a_directory_of_any_name_is_used_as_it_is(tmp_path: Path, name: str) -> None:
    """A path is not a URL: its signs mean nothing, unless it begins with file://."""
    CheckpointStore(str(tmp_path / name), "g").write(SOURCE, 1, state_at(1))
    assert [tmp_path / name] == list(tmp_path.iterdir())
    assert CheckpointStore((tmp_path / name).as_uri(), "g").exist(SOURCE)


@pytest.mark.parametrize("url", ["s3://bucket/checkpoints", "file://checkpoints"])
def test_another_kind_of_store_is_refused(url: str) -> None:
    """Only directories are known, and the error says so."""
    with pytest.raises(SettingsError, match=r"checkpoint_url: received .*, expected a directory"):
        CheckpointStore(url, "g")


def test_the_writer_writes_in_order_and_reports(store: CheckpointStore) -> None:
    """Each checkpoint is reported once, with its size; after ``drain`` nothing is left to do."""
    writer = CheckpointWriter(store)
    for offset in (1, 2):
        writer.submit(SOURCE, offset, state_at(offset))
    writer.drain()
    assert not writer.busy
    reports = list(writer.finished())
    assert [(1, "written"), (2, "written")] == [(report.offset, report.result) for report in reports]
    assert [store.path(SOURCE, "1f3a9c20", offset).stat().st_size for offset in (1, 2)] == [
        report.size_bytes for report in reports
    ]
    assert [] == list(writer.finished())
    writer.close()


def test_a_full_disk_is_reported_and_survived(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A checkpoint that cannot be written is told once; the next one is tried again."""
    writer = CheckpointWriter(store)

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(store, "write", fail)
        writer.submit(SOURCE, 1, state_at(1))
        writer.drain()
    writer.submit(SOURCE, 2, state_at(2))
    writer.close()
    assert [(1, "failed"), (2, "written")] == [(report.offset, report.result) for report in writer.finished()]
    assert 1 == sum("checkpoint failed" in record.message for record in caplog.records)


def test_a_fault_of_the_writer_is_not_swallowed(store: CheckpointStore) -> None:
    """What is no failure of the disk ends the loop, and waiting for the writer does not hang."""
    writer = CheckpointWriter(store)
    writer.submit(SOURCE, 1, {})
    writer.drain()
    with pytest.raises(KeyError, match="lineage"):
        list(writer.finished())
    writer.close()
