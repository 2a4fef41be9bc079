"""The most surprising moments of an input, without those of the time to learn, which is known only at the end."""

import heapq
from typing import Any

MAX_MOMENTS = 10

Moment = dict[str, Any]


class TopSurprises:
    """Moments in parts of the input: those that the time to learn may last until begin one, and each keeps its own."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, list[tuple[float, int, Moment]]]] = [(0, [])]  # heaps, the least surprising first
        self._count = 0

    def wants(self, surprise: float) -> bool:
        """Say whether a moment as surprising as this would be kept."""
        kept = self._parts[-1][1]
        return len(kept) < MAX_MOMENTS or surprise > kept[0][0]

    def add(self, surprise: float, moment: Moment) -> None:
        """Keep a moment that is wanted; of equally surprising ones the first one comes first."""
        self._count += 1
        kept = self._parts[-1][1]
        add = heapq.heappush if len(kept) < MAX_MOMENTS else heapq.heapreplace
        add(kept, (surprise, -self._count, moment))

    def begin_part(self, event: int) -> None:
        """Tell what comes from now on apart from what came until this event."""
        if self._parts[-1][1]:
            self._parts.append((event, []))
        else:
            self._parts[-1] = (event, [])

    def told(self, after: int) -> list[Moment]:
        """Give the moments after an event with which a part began, or all of them after 0; the most surprising first.

        >>> surprising = TopSurprises()
        >>> surprising.add(9.0, {"event": 1})
        >>> surprising.begin_part(1)
        >>> surprising.add(2.0, {"event": 2})
        >>> surprising.told(after=1), len(surprising.told(after=0))
        ([{'event': 2}], 2)
        """
        kept = [moment for begun, part in self._parts if begun >= after for moment in part]
        return [moment for _, _, moment in heapq.nlargest(MAX_MOMENTS, kept, key=lambda one: one[:2])]
