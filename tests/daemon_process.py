"""The daemon as its users run it: a process of its own, which tests may stop, kill and look at."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

SMALL = {"network": "lstm 4", "window": "8", "suffix_contexts": "64"}
"""A model that learns little but quickly."""


class DaemonProcess:
    """One daemon with its log; settings are given by name, as environment variables."""

    def __init__(self, folder: Path, name: str = "daemon", **settings: object) -> None:
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.log_path = folder / f"{name}.log"
        given = {"http_port": self.url.rpartition(":")[2], "checkpoint_url": folder / "checkpoints", **settings}
        self._environment = os.environ | {f"ONLINE_LSTM_{key.upper()}": str(value) for key, value in given.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "DaemonProcess":
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "daemon.cli", "run"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Stop in order and give the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = 60) -> int:
        return self.process.wait(timeout_s)

    def get(self, path: str) -> tuple[int, str]:
        """Ask the daemon's web server; status 0 where nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_until_ready(self) -> "DaemonProcess":
        self.wait_until(lambda: self.get("/readyz")[0] == 200, "be ready")
        return self

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"did not {what} within {timeout_s} s:\n{self.log}"
            time.sleep(0.05)

    def __enter__(self) -> "DaemonProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
            self.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
