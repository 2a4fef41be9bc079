"""The command line: selects a command, and turns errors into messages and exit codes.

The module imports almost nothing, so that Ctrl-C works from the start.
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

COMMANDS = {
    "run": "learn from the input topics and publish predictions, until a signal",
    "demo": "run a demonstration: broker, two streams, their daemons and a summary",
    "backtest": "learn from a file instead of Kafka, and show the scores",
    "produce": "publish values to an input topic",
    "watch": "follow the predictions, until Ctrl-C",
    "inspect": "show the content of a checkpoint, or list the checkpoints below a directory",
    "export": "write the network of a stream as a Keras model",
    "verify": "check that the offsets, checkpoints and outputs of a group agree",
    "replay": "recompute past predictions for a range of offsets",
    "broker": "run a local Kafka broker, until Ctrl-C",
    "bench": "measure speed on this machine",
    "evaluate": "measure accuracy on benchmarks with published figures",
}
"""Each command with its line in the help text; its module is imported when the command is given."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 plus the signal number, as for any program that a signal ended."""
USAGE = 2
"""Exit code for a closed standard output; equal to ``ExitCode.USAGE``, which is not loaded yet."""
BROKEN_PIPE = 141
"""Exit code after the reader of the output closed the pipe."""


def build_parser(argv: Sequence[str] = tuple(COMMANDS)) -> "ArgumentParser":
    """Return a parser for these arguments, with the options of each command among them."""
    import argparse
    import importlib

    from online_lstm import __version__

    class Parser(argparse.ArgumentParser):
        """A parser that raises if its help text cannot be written, instead of ignoring the error."""

        def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
            (file or sys.stderr).write(message)

    parser = Parser(
        prog="online-lstm",
        description="Learn from a Kafka topic while predicting it.",
        epilog="Every setting is also an environment variable: ONLINE_LSTM_ and its name in capitals.",
    )
    parser.add_argument("--version", action="version", version=f"online-lstm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name in argv:
            module = importlib.import_module(f"online_lstm.cli.{name}")
            command.description = (module.__doc__ or "").replace("``", "")
            module.add_arguments(command)
            command.set_defaults(main=module.main)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    _replace_closed_streams()
    try:
        with _telling_of_lost_output():
            return _run(argv)
    except KeyboardInterrupt:
        return INTERRUPTED


def _replace_closed_streams() -> None:
    """Reopen closed standard streams, so that no file or socket receives their descriptors.

    Output to a closed standard error is discarded; reads of a closed standard input and writes to a closed standard
    output fail.
    """
    for number, access in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, access)  # receives the lowest free descriptor, which is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - a descriptor that stays open
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _run(argv: Sequence[str] | None) -> int:
    from online_lstm import logs
    from online_lstm.errors import ExitCode, OnlineLstmError

    try:
        given = sys.argv[1:] if argv is None else argv
        arguments, unknown = build_parser(given).parse_known_args(given)
        if unknown:
            from online_lstm.cli.options import unknown_arguments

            logs.write_error(unknown_arguments(arguments, unknown))
            return int(ExitCode.USAGE)
        return int(arguments.main(arguments))
    except OnlineLstmError as error:
        logs.write_error(str(error))
        return int(error.exit_code)
    except Exception as error:
        if isinstance(error, OSError) and _lost_output(error):
            raise
        if _interrupted(error):
            raise KeyboardInterrupt from error
        logs.log_bug(error)
        return int(ExitCode.FAILURE)


def _interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused the error, for example during an import that raised another exception for it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def _telling_of_lost_output() -> Iterator[None]:
    """Exit quietly if the reader of the output is gone, and with a message if the output cannot be written.

    Python itself notices only at exit, and prints a traceback.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # rich raises SystemExit for it
            ended.code = BROKEN_PIPE
        raise
    except OSError as error:
        # discard the remaining output, which Python would otherwise try to write again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            sys.exit(BROKEN_PIPE)
        if error.errno == errno.EBADF:
            sys.stderr.write("online-lstm: standard output is closed; expected a file, a pipe or a terminal\n")
            sys.exit(USAGE)
        sys.exit(f"online-lstm: no output: {error.strerror}")


def _lost_output(error: OSError) -> bool:
    """Return whether the error means a closed, broken or full output, except for a file opened by name."""
    lost = {errno.EPIPE, errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO}
    if error.errno == errno.EBADF:
        import fcntl

        return fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    return error.filename is None and error.errno in lost


if __name__ == "__main__":
    sys.exit(main())
