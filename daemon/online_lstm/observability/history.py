"""How hit rates and errors went while a process ran, in a bounded number of points; for people to look at."""

from dataclasses import asdict, dataclass, field
from typing import Any

from online_lstm.significance import REACHED

POINTS = 600
"""There are at most so many points; when there are more, every second one goes."""
MIN_EVENTS = 30
"""Over fewer events a hit rate says little about how well something is learned."""


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """How it stood at a time, after so many events of this process.

    The hit rates, and of numbers the errors, are those of the published prediction and of each baseline.
    """

    at: float
    events: int
    hit_rates: list[float]
    errors: list[float] | None = None


@dataclass(slots=True)
class MetricHistory:
    """Points from the beginning to now: the last one, and before it no two of them nearer than ``step_s``."""

    step_s: float = 0.1
    _kept: list[HistoryPoint] = field(default_factory=list)
    _last: HistoryPoint | None = None

    def add(self, point: HistoryPoint) -> None:
        """Take a point, which stays the last one only if there is one that is near."""
        self._last = point
        if self._kept and point.at - self._kept[-1].at < self.step_s:
            return
        self._kept.append(point)
        if len(self._kept) > POINTS:
            self._kept, self.step_s = self._kept[::2], 2 * self.step_s

    @property
    def points(self) -> list[HistoryPoint]:
        """All of them."""
        return self._kept if self._last is None or self._last is self._kept[-1] else [*self._kept, self._last]

    @property
    def drawn(self) -> float:
        """The time of the last point, 0 without one."""
        return self._last.at if self._last else 0.0

    @property
    def resumed(self) -> bool:
        """Whether something had been scored before this process had an event."""
        return bool(self._kept) and not self._kept[0].events

    def after(self, at: float) -> list[dict[str, Any]]:
        """Give the points after a time, as JSON has them."""
        return [asdict(point) for point in self.points if point.at > at]

    def level_reached_after(self, hit_rate: float | None) -> int | None:
        """Say after how many events the hit rate first reached 95 % of its present level.

        Both are over the score window, so this is longer than the time to learn of a backtest, which looks at the last
        few predictions, and knows how it ended.
        0 where it was that high already when the process began; None where there is nothing to tell from, and where
        it was that high at the first point, as that may be long after it was learned.
        """
        if not hit_rate:
            return None
        told = [point for point in self.points if point.events >= MIN_EVENTS or not point.events]
        place = next((i for i, point in enumerate(told) if point.hit_rates[0] >= REACHED * hit_rate), None)
        if place is None or (place == 0 and told[0].events):
            return None
        return told[place].events

    def earlier(self, events: int) -> HistoryPoint | None:
        """Give the last point that was drawn after at most so many events."""
        return next((point for point in reversed(self.points) if point.events <= events), None)
