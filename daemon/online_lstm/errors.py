"""All exceptions of the daemon, and the exit code of the process for each exception.

An error message has the problem, its location, the received and the expected value, and the way out.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the process (the documentation's table is generated from them)."""

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
        """The meaning of the exit code in one line."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "finished, or stopped by a signal after a last commit and checkpoint",
    ExitCode.FAILURE: "an unexpected error; nothing uncommitted was published",
    ExitCode.USAGE: "a setting or an argument is wrong, or a topic is missing and may not be created",
    ExitCode.NO_BROKER: "no broker answered within `connect_timeout_s`, the broker lacks a required feature, or the "
    "checkpoint storage did not answer",
    ExitCode.REFUSED: "offsets, checkpoints and input do not match; continuing would lose something",
    ExitCode.FENCED: "another process uses the same `instance_id`",
    ExitCode.MISSING_TOOL: "a required program is not installed",
    ExitCode.UNFIT_TOPIC: "a topic refuses the published records; its configuration or a setting must change",
}


class OnlineLstmError(Exception):
    """The base class of all exceptions of the daemon."""

    exit_code = ExitCode.FAILURE


class SettingsError(OnlineLstmError):
    """Raised when a setting or an argument is wrong."""

    exit_code = ExitCode.USAGE


class InputFileError(OnlineLstmError):
    """Raised when a file given on the command line cannot be read or has invalid content."""

    exit_code = ExitCode.USAGE


class MissingTopicError(OnlineLstmError):
    """Raised when a topic does not exist and may not be created."""

    exit_code = ExitCode.USAGE


class UnfitTopicError(OnlineLstmError):
    """Raised when a topic refuses the published records, until its configuration changes."""

    exit_code = ExitCode.UNFIT_TOPIC


class BrokerUnavailableError(OnlineLstmError):
    """Raised when no broker answers in time."""

    exit_code = ExitCode.NO_BROKER


class UnsupportedByBrokerError(OnlineLstmError):
    """Raised when a broker lacks a required feature, such as transactions."""

    exit_code = ExitCode.NO_BROKER


class MissingToolError(OnlineLstmError):
    """Raised when a required program is missing and cannot be installed."""

    exit_code = ExitCode.MISSING_TOOL


class SchemaRegistryUnavailableError(OnlineLstmError):
    """Raised when the Schema Registry does not answer: values wait for their schema."""

    exit_code = ExitCode.NO_BROKER


class StateMismatchError(OnlineLstmError):
    """Raised when the keys, shapes or dtypes of a restored state do not match the settings."""

    exit_code = ExitCode.REFUSED


class CheckpointDamagedError(OnlineLstmError):
    """Raised when a checkpoint file cannot be read, or its content differs from the written content."""

    exit_code = ExitCode.REFUSED


class CheckpointsUnavailableError(OnlineLstmError):
    """Raised when the checkpoint storage does not answer: without its content, no recovery can be chosen."""

    exit_code = ExitCode.NO_BROKER


class RecoveryRefusedError(OnlineLstmError):
    """Raised when committed offsets, checkpoints and the input topic do not match."""

    exit_code = ExitCode.REFUSED


class ReplayDivergedError(RecoveryRefusedError):
    """Raised when the outputs of a replay differ from the committed outputs."""


class InputGoneError(RecoveryRefusedError):
    """Raised when the topic permanently lacks the next record to read."""


class FencedError(OnlineLstmError):
    """Raised when another process took over this process's transactional id."""

    exit_code = ExitCode.FENCED


class NotCommittedError(OnlineLstmError):
    """Raised when the commit of a batch failed or is not confirmed: return to the committed offsets."""


class LearnerBusyError(OnlineLstmError):
    """Raised when a thread uses a ``Learner`` while another thread does."""


class BadInputError(OnlineLstmError):
    """Raised when a record is unusable for learning; the record goes to the dead-letter topic.

    ``reason`` is a word from a closed set, for headers and metric labels.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
