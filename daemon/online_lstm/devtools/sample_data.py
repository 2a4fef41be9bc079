"""Sample streams of values: all but one are generated, as pure functions of a seed.

A random draw is a hash of the seed and the position in the stream, so that a stream is the same on every machine and
for every length.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from itertools import count, cycle, islice
from typing import NamedTuple

from online_lstm.backtest.columns import read_columns
from online_lstm.backtest.input_files import open_input
from online_lstm.errors import InputFileError

DEMO_PERIOD = (*[4] * 6, 8, *[4] * 5, 8, *[4] * 6, 8, *[4] * 6, 28)
"""One period of the demo stream: 27 values, determined by the lengths of runs of 4 and their ends."""

DAY = 48
"""Number of values in one day of the daily load."""
LEVEL_EVERY = 1000
"""Number of values after which level and noise of the daily load change, up and down in turn."""
LEVEL_CHANGE = 25.0
NOISE_CHANGE = 3
"""Factor of the noise at the upper level."""
OUTLIER_EVERY = 600
OUTLIER = 60.0

RUNS = (5, 6)
"""Lengths of the runs that high-order sequences share."""
NOISE_VALUES = 50_000
"""Number of distinct values of the noise between two sequences."""

LOOP = 30
LOOP_SYMBOLS = 5
NOISE_EVERY = 20
"""One value in this many is drawn at random; the draw may equal the value of the loop."""
LOOP_CEILING = 1 - (1 - 1 / LOOP_SYMBOLS) / NOISE_EVERY
"""The best possible hit rate on the noisy loop."""

PHASE = 2000
"""Number of consecutive values of one loop in the switching stream."""
PHASE_SYMBOLS = 6
PHASE_PERIODS = range(5, 41)

TAXI_HORIZON = 5
"""Prediction horizon of the taxi stream, in rows."""
TAXI_FIRST = 10_000
"""Index of the first taxi row that is scored."""


class Element(NamedTuple):
    """One value, whether a protocol scores it, its timestamp in milliseconds, -1 for none, and the key of its stream.

    A missing value is NaN.
    """

    value: float
    scored: bool = True
    timestamp_ms: int = -1
    key: str | None = None


def demo_stream(events: int) -> Iterator[bytes]:
    """Yield this many values of the demo stream; 0 means without end.

    >>> [int(value) for value in demo_stream(8)]
    [4, 4, 4, 4, 4, 4, 8, 4]
    """
    values = (b"%d" % value for value in cycle(DEMO_PERIOD))
    return islice(values, events) if events else values


def daily_load(events: int) -> Iterator[bytes]:
    """Yield this many values of a load with a daily season, noise, changes and outliers; 0 means without end.

    >>> [value.decode() for value in daily_load(3)]
    ['106.8', '109.5', '113.6']
    """
    indices = range(events) if events else count()
    return (b"%.1f" % _load_at(index) for index in indices)


def _load_at(index: int) -> float:
    phase = 2 * math.pi * index / DAY
    season = 20 * math.sin(phase) + 8 * math.sin(2 * phase + 1)
    changed = index // LEVEL_EVERY % 2
    noise = (draw(301, "load", index, 0) + draw(301, "load", index, 1)) / 100 - 3  # triangular, within 3
    noise *= NOISE_CHANGE if changed else 1
    level = LEVEL_CHANGE * changed
    outlier = OUTLIER * (index % OUTLIER_EVERY == OUTLIER_EVERY // 2)
    return 100 + level + season + noise + outlier


def demo_elements(events: int) -> Iterator[Element]:
    """Yield the demo stream as elements that are all scored."""
    return (Element(int(value)) for value in demo_stream(events))


def high_order(seed: int, events: int, *, endings: int = 1, switch: int | None = None) -> Iterator[Element]:
    """Yield sequences whose last symbol depends on the first, across a shared run, each followed by noise.

    The task of Cui, Ahmad and Hawkins, "Continuous online sequence learning with an unsupervised neural network
    model" (2016): eight sequences in random order, each followed by one of ``NOISE_VALUES`` noise values.
    There are two runs, each passed forwards and backwards, from one of two first symbols to one of two last symbols;
    the last symbol depends on both the first symbol and the direction. Only last symbols are scored.

    Args:
        seed: Seed of the symbols and their order.
        events: Number of elements.
        endings: Number of possible last symbols, of which one is drawn at the end of a sequence.
        switch: From this element on, sequences take the endings of the other first symbol.
    """
    symbols = RUNS[-1] + 2 + 2 * endings
    sequences = _sequences(seed, symbols, endings)

    def elements() -> Iterator[Element]:
        index = 0
        for number in count():
            chosen = draw(len(sequences), "sequence", seed, number)
            ended_by = chosen if switch is None or index < switch else chosen ^ 1
            sequence, (_, lasts) = sequences[chosen][0], sequences[ended_by]
            yield from (Element(value, scored=False) for value in sequence)
            yield Element(lasts[draw(endings, "ending", seed, number)])
            yield Element(symbols + draw(NOISE_VALUES, "noise", seed, number), scored=False)
            index += len(sequence) + 2

    return islice(elements(), events)


def _sequences(seed: int, symbols: int, endings: int) -> list[tuple[list[int], list[int]]]:
    """Return the sequences: first symbol and run, with the possible last symbols; pairs share the run."""
    sequences = []
    for length in RUNS:
        shuffled = _shuffled(range(symbols), "symbols", seed, length)
        run, firsts, lasts = shuffled[:length], shuffled[length : length + 2], shuffled[length + 2 :]
        halves = (lasts[:endings], lasts[endings : 2 * endings])
        sequences += [([first, *run], half) for first, half in zip(firsts, halves, strict=True)]
        sequences += [([first, *run[::-1]], half) for first, half in zip(firsts, halves[::-1], strict=True)]
    return sequences


def noisy_loop(seed: int, events: int) -> Iterator[Element]:
    """Yield a loop of ``LOOP`` values, in which one value in ``NOISE_EVERY`` is replaced by a random value."""
    for index in range(events):
        noisy = draw(NOISE_EVERY, "noisy", seed, index) == 0
        position = ("replaced", seed, index) if noisy else ("loop", seed, index % LOOP)
        yield Element(draw(LOOP_SYMBOLS, *position))


def switching(seed: int, events: int) -> Iterator[Element]:
    """Yield loops of the same symbols that change, with their length, after every ``PHASE`` values."""
    for index in range(events):
        phase, step = divmod(index, PHASE)
        period = PHASE_PERIODS[draw(len(PHASE_PERIODS), "period", seed, phase)]
        yield Element(draw(PHASE_SYMBOLS, "phase", seed, phase, step % period))


def taxi(path: str) -> Iterator[Element]:
    """Yield passenger counts of New York taxis, from a CSV file with the columns timestamp and passenger_count.

    Local times are read as UTC. Rows without a number, such as further header rows, are skipped.

    Raises:
        InputFileError: The file does not exist, is not such a CSV file, or has no rows.
    """
    with open_input(path) as file:
        rows = list(read_columns(file, path, columns=("passenger_count",), time_column="timestamp"))
    counted = [row for row in rows if row.value.isdigit()]
    if not counted:
        raise InputFileError(f"{path}: received no rows, expected numbers in the column passenger_count")
    for index, row in enumerate(counted):
        yield Element(int(row.value), index >= TAXI_FIRST + TAXI_HORIZON, row.timestamp_ms)


def draw(below: int, *position: str | int) -> int:
    """Draw a number from 0 to ``below`` - 1, always the same for the same position."""
    digest = hashlib.blake2b(repr(position).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % below


def _shuffled(items: Sequence[int], *position: str | int) -> list[int]:
    return sorted(items, key=lambda item: draw(2**64, *position, item))
