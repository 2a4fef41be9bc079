"""The benchmark protocols of ``online-lstm evaluate``: streams, metrics, and published reference results.

The module knows nothing about learning: a predictor is a trace of its hits, element by element.
The module is long because it describes every protocol.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from statistics import geometric_mean
from typing import Any

from online_lstm.devtools.number_streams import EVENTS, STREAMS, new_streams
from online_lstm.devtools.sample_data import (
    LOOP_CEILING,
    PHASE,
    TAXI_FIRST,
    TAXI_HORIZON,
    Element,
    demo_elements,
    high_order,
    noisy_loop,
    switching,
)
from online_lstm.evaluation.ngram import ngram_hits
from online_lstm.significance import paired_error

EARLY = 500
LATE = 1000
LAST = 300
"""Number of scored elements at the end of a stream, or before its switch, that the final metrics cover."""
MOVING = 100
FOREVER = 10**9
"""The last event of a metric that covers all later ones."""
MIN_RATIO = 0.01
"""Smallest ratio of two errors in a geometric mean; errors of 0 would decide it alone."""
LEVEL = 0.95
"""Hit rate over the last ``MOVING`` scored elements at which a predictor has learned the stream."""

_PAPER = (
    "Cui, Ahmad and Hawkins, Continuous online sequence learning with an unsupervised neural network model, Neural "
    "Computation 28(11), 2016, doi:10.1162/NECO_a_00893: their own eight sequences, of the same make as these"
)


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of one predictor over one stream, element by element.

    ``hits`` is false without a prediction. ``bits`` is the surprise of each element, None without a probability.
    ``listed`` is true if the element was among the listed most likely values. ``errors`` are absolute errors of
    numbers, None without a prediction, and ``values`` the numbers; ``baseline_errors`` are those of each baseline, and
    ``keys`` the keys of the streams. Sequences that a predictor does not provide are empty.
    """

    scored: Sequence[bool]
    hits: Sequence[bool]
    bits: Sequence[float | None] = ()
    listed: Sequence[bool] = ()
    errors: Sequence[float | None] = ()
    values: Sequence[float] = ()
    baseline_errors: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    keys: Sequence[str | None] = ()


@dataclass(frozen=True, slots=True)
class BenchmarkMetric:
    """One metric of a predictor over a stream; None if it has no value.

    ``none`` is the text shown if no seed has a value. ``targets`` are expected means over the seeds, by predictor;
    ``leads`` requires the published prediction to be as good as every other predictor.
    """

    name: str
    of: Callable[[Trace], float | None]
    digits: int = 3
    none: str = ""
    higher_is_better: bool = True
    targets: Mapping[str, float] = field(default_factory=dict)
    leads: bool = False

    def as_good(self, reached: float, expected: float) -> bool:
        """Return whether a figure is at least as good as the expected one."""
        return reached >= expected if self.higher_is_better else reached <= expected


@dataclass(frozen=True, slots=True)
class ReferenceResult:
    """A published result of another method, by the names of the metrics."""

    method: str
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class BenchmarkProtocol:
    """A benchmark: streams of together ``events`` elements for each of ``seeds`` seeds, and its metrics.

    ``settings`` are the settings that the metrics need. ``file`` is the option with the file or folder of the streams,
    empty for generated streams; until it is read there are no elements. ``predictors`` are further simple predictors:
    they return their hits.
    """

    name: str
    about: str
    measures: tuple[BenchmarkMetric, ...]
    events: int = 1_000_000
    stream: Callable[[int, int], Iterator[Element]] = lambda *_: iter(())
    seeds: int = 5
    settings: Mapping[str, Any] = field(default_factory=dict)
    predictors: Mapping[str, Callable[[Sequence[Element]], Sequence[bool]]] = field(default_factory=dict)
    published: tuple[ReferenceResult, ...] = ()
    source: str = ""
    file: str = ""


def share_of_first(track: Trace) -> float | None:
    """Return the hit rate of the first ``EARLY`` elements."""
    return _mean(track.hits[:EARLY])


def misses_later(track: Trace) -> float | None:
    """Return the number of misses after the first ``LATE`` elements."""
    later = track.hits[LATE:]
    return len(later) - sum(later) if later else None


def hit_rate(track: Trace) -> float | None:
    """Return the hit rate of all elements."""
    return _mean(track.hits)


def scored_hit_rate(track: Trace) -> float | None:
    """Return the hit rate of the scored elements."""
    return _mean(list(compress(track.hits, track.scored)))


def mean_bits(track: Trace) -> float | None:
    """Return the mean surprise of all elements."""
    return _mean([bits for bits in track.bits if bits is not None])


def last_hits(track: Trace) -> float | None:
    """Return the hit rate of the last ``LAST`` scored elements."""
    return _mean(list(compress(track.hits, track.scored))[-LAST:])


def last_hits_before_switch(track: Trace) -> float | None:
    """Return the hit rate of the last ``LAST`` scored elements of the first half."""
    return _mean(list(compress(track.hits[: len(track.hits) // 2], track.scored))[-LAST:])


def last_listed(track: Trace) -> float | None:
    """Return the share of the last ``LAST`` scored elements that were listed."""
    return _mean(list(compress(track.listed, track.scored))[-LAST:])


def last_bits(track: Trace) -> float | None:
    """Return the mean surprise of the last ``LAST`` scored elements."""
    bits = [bits for bits in compress(track.bits, track.scored) if bits is not None]
    return _mean(bits[-LAST:])


def error_ratio(track: Trace) -> float | None:
    """Return the sum of absolute errors divided by the sum of absolute values, over the scored elements."""
    pairs = list(zip(compress(track.errors, track.scored), compress(track.values, track.scored), strict=True))
    if not pairs or any(error is None for error, _ in pairs):
        return None
    return sum(error for error, _ in pairs if error is not None) / sum(abs(value) for _, value in pairs)


def learned(track: Trace) -> float | None:
    """Return the number of elements in the first half until ``LEVEL`` of the last ``MOVING`` scored ones are hits."""
    half = len(track.hits) // 2
    return _elements_to_learn(track.hits[:half], track.scored[:half])


def relearned(track: Trace) -> float | None:
    """Return the number of elements to learn the second half, from its own scored elements only."""
    half = len(track.hits) // 2
    return _elements_to_learn(track.hits[half:], track.scored[half:])


def error_by_last_value(first: int, last: int, track: Trace) -> float | None:
    """Return the mean absolute error by that of the last value, over the events from ``first`` to ``last`` of a stream.

    The geometric mean over the streams whose last value has errors; a ratio is at least ``MIN_RATIO``.
    """
    ratios = []
    for errors, baselines in _by_stream(track):
        pairs = list(zip(errors, baselines["last_value"], strict=True))[first - 1 : last]
        known = [(error, baseline) for error, baseline in pairs if error is not None and baseline is not None]
        if total := sum(baseline for _, baseline in known):
            ratios.append(max(sum(error for error, _ in known) / total, MIN_RATIO))
    return geometric_mean(ratios) if ratios else None


def worse_streams(power: int, track: Trace) -> float | None:
    """Return the number of streams whose errors are larger than the better baseline's by two standard errors.

    Compared are the means of absolute errors, or of squared ones with a ``power`` of 2.
    """
    return sum(_is_worse(errors, list(baselines.values()), power) for errors, baselines in _by_stream(track))


def _is_worse(errors: Sequence[float | None], baselines: Sequence[Sequence[float | None]], power: int) -> bool:
    rows = [row for row in zip(errors, *baselines, strict=True) if None not in row]
    if not rows:
        return False
    ours, *theirs = [[float(error or 0) ** power for error in column] for column in zip(*rows, strict=True)]
    best = min(theirs, key=sum)
    differences = [error - other for error, other in zip(ours, best, strict=True)]
    total, count = sum(differences), len(differences)
    tolerance: float = 2 * paired_error(total, sum(d * d for d in differences), count, count)
    return total / count > tolerance


def _by_stream(track: Trace) -> Iterator[tuple[list[float | None], dict[str, list[float | None]]]]:
    """Yield the errors of each stream, those of the predictor and those of the baselines."""
    positions: dict[str | None, list[int]] = {}
    for position, key in enumerate(track.keys):
        positions.setdefault(key, []).append(position)
    for chosen in positions.values():
        baselines = {name: [errors[one] for one in chosen] for name, errors in track.baseline_errors.items()}
        yield [track.errors[one] for one in chosen], baselines


def _elements_to_learn(hits: Sequence[bool], scored: Sequence[bool]) -> float | None:
    """Return the number of elements until the stream is learned; elements not yet seen count as misses."""
    recent: list[bool] = []
    for element, hit in compress(enumerate(hits, 1), scored):
        recent = [*recent[1 - MOVING :], hit]
        if sum(recent) >= LEVEL * MOVING:
            return element
    return None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _switched(seed: int, events: int) -> Iterator[Element]:
    return high_order(seed, events, switch=events // 2)


def _taxi(*, calendar: bool) -> BenchmarkProtocol:
    known = (
        "the hour and weekday of the timestamps are inputs as well" if calendar else "the numbers are the only input"
    )
    return BenchmarkProtocol(
        name="taxi-calendar" if calendar else "taxi",
        about=f"Taxi passengers in New York per half-hour, {TAXI_HORIZON} half-hours ahead; {known}. Scale and seasons "
        "are found while running. MAPE is the sum of the absolute errors divided by the sum of the values, from row "
        f"{TAXI_FIRST:,} on.",
        events=17_520,
        measures=(
            BenchmarkMetric(
                "MAPE",
                error_ratio,
                digits=4,
                higher_is_better=False,
                targets={"prediction": 0.054 if calendar else 0.059},
            ),
            BenchmarkMetric("hits", last_hits),
        ),
        settings={"task": "number", "horizons": (TAXI_HORIZON,), "calendar": calendar},
        published=(
            ReferenceResult("HTM", {"MAPE": 0.0787}),
            ReferenceResult("LSTM-6000, retrained each week", {"MAPE": 0.0819}),
            ReferenceResult("LSTM-online", {"MAPE": 0.101}),
        ),
        source=_PAPER.partition(": their own")[0],
        file="taxi",
    )


def _with_endings(endings: int) -> BenchmarkProtocol:
    return BenchmarkProtocol(
        name=f"high-order-multiple-{endings}",
        about=f"The same sequences with {endings} equally likely endings each, without a switch. An ending is listed "
        f"if it is among the {endings} most likely values. At best all endings are listed, {1 / endings:.0%} are hits, "
        f"and the surprise is {endings.bit_length() - 1} bit{'s' * (endings > 2)}. Figures of the last {LAST} scored "
        "elements.",
        stream=partial(high_order, endings=endings),
        events=10_000,
        measures=(
            BenchmarkMetric("listed", last_listed),
            BenchmarkMetric("hits", last_hits),
            BenchmarkMetric("bits", last_bits, higher_is_better=False),
        ),
        settings={"top_k": endings},
    )


def _by_age(bands: Sequence[tuple[int, int]], targets: Sequence[float | None]) -> tuple[BenchmarkMetric, ...]:
    """Return the metrics of numbers by the age of their stream: errors by the last value's, and worse streams."""
    errors = [
        BenchmarkMetric(
            f"{first} to {last}" if last < FOREVER else f"{first} on",
            partial(error_by_last_value, first, last),
            higher_is_better=False,
            targets={} if target is None else {"prediction": target},
        )
        for (first, last), target in zip(bands, targets, strict=True)
    ]
    worse = [
        BenchmarkMetric(f"worse by {name}", partial(worse_streams, power), 0, higher_is_better=False, targets=expected)
        for name, power, expected in (("MAE", 1, {}), ("MSE", 2, {"prediction": 0.0}))
    ]
    return (*errors, *worse)


_BY_AGE = (
    "Columns are events of a stream: the mean absolute error by that of the last value, geometric mean over the "
    "streams. Worse are the streams whose mean absolute or squared error is above that of the better baseline by more "
    "than two standard errors."
)
_OF_SCORED = (
    BenchmarkMetric("hits", scored_hit_rate, leads=True),
    BenchmarkMetric("bits", mean_bits, higher_is_better=False),
)
_AGAINST_ALL = (
    BenchmarkMetric("hits", hit_rate, leads=True),
    BenchmarkMetric("bits", mean_bits, higher_is_better=False, leads=True),
)
_ALL = (
    BenchmarkProtocol(
        name="counting-loop",
        about="A loop of 27 values, of which 23 are the same one: it has to be counted how often that came. Hit rate "
        f"of the first {EARLY} values, the first one included, and misses after the first {LATE:,}.",
        stream=lambda _, events: demo_elements(events),
        events=100_000,
        measures=(
            BenchmarkMetric(f"first {EARLY}", share_of_first, targets={"prediction": 0.985, "lstm": 0.975}),
            BenchmarkMetric(
                f"misses after {LATE:,}",
                misses_later,
                digits=1,
                higher_is_better=False,
                targets={"prediction": 0, "lstm": 0},
            ),
        ),
    ),
    BenchmarkProtocol(
        name="high-order",
        about="Eight sequences of seven or eight values in random order. The first value of a sequence determines its "
        "last value; several sequences share the values in between. A random value out of 50,000 follows each "
        f"sequence. Halfway the endings are exchanged. Only last values are scored: the hit rate of the last {LAST} "
        f"before the switch and of the last {LAST} at the end, and the number of elements, from the beginning and from "
        f"the switch, until {LEVEL:.0%} of the last {MOVING} scored values were hits (missing ones count as "
        f"misses, so the minimum is the {LEVEL * MOVING:.0f}th scored value, at about element 810).",
        stream=_switched,
        events=20_000,
        measures=(
            BenchmarkMetric("before", last_hits_before_switch, targets={"prediction": 0.998, "lstm": 0.99}),
            BenchmarkMetric("after", last_hits, targets={"prediction": 0.998, "lstm": 0.99}),
            BenchmarkMetric("learned at", learned, digits=0, none="never", higher_is_better=False),
            BenchmarkMetric(
                "relearned after",
                relearned,
                digits=0,
                none="never",
                higher_is_better=False,
                targets={"prediction": 1000, "lstm": 2100},
            ),
        ),
        seeds=10,
        published=(
            ReferenceResult("HTM", {"before": 1.0, "after": 1.0, "learned at": 7010, "relearned after": 2935}),
            ReferenceResult(
                "LSTM-online", {"before": 0.895, "after": 0.879, "learned at": 4540, "relearned after": 3275}
            ),
            ReferenceResult("TDNN", {"before": 1.0, "after": 1.0, "learned at": 2766, "relearned after": 3917}),
        ),
        source=_PAPER,
    ),
    _with_endings(2),
    _with_endings(4),
    BenchmarkProtocol(
        name="noise",
        about="A loop of 30 values out of five, one in twenty of them replaced by any of the five. With the loop "
        f"known, the hit rate is {LOOP_CEILING:.2f} and the surprise 0.32 bits. Scores cover all elements, from the "
        "first one.",
        stream=noisy_loop,
        events=20_000,
        measures=_AGAINST_ALL,
    ),
    BenchmarkProtocol(
        name="switch",
        about=f"A loop of 5 to 40 values out of six; another loop replaces it after every {PHASE:,} elements. Scores "
        "cover all elements, from the first one.",
        stream=switching,
        events=20_000,
        measures=_AGAINST_ALL,
    ),
    _taxi(calendar=False),
    _taxi(calendar=True),
    BenchmarkProtocol(
        name="start",
        about=f"{STREAMS} streams of {EVENTS} numbers, each with a key of its own: noise, walks, seasons, counts, "
        f"steps, trends and constants at levels from 0.01 to 100,000. {_BY_AGE}",
        stream=new_streams,
        events=STREAMS * EVENTS,
        measures=_by_age([(2, 10), (11, 25), (26, 50), (51, 100), (101, EVENTS)], [1.05, 1.02, 1.0, 0.95, None]),
        seeds=1,
        settings={"task": "number"},
    ),
    BenchmarkProtocol(
        name="processes",
        about="The events of business processes in a CSV file with the columns case and activity, in the order of the "
        "file: the next activity of a case, whose events are a stream. Streams share what they learn. All events but "
        "the first one of a case are scored. The n-gram table counts, over all cases, what followed the last four "
        "activities and the beginning.",
        measures=_OF_SCORED,
        seeds=1,
        settings={"task": "symbol", "model_scope": "partition"},
        predictors={"n-gram table": ngram_hits},
        published=(ReferenceResult("LSTM, helpdesk, last third, trained on the rest", {"hits": 0.7123}),),
        source="Tax, Verenich, La Rosa and Dumas, Predictive business process monitoring with LSTM neural networks, "
        "CAiSE 2017, doi:10.1007/978-3-319-59536-8_30",
        file="processes",
    ),
    BenchmarkProtocol(
        name="logs",
        about="The CSV files with a column EventId below a folder: the next template of a log, each log a stream of "
        "its own. All events but the first one of a log are scored. The n-gram table counts what followed the last "
        "four templates.",
        measures=_OF_SCORED,
        seeds=1,
        settings={"task": "symbol"},
        predictors={"n-gram table": ngram_hits},
        file="logs",
    ),
    BenchmarkProtocol(
        name="ordinary",
        about="The CSV files below a folder with two columns, a time and a number, each a stream of its own. "
        f"{_BY_AGE}",
        measures=_by_age([(2, 20), (21, 50), (51, 128), (129, 500), (501, FOREVER)], [1.05, 0.92, 0.88, None, None]),
        seeds=1,
        settings={"task": "number"},
        file="data",
    ),
)
PROTOCOLS = {protocol.name: protocol for protocol in _ALL}
