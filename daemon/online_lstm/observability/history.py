"""The history of hit rates and errors of a process, in a bounded number of points, for display."""

from dataclasses import asdict, dataclass, field
from typing import Any

from online_lstm.significance import REACHED

POINTS = 600
"""Maximum number of points; beyond it, every second point is removed."""
MIN_EVENTS = 30
"""Minimum number of events for a meaningful hit rate."""


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """The figures at one time, with the number of events of this process until then.

    Hit rates, and errors of numbers, are given for the published prediction and each baseline.
    """

    at: float
    events: int
    hit_rates: list[float]
    errors: list[float] | None = None


@dataclass(slots=True)
class MetricHistory:
    """A time series downsampled to at least ``step_s`` between points; the newest point is always kept."""

    step_s: float = 0.1
    _kept: list[HistoryPoint] = field(default_factory=list)
    _last: HistoryPoint | None = None

    def add(self, point: HistoryPoint) -> None:
        """Add a point; it replaces the newest point if that one is closer than ``step_s`` to its predecessor."""
        self._last = point
        if self._kept and point.at - self._kept[-1].at < self.step_s:
            return
        self._kept.append(point)
        if len(self._kept) > POINTS:
            self._kept, self.step_s = self._kept[::2], 2 * self.step_s

    @property
    def points(self) -> list[HistoryPoint]:
        """All points, including the newest one."""
        return self._kept if self._last is None or self._last is self._kept[-1] else [*self._kept, self._last]

    @property
    def drawn(self) -> float:
        """The time of the last point; 0 without points."""
        return self._last.at if self._last else 0.0

    @property
    def resumed(self) -> bool:
        """Whether predictions had been scored before the first event of this process."""
        return bool(self._kept) and not self._kept[0].events

    def after(self, at: float) -> list[dict[str, Any]]:
        """Return the points after a time, as JSON values."""
        return [asdict(point) for point in self.points if point.at > at]

    def level_reached_after(self, hit_rate: float | None) -> int | None:
        """Return the number of events after which the hit rate first reached 95 % of its present level.

        Both rates cover the score window, so the number exceeds the time to learn of a backtest, which uses the last
        few predictions and the final level.
        The result is 0 if the rate was that high when the process started. It is None without enough data, or if the
        rate was that high at the first point, which may be long after it was learned.
        """
        if not hit_rate:
            return None
        points = [point for point in self.points if point.events >= MIN_EVENTS or not point.events]
        index = next((i for i, point in enumerate(points) if point.hit_rates[0] >= REACHED * hit_rate), None)
        if index is None or (index == 0 and points[0].events):
            return None
        return points[index].events

    def earlier(self, events: int) -> HistoryPoint | None:
        """Return the last point with at most ``events`` events."""
        return next((point for point in reversed(self.points) if point.events <= events), None)
