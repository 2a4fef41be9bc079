"""Progress bars are for terminals."""

import pytest

from daemon.commands.progress import progress_bar


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
    with progress_bar("learning [red]", 10) as show:
        show(10)
    captured = capsys.readouterr()
    assert "" == captured.out
    assert "learning [red]" in captured.err
    assert "100%" in captured.err
