r"""The tutorial, as somebody goes through it who has only its page: every command in its order, on a real broker.

A comment before a block of the page, ``<!-- terminal: daemon -->``, names the terminal that it is typed into; ``^C``
and ``^\`` are keys. The ports are others than the page's, since somebody may use those.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
from support.tcp_proxy import free_port

pytestmark = pytest.mark.broker
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
BROKER_PORT, HTTP_PORT = "9092", "9108"
KEYS = {"^C": signal.SIGINT, "^\\": signal.SIGQUIT}
_BLOCK = re.compile(r"(?:<!-- terminal: (\w+) -->\n)?^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_STEP = re.compile(r"^(\$ (?:.*\\\n)*.*|\^.)\n((?:(?!\$ |\^).*\n)*)", re.MULTILINE)
TIMEOUT_S = 120.0


class Terminal:
    """Somewhere to type commands into, one after another; what they write is in a file."""

    def __init__(self, folder: Path, log: Path, environment: dict[str, str]) -> None:
        self._folder, self._log, self._environment = folder, log, environment
        self._running: subprocess.Popen[bytes] | None = None
        self._read = 0

    def type(self, command: str, shown: str) -> None:
        """Run a command until it has shown what it should; or press a key while one runs."""
        if command in KEYS:
            assert self._running is not None
            os.killpg(self._running.pid, KEYS[command])
            self._running.wait(TIMEOUT_S)
        else:
            self.require_idle()
            self._read = self._log.stat().st_size if self._log.exists() else 0
            with self._log.open("ab") as log:
                self._running = subprocess.Popen(
                    # keys are heard, also where whoever runs the tests does not hear them (in the background)
                    ["env", "--default-signal=INT,QUIT", "bash", "-c", command.removeprefix("$ ")],
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        self._wait_for(command, shown)

    def require_idle(self) -> None:
        if self._running is not None:
            self._running.wait(TIMEOUT_S)

    def close(self) -> None:
        if self._running is not None and self._running.poll() is None:
            os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()

    def _wait_for(self, command: str, shown: str) -> None:
        lines = [".*".join(map(_spaced, line.split("..."))) for line in shown.strip().splitlines()]
        # what is written beside it, libraries' warnings for instance, may stand between any two lines
        expected = re.compile("(?s:.*?)".join(f"(?m:^{line} *$)" for line in lines))
        deadline = time.monotonic() + TIMEOUT_S
        while not expected.search(self._written()):
            ended = self._running is not None and self._running.poll() is not None
            late = time.monotonic() > deadline
            if (ended or late) and not expected.search(self._written()):
                pytest.fail(f"{command}\nexpected\n{shown}\nreceived\n{self._written()}")
            time.sleep(0.05)

    def _written(self) -> str:
        return self._log.read_bytes()[self._read :].decode() if self._log.exists() else ""


def _spaced(text: str) -> str:
    """Give the pattern of a text whose columns may be as wide as they are."""
    return r" +".join(map(re.escape, re.split(" +", text)))


@contextmanager
def terminals(folder: Path, http_port: str) -> Iterator[dict[str, Terminal]]:
    """Open a terminal for each name of the page; the one without a name is for short commands."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "160",
        "ONLINE_LSTM_HTTP_PORT": http_port,
    }
    opened = {name: Terminal(folder, folder / f"{name}.log", environment) for name in ("", "broker", "daemon")}
    try:
        yield opened
    finally:
        for terminal in opened.values():
            terminal.close()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def wait_until_ready(url: str) -> None:
    """Ask until the daemon says so: where the broker has just been slow to answer, it says that first."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            answer = get(url)
        except HTTPError as error:
            with error:
                if time.monotonic() > deadline:
                    pytest.fail(error.read().decode())
            time.sleep(0.1)
        else:
            assert {"status": "ok", "reasons": []} == json.loads(answer)
            return


def look_at(url: str) -> None:
    """Open what the page says is served, as its text and the reference have it."""
    assert b"<title>online-lstm</title>" in get(url)
    wait_until_ready(f"{url}readyz")
    assert b"online_lstm_hit_rate{" in get(f"{url}metrics")
    streams = json.loads(get(f"{url}streams"))
    detail = json.loads(get(f"{url}streams/machine/0"))
    reference = (ROOT / "docs/reference/http.md").read_text(encoding="utf-8")
    named = {*streams, *streams["streams"][0], *detail} - {"streams"}
    assert [] == [name for name in sorted(named) if f"`{name}`" not in reference]
    assert 400 == detail["events"]


def adapted(text: str, ports: dict[str, str]) -> str:
    """Put other ports into what the reader has, and more time than a machine stands still."""
    for theirs, ours in {**ports, "consumer_timeout_ms=3000": "consumer_timeout_ms=6000"}.items():
        text = text.replace(theirs, ours)
    return text


def test_the_tutorial_shows_what_it_says(tmp_path: Path) -> None:
    """Line by line; ``...`` stands for anything."""
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "docs" / "examples", folder)
    ports = {BROKER_PORT: str(free_port()), HTTP_PORT: str(free_port())}
    paths = [folder / name for name in ("machine.toml", "surprises.py")]
    text, *files = (adapted(path.read_text(encoding="utf-8"), ports) for path in (PAGE, *paths))
    for path, file in zip(paths, files, strict=True):
        path.write_text(file, encoding="utf-8")
    blocks = list(_BLOCK.finditer(text))
    assert len(blocks) == text.count("```console")
    page, looked = f"http://127.0.0.1:{ports[HTTP_PORT]}/", False
    assert f"<{page}>" in text
    with terminals(folder, ports[HTTP_PORT]) as opened:
        for block in blocks:
            if not looked and block.start() > text.index("## Stop and continue"):
                looked = True
                look_at(page)
            for command, shown in _STEP.findall(block[2]):
                opened[block[1] or ""].type(command, shown)
        for terminal in opened.values():
            terminal.require_idle()
    assert looked
