"""Many streams of numbers for benchmarks: generated ones of ten kinds, and the CSV files of a folder.

Generated streams are pure functions of a seed, as in ``online_lstm.devtools.sample_data``.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from statistics import NormalDist

from online_lstm.codec.cell_text import Markers
from online_lstm.devtools.csv_folder import columns_below
from online_lstm.devtools.sample_data import Element, draw

EVENTS = 200
"""Number of values in each new stream."""
STREAMS = 300
"""Number of new streams for each seed."""
_FINE = 2**53


def new_streams(seed: int, events: int) -> Iterator[Element]:
    """Yield streams of ``EVENTS`` values one after another, ten kinds in turn, as many as ``events`` values need.

    Levels are from 0.01 to 100,000, one in four of them negative; the noise is 0.3 to 30 % of the level.
    """
    streams = range(-(-events // EVENTS))
    return islice((element for stream in streams for element in _new_stream(seed, stream)), events)


def series_of(folder: str) -> Iterator[Element]:
    """Yield the CSV files below a folder with two columns, a time and a number, one after another, by name.

    The key of a stream is the path of its file. The times are not read; files with other columns are left out.

    Raises:
        InputFileError: There is no such file, or one of them cannot be read.
    """
    expected = "two columns, expected a time and a number in each"
    for name, line in columns_below(folder, _second_of_two, expected, markers=Markers()):
        yield Element(math.nan if b"null" in line.value else float(line.value), key=name)


def _second_of_two(header: Sequence[str]) -> str | None:
    return header[1] if len(header) == 2 else None


class _NewStream:
    """The random numbers of one stream, by the position of a value and a name."""

    def __init__(self, seed: int, stream: int) -> None:
        self._position = (seed, stream)
        sign = -1 if self.uniform("sign", 0) < 0.25 else 1
        self.level = sign * 10 ** (7 * self.uniform("level", 0) - 2)
        self.spread = abs(self.level) * 10 ** (2 * self.uniform("spread", 0) - 2.5)

    def uniform(self, name: str, index: int) -> float:
        """Draw a number between 0 and 1, without both ends."""
        return (draw(_FINE, name, *self._position, index) + 0.5) / _FINE

    def normal(self, index: int) -> float:
        """Draw a number with mean 0 and deviation 1."""
        return NormalDist().inv_cdf(self.uniform("normal", index))


def _noise(of: _NewStream) -> Iterator[float]:
    return (of.level + of.spread * of.normal(index) for index in range(EVENTS))


def _autoregressive(of: _NewStream, memory: float) -> Iterator[float]:
    deviation = 0.0
    for index in range(EVENTS):
        deviation = memory * deviation + of.normal(index)
        yield of.level + of.spread * deviation


def _seasonal(of: _NewStream, period: int) -> Iterator[float]:
    start = of.uniform("phase", 0)
    for index, value in enumerate(_noise(of)):
        yield value + 5 * of.spread * math.sin(2 * math.pi * (index / period + start))


def _counts(of: _NewStream) -> Iterator[float]:
    """Counts with a Poisson distribution, whose mean is between 0.3 and 100, by inversion."""
    mean = 10 ** (2.5 * of.uniform("mean", 0) - 0.5)
    for index in range(EVENTS):
        count, share = 0, math.exp(-mean)
        total, wanted = share, of.uniform("count", index)
        while total < wanted and count < 10 * mean + 100:
            count += 1
            share *= mean / count
            total += share
        yield count


def _step(of: _NewStream) -> Iterator[float]:
    change = 20 + int(130 * of.uniform("change", 0))
    return (value + 20 * of.spread * (index >= change) for index, value in enumerate(_noise(of)))


def _trend(of: _NewStream) -> Iterator[float]:
    return (value + 0.3 * of.spread * index for index, value in enumerate(_noise(of)))


def _rounded_walk(of: _NewStream) -> Iterator[float]:
    value = 10 + 90 * of.uniform("start", 0)
    for index in range(EVENTS):
        value += 0.3 * of.normal(index)
        yield round(value)


_KINDS: tuple[Callable[[_NewStream], Iterator[float]], ...] = (
    _noise,
    lambda of: _autoregressive(of, 1.0),
    lambda of: _autoregressive(of, 0.8),
    lambda of: _seasonal(of, 24),
    _counts,
    _step,
    lambda of: (of.level for _ in range(EVENTS)),
    _trend,
    lambda of: _seasonal(of, 7),
    _rounded_walk,
)


def _new_stream(seed: int, stream: int) -> Iterator[Element]:
    kind = _KINDS[stream % len(_KINDS)]
    for value in kind(_NewStream(seed, stream)):
        yield Element(float(f"{value:.6g}"), key=f"stream-{stream}")
