"""The command line as a program: what it says and how it ends when nobody hears it, or stops it."""

import errno
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from online_lstm.cli import main
from online_lstm.errors import ExitCode, FencedError

SAYING = """
import sys
from rich.console import Console
from online_lstm.cli import broker, main

broker.main = lambda _: {statement} or 0
sys.exit(main.main(["broker"]))
"""
STATEMENTS = ['print("said")', 'Console().print("said")', 'print("said", flush=True)']


def run(*arguments: str, stdout: int, unbuffered: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, *(["-u"] if unbuffered else []), *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=environment,
        timeout=300,
    )


@pytest.mark.parametrize("unbuffered", [True, False])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_full_disk_is_told(statement: str, unbuffered: bool) -> None:
    """As a message of one line, whenever Python notices."""
    full = os.open("/dev/full", os.O_WRONLY)
    ended = run("-c", SAYING.format(statement=statement), stdout=full, unbuffered=unbuffered)
    os.close(full)
    assert (1, "online-lstm: no output: No space left on device\n") == (ended.returncode, ended.stderr)


@pytest.mark.parametrize("unbuffered", [True, False])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_reader_that_went_away_ends_it_quietly(statement: str, unbuffered: bool) -> None:
    """With the code that a shell gives for a program that the signal ended."""
    ended = run("-c", SAYING.format(statement=statement), stdout=closed_pipe(), unbuffered=unbuffered)
    assert (141, "") == (ended.returncode, ended.stderr)


def test_a_help_text_may_be_read_in_part() -> None:
    """``online-lstm run --help | head -1``."""
    ended = run("-m", "online_lstm.cli.main", "run", "--help", stdout=closed_pipe())
    assert (141, "") == (ended.returncode, ended.stderr)


@pytest.mark.parametrize(
    ("command", "closed", "code", "said"),
    [
        ("produce", "<&-", 2, "standard input: Bad file descriptor; expected values on standard input, or"),
        ("produce", "0>/dev/null", 2, "standard input: Bad file descriptor; expected values on standard input, or"),
        ("backtest -", "<&-", 2, "standard input: Bad file descriptor; expected values on standard input, or"),
        ("run --help", ">&-", 2, "standard output is closed; expected a file, a pipe or a terminal"),
        ("--version", "1</dev/null", 2, "standard output is closed; expected a file, a pipe or a terminal"),
        ("backtest --compare a b", ">&-", 2, "a: No such file or directory"),
        ("--version", "2>&- <&-", 0, None),
        ("run --widow 3", "2>&-", 2, None),
        ("produce", "<&- >&- 2>&-", 2, None),
    ],
)
def test_closed_streams_are_told_in_one_line(command: str, closed: str, code: int, said: str | None) -> None:
    """Where the command cannot do without them; nothing is said where nobody could read it."""
    ended = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m online_lstm.cli.main {command} {closed}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert code == ended.returncode
    if said is None:
        assert "" == ended.stderr
    else:
        assert ended.stderr.startswith(f"online-lstm: {said}")
        assert 1 == ended.stderr.count("\n")


FIRST_OPENED = """
import os
from online_lstm.cli import broker, main

broker.main = lambda _: os._exit(os.open("/dev/null", os.O_RDONLY))
main.main(["broker"])
"""


def test_no_file_gets_the_number_of_a_closed_stream() -> None:
    """What a library writes to standard error does not go into a socket."""
    ended = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, FIRST_OPENED], check=False)
    assert ended.returncode > 2


def closed_pipe() -> int:
    """Give the end of a pipe that is written to; nobody has the other one."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_ctrl_c_is_heard_while_commands_are_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a traceback."""
    turned_into_another = RuntimeError("Error calling __set_name__")
    turned_into_another.__cause__ = KeyboardInterrupt()
    for error in (KeyboardInterrupt(), turned_into_another):
        monkeypatch.setattr(importlib, "import_module", raising(error))
        assert 130 == main.main(["broker"])
    assert ("", "") == tuple(capsys.readouterr())


def test_little_is_loaded_before_ctrl_c_is_heard() -> None:
    """Nothing of the commands, and nothing that they need."""
    program = "import sys, online_lstm.cli.main; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "online_lstm" in loaded
    assert set() == {"argparse", "logging", "pydantic", "rich", "numpy"} & set(loaded)


def test_our_errors_are_messages_with_their_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error."""
    monkeypatch.setattr("online_lstm.cli.broker.main", raising(FencedError("another one")))
    assert ExitCode.FENCED == main.main(["broker"])
    assert "online-lstm: another one\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ("backtest", "x", "--horizons", "6"),
            "received '--horizons 6', expected settings as --set NAME=VALUE",
        ),
        (("backtest", "x", "--horizonz=6"), "--set horizons=VALUE"),
        (("run", "--input-topic", "a", "--windw", "6"), "run: received '--windw 6', there is --window;"),
        (("run", "--zzzz", "6"), "`online-lstm run --help` lists the options"),
    ],
)
def test_options_that_are_not_known_are_told(
    argv: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what they may have been meant as."""
    assert ExitCode.USAGE == main.main(argv)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("of ours"), OSError(errno.EACCES, "denied"), OSError(28, "full", "name")])
def test_all_other_errors_come_with_a_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reports one needs it."""
    monkeypatch.setattr("online_lstm.cli.broker.main", raising(error))
    assert ExitCode.FAILURE == main.main(["broker"])
    (record,) = caplog.records
    assert record.exc_info
    assert error is record.exc_info[1]


def raising(error: BaseException) -> Callable[..., SimpleNamespace]:
    def fail(*_: object) -> SimpleNamespace:
        raise error

    return fail
