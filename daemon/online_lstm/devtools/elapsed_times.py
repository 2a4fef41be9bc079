"""Durations of the parts of a command, for people."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Durations:
    """The seconds that each part took, in the order of the parts."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def add(self, part: str, seconds: float) -> None:
        """Add a part that was measured elsewhere."""
        self._seconds[part] = seconds

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Measure a part; a part that raises an exception is not added."""
        started = time.perf_counter()
        yield
        self.add(part, time.perf_counter() - started)

    def lines(self) -> list[str]:
        """Format the parts, one per line.

        >>> durations = Durations()
        >>> durations.add("broker", 2.345)
        >>> durations.add("learned", 11.0)
        >>> durations.lines()
        ['broker            2.3 s', 'learned          11.0 s']
        """
        return [f"{part:14}{seconds:7.1f} s" for part, seconds in self._seconds.items()]
