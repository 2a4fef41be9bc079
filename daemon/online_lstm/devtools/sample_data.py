"""Streams of values: all but one are made, each a pure function of a seed.

A draw depends on the seed and on its place in the stream alone (it is a hash of both), so that a stream is the same
on every machine and however much of it is taken.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import count, cycle, islice
from typing import NamedTuple

from online_lstm.backtest.columns import read_columns
from online_lstm.backtest.input_files import open_input
from online_lstm.errors import InputFileError

DEMO_PERIOD = (*[4] * 6, 8, *[4] * 5, 8, *[4] * 6, 8, *[4] * 6, 28)
"""One period of the seed's stream: 27 values, to be told apart by how many 4 came in a row, and before which."""

RUNS = (5, 6)
"""Lengths of the runs that high-order sequences share."""
NOISE_VALUES = 50_000
"""How many values the noise between two sequences is drawn from."""

LOOP = 30
LOOP_SYMBOLS = 5
NOISE_EVERY = 20
"""One value in so many is drawn at random, which may give the loop's own value as well."""
LOOP_CEILING = 1 - (1 - 1 / LOOP_SYMBOLS) / NOISE_EVERY
"""The hit rate of who knows the noisy loop."""

PHASE = 2000
"""So many values after one another are of one loop of the switching stream."""
PHASE_SYMBOLS = 6
PHASE_PERIODS = range(5, 41)

TAXI_HORIZON = 5
"""So many rows ahead a number of passengers is predicted."""
TAXI_FIRST = 10_000
"""Predictions from this row on are scored."""


class Element(NamedTuple):
    """One value, whether it is one of those that a protocol scores, and its time stamp in milliseconds, -1 for none."""

    value: float
    scored: bool = True
    timestamp_ms: int = -1


def demo_stream(events: int) -> Iterator[bytes]:
    """Give this many values of the seed's stream; 0 means without end.

    >>> [int(value) for value in demo_stream(8)]
    [4, 4, 4, 4, 4, 4, 8, 4]
    """
    values = (b"%d" % value for value in cycle(DEMO_PERIOD))
    return islice(values, events) if events else values


def demo_elements(events: int) -> Iterator[Element]:
    """Give the seed's stream as elements that are all scored."""
    return (Element(int(value)) for value in demo_stream(events))


def high_order(seed: int, events: int, *, endings: int = 1, switch: int | None = None) -> Iterator[Element]:
    """Give sequences whose ending follows from their beginning, over a run that several of them share, then noise.

    The task of Cui, Ahmad and Hawkins, "Continuous online sequence learning with an unsupervised neural network
    model" (2016): eight sequences in random order, each followed by one of ``NOISE_VALUES`` values that say nothing.
    There are two runs, each passed forwards and backwards, from either of two first symbols to one of two last ones;
    which one takes both the first symbol and the direction. Only last symbols are scored.

    Args:
        seed: Which symbols and which order.
        events: How many elements.
        endings: Of how many last symbols one is drawn at the end of a sequence.
        switch: Sequences that begin at this element or later end as those with the other first symbol did before.
    """
    symbols = RUNS[-1] + 2 + 2 * endings
    sequences = _sequences(seed, symbols, endings)

    def elements() -> Iterator[Element]:
        place = 0
        for number in count():
            chosen = _draw(len(sequences), "sequence", seed, number)
            ended_by = chosen if switch is None or place < switch else chosen ^ 1
            sequence, (_, lasts) = sequences[chosen][0], sequences[ended_by]
            yield from (Element(value, scored=False) for value in sequence)
            yield Element(lasts[_draw(endings, "ending", seed, number)])
            yield Element(symbols + _draw(NOISE_VALUES, "noise", seed, number), scored=False)
            place += len(sequence) + 2

    return islice(elements(), events)


def _sequences(seed: int, symbols: int, endings: int) -> list[tuple[list[int], list[int]]]:
    """Give first symbol and run, with the possible last symbols; pairs of them share the run."""
    sequences = []
    for length in RUNS:
        shuffled = _shuffled(range(symbols), "symbols", seed, length)
        run, firsts, lasts = shuffled[:length], shuffled[length : length + 2], shuffled[length + 2 :]
        halves = (lasts[:endings], lasts[endings : 2 * endings])
        sequences += [([first, *run], half) for first, half in zip(firsts, halves, strict=True)]
        sequences += [([first, *run[::-1]], half) for first, half in zip(firsts, halves[::-1], strict=True)]
    return sequences


def noisy_loop(seed: int, events: int) -> Iterator[Element]:
    """Give a loop of ``LOOP`` values, one in ``NOISE_EVERY`` of them replaced by a random one."""
    for place in range(events):
        noisy = _draw(NOISE_EVERY, "noisy", seed, place) == 0
        where = ("replaced", seed, place) if noisy else ("loop", seed, place % LOOP)
        yield Element(_draw(LOOP_SYMBOLS, *where))


def switching(seed: int, events: int) -> Iterator[Element]:
    """Give another loop after every ``PHASE`` values, of another length and of the same symbols."""
    for place in range(events):
        phase, step = divmod(place, PHASE)
        period = PHASE_PERIODS[_draw(len(PHASE_PERIODS), "period", seed, phase)]
        yield Element(_draw(PHASE_SYMBOLS, "phase", seed, phase, step % period))


def taxi(path: str) -> Iterator[Element]:
    """Give the numbers of passengers of New York's taxis, from CSV with the columns timestamp and passenger_count.

    Its local times are taken for UTC. Rows without a number, such as further rows of a header, are left out.

    Raises:
        InputFileError: There is no such file, it is none, or it has no row.
    """
    with open_input(path) as file:
        lines = list(read_columns(file, path, columns=("passenger_count",), time_column="timestamp"))
    counted = [line for line in lines if line.value.isdigit()]
    if not counted:
        raise InputFileError(f"{path}: received no rows, expected numbers in the column passenger_count")
    for place, line in enumerate(counted):
        yield Element(int(line.value), place >= TAXI_FIRST + TAXI_HORIZON, line.timestamp_ms)


def _draw(below: int, *place: str | int) -> int:
    """Draw a number from 0 to ``below`` - 1, the same one for the same place."""
    digest = hashlib.blake2b(repr(place).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % below


def _shuffled(items: Sequence[int], *place: str | int) -> list[int]:
    return sorted(items, key=lambda item: _draw(2**64, *place, item))
