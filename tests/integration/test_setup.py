"""``make`` on a machine that lacks something: it says what to do, and the next call goes on from there.

A small project with the real Makefile and installer stands in for this one: its packages are a few lines each, and
its uv hands over to pip. ``make demo`` of a fresh clone takes minutes and is measured by hand.
"""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import install
import pytest

ROOT = Path(__file__).parents[2]
UV = 'python=$4; shift 4; echo "uv installs"; exec "$python" -m pip install "$@"'
"""A program that understands what the installer asks of uv: ``uv pip install --python PYTHON ...``."""
BACKEND = """
import shutil

def build_editable(folder, config_settings=None, metadata_directory=None):
    return shutil.copy("wheels/demo-1-py3-none-any.whl", folder).rpartition("/")[2]
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def write_wheel(folder: Path, name: str, files: Mapping[str, str]) -> str:
    """Write a package of version 1, and return its line in a locked file."""
    info = f"{name}-1.dist-info"
    described = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},sha256={_digest(text)},{len(text)}\n" for file, text in described.items())
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**described, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            entry = zipfile.ZipInfo(file)
            entry.external_attr = 0o100755 << 16  # scripts among them
            wheel.writestr(entry, text)
    return f"{name}==1 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


class Project:
    """A directory, with a space in its name, that ``make`` is called in as on a machine of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wheels = root / "wheels"
        self.requirements = root / "deploy/requirements"
        for folder in (self.wheels, self.requirements):
            folder.mkdir(parents=True)
        for name in ("Makefile", "deploy/install.py", "deploy/system-packages.sh"):
            shutil.copy(ROOT / name, root / name)
        (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
        (root / "backend.py").write_text(BACKEND, encoding="utf-8")
        write_wheel(self.wheels, "demo", {})
        for name in ("runtime", "docs"):
            self.lock(name, write_wheel(self.wheels, f"{name}_needs", {f"{name}_needs.py": ""}))
        self.provide_uv(UV)

    def lock(self, name: str, line: str) -> None:
        (self.requirements / f"{name}.txt").write_text(line, encoding="utf-8")

    def provide_uv(self, script: str) -> None:
        """Let the index have a uv that is this shell script."""
        self.lock("installer", write_wheel(self.wheels, "uv", {"uv-1.data/scripts/uv": f"#!/bin/sh\n{script}\n"}))

    def start_make(self, target: str = "venv", **environment: str) -> subprocess.Popen[str]:
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "PYTHON": getattr(sys, "_base_executable", sys.executable),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
            **environment,
        }
        return subprocess.Popen(
            ["make", target],
            cwd=self.root,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def make(self, target: str = "venv", **environment: str) -> str:
        """Return what a call that succeeds writes."""
        process = self.start_make(target, **environment)
        output = process.communicate(timeout=300)[0]
        assert 0 == process.returncode, output
        return output

    def failure(self, target: str = "venv", **environment: str) -> str:
        """Return the last line before make's own of a call that fails."""
        process = self.start_make(target, **environment)
        *_, line, last = process.communicate(timeout=300)[0].splitlines()
        assert 2 == process.returncode
        assert last.startswith("make: *** ")
        return line

    def has(self, package: str) -> bool:
        """Return whether a package can be imported in the environment."""
        python = self.root / ".venv/bin/python"
        return subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh checkout, in a directory with a space."""
    return Project(tmp_path / "a checkout")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.long
def test_a_second_make_has_nothing_to_do(project: Project) -> None:
    """The first one installs with uv, in a path with a space; the second looks at the timestamps only."""
    assert "uv installs" in project.make()
    assert project.has("runtime_needs")
    assert "make: Nothing to be done for 'venv'.\n" == project.make()


@pytest.mark.long
def test_each_environment_is_added_when_it_is_needed(project: Project) -> None:
    """What documentation needs is not installed before it is built, and what was there stays."""
    project.make()
    assert not project.has("docs_needs")
    project.make(".venv/installed/docs")
    assert project.has("docs_needs")
    assert project.has("runtime_needs")


@pytest.mark.long
def test_pip_installs_where_uv_is_not_available(project: Project) -> None:
    """The versions are the same locked ones."""
    (project.wheels / "uv-1-py3-none-any.whl").unlink()
    assert "uv is not available here" in project.make()
    assert project.has("runtime_needs")


@pytest.mark.long
@pytest.mark.parametrize("answer", ["refuses", "is silent"])
def test_without_an_index_the_way_out_is_named(project: Project, silent_port: int, answer: str) -> None:
    """A closed port and one that never answers end in the same line; with an index the next call succeeds."""
    port = silent_port if answer == "is silent" else 1
    line = project.failure(
        PIP_NO_INDEX="0",
        PIP_FIND_LINKS="",
        PIP_INDEX_URL=f"http://127.0.0.1:{port}/simple",
        PIP_RETRIES="1",
        PIP_DEFAULT_TIMEOUT="1",
    )
    assert line == (
        "make: the package index did not answer: check the network, the proxy (HTTPS_PROXY) and the index "
        "(PIP_INDEX_URL); then run make again"
    )
    project.make()
    assert project.has("runtime_needs")


@pytest.mark.long
def test_a_failed_addition_leaves_what_was_there(project: Project) -> None:
    """Without a network the documentation cannot be built, but the demo still runs."""
    project.make()
    (project.wheels / "docs_needs-1-py3-none-any.whl").unlink()
    assert "the installation of docs failed" in project.failure(".venv/installed/docs")
    assert "make: Nothing to be done for 'venv'.\n" == project.make()


@pytest.mark.long
def test_a_full_disk_is_named_with_its_directories(project: Project) -> None:
    """The line names the environment and the caches; once there is room, the environment is made again."""
    project.provide_uv(
        'touch "${4%/bin/python}"/lib/python*/site-packages/half; echo "No space left on device (os error 28)"; exit 2'
    )
    line = project.failure(XDG_CACHE_HOME="/caches")
    assert line.startswith(f"make: the disk is full: {project.root}/.venv needs 3 GB")
    assert "/caches" in line
    project.provide_uv(UV)
    assert ".venv is not complete" in project.make()
    assert project.has("runtime_needs")


@pytest.mark.long
def test_a_file_other_than_the_locked_one_is_refused(project: Project) -> None:
    """Its hash differs: an index or a proxy served something else."""
    write_wheel(project.wheels, "runtime_needs", {"runtime_needs.py": "changed = True"})
    assert "a package is not the one that was locked" in project.failure()
    assert not project.has("runtime_needs")


@pytest.mark.long
def test_a_killed_installation_is_made_again(project: Project) -> None:
    """Nobody knows how much of a package was written."""
    project.provide_uv("kill -9 $PPID")
    project.start_make().communicate(timeout=300)
    assert (project.root / ".venv/installing").is_dir()
    project.provide_uv(UV)
    assert ".venv is not complete" in project.make()
    assert project.has("runtime_needs")


@pytest.mark.long
def test_a_moved_directory_is_installed_again(project: Project) -> None:
    """The scripts of an environment have its old path in them."""
    project.make()
    project.root = project.root.rename(project.root.with_name("moved"))
    project.wheels = project.root / "wheels"
    assert ".venv is not complete, or not from here" in project.make()
    assert project.has("runtime_needs")


@pytest.mark.long
def test_two_makes_at_once_wait_for_each_other(project: Project) -> None:
    """The second waits until the first has installed."""
    both = [project.start_make(), project.start_make()]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [0, 0] == [process.returncode for process in both], outputs
    assert 1 == sum("another make is installing into .venv" in output for output in outputs)
    assert project.has("runtime_needs")


@pytest.mark.parametrize("python", ["/no/such/python", "false"])
def test_an_unsuitable_python_is_named_with_a_way_out(project: Project, python: str) -> None:
    """Python is missing or of a version without TensorFlow: nothing is made, and a line says how to name another."""
    assert project.failure(PYTHON=python) == (
        "make: online-lstm needs Python 3.11, 3.12 or 3.13; name one that you have: make PYTHON=/path/to/python3.12"
    )
    assert not (project.root / ".venv").exists()


def test_a_suitable_python_is_found(project: Project) -> None:
    """Where python3 is too old, a newer one beside it is used."""
    programs = project.root / "programs"
    programs.mkdir()
    for name, script in {"python3": "exit 1", "python3.13": "", "python3.12": "", "python3.11": ""}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    command = ["make", "--eval", "print: ; @echo $(PYTHON)", "print"]
    environment = {"PATH": f"{programs}:/usr/bin:/bin"}
    found = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, check=True)
    assert "python3.13" == found.stdout.strip()


def test_a_python_without_venv_names_the_package(project: Project) -> None:
    """Debian splits it off; where apt cannot install it, the line names it."""
    programs = project.root / "programs"
    programs.mkdir()
    for name in ("apt-get", "apt-cache"):
        (programs / name).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    (programs / "ensurepip.py").write_text("raise ImportError\n", encoding="utf-8")
    line = project.failure(PYTHONPATH=str(programs), PATH=f"{programs}:{os.environ['PATH']}")
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert f"make: Python's venv module is missing: install the package {package}; then run make again" == line


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("error: failed to copy file: No space left on device (os error 28)", "the disk is full"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full"),
        ("error: Failed to fetch: `/simple/numpy/`\n  cause: dns error", "the package index did not answer"),
        ("NewConnectionError('...: Failed to establish a new connection", "the package index did not answer"),
        ("ReadTimeoutError: Read timed out. (read timeout=60)", "the package index did not answer"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "not the one that was locked"),
        ("error: Hash mismatch for `numpy==2.4.6`", "not the one that was locked"),
        ("PermissionError: [Errno 13] Permission denied: '/srv/.venv'", "no permission to write"),
    ],
)
def test_the_reason_of_a_failure_is_recognized(output: str, words: str) -> None:
    """Each installer has words of its own for it."""
    assert words in (install.reason_of(output) or "")


def test_an_unknown_failure_has_no_reason() -> None:
    """Then the installer's own lines have to do."""
    assert install.reason_of("error: No solution found when resolving dependencies") is None


def test_uv_follows_the_settings_of_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mirror, a proxy and a certificate that pip has are uv's as well; what uv has of its own stays."""
    monkeypatch.setattr(install, "PYTHON", sys.executable)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        f"[global]\nindex-url = http://mirror.example/simple\nfind-links =\n  {tmp_path}\n  /no/such/folder\n"
        "proxy = http://proxy.example:3128\ncert = /ours.pem\n",
        encoding="utf-8",
    )
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("SSL_CERT_FILE", "/uvs-own.pem")
    environment = install.installer_environment()
    assert "http://mirror.example/simple" == environment["UV_DEFAULT_INDEX"]
    assert str(tmp_path) == environment["UV_FIND_LINKS"]
    assert "http://proxy.example:3128" == environment["ALL_PROXY"]
    assert "/uvs-own.pem" == environment["SSL_CERT_FILE"]
    assert "60" == environment["UV_HTTP_TIMEOUT"]
