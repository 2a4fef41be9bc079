"""Progress bars are for terminals."""

import re

import pytest
from online_lstm.terminal import progress
from online_lstm.terminal.progress import progress_bar


@pytest.mark.parametrize("total", [None, 10])
def test_a_pipe_sees_no_bar(
    total: int | None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a known nor an unknown total leaves a trace."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with progress_bar("learning", total) as show:
        show(5)
    assert ("", "") == tuple(capfd.readouterr())


def test_a_terminal_sees_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard error, so that standard output stays clean."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar("learning [red]", 2000) as show:
        show(1500)
    captured = capsys.readouterr()
    assert "" == captured.out
    assert "learning [red]" in captured.err
    assert "1,500/2,000 values" in captured.err


def test_bytes_are_shown_as_such(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the size of the file, if there is one."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar("learning", None, unit="bytes") as show:
        show(1500)
    assert "1.5 kB" in capsys.readouterr().err


def test_a_rate_is_shown_once_there_is_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is told how much is done, and it is told in between."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(progress, "SHOWN_EVERY_S", 0.0)
    with progress_bar("learning", 10) as show:
        for done in range(10):
            show(done)
    assert re.search(r"9/10 values, [\d,]+/s", capsys.readouterr().err)
