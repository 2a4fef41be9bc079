"""The data records of the daemon: input, events, predictions, evaluations, outputs, commits; without behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from online_lstm.predictor_scores import PredictorScores

Header = tuple[str, bytes]
BASELINES: Mapping[str, tuple[str, ...]] = {
    "symbol": ("last_value", "most_frequent", "suffix_memory"),
    "number": ("last_value", "seasonal_naive"),
    "label": ("last_value", "most_frequent"),
}
"""Baselines by task; every hit rate is shown beside the hit rates of the task's baselines."""
EXPERTS: Mapping[str, tuple[str, ...]] = {
    "symbol": ("lstm", "suffix_memory", "slow_suffix_memory"),
    "number": ("lstm", "linear", "neighbours"),
    "label": ("lstm",),
}
"""Default experts by task; the mixture of the experts is the published prediction."""
NUMBER_SCORES = (
    "mean_absolute_error",
    "baseline_mean_absolute_error",
    "root_mean_squared_error",
    "mean_absolute_percentage_error",
    *(f"skill_{name}" for name in BASELINES["number"]),
    "interval_coverage",
)
"""Scores of a channel (one component at one horizon) over the last ``score_window`` scored events."""
Symbol = int | float | str
"""The identity of a symbol: equal numbers are the same symbol; a string never equals a number."""
Label = tuple[Symbol, str]
"""The label of a sequence: its identity as a symbol, and its JSON text."""
Vector = tuple[float | None, ...]
"""The numbers of one event; None for a missing number."""


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class InputRecord:
    """One consumed record; ``timestamp_ms`` is -1 if the record has no timestamp.

    ``stamped_by_broker`` says that the timestamp is the broker's, on arrival, instead of the producer's. In the record
    of an event, key and timestamp are the event's, and ``index`` is its index if the record has several events.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    stamped_by_broker: bool = False
    index: int | None = None


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """One record to produce: to the output topic, or to the dead-letter topic if ``dead_letter``."""

    source_partition: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    dead_letter: bool = False


@dataclass(frozen=True, slots=True)
class SymbolEvent:
    """One decoded record with a symbol.

    ``stream``, in events of all tasks, is the text of the key, None for a null key. ``literal`` is the value as the
    received JSON text (``4.0`` stays ``4.0``). ``ends`` is True for the last event of a sequence.
    """

    record: InputRecord
    stream: str | None
    symbol: Symbol
    literal: str
    ends: bool = False


@dataclass(frozen=True, slots=True)
class NumberEvent:
    """One decoded record with as many numbers as the setting ``features``."""

    record: InputRecord
    stream: str | None
    vector: Vector
    literal: str
    ends: bool = False


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """One decoded record with a sample of a sequence, with the label of the sequence, or with both.

    ``vector`` has as many numbers as the setting ``features``; it is empty for a label without a sample.
    """

    record: InputRecord
    stream: str | None
    vector: Vector
    literal: str
    ends: bool = False
    label: Label | None = None


Event = SymbolEvent | NumberEvent | LabelEvent


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A decoded tombstone: the stream of its key is forgotten."""

    record: InputRecord
    stream: str | None


@dataclass(frozen=True, slots=True)
class SymbolEvaluation:
    """The score of the pending prediction of a symbol, computed when the predicted value arrives.

    ``probability`` is the predicted probability of the value that arrived, ``surprise_bits`` its -log2 and
    ``expert_bits`` the surprise of each expert. ``confidence`` is the predicted probability of the predicted value.
    In evaluations of all tasks, ``scored`` is the number of predictions that were scored, and ``drift`` is True if this
    evaluation made the drift test find a change of the stream (``online_lstm.learning.scoring.drift``).
    """

    scored: ClassVar[int] = 1

    predicted: str
    hit: bool
    probability: float
    surprise_bits: float
    expert_bits: tuple[float, ...]
    confidence: float
    drift: bool = False


@dataclass(frozen=True, slots=True)
class SymbolPrediction:
    """The prediction of a stream's next value: JSON literals with their probabilities, most likely first.

    ``experts`` has three items for each expert: its most likely value (None if it has none), the predicted probability
    of this value, and the expert's weight.
    """

    top: tuple[tuple[str, float], ...]
    experts: tuple[tuple[str | None, float, float], ...]

    @property
    def literal(self) -> str:
        """The most likely value, as a JSON literal."""
        return self.top[0][0]

    @property
    def probability(self) -> float:
        """The probability of the most likely value."""
        return self.top[0][1]


@dataclass(frozen=True, slots=True)
class NumberEvaluation:
    """The scores of the predictions of an event's numbers, each made one horizon earlier.

    All fields have an item for each channel, ordered by horizon and then by component: the ``predicted`` number,
    whether it was a hit, the error (the value minus the prediction), and whether the interval ``covered`` the value.
    For a missing value or a missing prediction, hits are None and errors are NaN. ``scores`` has a row for each of
    ``NUMBER_SCORES``. ``losses`` has the additive terms of the scores of each channel
    (``online_lstm.learning.scoring.regression``), float64 ``(C, columns)``.
    """

    predicted: tuple[float, ...]
    hits: tuple[bool | None, ...]
    errors: tuple[float, ...]
    covered: tuple[bool | None, ...]
    scores: tuple[tuple[float, ...], ...]
    losses: NDArray[np.float64] = field(compare=False)
    drift: bool = False

    @property
    def scored(self) -> int:
        """The number of channels that were scored."""
        return len(self.hits) - self.hits.count(None)


@dataclass(frozen=True, slots=True)
class NumberPrediction:
    """The prediction of the numbers at each horizon.

    All fields have an item for each channel, ordered by horizon and then by component, and NaN where there is no
    prediction yet: the ``values``, the lower and upper ``bounds``, and for each expert its predictions and its weights.
    """

    values: tuple[float, ...]
    bounds: tuple[tuple[float, float], ...]
    experts: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class LabelEvaluation:
    """The score of the prediction after a sequence's last sample, computed when the sequence has ended with a label.

    ``label`` and ``predicted`` are JSON literals. ``probability`` is the predicted probability of the label,
    ``surprise_bits`` its -log2, and ``confidence`` the predicted probability of the predicted label. ``samples`` is the
    number of samples of the sequence; the prediction stayed the same from sample number ``stable_since_sample`` on.
    """

    scored: ClassVar[int] = 1

    label: str
    predicted: str
    hit: bool
    probability: float
    surprise_bits: float
    samples: int
    stable_since_sample: int
    confidence: float
    drift: bool = False


Evaluation = SymbolEvaluation | NumberEvaluation | LabelEvaluation


@dataclass(frozen=True, slots=True)
class LabelPrediction:
    """The prediction of a sequence's label after one sample: JSON literals with their probabilities, likeliest first.

    ``probabilities`` is empty before the first learned label. ``sample`` counts the sequence's samples from 1.
    """

    sample: int
    probabilities: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class SymbolResult:
    """The result of one learned event; ``event`` counts the stream's events from 1.

    In results of all tasks, ``fit_steps`` counts the optimizer steps of the event, ``skipped_steps`` the optimizer
    steps that were skipped because they were not finite. ``hits`` counts the hits of the predictions that were scored;
    ``evaluation`` and ``hits`` are None without a pending prediction. ``hit_rates`` are over the last ``score_window``
    scored events; they are None before the first scored event.
    """

    event: int
    fit_steps: int
    skipped_steps: int
    evaluation: SymbolEvaluation | None
    prediction: SymbolPrediction | None
    hits: PredictorScores[int] | None
    hit_rates: PredictorScores[float] | None


@dataclass(frozen=True, slots=True)
class NumberResult:
    """The result of one learned event of the task ``number``."""

    event: int
    fit_steps: int
    skipped_steps: int
    evaluation: NumberEvaluation | None
    prediction: NumberPrediction | None
    hits: PredictorScores[int] | None
    hit_rates: PredictorScores[float] | None


@dataclass(frozen=True, slots=True)
class LabelResult:
    """The result of one learned event of the task ``label``; events and scores are over all streams.

    ``unpublished_evaluations`` has evaluations, with their hits, of other streams' sequences that this event ended
    because of their idle timeout or to make room for other sequences.
    """

    event: int
    fit_steps: int
    skipped_steps: int
    evaluation: LabelEvaluation | None
    prediction: LabelPrediction | None
    hits: PredictorScores[int] | None
    hit_rates: PredictorScores[float] | None
    unpublished_evaluations: tuple[tuple[LabelEvaluation, PredictorScores[int]], ...] = ()


EventResult = SymbolResult | NumberResult | LabelResult
Prediction = SymbolPrediction | NumberPrediction | LabelPrediction


@dataclass(frozen=True, slots=True)
class CommitMetadata:
    """The progress of one partition, committed with every offset, so that a replay can be verified.

    ``lineage`` is the name of the chain of learned states, ``digest`` the rolling hash over all outputs of the lineage.
    ``records`` counts all learned records, including earlier lineages. ``partitions`` is the topic's number of
    partitions when the group started this partition.
    """

    lineage: str
    records: int
    digest: bytes
    partitions: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed offset of the group, with its commit metadata as text."""

    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """The identity of this member at the poll of a batch; the broker checks ``group_metadata`` at the commit."""

    generation: int
    member_id: str
    group_metadata: object


@dataclass(frozen=True, slots=True)
class PollResult:
    """The result of one poll: records, and the changes of the assignment since the previous poll.

    ``lost`` is True if the group took partitions away because it considered this member dead.
    """

    records: dict[TopicPartition, list[InputRecord]]
    membership: Membership
    assigned: tuple[TopicPartition, ...] = ()
    revoked: tuple[TopicPartition, ...] = ()
    lost: bool = False
