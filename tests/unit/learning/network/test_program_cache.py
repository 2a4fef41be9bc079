"""Compiled programs on the disk: read by the next process, never run damaged, never in the way."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from online_lstm.learning.network import program_cache

PROGRAM = """
from online_lstm.learning.network.program_cache import cached
from online_lstm.learning.network.tensorflow_runtime import load_tensorflow
load_tensorflow()
import tensorflow as tf
function = tf.function(lambda x: tf.sin(x) * 2 + 1, jit_compile=True, autograph=False)
with cached("key"):
    print(function(tf.constant(0.0)).numpy())
"""


def compiles(cache: Path, folder: Path) -> bool:
    """Run a program whose result is right; return whether it was compiled."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_XLA_FLAGS"}
    environment |= {"XDG_CACHE_HOME": str(cache), "XLA_FLAGS": f"--xla_dump_to={folder}"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True)
    assert ("1.0\n", "") == (done.stdout, done.stderr)
    dumped = list(folder.glob("*.o"))
    for path in folder.glob("*"):
        path.unlink()
    return bool(dumped)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = program_cache._folder()
    assert folder is not None
    return folder


@pytest.mark.long
def test_a_program_is_compiled_once(tmp_path: Path, entries: Path) -> None:
    """The next process has it from the disk; a damaged entry is compiled again, and replaced."""
    dumped = tmp_path / "dumped"
    assert compiles(tmp_path / "cache", dumped)
    assert not compiles(tmp_path / "cache", dumped)
    (entry,) = entries.iterdir()
    content = entry.read_bytes()
    middle = len(content) // 2
    entry.write_bytes(
        content[:middle] + bytes(~byte & 0xFF for byte in content[middle : middle + 16]) + content[middle + 16 :]
    )
    assert compiles(tmp_path / "cache", dumped)
    assert not compiles(tmp_path / "cache", dumped)


@pytest.mark.long
def test_a_program_runs_without_a_cache(tmp_path: Path) -> None:
    """A cache directory that cannot be made costs nothing but time."""
    (tmp_path / "file").touch()
    assert compiles(tmp_path / "file", tmp_path / "dumped")
    assert compiles(tmp_path / "file", tmp_path / "dumped")


@pytest.mark.parametrize("change", [lambda _: b"", lambda content: content[:-1], lambda content: content[:-1] + b"!"])
def test_a_damaged_entry_is_removed(entries: Path, change: Callable[[bytes], bytes]) -> None:
    """Cut short or changed, it is not read."""
    program_cache._write(entries / "key-name", b"machine code.")
    program_cache._write(entries / "other-name", b"other code")
    assert [("name", b"machine code.")] == list(program_cache._entries(entries, "key"))
    (entries / "key-name").write_bytes(change((entries / "key-name").read_bytes()))
    assert [] == list(program_cache._entries(entries, "key"))
    assert {"other-name"} == names(entries)


def test_the_oldest_entries_are_removed(entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache does not grow without bound."""
    monkeypatch.setattr(program_cache, "MAX_ENTRIES", 2)
    for number in range(3):
        program_cache._write(entries / f"key-{number}", b"code")
        os.utime(entries / f"key-{number}", (number, number))
    assert {"key-1", "key-2"} == names(entries)


def test_a_full_disk_is_no_fault(entries: Path) -> None:
    """What cannot be written is compiled again by the next process."""
    program_cache._write(entries / "missing/key-name", b"code")
    assert set() == names(entries)


def test_a_directory_that_others_can_write_to_is_not_used(entries: Path) -> None:
    """Whoever can write to it could have any code run."""
    entries.chmod(0o775)
    assert program_cache._folder() is None


def test_a_directory_of_another_user_is_not_used(entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one that its owner can write to."""
    assert entries.stat().st_uid == os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: entries.stat().st_uid + 1)
    assert program_cache._folder() is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "--tf_xla_persistent_cache_directory=ram://online-lstm"),
        (
            "--tf_xla_max_cluster_size=9",
            "--tf_xla_max_cluster_size=9 --tf_xla_persistent_cache_directory=ram://online-lstm",
        ),
        ("--tf_xla_persistent_cache_directory=/own", "--tf_xla_persistent_cache_directory=/own"),
    ],
)
def test_the_flag_of_the_user_stays(given: str | None, expected: str) -> None:
    """A directory that somebody chose for TensorFlow is TensorFlow's."""
    environment = {} if given is None else {"TF_XLA_FLAGS": given}
    program_cache.enable(environment)
    program_cache.enable(environment)
    assert {"TF_XLA_FLAGS": expected} == environment
