"""The daemon as a separate process, for commands and tests that observe it from outside."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from online_lstm.devtools.processes import ending_with_its_parent, reserve_port
from online_lstm.errors import OnlineLstmError
from online_lstm.settings.sources import ENV_PREFIX

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
LOG_CHARACTERS = 3000
"""Number of characters of the log that an error quotes."""


class Process(Protocol):
    """A process that was started, as ``subprocess.Popen`` describes it."""

    @property
    def pid(self) -> int: ...  # noqa: D102
    def poll(self) -> int | None: ...  # noqa: D102
    def wait(self, timeout: float | None = None) -> int: ...  # noqa: D102
    def send_signal(self, sig: int) -> None: ...  # noqa: D102
    def kill(self) -> None: ...  # noqa: D102


class DaemonProcess:
    """A daemon process that runs for the duration of the context; its log and checkpoints are in ``folder``.

    The process also ends with the thread that started it, even if that thread is killed.
    Settings that are not given come from the environment of this process.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object], *, name: str = "daemon") -> None:
        self._log = folder / f"{name}.log"
        self._reserved = reserve_port()  # keeps the port until the process is started or restarted
        port = self._reserved.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        given = {"http_host": "127.0.0.1", "http_port": port, "checkpoint_url": folder / "checkpoints", **settings}
        self._environment = os.environ | {ENV_PREFIX + name.upper(): str(value) for name, value in given.items()}
        self._process: Process | None = None

    def start(self) -> None:
        """Start the process, also after it ended."""
        self._process = self._spawn()

    def _spawn(self) -> Process:
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - no external input
                [*ending_with_its_parent(), sys.executable, "-m", "online_lstm.cli.main", "run"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the command only, which then stops the daemon gracefully
            )

    def wait_until_ready(self) -> None:
        """Wait until the daemon has its partitions.

        Raises:
            OnlineLstmError: The daemon ended, or was not ready in time; the message quotes the end of its log.
        """
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            self.require_running()
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=1):  # noqa: S310
                return
            time.sleep(0.05)
        raise OnlineLstmError(f"the daemon was not ready within {READY_TIMEOUT_S:g} s:\n{self.log_end()}")

    def require_running(self) -> None:
        """Raise ``OnlineLstmError`` with the end of the log if the process ended."""
        if (code := self._running.poll()) is not None:
            raise OnlineLstmError(f"the daemon ended with exit code {code}:\n{self.log_end()}")

    def log_end(self) -> str:
        """Return the end of the log."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]

    def pause(self) -> None:
        """Suspend the process until ``resume``."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the suspended process."""
        self._running.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process, like a crash."""
        self._running.kill()
        self._running.wait()

    def stop(self) -> int:
        """Stop the process gracefully and return its exit code."""
        self._running.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait at most ``STOP_TIMEOUT_S`` until the process ends by itself, and return its exit code."""
        return self._running.wait(STOP_TIMEOUT_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
        self._reserved.close()

    @property
    def _running(self) -> Process:
        assert self._process is not None, "start it first"
        return self._process
