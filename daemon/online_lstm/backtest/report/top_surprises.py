"""The most surprising moments of an input after the time to learn, which is known only at the end."""

import heapq
from typing import Any

MAX_MOMENTS = 10

Moment = dict[str, Any]


class TopSurprises:
    """Surprising moments by part of the input; a part begins at each event that may end the time to learn."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, list[tuple[float, int, Moment]]]] = [(0, [])]  # heaps, the least surprising first
        self._count = 0

    def wants(self, surprise: float) -> bool:
        """Return whether a moment with this surprise would be kept."""
        kept = self._parts[-1][1]
        return len(kept) < MAX_MOMENTS or surprise > kept[0][0]

    def add(self, surprise: float, moment: Moment) -> None:
        """Add a moment; of equally surprising moments, the first one ranks first."""
        self._count += 1
        kept = self._parts[-1][1]
        add = heapq.heappush if len(kept) < MAX_MOMENTS else heapq.heapreplace
        add(kept, (surprise, -self._count, moment))

    def begin_part(self, event: int) -> None:
        """Begin a new part after an event."""
        if self._parts[-1][1]:
            self._parts.append((event, []))
        else:
            self._parts[-1] = (event, [])

    def top(self, after: int) -> list[Moment]:
        """Return the moments after the event that began a part, or all moments after 0, the most surprising first.

        >>> surprising = TopSurprises()
        >>> surprising.add(9.0, {"event": 1})
        >>> surprising.begin_part(1)
        >>> surprising.add(2.0, {"event": 2})
        >>> surprising.top(after=1), len(surprising.top(after=0))
        ([{'event': 2}], 2)
        """
        kept = [moment for begun, part in self._parts if begun >= after for moment in part]
        return [moment for _, _, moment in heapq.nlargest(MAX_MOMENTS, kept, key=lambda one: one[:2])]
