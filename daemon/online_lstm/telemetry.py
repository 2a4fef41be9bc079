"""The reports of the service loop to its observers (metrics, log, page): frozen records, each sent once.

Durations are in seconds, points in time in milliseconds since 1970, as in Kafka's records.
A partition's reports arrive between its assignment and its revocation; only a checkpoint may finish later.
The module must not know the observers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from online_lstm.events import OutputRecord, TopicPartition
from online_lstm.predictor_scores import PredictorScores


@dataclass(frozen=True, slots=True)
class AssignmentChanged:
    """Partitions were assigned to this member, or revoked from it."""

    assigned: tuple[TopicPartition, ...] = ()
    revoked: tuple[TopicPartition, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchCommitted:
    """The results of one partition in one committed batch; a replay sends no such report.

    ``hits`` has no names if nothing was scored. ``dead_letters`` has pairs of a reason and a number of records.
    ``skipped_steps`` counts the fit steps that were skipped because loss, gradient or result was not finite.
    ``unlabelled_sequences`` counts the sequences that were dropped without a label, ``drifts`` the evaluations at
    which the drift test found a change of a stream. ``step_seconds`` is the time spent on learning and predicting
    all events, ``lag_records`` the number of unread records after the batch, ``last_timestamp_ms`` the timestamp of
    the last record (-1 without a timestamp), and ``outputs`` the published records.
    """

    source: TopicPartition
    events: int
    scored: int
    hits: PredictorScores[int]
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
    """Recent errors of the predictions of numbers, over all components and horizons.

    ``mean_absolute_error_ratios`` are the errors relative to the mean absolute value. ``skill`` is measured against
    the best baseline and has the standard error ``skill_error``; ``skills`` is measured against each baseline.
    Unknown figures are None, and so are errors that would mix several units.
    """

    mean_absolute_errors: PredictorScores[float] | None
    root_mean_squared_error: float | None
    mean_absolute_error_ratios: PredictorScores[float | None]
    mean_absolute_percentage_error: float | None
    skill: float | None
    skills: Mapping[str, float | None]
    interval_coverage: float | None
    skill_error: float | None = None


@dataclass(frozen=True, slots=True)
class PartitionStats:
    """The state of the learners of one partition, after a restore and after each committed batch.

    ``waiting_sequences`` counts the ended sequences that wait for a label; it is None for tasks without labels.
    ``vocabulary`` is the size of the largest vocabulary among the streams. ``log_loss_bits`` is the mean surprise of
    the last scored predictions; for numbers, ``numbers`` has the errors instead. Both are None before the first scored
    prediction. All scores are over the last ``scored`` events with a prediction. ``lift_errors`` has, for each
    baseline, the standard error of the difference between the hit rate and the baseline's hit rate
    (``significance.paired_error``). ``kappa_temporal`` is also None for numbers, and if the last-value baseline was
    always right. ``surprise_bits`` is the surprise of the last value scored by this process; None before the first one.
    ``checkpoint_offset`` is the offset of the newest checkpoint; None without a checkpoint.
    """

    source: TopicPartition
    streams: int
    vocabulary: int
    hit_rates: PredictorScores[float] | None
    log_loss_bits: float | None
    numbers: RegressionStats | None
    checkpoint_offset: int | None
    waiting_sequences: int | None = None
    scored: int = 0
    lift_errors: Mapping[str, float] | None = None
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
    """A checkpoint was written, could not be written, or was found damaged during a restore.

    ``offset`` is the checkpoint's next offset to read; ``seconds`` and ``size_bytes`` are set for a written checkpoint.
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
"""The hints at silent misconfigurations, with the condition of each hint."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A hint from ``HINTS``; ``text`` names the cause and the setting, for a person."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class InputObserved:
    """The lag and the hints of an input partition, reported every few seconds.

    ``lag_records`` is the number of unread records. ``open_transaction_s`` is the time for which an open transaction of
    another producer has blocked them.
    """

    source: TopicPartition
    lag_records: int
    open_transaction_s: float
    hints: tuple[Hint, ...] = ()


LineageReason = Literal["beginning", "reset", "gap", "divergence", "shape", "learning"]


@dataclass(frozen=True, slots=True)
class LineageStarted:
    """A lineage began for ``reason``; ``lost_records`` counts the input records that were deleted unread."""

    source: TopicPartition
    lineage: str
    reason: LineageReason
    lost_records: int


@dataclass(frozen=True, slots=True)
class OutputFormChanged:
    """Committed outputs of an input partition were published in a form of ``codec.output_forms``."""

    source: TopicPartition
    form: str
    records: int


@dataclass(frozen=True, slots=True)
class TopicMisfits:
    """The entries of a topic's configuration that do not fit the published records, each with an explanation."""

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
"""A function called on the loop's thread, which must return at once and must not raise exceptions."""
