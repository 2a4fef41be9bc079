"""What is released works without the repository."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"
pytestmark = pytest.mark.long


def run(*command: object, cwd: Path) -> str:
    """Return what a program writes, with nothing of this environment in its own."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, output: Path) -> None:
    """Build sdist and wheel as ``make dist`` does."""
    run(UV, "build", "--no-build-isolation", "--python", sys.executable, "--out-dir", output, cwd=source)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An sdist and a wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def test_a_wheel_has_the_package_and_its_files(distributions: tuple[Path, Path]) -> None:
    """Pages, templates and the marker of types are in it; tests and deployment are not."""
    with zipfile.ZipFile(distributions[1]) as wheel:
        names = set(wheel.namelist())
    tracked = run("git", "ls-files", cwd=ROOT / "daemon").split()
    assert [name for name in tracked if name not in names] == []
    assert {"online_lstm"} == {name.partition("/")[0] for name in names if ".dist-info/" not in name}


def test_an_sdist_builds_with_its_version(distributions: tuple[Path, Path], tmp_path: Path) -> None:
    """Without git it has the version that it was made with."""
    with tarfile.open(distributions[0]) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    build(source, tmp_path / "again")
    assert [distributions[1].name] == [path.name for path in (tmp_path / "again").glob("*.whl")]


def test_a_tag_is_the_version(tmp_path: Path) -> None:
    """The commit that is tagged v1.2.3 makes the distributions of 1.2.3."""
    run("git", "clone", "--quiet", ROOT, "tagged", cwd=tmp_path)
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "tag", "v1.2.3", cwd=tmp_path / "tagged")
    build(tmp_path / "tagged", tmp_path / "dist")
    assert {"online_lstm-1.2.3.tar.gz", "online_lstm-1.2.3-py3-none-any.whl"} <= {
        path.name for path in (tmp_path / "dist").iterdir()
    }


def test_a_wheel_works_in_an_empty_environment(distributions: tuple[Path, Path], tmp_path: Path) -> None:
    """With the locked versions and nothing else it shows its help, learns from a file, and has a Python API."""
    wheel = distributions[1]
    run(UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "empty", cwd=tmp_path)
    install = (UV, "pip", "install", "--quiet", "--python", tmp_path / "empty")
    run(*install, "--require-hashes", "--requirement", ROOT / "deploy/requirements/runtime.txt", cwd=tmp_path)
    run(*install, "--no-deps", wheel, cwd=tmp_path)
    program = tmp_path / "empty/bin/online-lstm"
    assert f"online-lstm {wheel.name.split('-')[1]}" == run(program, "--version", cwd=tmp_path).strip()
    assert "backtest" in run(program, "--help", cwd=tmp_path)
    (tmp_path / "values.txt").write_text("1\n2\n3\n" * 40, encoding="utf-8")
    assert "hit rate" in run(program, "backtest", "values.txt", "--set", "window=8", cwd=tmp_path)
    examples = (
        "import doctest; from online_lstm.api import learner; print(doctest.testmod(learner, raise_on_error=True))"
    )
    assert re.search("failed=0, attempted=[1-9]", run(tmp_path / "empty/bin/python", "-c", examples, cwd=tmp_path))
