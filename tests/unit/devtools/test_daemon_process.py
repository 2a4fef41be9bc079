"""The daemon as somebody's child."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PARENT = """
import sys
from pathlib import Path
from online_lstm.devtools.daemon_process import DaemonProcess

daemon = DaemonProcess(Path(sys.argv[1]), {"bootstrap_servers": "127.0.0.1:9", "connect_timeout_s": 60})
daemon.start()
print(daemon._running.pid, flush=True)
sys.stdin.read()
"""


def test_a_daemon_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """Nothing is left that would learn on for nobody."""
    arguments = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        process = Path("/proc", parent.stdout.readline().strip())
        wait_until(
            lambda: b"online_lstm.cli.main" in (process / "cmdline").read_bytes().split(b"\0")[2:3]
        )  # nothing before it
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: ended(process))


def ended(process: Path) -> bool:
    try:
        return b"" == (process / "cmdline").read_bytes()  # of a zombie
    except OSError:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
