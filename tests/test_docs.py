"""The documentation's commands are run, and say what it shows."""

import filecmp
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if "```console" in page.read_text(encoding="utf-8")]
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def commands_of(page: Path) -> list[tuple[str, str]]:
    """Give each command of a page and what it shows, in which ``...`` stands for anything."""
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    found = [match for block in blocks for match in _COMMAND.findall(block)]
    assert found, f"{page.name}: no command begins with $"
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_say_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    """One after another, in a directory with the files of the examples."""
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    for command, shown in commands_of(page):
        environment = {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "HOME": str(tmp_path)}
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        expected = ".*".join(re.escape(part) for part in shown.strip().split("..."))
        assert re.fullmatch(expected, done.stdout.strip(), re.DOTALL), f"$ {command}\n{done.stdout}{done.stderr}"


def test_the_files_of_the_examples_are_what_is_made(tmp_path: Path) -> None:
    """Nobody has changed them by hand."""
    subprocess.run([sys.executable, str(EXAMPLES / "make.py")], cwd=tmp_path, check=True)
    made = sorted(path.name for path in tmp_path.iterdir())
    kept = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix not in {".py", ""})
    assert kept == made
    assert ([], []) == filecmp.cmpfiles(EXAMPLES, tmp_path, made, shallow=False)[1:]
