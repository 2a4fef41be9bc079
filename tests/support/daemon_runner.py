"""The daemon as its users run it, with what tests ask of it."""

import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from online_lstm.devtools import daemon_process

from support.forked_process import ForkedProcess

SMALL = {"network": "lstm 4", "window": "8", "suffix_contexts": "64"}
"""A model that learns little but quickly."""

PATIENCE_S = 120.0
"""Longest that is waited for anything; a machine may be slow, or stand still for a while."""


class DaemonProcess(daemon_process.DaemonProcess):
    """One daemon, forked by ``forked_process``; settings are given by name."""

    def __init__(self, folder: Path, name: str = "daemon", **settings: object) -> None:
        super().__init__(folder, settings, name=name)
        self._logged_before = 0

    def start(self) -> None:
        self._logged_before = len(self.log)
        super().start()

    def _spawn(self) -> ForkedProcess:
        return ForkedProcess(self._environment, self._log)

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    @property
    def log_since_start(self) -> str:
        return self.log[self._logged_before :]

    def terminate(self) -> None:
        """Ask it to finish, without waiting for it."""
        self._running.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it ends by itself and give its exit code."""
        return self._running.wait(PATIENCE_S)

    def get(self, path: str) -> tuple[int, str]:
        """Ask the daemon's web server; status 0 where nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.require_running()
            assert time.monotonic() < deadline, f"did not {what} within {timeout_s:g} s:\n{self.log}"
            time.sleep(0.02)
