"""The time to reach a level of accuracy: at the beginning, and again after each drift.

A level is a mean over predictions: of hits, where more is better, or of errors, where less is better. It is reached
when the mean over the last ``WINDOW`` predictions is at least ``REACHED`` times the level for a hit rate, or at most
the level divided by ``REACHED`` for an error.
"""

from collections import OrderedDict, deque
from dataclasses import asdict, dataclass
from typing import Any

from online_lstm.significance import REACHED

WINDOW = 50
"""Number of predictions in the mean; no reported time is shorter."""
MAX_FINAL = 1000
"""Number of last predictions that define the final level, or half of all predictions if that is less."""
MAX_BEFORE = 500
"""Number of predictions that define the level before a drift, without the last ``WINDOW``, which revealed it."""
MAX_DRIFTS = 100
"""Maximum number of reported drifts; all drifts are counted."""
FINER = 0.995
"""Factor by which an error has to fall below the best one to replace it, so that the list stays short."""


@dataclass(slots=True)
class DriftRecovery:
    """A drift, and the number of predictions of its stream until the former level was reached again, None if never."""

    event: int
    line: int
    stream: str | None
    level_before: float | None
    recovered_after: int | None = None


class TimeToLearn:
    """The first event at which the rolling mean reached its final level; memory is bounded."""

    def __init__(self, *, higher_is_better: bool) -> None:
        self._higher = higher_is_better
        self._count = 0
        self._last: deque[float] = deque(maxlen=MAX_FINAL)
        self._window: deque[float] = deque(maxlen=WINDOW)
        self._bests: list[tuple[float, int]] = []  # each better than the previous one, with its event

    def add(self, event: int, worth: float) -> bool:
        """Add the hit (1 or 0) or the error of a prediction that was scored at an event.

        Returns:
            Whether this event may turn out to be the one at which the final level was reached.
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
        """Return the number of events until then; None with too few predictions, or if nothing was learned."""
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
    """Drifts and the times to recover from them, each in its own stream.

    At most ``max_streams`` streams are kept, the most recently scored ones.
    """

    def __init__(self, *, higher_is_better: bool, max_streams: int) -> None:
        self._higher = higher_is_better
        self._max_streams = max_streams
        self._streams: OrderedDict[str | None, deque[float]] = OrderedDict()
        self._waiting: dict[str | None, tuple[DriftRecovery, int]] = {}  # and number of predictions since
        self.count = 0
        self.recorded: list[DriftRecovery] = []

    def add(self, event: int, line: int, stream: str | None, worth: float | None, *, drift: bool) -> None:
        """Add the hit or error of a prediction of a stream, None if unknown, and whether it signalled a drift."""
        past = self._streams.get(stream)
        if past is None:
            past = self._streams[stream] = deque(maxlen=MAX_BEFORE + WINDOW)
            if len(self._streams) > self._max_streams:
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
        self._waiting.pop(stream, None)  # a drift before the recovery from the last one replaces it
        before = list(past)[:-WINDOW]
        level = (_mean(before) or None) if len(before) >= WINDOW else None
        recovery = DriftRecovery(event, line, stream, level)
        if len(self.recorded) < MAX_DRIFTS:
            self.recorded.append(recovery)
            if level is not None:
                self._waiting[stream] = recovery, 0
        past.clear()

    def to_json(self) -> list[dict[str, Any]]:
        """Return the first drifts, at most ``MAX_DRIFTS``, in the order of detection."""
        return [asdict(recovery) for recovery in self.recorded]


def _as_good(level: float, expected: float, higher_is_better: bool) -> bool:
    return level >= REACHED * expected if higher_is_better else REACHED * level <= expected


def _mean(worths: list[float]) -> float:
    return sum(worths) / len(worths)
