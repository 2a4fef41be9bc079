"""How long it takes to reach a level: at the beginning, and again after each drift.

A level is a mean over predictions of what they were worth: of hits, where more is better, or of errors, where less is.
It counts as reached when the mean over the last ``WINDOW`` of them is as good as ``REACHED`` of it: that share of a hit
rate or more, or an error that is at most the level by that share.
"""

from collections import OrderedDict, deque
from dataclasses import asdict, dataclass
from typing import Any

from online_lstm.significance import REACHED

WINDOW = 50
"""Predictions; no time that is told is shorter."""
MAX_FINAL = 1000
"""The final level is the mean over so many predictions, or over the last half of them if they are fewer than twice
that."""
MAX_BEFORE = 500
"""The level before a drift is the mean over so many predictions, without the last ``WINDOW``, in which it was found."""
MAX_DRIFTS = 100
"""Drifts that are told; all are counted."""
FINER = 0.995
"""An error is a new best one if it is so much smaller, so that there are few of them."""


@dataclass(slots=True)
class DriftRecovery:
    """A drift, and after how many predictions of its stream the level of before was reached again, None if never."""

    event: int
    line: int
    stream: str | None
    level_before: float | None
    recovered_after: int | None = None


class TimeToLearn:
    """When the mean over a window was first as good as it was at the end; memory does not grow with the input."""

    def __init__(self, *, higher_is_better: bool) -> None:
        self._higher = higher_is_better
        self._count = 0
        self._last: deque[float] = deque(maxlen=MAX_FINAL)
        self._window: deque[float] = deque(maxlen=WINDOW)
        self._bests: list[tuple[float, int]] = []  # each better than the one before, and the event when it was reached

    def add(self, event: int, worth: float) -> bool:
        """Take the hit (1 or 0) or the error of a prediction that was judged at an event.

        Returns:
            Whether this may turn out to be the event at which the final level was reached.
        """
        self._count += 1
        self._last.append(worth)
        self._window.append(worth)
        if len(self._window) == WINDOW:
            level = sum(self._window) / WINDOW
            best = self._bests[-1][0] if self._bests else None
            if best is None or (level > best if self._higher else level < FINER * best):
                self._bests.append((level, event))
                return True
        return False

    def to_json(self) -> dict[str, Any]:
        """Give the events until then, None where predictions were too few to tell or nothing was learned."""
        final = _mean(list(self._last)[-min(MAX_FINAL, self._count // 2) :]) if self._count >= 2 * WINDOW else None
        learned = final is not None and (final > 0 or not self._higher)
        reached = (event for level, event in self._bests if final is not None and _as_good(level, final, self._higher))
        return {
            "events": next(reached, None) if learned else None,
            "final_level": final,
            "share": REACHED,
            "window": WINDOW,
        }


class DriftRecoveries:
    """Drifts, and how long it took to recover from them, each in its own stream.

    The streams that were judged last are remembered, as many as ``most_streams``.
    """

    def __init__(self, *, higher_is_better: bool, most_streams: int) -> None:
        self._higher = higher_is_better
        self._most_streams = most_streams
        self._streams: OrderedDict[str | None, deque[float]] = OrderedDict()
        self._waiting: dict[str | None, tuple[DriftRecovery, int]] = {}  # and predictions since
        self.count = 0
        self.told: list[DriftRecovery] = []

    def add(self, event: int, line: int, stream: str | None, worth: float | None, *, drift: bool) -> None:
        """Take the hit or error of a prediction of a stream, None if not known, and whether it made a drift found."""
        past = self._streams.get(stream)
        if past is None:
            past = self._streams[stream] = deque(maxlen=MAX_BEFORE + WINDOW)
            if len(self._streams) > self._most_streams:
                gone, _ = self._streams.popitem(last=False)
                self._waiting.pop(gone, None)
        self._streams.move_to_end(stream)
        if worth is not None:
            past.append(worth)
            if self._waiting and stream in self._waiting:
                self._look(stream, past)
        if drift:
            self.count += 1
            self._begin(event, line, stream, past)

    def _look(self, stream: str | None, past: deque[float]) -> None:
        recovery, since = self._waiting[stream]
        since += 1
        self._waiting[stream] = recovery, since
        assert recovery.level_before is not None
        if since >= WINDOW and _as_good(_mean(list(past)[-WINDOW:]), recovery.level_before, self._higher):
            recovery.recovered_after = since
            del self._waiting[stream]

    def _begin(self, event: int, line: int, stream: str | None, past: deque[float]) -> None:
        self._waiting.pop(stream, None)  # one that comes before the last one is recovered from
        before = list(past)[:-WINDOW]
        level = (_mean(before) or None) if len(before) >= WINDOW else None
        recovery = DriftRecovery(event, line, stream, level)
        if len(self.told) < MAX_DRIFTS:
            self.told.append(recovery)
            if level is not None:
                self._waiting[stream] = recovery, 0
        past.clear()

    def to_json(self) -> list[dict[str, Any]]:
        """Give the first drifts, at most ``MAX_DRIFTS``, in the order in which they were found."""
        return [asdict(recovery) for recovery in self.told]


def _as_good(level: float, expected: float, higher_is_better: bool) -> bool:
    return level >= REACHED * expected if higher_is_better else REACHED * level <= expected


def _mean(worths: list[float]) -> float:
    return sum(worths) / len(worths)
