"""The local broker's command."""

from pathlib import Path

import pytest
from online_lstm.cli import main
from online_lstm.errors import ExitCode


def test_port_and_directory_reach_the_broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without arguments it takes Kafka's usual port and keeps nothing."""
    calls: list[tuple[int, Path | None]] = []

    def run_broker(port: int, data: Path | None) -> ExitCode:
        calls.append((port, data))
        return ExitCode.OK

    monkeypatch.setattr("online_lstm.devtools.local_kafka.run_broker", run_broker)
    assert ExitCode.OK == main.main(["broker"])
    assert ExitCode.OK == main.main(["broker", "--port", "0", "--data", str(tmp_path / "a" / "kept")])
    assert [(9092, None), (0, tmp_path / "a" / "kept")] == calls


def test_a_port_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit code for wrong arguments."""
    assert ExitCode.USAGE == main.main(["broker", "--port", "65536"])
    assert "port: received 65536, expected a number from 0" in capsys.readouterr().err


@pytest.mark.parametrize(("data", "reason"), [("file", "File exists"), ("file/below", "Not a directory")])
def test_a_place_that_is_no_directory_is_refused(
    data: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started, and what is there stays as it is."""
    (tmp_path / "file").write_bytes(b"mine")
    assert ExitCode.USAGE == main.main(["broker", "--port", "0", "--data", str(tmp_path / data)])
    assert f"data: cannot keep topics in {tmp_path / data}: {reason}; expected a directory" in capsys.readouterr().err
    assert b"mine" == (tmp_path / "file").read_bytes()
