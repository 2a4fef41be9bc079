"""Files and directories that are there whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from online_lstm.atomic_write import ABANDONED_AFTER_S, remove_abandoned, replacing


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_gets_its_name_at_the_end(tmp_path: Path, durable: bool) -> None:
    """Until then it is the one from before, and nothing else is left afterwards."""
    target = tmp_path / "out.json"
    target.write_text("before")
    with replacing(target, durable=durable) as partial:
        partial.write_text("after")
        assert "before" == target.read_text()
    assert "after" == target.read_text()
    assert [target] == list(tmp_path.iterdir())


def test_after_an_exception_all_is_as_before(tmp_path: Path) -> None:
    """A file as well as a directory."""

    def interrupted(make: Callable[[Path], None]) -> None:
        with replacing(tmp_path / "out") as partial:
            make(partial)
            raise KeyboardInterrupt

    for make in (Path.touch, Path.mkdir):
        with pytest.raises(KeyboardInterrupt):
            interrupted(make)
        assert [] == list(tmp_path.iterdir())


def test_a_part_of_a_directory_may_be_the_result(tmp_path: Path) -> None:
    """What else was made there is removed."""
    target = tmp_path / "jars"
    with replacing(target, result="libs") as partial:
        (partial / "libs").mkdir(parents=True)
        (partial / "libs" / "a.jar").touch()
        (partial / "pom.xml").touch()
    assert [target] == list(tmp_path.iterdir())
    assert ["a.jar"] == [path.name for path in target.iterdir()]


def test_a_name_may_be_as_long_as_the_disk_allows(tmp_path: Path) -> None:
    """What is written beside it has a name of its own."""
    target = tmp_path / ("n" * 255)
    with replacing(target) as partial:
        partial.touch()
    assert target.exists()


def test_abandoned_files_and_directories_are_removed(tmp_path: Path) -> None:
    """Those that are long older than a new file; what is young may be in use."""
    new, young, old_file, old_folder = (tmp_path / name for name in ("new", ".a.part", ".b.part", ".c.part"))
    for path in (new, young, old_file):
        path.touch()
    (old_folder / "libs").mkdir(parents=True)
    for path in (old_file, old_folder):
        os.utime(path, times=(0, new.stat().st_mtime - ABANDONED_AFTER_S - 60))
    remove_abandoned(new)
    assert {new, young} == set(tmp_path.iterdir())


def test_a_new_file_that_another_process_removed(tmp_path: Path) -> None:
    """Two processes that write checkpoints to one folder remove each other's old files; neither fails."""
    kept = tmp_path / ".online-lstm-1.part"
    kept.touch()
    remove_abandoned(tmp_path / "removed")
    assert [kept] == list(tmp_path.iterdir())
