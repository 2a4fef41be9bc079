"""How hit rates and errors went while a process ran, in a bounded number of points; for people to look at."""

from dataclasses import asdict, dataclass, field
from typing import Any

POINTS = 600
"""There are at most so many points; when there are more, every second one goes."""
FEWEST_EVENTS = 30
"""Over fewer events a hit rate says little about how well something is learned."""
LEARNED = 0.95
"""With this share of its present level a hit rate has reached it."""


@dataclass(frozen=True, slots=True)
class Point:
    """How it stood at a time, after so many events of this process.

    The hit rates, and of numbers the errors, are those of the published prediction and of each baseline.
    """

    at: float
    events: int
    hit_rates: list[float]
    errors: list[float] | None = None


@dataclass(slots=True)
class Curve:
    """Points from the beginning to now, no two of them nearer than ``step_s``."""

    step_s: float = 0.1
    points: list[Point] = field(default_factory=list)

    def add(self, point: Point) -> None:
        """Take a point, unless there is one that is near."""
        if self.points and point.at - self.points[-1].at < self.step_s:
            return
        self.points.append(point)
        if len(self.points) > POINTS:
            self.points, self.step_s = self.points[::2], 2 * self.step_s

    @property
    def drawn(self) -> float:
        """The time of the last point, 0 without one."""
        return self.points[-1].at if self.points else 0.0

    @property
    def resumed(self) -> bool:
        """Whether something had been scored before this process had an event."""
        return bool(self.points) and not self.points[0].events

    def after(self, at: float) -> list[dict[str, Any]]:
        """Give the points after a time, as JSON has them."""
        return [asdict(point) for point in self.points if point.at > at]

    def learned_after(self, hit_rate: float | None) -> int | None:
        """Say after how many events the hit rate first reached 95 % of its present level.

        0 where it was that high already when the process began; None where there is nothing to tell from.
        """
        if not hit_rate:
            return None
        for point in self.points:
            enough = point.events >= FEWEST_EVENTS or not point.events
            if enough and point.hit_rates[0] >= LEARNED * hit_rate:
                return point.events
        return None

    def earlier(self, events: int) -> Point | None:
        """Give the last point that was drawn after at most so many events."""
        return next((point for point in reversed(self.points) if point.events <= events), None)
