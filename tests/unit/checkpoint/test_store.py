import errno
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from online_lstm.atomic_write import ABANDONED_AFTER_S
from online_lstm.checkpoint import CheckpointStore
from online_lstm.errors import CheckpointDamagedError, CheckpointsUnavailableError, SettingsError
from online_lstm.events import TopicPartition
from online_lstm.learning.state.schema import PartitionState
from support.states import partition_state

SOURCE = TopicPartition("numbers", 3)
LINEAGE = "1f3a9c20"


def state_at(offset: int) -> PartitionState:
    return partition_state(LINEAGE, offset)


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(str(tmp_path), "online-lstm")


def test_a_crash_before_the_rename_leaves_the_old_file(store: CheckpointStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a checkpoint is whole, its name belongs to the one before; nothing else stays in the directory."""

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    store.write(SOURCE, 7, state_at(1))
    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        store.write(SOURCE, 7, state_at(2))
    assert 1 == store.read(SOURCE, LINEAGE, 7).commit_metadata.records
    path = store.path(SOURCE, LINEAGE, 7)
    assert [path] == list(path.parent.iterdir())


def test_what_killed_processes_left_is_removed(store: CheckpointStore) -> None:
    """A torn file never counts as a checkpoint, and goes once a file is written long after it; a young one stays."""
    store.write(SOURCE, 1, state_at(1))
    folder = store.path(SOURCE, LINEAGE, 1).parent
    old, young = (folder / f".{2:020d}.h5.{name}.part" for name in ("old", "young"))
    for torn in (old, young):
        torn.write_bytes(b"half a")
    now_s = young.stat().st_mtime
    os.utime(old, times=(now_s, now_s - ABANDONED_AFTER_S - 60))
    assert [1] == store.offsets(SOURCE, LINEAGE)
    store.write(SOURCE, 3, state_at(3))
    assert [young] == [path for path in folder.iterdir() if path.suffix == ".part"]


def test_other_files_in_the_directory_are_left_alone(store: CheckpointStore) -> None:
    """A copy that somebody made under another name is no checkpoint and does no harm."""
    store.write(SOURCE, 7, state_at(7))
    copies = [store.path(SOURCE, LINEAGE, 7).with_name(name) for name in ("before.h5", "7.h5", f"{7:020d}.h5.old")]
    for copy in copies:
        copy.write_bytes(b"")
    assert [7] == store.offsets(SOURCE, LINEAGE)
    for offset in (8, 9, 10, 11, 12):
        store.write(SOURCE, offset, state_at(offset))
    assert all(copy.exists() for copy in copies)


GROUPS = ("a/b", "a%2Fb", "..", ".", "ü", "a b", "a", "A", "~")


def test_groups_of_any_name_have_their_own_directory(tmp_path: Path) -> None:
    """No group name leads out of the directory, or into another group's."""
    for count, group in enumerate(GROUPS):
        store = CheckpointStore(str(tmp_path / "root"), group)
        assert not store.lineages(SOURCE), group
        store.write(SOURCE, count, state_at(count))
        assert store.lineages(SOURCE)
    for count, group in enumerate(GROUPS):
        assert [count] == CheckpointStore(str(tmp_path / "root"), group).offsets(SOURCE, LINEAGE)
    assert [tmp_path / "root"] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["plain", "a#b", "what?", "50%", "ü", "new/in/new"])
def test_a_directory_of_any_name_is_used_as_it_is(tmp_path: Path, name: str) -> None:
    """A path is not a URL: its signs mean nothing, unless it begins with file://."""
    CheckpointStore(str(tmp_path / name), "g").write(SOURCE, 1, state_at(1))
    assert [tmp_path / name.partition("/")[0]] == list(tmp_path.iterdir())
    assert CheckpointStore((tmp_path / name).as_uri(), "g").lineages(SOURCE)


def test_a_lineage_behind_a_link_is_found(store: CheckpointStore, tmp_path: Path) -> None:
    """What was moved to a larger disk, with a link left in its place, is not taken for missing."""
    store.write(SOURCE, 1, state_at(1))
    folder = store.path(SOURCE, LINEAGE, 1).parent
    folder.symlink_to(folder.rename(tmp_path / "larger disk"))
    assert [LINEAGE] == store.lineages(SOURCE)


@pytest.mark.parametrize(
    "url", ["file://checkpoints", "s3://", "s3:///prefix", "memory://m", "http://h/x", "what://x", "dir::s3://bucket"]
)
def test_what_is_no_place_for_checkpoints_is_refused(url: str) -> None:
    """The error gives what was received, and what a place looks like."""
    with pytest.raises(
        SettingsError, match=r"checkpoint_url: received .*, expected a directory, .* s3://bucket/prefix"
    ):
        CheckpointStore(url, "g")


@pytest.mark.parametrize(
    ("url", "library", "way"),
    [("s3://bucket/prefix", "s3fs", r"pip install 'online-lstm\[s3\]'"), ("gs://bucket/prefix", "gcsfs", "gcsfs")],
)
def test_a_missing_library_is_named(url: str, library: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon is installed without the libraries of object stores; the error says how to get the one."""
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(import_module("fsspec.registry")._registry, url.partition(":")[0], raising=False)
    with pytest.raises(SettingsError, match=rf"checkpoint_url: received '{url}', .* is not installed: .*{way}"):
        CheckpointStore(url, "g")


def test_a_directory_needs_no_library_of_object_stores(tmp_path: Path) -> None:
    """Start-up time: fsspec is imported when a URL asks for it, and not before."""
    program = (
        "import sys; from online_lstm.checkpoint import CheckpointStore;"
        "CheckpointStore(sys.argv[1], 'g').require_writable();"
        "print(sorted({'fsspec', 's3fs'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "[]" == run.stdout.strip()


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    """A file where a directory is expected: the setting, what it was, the reason, and what is expected."""
    (tmp_path / "file").touch()
    store = CheckpointStore(str(tmp_path / "file"), "g")
    with pytest.raises(
        SettingsError, match=r"checkpoint_url: received '.*/file', .*File exists.*; expected a directory"
    ):
        store.require_writable()


def test_a_directory_that_cannot_be_listed_is_no_empty_one(store: CheckpointStore, tmp_path: Path) -> None:
    """Nothing is concluded from a directory that does not answer, while one that does not exist is empty."""
    assert [] == store.lineages(SOURCE)
    (tmp_path / "online-lstm").touch()  # so that what is below is neither there nor missing
    for ask in (lambda: store.lineages(SOURCE), lambda: store.offsets(SOURCE, LINEAGE)):
        with pytest.raises(
            CheckpointsUnavailableError, match=r"online-lstm/numbers/3.* cannot be read .*Not a directory"
        ):
            ask()


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.EIO, CheckpointDamagedError), (errno.EMFILE, CheckpointsUnavailableError)],
    ids=["bad sector", "too many open files"],
)
def test_a_file_that_cannot_be_read(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
) -> None:
    """A fault of the one file means that the one before it is used; one of the machine says nothing about any file."""

    def fail(_: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    store.write(SOURCE, 7, state_at(7))
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(expected, match=rf"0{7}\.h5.* cannot be read \(.*{os.strerror(number)}"):
        store.read(SOURCE, LINEAGE, 7)


def test_old_files_that_cannot_be_removed_do_no_harm(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The new checkpoint is written all the same, and a warning tells."""

    def fail(*_: object, **__: object) -> None:
        raise PermissionError("not yours")

    for offset in (1, 2, 3, 4):
        store.write(SOURCE, offset, state_at(offset))
    monkeypatch.setattr(Path, "unlink", fail)
    store.write(SOURCE, 5, state_at(5))
    assert [5, 4, 3, 2, 1] == store.offsets(SOURCE, LINEAGE)
    assert ["old checkpoints not removed"] == [record.message.partition(" source=")[0] for record in caplog.records]
