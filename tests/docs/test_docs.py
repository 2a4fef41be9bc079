"""The documentation's commands are run, and say what it shows; its settings can be read, its pictures are there."""

import filecmp
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import takewhile
from pathlib import Path

import pytest
import screenshots
from _generate.generated_parts import DRAWINGS
from online_lstm.cli import main
from online_lstm.cli.main import build_parser
from online_lstm.settings import read_settings, require_consistent
from PIL import Image

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
WITH_A_BROKER = {"tutorial"}
"""Pages whose commands `tests/integration` runs, since they take a broker."""
TEXTS = {page: page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]}
PAGES = [page for page, text in TEXTS.items() if "```console" in text and page.stem not in WITH_A_BROKER]
DRAWN = [path.name for path in DRAWINGS]
SHELL = set("|<>&;$`*?")
"""What only a shell understands."""
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def commands_of(page: Path) -> list[tuple[str, str]]:
    """Give each command of a page and what it shows."""
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    found = [match for block in blocks for match in _COMMAND.findall(block)]
    assert found, f"{page.name}: no command begins with $"
    return found


def pattern_of(shown: str) -> str:
    """Give what a command writes as a pattern: ``...`` stands for anything in a line, and alone for any lines."""
    lines = shown.strip().splitlines()
    return "".join(
        r"(?:.*\n)*" if line.strip() == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
        for line in lines
    )


@pytest.mark.parametrize(
    ("shown", "written", "matches"),
    [
        ("hits ...0.9...", "hits 0.93", True),
        ("hits ...0.9...", "hits 0.8\nlift 0.9", False),
        ("...\nhits 1", "file\n\nhits 1", True),
        ("...\nhits 1", "hits 1", True),
        ("...", "", True),
        ("hits 1", "hits 1\nmore", False),
    ],
)
def test_what_is_left_out_is_no_more_than_it_seems(shown: str, written: str, matches: bool) -> None:
    """A figure is looked for in its own line, and not in those after it."""
    assert matches == bool(re.fullmatch(pattern_of(shown), f"{written}\n"))


@pytest.mark.long
@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_say_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One after another, in a directory with the files of the examples.

    A command that is only ours is run in this process, which has loaded already what each new one would load for
    seconds; pipes, other programs and the first command of a page are a shell's.
    """
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("HOME", str(tmp_path))
    for number, (command, shown) in enumerate(commands_of(page)):
        words = shlex.split(command.replace("\\\n", " "))
        if number and words[0] == "online-lstm" and not SHELL & set("".join(words)):
            code, (said, complaint) = main.main(words[1:]), capfd.readouterr()
        else:
            code, said, complaint = in_a_shell(command)
        assert re.fullmatch(pattern_of(shown), f"{said.strip()}\n"), f"$ {command}\n{said}{complaint}"
        assert 0 == code, f"$ {command}\n{complaint}"


def in_a_shell(command: str) -> tuple[int, str, str]:
    """Run a command here, and give its exit code and what it wrote to standard output and error."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        **{
            name: os.environ[name]
            for name in ("COLUMNS", "HOME", "PYTHONPYCACHEPREFIX", "TF_XLA_FLAGS")
            if name in os.environ
        },
    }
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.long
def test_the_files_of_the_examples_are_what_is_made(tmp_path: Path) -> None:
    """Nobody has changed them by hand."""
    subprocess.run([sys.executable, str(EXAMPLES / "make.py")], cwd=tmp_path, check=True)
    made = sorted(path.name for path in tmp_path.iterdir())
    kept = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix not in {".py", ".toml", ""})
    assert kept == made
    assert ([], []) == filecmp.cmpfiles(EXAMPLES, tmp_path, made, shallow=False)[1:]


def test_commands_that_take_a_broker_are_run_on_one() -> None:
    """A page is left to another test only where there is one."""
    for name in WITH_A_BROKER:
        assert f'"{name}.md"' in (ROOT / f"tests/integration/test_{name}.py").read_text(encoding="utf-8")


def blocks(language: str) -> list[tuple[str, str]]:
    """Give all blocks of a language, each with the name of its page."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [(page.stem, block) for page, text in TEXTS.items() for block in pattern.findall(text)]


@pytest.mark.parametrize(("page", "block"), blocks("toml"))
def test_settings_can_be_read(page: str, block: str, tmp_path: Path) -> None:
    """Whoever copies them is not told that there is no such one."""
    path = tmp_path / "settings.toml"
    path.write_text(block, encoding="utf-8")
    settings = read_settings(config=path, environment={})
    if settings.sasl_password_file is None:
        require_consistent(settings)


@pytest.mark.long
def test_python_example_prints_its_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program of the Python API learns, predicts, and restores a checkpoint."""
    monkeypatch.chdir(tmp_path)
    ((_, program),) = [found for found in blocks("python") if found[0] == "python"]
    ((_, printed),) = [found for found in blocks("text") if found[0] == "python"]
    exec(program, {})
    assert printed == capsys.readouterr().out


@pytest.mark.parametrize(("page", "block"), blocks("sh"))
def test_commands_exist_with_their_options(page: str, block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown without its output, as it goes on for ever, or takes a cluster, is at least one of ours."""
    monkeypatch.chdir(ROOT / "docs" / "examples")  # a file of settings is read with the option that names it
    parser = build_parser()
    for line in block.replace("\\\n", " ").splitlines():
        program, *arguments = takewhile(lambda word: word not in {"|", ">"}, shlex.split(line, comments=True))
        if program == "online-lstm":
            assert [] == parser.parse_known_args(arguments)[1]
        if program == "make":
            assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_pictures_are_those_that_the_scripts_make() -> None:
    """Each of them is shown somewhere, and there are no others."""
    made = {*screenshots.SHOTS, *screenshots.TERMINALS, *DRAWN}
    shown = {name for text in TEXTS.values() for name in re.findall(r"!\[[^\]]+\]\([\w/.]*images/([\w.-]+)\)", text)}
    there = {path.name for path in screenshots.IMAGES.iterdir()}
    assert made == there == shown


@pytest.mark.parametrize("name", screenshots.SHOTS)
def test_a_picture_has_its_size(name: str) -> None:
    """It can be read, is as wide and high as it was taken, and is no burden to load."""
    path = screenshots.IMAGES / name
    with Image.open(path) as picture:
        picture.load()
        assert screenshots.SHOTS[name].size == picture.size
        assert len(picture.getcolors() or ()) > 16
    assert path.stat().st_size < 100_000


@pytest.mark.parametrize("name", [*DRAWN, *screenshots.TERMINALS])
def test_a_drawing_is_whole_and_by_itself(name: str) -> None:
    """It is XML that loads nothing from elsewhere."""
    text = (screenshots.IMAGES / name).read_text(encoding="utf-8")
    assert "{http://www.w3.org/2000/svg}svg" == ET.fromstring(text).tag
    assert [] == [url for url in re.findall(r"https?:[^\s\"')]+", text) if url != "http://www.w3.org/2000/svg"]
