"""What the page shows: how the daemon stands, what it said last, and how the hit rates went, for any thread to ask.

It keeps the messages as they were published and reads them when somebody looks: nothing is done per event but to
remember it. Times are the wall clock's, because people look; nothing here is part of any state.
"""

import json
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from daemon.records import OutputRecord, TopicPartition
from daemon.reports import AssignmentReport, BatchReport, CheckpointReport, PartitionReport, Report

LAST = 100
"""So many messages are shown, of all streams together."""
LAST_OF_STREAM = 32
MOST_STREAMS = 1000
"""So many streams are shown, those that said something last."""
POINTS = 600
"""The curves have at most so many points; when there are more, every second one goes."""
RATE_S = 10.0
"""Events per second are taken over so long."""

Key = tuple[str, int, bytes | None]
"""Topic, partition and key of a stream."""


@dataclass(slots=True)
class _Curve:
    """Hit rates over time, at most ``POINTS`` of them, from the beginning to now."""

    step_s: float = 1.0
    points: list[tuple[float, list[float]]] = field(default_factory=list)

    def add(self, now: float, rates: list[float]) -> None:
        now = round(now, 1)
        if self.points and now - self.points[-1][0] < self.step_s:
            return
        self.points.append((now, rates))
        if len(self.points) > POINTS:
            self.points, self.step_s = self.points[::2], 2 * self.step_s


@dataclass(slots=True)
class _Stream:
    events: int = 0
    messages: deque[bytes] = field(default_factory=lambda: deque(maxlen=LAST_OF_STREAM))


class Board:
    """An observer that remembers what there is to be seen.

    Args:
        about: What does not change while the daemon runs: names of task, topics, predictors, versions.
        baselines: Names of the baselines, in the order in which reports list them.
        clock: Seconds since 1970.
    """

    def __init__(
        self, about: dict[str, Any], *, baselines: Sequence[str], clock: Callable[[], float] = time.time
    ) -> None:
        self._about = about
        self._baselines = tuple(baselines)
        self._clock = clock
        self._lock = threading.Lock()
        self._reports: dict[TopicPartition, PartitionReport] = {}
        self._lags: dict[TopicPartition, int] = {}
        self._checkpoints: dict[TopicPartition, float] = {}
        self._streams: OrderedDict[Key, _Stream] = OrderedDict()
        self._last: deque[tuple[int, bytes]] = deque(maxlen=LAST)
        self._said = 0
        self._counts = {"events": 0, "dead_letters": 0, "skipped_steps": 0, "checkpoint_failures": 0}
        self._curve = _Curve()
        self._recent: deque[tuple[float, int]] = deque()

    def observe(self, report: Report) -> None:
        """Take note of a report."""
        with self._lock:
            match report:
                case AssignmentReport():
                    for source in report.revoked:
                        self._forget(source)
                case PartitionReport():
                    self._reports[report.source] = report
                    self._draw()
                case BatchReport():
                    self._add(report)
                case CheckpointReport():
                    self._counts["checkpoint_failures"] += report.result != "written"
                    if report.result == "written":
                        self._checkpoints[report.source] = self._clock()

    def snapshot(self, said: int = 0, drawn: float = 0) -> dict[str, Any]:
        """Say how everything stands, and what is new.

        Args:
            said: The number of the last message that is known already, ``said`` of the snapshot before.
            drawn: The time of the last point of the curves that is known already, ``drawn`` of the snapshot before.
        """
        with self._lock:
            now = self._clock()
            reports = list(self._reports.values())
            last = [message for number, message in self._last if number > said]
            checkpoints = [self._checkpoints.get(source) for source in self._reports]
            return {
                **self._about,
                **self._counts,
                **self._rates(),
                "log_loss_bits": _mean([report.log_loss_bits for report in reports]),
                "partitions": len(reports),
                "streams": sum(report.streams for report in reports),
                "vocabulary": max((report.vocabulary for report in reports), default=0),
                "events_per_s": self._events_per_s(now),
                "lag_records": sum(self._lags.values()),
                "checkpoint_offsets": {str(report.source): report.checkpoint_offset for report in reports},
                "checkpoint_age_s": max((now - at for at in checkpoints if at is not None), default=None),
                "unsaved_partitions": checkpoints.count(None),
                "said": self._said,
                "messages": [json.loads(message) for message in last],
                "drawn": self._curve.points[-1][0] if self._curve.points else 0.0,
                "curve": [[at, *rates] for at, rates in self._curve.points if at > drawn],
            }

    def streams(self, search: str = "", limit: int = 50) -> dict[str, Any]:
        """List the streams whose names contain a text, the one that said something last first."""
        with self._lock:
            found = [key for key in reversed(self._streams) if search.casefold() in _name(key).casefold()]
            return {
                "found": len(found),
                "kept": len(self._streams),
                "streams": [self._described(key) for key in found[:limit]],
            }

    def stream(self, topic: str, partition: int, key: bytes | None) -> dict[str, Any] | None:
        """Give what a stream said last, None if it is not among those that are kept."""
        with self._lock:
            found = (topic, partition, key)
            if found not in self._streams:
                return None
            messages = [json.loads(message) for message in self._streams[found].messages]
            return {**self._described(found), "messages": messages}

    def _described(self, key: Key) -> dict[str, Any]:
        stream, (topic, partition, _) = self._streams[key], key
        said = json.loads(stream.messages[-1])
        told = {name: said.get(name) for name in ("value", "prediction", "hit_rate", "baseline_hit_rate", "model")}
        return {"name": said["stream"], "topic": topic, "partition": partition, "events": said["event"], **told}

    def _forget(self, source: TopicPartition) -> None:
        for known in (self._reports, self._lags, self._checkpoints):
            known.pop(source, None)
        for key in [key for key in self._streams if key[:2] == (source.topic, source.partition)]:
            del self._streams[key]

    def _add(self, report: BatchReport) -> None:
        now = self._clock()
        self._lags[report.source] = report.lag_records
        self._counts["events"] += report.events
        self._counts["dead_letters"] += sum(count for _, count in report.dead_letters)
        self._counts["skipped_steps"] += report.skipped_steps
        self._recent.append((now, report.events))
        while self._recent[0][0] < now - RATE_S:
            self._recent.popleft()
        for output in report.outputs:
            if not output.dead_letter:
                self._remember(report.source, output)

    def _remember(self, source: TopicPartition, output: OutputRecord) -> None:
        message = output.value or b"{}"
        self._said += 1
        self._last.append((self._said, message))
        key = (source.topic, source.partition, output.key)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream()
            if len(self._streams) > MOST_STREAMS:
                self._streams.popitem(last=False)
        stream.messages.append(message)
        self._streams.move_to_end(key)

    def _rates(self) -> dict[str, Any]:
        """Give the hit rates of all partitions together, each counted alike."""
        scored = [report for report in self._reports.values() if report.hit_rate is not None]
        best = [
            _mean([report.baseline_hit_rates[i] for report in scored if report.baseline_hit_rates])
            for i in range(len(self._baselines))
        ]
        return {
            "hit_rate": _mean([report.hit_rate for report in scored]),
            "baseline_hit_rates": dict(zip(self._baselines, best, strict=True)),
        }

    def _draw(self) -> None:
        rates = self._rates()
        if rates["hit_rate"] is not None:
            self._curve.add(self._clock(), [rates["hit_rate"], *rates["baseline_hit_rates"].values()])

    def _events_per_s(self, now: float) -> float:
        events = sum(count for at, count in self._recent if at >= now - RATE_S)
        return round(events / RATE_S, 1)


def _name(key: Key) -> str:
    topic, partition, name = key
    return f"{topic}/{partition}" if name is None else name.decode(errors="replace")


def _mean(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return round(sum(known) / len(known), 6) if known else None
