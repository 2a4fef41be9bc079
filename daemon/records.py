"""The records that travel through the daemon: frozen, small, without behaviour."""

from dataclasses import dataclass

Header = tuple[str, bytes]
Symbol = int | float | str
"""What a symbol is compared by: equal numbers are one symbol, a string never equals a number."""


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
    compared by, ``stream`` the text of the key (None for a null key).
    """

    record: InputRecord
    stream: str | None
    symbol: Symbol
    literal: str
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """A decoded tombstone: the stream of its key is forgotten."""

    record: InputRecord
    stream: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the pending prediction did once its value arrived.

    ``probability`` is what had been given to the value that came, ``surprise_bits`` its -log2.
    """

    predicted: str
    hit: bool
    probability: float
    surprise_bits: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is said about a stream's next value: JSON literals with their probabilities, likeliest first."""

    top: tuple[tuple[str, float], ...]

    @property
    def literal(self) -> str:
        """The likeliest value."""
        return self.top[0][0]

    @property
    def probability(self) -> float:
        """The probability of the likeliest value."""
        return self.top[0][1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is said after one event was learned; ``event`` counts the stream's events from 1.

    ``baseline_hits`` follows the order of ``daemon.experts.BASELINES`` (empty if nothing was scored).
    ``hit_rate`` and ``baseline_hit_rates`` are over the last ``score_window`` scored predictions, None before
    the first one.
    """

    event: int
    verdict: Verdict | None
    prediction: Prediction | None
    hit_rate: float | None
    baseline_hit_rates: tuple[float, ...] | None
    baseline_hits: tuple[bool, ...] = ()
