"""The command demo: what it refuses, and what it hands over."""

from typing import Any

import pytest
from online_lstm.cli import main
from online_lstm.devtools import demonstration
from online_lstm.errors import ExitCode


def test_too_few_values_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started."""
    assert ExitCode.USAGE == main.main(["demo", "--events", "1"])
    assert "events: received 1, expected 2 or more" in capsys.readouterr().err


def test_the_installation_is_listed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make demo` passes its duration; without it there is no such line."""
    received: list[dict[str, Any]] = []
    monkeypatch.setattr(demonstration, "demonstrate", lambda **given: received.append(given))
    assert ExitCode.OK == main.main(["demo", "--install-s", "41", "--events", "5", "--keep"])
    assert ExitCode.OK == main.main(["demo"])
    first, second = received
    assert (5, True, ["install          41.0 s"]) == (first["events"], first["keep"], first["durations"].lines())
    assert (None, False, []) == (second["events"], second["keep"], second["durations"].lines())
