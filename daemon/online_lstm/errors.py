"""Every exception of the daemon, and the exit code that each one ends the process with.

A message says what was wrong, where, what was received, what was expected and the way out.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says when it ends (the table in the README is made from these)."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NO_BROKER = 3
    REFUSED = 4
    FENCED = 5
    MISSING_TOOL = 6
    UNFIT_TOPIC = 7

    @property
    def meaning(self) -> str:
        """One line for a person."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "finished, or stopped by a signal after a last commit and checkpoint",
    ExitCode.FAILURE: "an error that the daemon does not expect; nothing uncommitted was published",
    ExitCode.USAGE: "a setting or an argument is wrong, or a topic is missing and may not be created",
    ExitCode.NO_BROKER: "no broker answered within `connect_timeout_s`, or one that lacks an interface that is needed, "
    "or the store of the checkpoints did not answer",
    ExitCode.REFUSED: "offsets, checkpoints and input do not fit each other; going on would lose something",
    ExitCode.FENCED: "another process uses the same `instance_id`",
    ExitCode.MISSING_TOOL: "a program that is needed is not installed",
    ExitCode.UNFIT_TOPIC: "a topic cannot take what is published to it; its configuration or a setting must change",
}


class OnlineLstmError(Exception):
    """The base of all; raised itself nowhere."""

    exit_code = ExitCode.FAILURE


class SettingsError(OnlineLstmError):
    """Raised when a setting or an argument is wrong."""

    exit_code = ExitCode.USAGE


class InputFileError(OnlineLstmError):
    """Raised when a file given on the command line cannot be read as what it should be."""

    exit_code = ExitCode.USAGE


class MissingTopicError(OnlineLstmError):
    """Raised when a topic does not exist and may not be created."""

    exit_code = ExitCode.USAGE


class UnfitTopicError(OnlineLstmError):
    """Raised when a topic refuses what is published to it, and will until it is configured otherwise."""

    exit_code = ExitCode.UNFIT_TOPIC


class BrokerUnavailableError(OnlineLstmError):
    """Raised when no broker answers in time."""

    exit_code = ExitCode.NO_BROKER


class UnsupportedByBrokerError(OnlineLstmError):
    """Raised when a broker lacks an interface that is needed, as transactions."""

    exit_code = ExitCode.NO_BROKER


class MissingToolError(OnlineLstmError):
    """Raised when a program that is needed is neither installed nor installable."""

    exit_code = ExitCode.MISSING_TOOL


class StateMismatchError(OnlineLstmError):
    """Raised when a restored state has other keys, shapes or dtypes than the settings ask for."""

    exit_code = ExitCode.REFUSED


class CheckpointDamagedError(OnlineLstmError):
    """Raised when a checkpoint file cannot be read or does not have the content it was written with."""

    exit_code = ExitCode.REFUSED


class CheckpointsUnavailableError(OnlineLstmError):
    """Raised when the place of the checkpoints cannot be asked: what is in it is not known, so nothing is decided."""

    exit_code = ExitCode.NO_BROKER


class RecoveryRefusedError(OnlineLstmError):
    """Raised when committed offsets, checkpoints and the input topic do not fit each other."""

    exit_code = ExitCode.REFUSED


class ReplayDivergedError(RecoveryRefusedError):
    """Raised when a muted replay gives other outputs than the ones that were committed."""


class InputGoneError(RecoveryRefusedError):
    """Raised when the topic does not have the record to read next, and never will."""


class FencedError(OnlineLstmError):
    """Raised when another process took over this one's transactional id."""

    exit_code = ExitCode.FENCED


class NotCommittedError(OnlineLstmError):
    """Raised when a batch was not committed, or not as far as one can know: go back to the committed offsets."""


class BadInputError(OnlineLstmError):
    """Raised when a record cannot be learned from; it goes to the dead-letter topic.

    ``reason`` is one of a closed set of words, for headers and metric labels.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
