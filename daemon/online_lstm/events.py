"""The records that travel through the daemon: frozen, small, without behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Header = tuple[str, bytes]
BASELINES: Mapping[str, tuple[str, ...]] = {
    "symbol": ("last_value", "most_frequent", "suffix_memory"),
    "number": ("last_value", "seasonal_naive"),
    "label": ("last_value", "most_frequent"),
}
"""Predictors that every hit rate of a task is shown with."""
EXPERTS: Mapping[str, tuple[str, ...]] = {
    "symbol": ("lstm", "suffix_memory", "slow_suffix_memory"),
    "number": ("lstm", "linear", "neighbours"),
    "label": ("lstm",),
}
"""Predictors whose mixture is published, unless the settings say otherwise, by task."""
NUMBER_SCORES = (
    "mean_absolute_error",
    "baseline_mean_absolute_error",
    "root_mean_squared_error",
    "mean_absolute_percentage_error",
    *(f"skill_{name}" for name in BASELINES["number"]),
    "interval_coverage",
)
"""What is told of a component at a horizon over the last ``score_window`` events that were scored."""
Symbol = int | float | str
"""What a symbol is compared by: equal numbers are one symbol, a string never equals a number."""
Label = tuple[Symbol, str]
"""The label of a sequence: what it is compared by, and its JSON text."""
Vector = tuple[float | None, ...]
"""The numbers of one event; None for one that is missing."""


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class InputRecord:
    """One record as it was consumed; ``timestamp_ms`` is -1 where the record has none."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


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
class Event:
    """One decoded record.

    ``literal`` is the value as JSON text the way it came (``4.0`` stays ``4.0``), ``symbol`` what it is
    compared by, ``stream`` the text of the key (None for a null key). ``vector`` has the numbers where numbers are
    what is wanted, as many as the setting ``features`` says; it is empty for a ``label`` that comes alone.
    """

    record: InputRecord
    stream: str | None
    symbol: Symbol
    literal: str
    ends: bool = False
    vector: Vector = ()
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A decoded tombstone: the stream of its key is forgotten."""

    record: InputRecord
    stream: str | None


@dataclass(frozen=True, slots=True)
class SymbolEvaluation:
    """How the pending prediction did once its value arrived.

    ``probability`` is what had been given to the value that came, ``surprise_bits`` its -log2; ``expert_bits`` is the
    surprise of each expert. ``confidence`` is what had been given to the value that was predicted. ``drift`` says, as
    in evaluations of all tasks, that with this one the stream is found to have changed
    (``online_lstm.learning.scoring.drift``).
    """

    predicted: str
    hit: bool
    probability: float
    surprise_bits: float
    expert_bits: tuple[float, ...]
    confidence: float
    drift: bool = False


@dataclass(frozen=True, slots=True)
class SymbolPrediction:
    """What is said about a stream's next value: JSON literals with their probabilities, likeliest first.

    ``experts`` has for each expert its likeliest value, None where it has none, the probability that it gives to it,
    and the expert's weight.
    """

    top: tuple[tuple[str, float], ...]
    experts: tuple[tuple[str | None, float, float], ...]

    @property
    def literal(self) -> str:
        """The likeliest value."""
        return self.top[0][0]

    @property
    def probability(self) -> float:
        """The probability of the likeliest value."""
        return self.top[0][1]


@dataclass(frozen=True, slots=True)
class NumberEvaluation:
    """How the predictions of values did that were made one horizon before they arrived.

    All have a number for each channel, horizon by horizon of each component: what was ``predicted``, whether that was a
    hit, the error, which is the value minus what was predicted, and whether it was ``covered`` by its interval. Hits
    and errors of values that are missing are None and NaN, as is what had not been predicted. ``scores`` has a line for
    each of ``NUMBER_SCORES``, ``losses`` what adds up of each channel (``online_lstm.learning.scoring.regression``),
    float64 ``(C, columns)``.
    """

    predicted: tuple[float, ...]
    hits: tuple[bool | None, ...]
    errors: tuple[float, ...]
    covered: tuple[bool | None, ...]
    scores: tuple[tuple[float, ...], ...]
    losses: NDArray[np.float64] = field(compare=False)
    drift: bool = False


@dataclass(frozen=True, slots=True)
class NumberPrediction:
    """What is said about the values that come some events on.

    All have a number for each channel, horizon by horizon of each component; NaN where nothing is known yet: the
    ``values``, lower and upper bounds, and for each expert what it says and its weight.
    """

    values: tuple[float, ...]
    bounds: tuple[tuple[float, float], ...]
    experts: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class LabelEvaluation:
    """How the prediction after a sequence's last sample did, once the sequence was over and its label known.

    ``label`` and ``predicted`` are JSON literals, ``probability`` is what had been given to the label,
    ``surprise_bits`` its -log2, and ``confidence`` what had been given to the label that was predicted. The
    sequence had so many ``samples``, and from number ``stable_since_sample`` of them on the prediction had not changed
    any more.
    """

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
    """What is said about a sequence's label after one sample: JSON literals with their probabilities, likeliest first.

    There are none before any label was learned. ``sample`` counts the sequence's samples from 1.
    """

    sample: int
    probabilities: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class EventResult:
    """All that is said after one event was learned; ``event`` counts the stream's events from 1.

    ``fit_steps`` counts the optimizer steps it was worth, ``skipped_steps`` those that would not have been finite.
    ``hits`` has that of the published prediction first, then one for each baseline, then one
    for each expert; it is None if nothing had been predicted. Where an event is worth several predictions, each counts
    its hits among the ``scored`` ones. ``hit_rates`` are in the same order over the last ``score_window`` scored
    events, None before the first one. Where streams share a learner, events and scores are those of all of them;
    ``unpublished_evaluations`` are evaluations, with their hits, on sequences of other streams that were over with this
    event, as they had been silent for too long or had to make room.
    """

    event: int
    fit_steps: int
    skipped_steps: int
    evaluation: Evaluation | None
    prediction: SymbolPrediction | NumberPrediction | LabelPrediction | None
    hits: tuple[int, ...] | None
    hit_rates: tuple[float, ...] | None
    unpublished_evaluations: tuple[tuple[LabelEvaluation, tuple[int, ...]], ...] = ()
    scored: int = 1


@dataclass(frozen=True, slots=True)
class CommitMetadata:
    """How far one partition has come: it goes with every committed offset, so that a replay can be verified.

    ``lineage`` names the learned state's line of descent, ``digest`` is the rolling hash over everything published
    in it, ``records`` counts all records that were learned from, also in the lineages before, and ``partitions`` is
    how many the topic had when the group began with this one.
    """

    lineage: str
    records: int
    digest: bytes
    partitions: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed offset of the group, with the text that was committed beside it."""

    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """Who this member was when a batch was polled; ``group_metadata`` is what the broker checks at the commit."""

    generation: int
    member_id: str
    group_metadata: object


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one poll brought: records, and what happened to the assignment meanwhile.

    ``lost`` says that partitions were taken away from a member that the group thought dead.
    """

    records: dict[TopicPartition, list[InputRecord]]
    membership: Membership
    assigned: tuple[TopicPartition, ...] = ()
    revoked: tuple[TopicPartition, ...] = ()
    lost: bool = False
