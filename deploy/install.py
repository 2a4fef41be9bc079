"""Make ``.venv`` and install the daemon and the locked packages of ``deploy/requirements/NAME.txt`` into it.

The Makefile runs it, once for each environment that a target needs. It uses nothing but Python's standard library.
uv does the work, itself installed by pip from a locked version; where uv has no wheel, pip does it all.
Whatever stops it ends in one line that says what to do, and the next call goes on from there.
"""

import argparse
import ast
import fcntl
import os
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).absolute().parent.parent
BASE = getattr(sys, "_base_executable", sys.executable)
"""This Python itself, also where ``.venv`` is activated: what is to be made anew cannot make itself."""
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
UV = VENV / "bin/uv"
STAMPS = VENV / "installed"
"""A file for each environment that is installed, newer than its requirements; the Makefile compares."""
UNFINISHED = VENV / "installing"
"""The name of ``STAMPS`` while packages change: if that was cut short, the environment cannot be trusted."""
REQUIREMENTS = ROOT / "deploy/requirements"
SILENCE_S = 15.0
"""Seconds without output after which a line says that the work goes on."""
TAIL_BYTES = 20_000

UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "no-index": "UV_NO_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}
"""Settings of pip, and uv's variables for them: whoever set up pip for a mirror or a proxy need not do it again."""

REASONS = (
    (
        r"No space left on device|os error 28\b|Disk quota exceeded|os error 122\b",
        "the disk is full: {venv} needs 3 GB, and uv's and pip's caches in {cache} 1 GB",
    ),
    (
        r"Permission denied|os error 13\b|Read-only file system|os error 30\b",
        "no permission to write: use an account that may write to {venv} and {cache}",
    ),
    (
        r"HASHES|[Hh]ash mismatch",
        "a package is not the one that was locked: the download was damaged, or the index serves other files",
    ),
    (
        r"[Cc]onnect|timed? ?out|dns error|name resolution|error sending request|Failed to fetch|certificate",
        "the package index did not answer: check the network, the proxy (HTTPS_PROXY) and the index (PIP_INDEX_URL)",
    ),
)
"""What an installer writes when it fails, and the way out, by order of precedence."""


def fail(reason: str) -> NoReturn:
    """End with one line."""
    sys.exit(f"make: {reason}; then run make again")


def say(line: str) -> None:
    """Write a line about the progress."""
    print(line, flush=True)


@contextmanager
def only_one() -> Iterator[None]:
    """Wait until no other process installs into this directory; the lock ends with this process and those it starts."""
    directory = os.open(ROOT, os.O_RDONLY)
    os.set_inheritable(directory, True)  # an installer that outlives a killed make still has it
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make is installing into .venv; waiting for it")
            fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def run(*command: object, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a program, show its output as it comes, and return its exit code and the end of its output."""
    if sys.stdout.isatty():  # then uv and pip draw their progress bars
        ours, theirs = os.openpty()
        size = fcntl.ioctl(sys.stdout, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    else:
        ours, theirs = os.pipe()
    began, tail = time.monotonic(), b""
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        close_fds=False,
    )
    os.close(theirs)
    while True:
        if not select.select([ours], [], [], SILENCE_S)[0]:
            say(f"still installing after {time.monotonic() - began:.0f} s")
            continue
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # how a terminal says that nobody writes to it any more
            chunk = b""
        if not chunk:
            break
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        tail = (tail + chunk)[-TAIL_BYTES:]
    os.close(ours)
    return process.wait(), tail.decode(errors="replace")


def reason_of(output: str) -> str | None:
    """Return the way out of a failure whose cause is known from the output of the installer."""
    for pattern, reason in REASONS:
        if re.search(pattern, output):
            cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
            return reason.format(venv=VENV, cache=cache)
    return None


def installer_environment() -> dict[str, str]:
    """Return the variables for pip and uv: long timeouts for slow indexes, and for uv the settings of pip."""
    environment = {
        "PIP_DEFAULT_TIMEOUT": "60",
        "PIP_RETRIES": "2",
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # as pip does; the hashes say which file is the right one
        "UV_PYTHON_DOWNLOADS": "never",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        **os.environ,
    }
    listed = subprocess.run(
        [PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False, env=environment
    )
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        variable = UV_NAMES.get(name.rpartition(".")[2])
        if variable and variable not in os.environ:
            words = str(ast.literal_eval(value)).split()
            if variable == "UV_FIND_LINKS":  # pip passes over folders that are not there
                words = [word for word in words if "://" in word or Path(word).is_dir()]
            if words:
                environment[variable] = ("," if variable == "UV_FIND_LINKS" else " ").join(words)
    return environment


def usable() -> bool:
    """Return whether ``.venv`` is whole, was made here, and its Python still runs."""
    if UNFINISHED.exists() or not (STAMPS / ".directory").is_file() or not PYTHON.exists():
        return False
    if (STAMPS / ".directory").read_text(encoding="utf-8").strip() != str(ROOT):
        return False
    program = "import pip, sys; print('%d.%d' % sys.version_info[:2])"
    found = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=False)
    return found.stdout.strip() == "{}.{}".format(*sys.version_info[:2])


def make_environment() -> None:
    """Make ``.venv`` anew, with pip in it."""
    version = "{}.{}".format(*sys.version_info[:2])
    if not has_venv():
        subprocess.run([ROOT / "deploy/system-packages.sh", f"python{version}-venv"], check=False)
        if not has_venv():
            fail(f"Python's venv module is missing: install the package python{version}-venv")
    if VENV.exists():
        say(".venv is not complete, or not from here; making it again")
        shutil.rmtree(VENV)
    say(f"making .venv with Python {version}")
    code, output = run(BASE, "-m", "venv", VENV, environment=os.environ)
    if code:
        fail(reason_of(output) or f"{BASE} -m venv failed (see above): name another Python with make PYTHON=PATH")
    UNFINISHED.mkdir()
    (UNFINISHED / ".directory").write_text(f"{ROOT}\n", encoding="utf-8")


def packages_changed_ns() -> int:
    """Return when a package was last added or removed; a failure before that leaves the environment as it was."""
    (packages,) = VENV.glob("lib/python*/site-packages")
    return packages.stat().st_mtime_ns


def has_venv() -> bool:
    """Return whether this Python can make environments with pip in them."""
    found = subprocess.run([BASE, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    return found.returncode == 0


def install(name: str) -> None:
    """Install the locked packages of an environment, and the daemon from this directory."""
    environment = installer_environment()
    pip = (PYTHON, "-m", "pip", "install", "--progress-bar", "on" if sys.stdout.isatty() else "off")
    locked = ("--require-hashes", "--requirement")
    code, output = run(
        *(*pip, "--quiet", "--only-binary", ":all:", *locked, REQUIREMENTS / "installer.txt"), environment=environment
    )
    if code:
        if reason := reason_of(output):
            fail(reason)
        say("uv is not available here: pip installs the packages, which takes longer")
        installer: tuple[object, ...] = pip
    else:
        installer = (UV, "pip", "install", "--python", PYTHON)
    for arguments in (
        (*locked, REQUIREMENTS / f"{name}.txt"),
        ("--no-deps", "--no-build-isolation", "--editable", ROOT),
    ):
        code, output = run(*installer, *arguments, environment=environment)
        if code:
            fail(reason_of(output) or f"the installation of {name} failed: its last lines above say why")


def main() -> None:
    """Bring ``.venv`` to the state that an environment needs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))
    name = parser.parse_args().name
    began = time.monotonic()
    with only_one():
        if usable():
            STAMPS.rename(UNFINISHED)
        else:
            make_environment()
        before = packages_changed_ns()
        try:
            install(name)
        except BaseException:
            if packages_changed_ns() == before:
                UNFINISHED.rename(STAMPS)
            raise
        (UNFINISHED / name).touch()
        UNFINISHED.rename(STAMPS)
    say(f"installed: {name}, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("the installation was interrupted")
    except OSError as error:
        fail(reason_of(str(error)) or str(error))
