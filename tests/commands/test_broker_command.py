"""The local broker's command."""

from pathlib import Path

import pytest

from daemon import cli
from daemon.errors import ExitCode


def test_port_and_directory_reach_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments it takes Kafka's usual port and keeps nothing."""
    calls = []
    monkeypatch.setattr("daemon.local_broker.run_broker", lambda port, data: calls.append((port, data)) or ExitCode.OK)
    assert ExitCode.OK == cli.main(["broker"])
    assert ExitCode.OK == cli.main(["broker", "--port", "0", "--data", "kept"])
    assert [(9092, None), (0, Path("kept"))] == calls


def test_a_port_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit code for wrong arguments."""
    assert ExitCode.USAGE == cli.main(["broker", "--port", "65536"])
    assert "port: received 65536, expected a number from 0" in capsys.readouterr().err
