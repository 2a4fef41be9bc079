"""The command line: picks a command, turns errors into messages and exit codes.

It imports next to nothing by itself, so that Ctrl-C is heard from the first moment on.
"""

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from _typeshed import SupportsWrite

COMMANDS = (
    *("run", "demo", "backtest", "produce", "watch", "inspect", "export", "verify", "replay"),
    *("broker", "bench", "evaluate"),
)
INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the signal's number, as for any program that a signal ended."""
USAGE = 2
"""The exit code where standard output is closed, as of ``ExitCode.USAGE``, which is not loaded yet."""
BROKEN_PIPE = 141
"""The exit code after whoever read the output went away."""


def build_parser() -> "ArgumentParser":
    """Describe all commands."""
    import argparse
    import importlib

    from online_lstm import __version__

    class Parser(argparse.ArgumentParser):
        """One whose help is not lost in silence where nobody reads it."""

        def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
            (file or sys.stderr).write(message)

    parser = Parser(
        prog="online-lstm",
        description="Learn from a Kafka topic while predicting it.",
        epilog="Every setting is also an environment variable: ONLINE_LSTM_ and its name in capitals.",
    )
    parser.add_argument("--version", action="version", version=f"online-lstm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"online_lstm.cli.{name}")
        command = commands.add_parser(name, help=module.HELP, description=(module.__doc__ or "").replace("``", ""))
        module.add_arguments(command)
        command.set_defaults(main=module.main)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code."""
    _replace_closed_streams()
    try:
        with _telling_of_lost_output():
            return _run(argv)
    except KeyboardInterrupt:
        return INTERRUPTED


def _replace_closed_streams() -> None:
    """Open something in place of closed standard streams: the next file or socket would get their numbers.

    What goes to standard error is lost then; to read standard input, or to write to standard output, fails.
    """
    for number, access in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, access)  # gets the lowest number that is free, which is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - a number, which stays open
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _run(argv: Sequence[str] | None) -> int:
    from online_lstm import logs
    from online_lstm.errors import ExitCode, OnlineLstmError

    try:
        arguments, unknown = build_parser().parse_known_args(argv)
        if unknown:
            from online_lstm.cli.options import unknown_arguments

            logs.tell(unknown_arguments(arguments, unknown))
            return int(ExitCode.USAGE)
        return int(arguments.main(arguments))
    except OnlineLstmError as error:
        logs.tell(str(error))
        return int(error.exit_code)
    except Exception as error:
        if isinstance(error, OSError) and _lost_output(error):
            raise
        if _interrupted(error):
            raise KeyboardInterrupt from error
        logs.tell_of_bug(error)
        return int(ExitCode.FAILURE)


def _interrupted(error: BaseException | None) -> bool:
    """Say whether Ctrl-C came while something was imported that made another exception of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def _telling_of_lost_output() -> Iterator[None]:
    """End quietly where nobody reads the output any more, and with a message where it cannot be written.

    Python itself would notice only at its end, and tell it with a traceback.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # rich turned it into this
            ended.code = BROKEN_PIPE
        raise
    except OSError as error:
        # what is left goes nowhere, else Python would try to write it once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            sys.exit(BROKEN_PIPE)
        if error.errno == errno.EBADF:
            sys.stderr.write("online-lstm: standard output is closed; expected a file, a pipe or a terminal\n")
            sys.exit(USAGE)
        sys.exit(f"online-lstm: no output: {error.strerror}")


def _lost_output(error: OSError) -> bool:
    """Say whether an output is closed, went away or is full, and not one that was opened by its name."""
    lost = {errno.EPIPE, errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO}
    if error.errno == errno.EBADF:
        import fcntl

        return fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    return error.filename is None and error.errno in lost


if __name__ == "__main__":
    sys.exit(main())
