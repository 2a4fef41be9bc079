"""What the service loop tells every observer (metrics, log, page): frozen facts, each told once.

Times taken are in seconds, points in time in milliseconds since 1970 as in Kafka's records.
A partition's reports arrive between its assignment and its revocation; only a checkpoint may end later.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from online_lstm.events import OutputRecord, TopicPartition


@dataclass(frozen=True, slots=True)
class AssignmentChanged:
    """The group gave this member partitions, or took some away."""

    assigned: tuple[TopicPartition, ...] = ()
    revoked: tuple[TopicPartition, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchCommitted:
    """What one partition did in one committed batch; muted replay makes no such report.

    ``baseline_hits`` follows the order of the task's ``BASELINES``, ``expert_hits`` that of the setting
    ``experts``; ``dead_letters`` pairs a reason with how many records had it. ``skipped_steps`` were not taken
    because the gradient was not finite, ``unlabelled_sequences`` were forgotten without a label, ``drifts`` counts the
    evaluations with which a stream was found to have changed.
    ``step_seconds`` is the time of learning and predicting all events, ``lag_records`` what is left to read
    after the batch, ``last_timestamp_ms`` the timestamp of its last record (-1 where it has none), ``outputs`` what was
    published.
    """

    source: TopicPartition
    events: int
    scored: int
    hits: int
    baseline_hits: tuple[int, ...]
    expert_hits: tuple[int, ...]
    fit_steps: int
    skipped_steps: int
    dead_letters: tuple[tuple[str, int], ...]
    evicted_streams: int
    step_seconds: float
    lag_records: int
    last_timestamp_ms: int
    unlabelled_sequences: int = 0
    drifts: int = 0
    outputs: Sequence[OutputRecord] = ()


@dataclass(frozen=True, slots=True)
class RegressionStats:
    """How far off predictions of numbers were lately, all components and horizons together.

    The mean absolute errors are those of the published prediction, each baseline and each expert, and so are their
    ratios to the mean of the values without sign; ``skill`` is against the best baseline, with the standard error
    ``skill_error``, ``skills`` against each. What is not known is None, and so are errors in several units.
    """

    mean_absolute_errors: tuple[float, ...] | None
    root_mean_squared_error: float | None
    mean_absolute_error_ratios: tuple[float | None, ...]
    mean_absolute_percentage_error: float | None
    skill: float | None
    skills: tuple[float | None, ...]
    interval_coverage: float | None
    skill_error: float | None = None

    @property
    def mean_absolute_error_ratio(self) -> float | None:
        """That of the published prediction."""
        return self.mean_absolute_error_ratios[0]


@dataclass(frozen=True, slots=True)
class PartitionStats:
    """How the learners of one partition stand: after a restore, and after each committed batch.

    ``waiting_sequences`` counts those among the streams that are over and wait for a label, None where there are no
    labels. ``vocabulary`` is the largest among the streams, ``log_loss_bits`` the mean surprise of the last scored
    predictions; of numbers there is instead how far off they were. Both are None before the first scored prediction.
    All of these figures are over the last ``scored`` events with a prediction. ``lift_errors`` are the standard errors
    of the hit rate minus that of each baseline (``indicators.paired_error``). ``kappa_temporal`` is None also of
    numbers, and where the last value was always right. ``surprise_bits`` is that of the last value scored by this
    process, None before one. ``checkpoint_offset`` is where the newest checkpoint goes on reading, None without one.
    """

    source: TopicPartition
    streams: int
    vocabulary: int
    hit_rate: float | None
    baseline_hit_rates: tuple[float, ...] | None
    expert_hit_rates: tuple[float, ...] | None
    log_loss_bits: float | None
    numbers: RegressionStats | None
    checkpoint_offset: int | None
    waiting_sequences: int | None = None
    scored: int = 0
    lift_errors: tuple[float, ...] | None = None
    kappa_temporal: float | None = None
    surprise_bits: float | None = None


@dataclass(frozen=True, slots=True)
class TransactionEnded:
    """A transaction ended; ``records`` counts outputs and dead letters."""

    seconds: float
    records: int
    committed: bool


CheckpointResult = Literal["written", "failed", "damaged"]


@dataclass(frozen=True, slots=True)
class CheckpointFinished:
    """A checkpoint was written, failed to be, or was found damaged when it was needed.

    ``offset`` is where it goes on reading; ``seconds`` and ``size_bytes`` are told of one that was written.
    """

    source: TopicPartition
    offset: int
    result: CheckpointResult
    seconds: float = 0.0
    size_bytes: int = 0


HINTS: Mapping[str, str] = {
    "keys_never_return": "each of the last 100 values began a stream: no key came twice",
    "nothing_readable": "each of the last 100 records is a dead letter",
    "all_missing": "each of the last 100 values is missing",
    "value_never_changes": "all values since the start, 100 or more, are equal",
    "timestamps_stand": "all records since the start, 100 or more, have one timestamp, or none, with `calendar`",
    "look_like_numbers": "`task` is not set, and most of the first values are quantities, perhaps in quotes",
    "json_in_strings": "each of the last 100 values is a string with JSON in it, with the task symbol",
    "predictions_removed": "the output topic lost predictions within an hour after they were published",
}
"""Every hint that something is set wrong although nothing fails, with when there is one."""


@dataclass(frozen=True, slots=True)
class Hint:
    """One of ``HINTS``; ``text`` names the cause and the setting, for a person."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class InputObserved:
    """What waits in a partition of the input, and the hints that hold there; told every few seconds.

    ``lag_records`` are yet to be read; for ``open_transaction_s`` they have been waiting for a transaction that another
    producer has not ended.
    """

    source: TopicPartition
    lag_records: int
    open_transaction_s: float
    hints: tuple[Hint, ...] = ()


LineageReason = Literal["beginning", "reset", "gap", "divergence", "shape", "learning"]


@dataclass(frozen=True, slots=True)
class LineageStarted:
    """A lineage began, and why; ``lost_records`` of the input are gone unread."""

    source: TopicPartition
    lineage: str
    reason: LineageReason
    lost_records: int


@dataclass(frozen=True, slots=True)
class OutputFormChanged:
    """Committed records of an input partition were published in a form that their topic takes (``codec.forms``)."""

    source: TopicPartition
    form: str
    records: int


@dataclass(frozen=True, slots=True)
class TopicMisfits:
    """What of a topic's configuration does not fit what is published to it: settings of Kafka with their values."""

    topic: str
    misfits: tuple[tuple[str, str], ...]


TelemetryEvent = (
    AssignmentChanged
    | BatchCommitted
    | PartitionStats
    | InputObserved
    | TransactionEnded
    | CheckpointFinished
    | LineageStarted
    | OutputFormChanged
    | TopicMisfits
)
Observer = Callable[[TelemetryEvent], None]
"""Called on the loop's thread, so it returns at once and raises nothing."""
