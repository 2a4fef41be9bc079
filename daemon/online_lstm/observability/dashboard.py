"""The state behind the live page: current figures, recent messages and the history of hit rates, for any thread.

Messages are kept as published and decoded on request: the only work per event is to store it, except after a drift.
Times come from the wall clock, because they are for display; nothing here is part of the learned state. The module is
long because one lock protects all of it.
"""

import json
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from online_lstm.events import OutputRecord, TopicPartition
from online_lstm.observability.assessment import SILENT_S, assess_live
from online_lstm.observability.history import HistoryPoint, MetricHistory
from online_lstm.predictor_scores import PredictorScores
from online_lstm.telemetry import (
    AssignmentChanged,
    BatchCommitted,
    CheckpointFinished,
    Hint,
    InputObserved,
    PartitionStats,
    TelemetryEvent,
)

LAST = 100
"""Maximum number of messages shown, over all streams."""
LAST_OF_STREAM = 32
MAX_STREAMS = 1000
"""Maximum number of streams shown, the most recently active ones."""
MAX_DRIFTS = 20
"""Maximum number of drifts marked, the latest ones."""
RATE_S = 10.0
"""Seconds over which the rate of events is computed."""
BATCHES = 20
"""Number of batches over which the typical gap is estimated."""

_TOLD_OF_STREAM = ("value", "prediction", "hit_rate", "baseline_hit_rate", "kappa_temporal", "model")

Key = tuple[str, int, bytes | None]
"""Topic, partition and key of a stream."""


@dataclass(slots=True)
class _Drift:
    """A drift of a stream: its time, the number of events of this process until then, and the scores since.

    The scores since then count predictions; an event of numbers may have several.
    """

    at: float
    events: int
    stream: str | None
    scored: int = 0
    hits: int = 0


class DashboardState:
    """An observer that keeps the state of the live page.

    Args:
        about: Facts that do not change while the daemon runs: ``task``, ``channels`` (predictions per event),
            ``stream_by``, names of topics and predictors, versions.
        baselines: Names of the baselines, in the order of the telemetry events.
        clock: Seconds since 1970.
    """

    def __init__(
        self, about: dict[str, Any], *, baselines: Sequence[str], clock: Callable[[], float] = time.time
    ) -> None:
        self._about = about
        self._baselines = tuple(baselines)
        self._clock = clock
        self._lock = threading.Lock()
        self._reports: dict[TopicPartition, PartitionStats] = {}
        self._lags: dict[TopicPartition, int] = {}
        self._hints: dict[TopicPartition, tuple[Hint, ...]] = {}
        self._checkpoints: dict[TopicPartition, float] = {}
        self._streams: OrderedDict[Key, deque[bytes]] = OrderedDict()
        self._last: deque[tuple[int, bytes]] = deque(maxlen=LAST)
        self._message_count = 0
        self._counts = {"events": 0, "dead_letters": 0, "skipped_steps": 0, "checkpoint_failures": 0}
        self._counts["drifts"] = 0
        self._drifts: deque[_Drift] = deque(maxlen=MAX_DRIFTS)
        self._surprise_bits: float | None = None
        self._curve = MetricHistory()
        self._batches: deque[float] = deque(maxlen=BATCHES)
        self._recent: deque[tuple[float, int]] = deque()

    def observe(self, report: TelemetryEvent) -> None:
        """Update the state with a telemetry event."""
        with self._lock:
            match report:
                case AssignmentChanged():
                    for source in report.revoked:
                        self._forget(source)
                case PartitionStats():
                    self._reports[report.source] = report
                    if report.surprise_bits is not None:
                        self._surprise_bits = report.surprise_bits
                    self._draw()
                case BatchCommitted():
                    self._add(report)
                case InputObserved():
                    self._lags[report.source] = report.lag_records
                    self._hints[report.source] = report.hints
                case CheckpointFinished():
                    self._counts["checkpoint_failures"] += report.result != "written"
                    if report.result == "written":
                        self._checkpoints[report.source] = self._clock()

    def snapshot(self, after: int = 0, drawn: float = 0) -> dict[str, Any]:
        """Return the current figures, and the messages and points that are new.

        Args:
            after: Number of the last message already known: ``said`` of the previous snapshot.
            drawn: Time of the last point already known: ``drawn`` of the previous snapshot.
        """
        with self._lock:
            now = self._clock()
            reports = list(self._reports.values())
            last = [message for number, message in self._last if number > after]
            checkpoints = [self._checkpoints.get(source) for source in self._reports]
            standing = self._standing(now)
            return {
                **self._about,
                **standing,
                "headline": assess_live({**self._about, **standing}),
                "level_reached_after": self._curve.level_reached_after(standing["hit_rate"]),
                "log_loss_bits": _mean([report.log_loss_bits for report in reports]),
                "kappa_temporal": _mean([report.kappa_temporal for report in reports]),
                "surprise_bits": self._surprise_bits,
                "vocabulary": max((report.vocabulary for report in reports), default=0),
                "events_per_s": self._events_per_s(now),
                "checkpoint_offsets": {str(report.source): report.checkpoint_offset for report in reports},
                "checkpoint_age_s": max((now - at for at in checkpoints if at is not None), default=None),
                "unsaved_partitions": checkpoints.count(None),
                "said": self._message_count,
                "messages": [json.loads(message) for message in last],
                "drawn": self._curve.drawn,
                "curve": self._curve.after(drawn),
                "marks": [{"at": drift.at, "events": drift.events, "stream": drift.stream} for drift in self._drifts],
            }

    def streams(self, search: str = "", limit: int = 50) -> dict[str, Any]:
        """Return the streams whose names contain a text, the most recently active first."""
        with self._lock:
            keys = [key for key in reversed(self._streams) if search.casefold() in _name(key).casefold()]
            return {
                "found": len(keys),
                "kept": len(self._streams),
                "streams": [self._described(key) for key in keys[:limit]],
            }

    def stream(self, topic: str, partition: int, key: bytes | None) -> dict[str, Any] | None:
        """Return the latest message of a stream, None if the stream is not kept."""
        with self._lock:
            stream_key = (topic, partition, key)
            if stream_key not in self._streams:
                return None
            messages = [json.loads(message) for message in self._streams[stream_key]]
            return {**self._described(stream_key), "messages": messages}

    def _described(self, key: Key) -> dict[str, Any]:
        topic, partition, _ = key
        message = json.loads(self._streams[key][-1])
        fields = {name: message.get(name) for name in _TOLD_OF_STREAM}
        return {"name": message["stream"], "topic": topic, "partition": partition, "events": message["event"], **fields}

    def _forget(self, source: TopicPartition) -> None:
        for known in (self._reports, self._lags, self._hints, self._checkpoints):
            known.pop(source, None)
        for key in [key for key in self._streams if key[:2] == (source.topic, source.partition)]:
            del self._streams[key]

    def _add(self, report: BatchCommitted) -> None:
        now = self._clock()
        self._lags[report.source] = report.lag_records
        self._note_drifts(report, now)
        if report.events:
            self._batches.append(now)
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
        self._message_count += 1
        self._last.append((self._message_count, message))
        key = (source.topic, source.partition, None if self._about.get("stream_by") == "partition" else output.key)
        messages = self._streams.get(key)
        if messages is None:
            messages = self._streams[key] = deque(maxlen=LAST_OF_STREAM)
            if len(self._streams) > MAX_STREAMS:
                self._streams.popitem(last=False)
        messages.append(message)
        self._streams.move_to_end(key)

    def _note_drifts(self, report: BatchCommitted, now: float) -> None:
        """Record the drifts in a batch, and count the scored predictions since the last drift."""
        self._counts["drifts"] += report.drifts
        if not report.drifts:
            if self._drifts:
                self._drifts[-1].scored += report.scored
                self._drifts[-1].hits += report.hits.published
            return
        messages = [json.loads(output.value or b"{}") for output in report.outputs if not output.dead_letter]
        evaluations = [
            (number, one, one["evaluation"]) for number, one in enumerate(messages, 1) if one.get("evaluation")
        ]
        if not any(evaluation["drift"] for _, _, evaluation in evaluations):
            # the drift came from unpublished sequences, at an unknown position in the batch: counting starts
            # with the next batch
            self._drifts.append(_Drift(round(now, 1), self._counts["events"] + report.events, None))
            return
        for number, message, evaluation in evaluations:
            if evaluation["drift"]:
                # one label learner serves all sequences
                stream = None if self._about["task"] == "label" else message["stream"]
                self._drifts.append(_Drift(round(now, 1), self._counts["events"] + number, stream))
            elif self._drifts:
                hits = [hit for hit in _flat(evaluation["hit"]) if hit is not None]
                self._drifts[-1].scored += len(hits)
                self._drifts[-1].hits += sum(hits)

    def _standing(self, now: float) -> dict[str, Any]:
        """Return the figures for the assessment, over all partitions.

        ``earlier`` has the figures before everything that the score windows now cover; ``young`` is true if nothing had
        been learned at that time.
        """
        reports, rates = list(self._reports.values()), self._rates()
        scored = sum(report.scored for report in reports)
        earlier = self._curve.earlier(self._counts["events"] - scored)
        last = self._drifts[-1] if self._drifts else None
        since = last and {"events": self._counts["events"] - last.events, "scored": last.scored, "hits": last.hits}
        return {
            **self._counts,
            **rates,
            "scored": scored,
            "earlier": earlier and {"hit_rate": earlier.hit_rates[0], "error": earlier.errors and earlier.errors[0]},
            "young": earlier is None and not self._curve.resumed,
            "numbers": self._numbers(),
            "partitions": len(reports),
            "streams": sum(report.streams for report in reports),
            "lag_records": sum(self._lags.values()),
            "silent_s": self._silent_s(now),
            "since_drift": since,
            "hints": [
                {"partition": str(source), "name": hint.name, "text": hint.text}
                for source, hints in sorted(self._hints.items())
                for hint in hints
            ],
        }

    def _rates(self) -> dict[str, Any]:
        """Return the mean hit rates over the partitions, with equal weights."""
        rates = [report.hit_rates for report in self._reports.values() if report.hit_rates is not None]
        errors = [report.lift_errors for report in self._reports.values() if report.lift_errors is not None]
        return {
            "hit_rate": _mean([one.published for one in rates]),
            "baseline_hit_rates": {name: _mean([one.baselines[name] for one in rates]) for name in self._baselines},
            "lift_errors": {name: _error_of_mean([one[name] for one in errors]) for name in self._baselines},
        }

    def _numbers(self) -> dict[str, Any] | None:
        """Return the mean errors of number predictions over the partitions, with equal weights; None without any.

        Errors are in the unit of the values, or ``relative`` to the mean size of values with several units.
        """
        reports = [report.numbers for report in self._reports.values() if report.numbers is not None]
        in_units = [report.mean_absolute_errors for report in reports if report.mean_absolute_errors]
        relative = len(in_units) < len(reports)
        errors: Sequence[PredictorScores[float | None] | PredictorScores[float]]
        errors = [report.mean_absolute_error_ratios for report in reports] if relative else in_units
        own = _mean([one.published for one in errors])
        baselines = {name: _mean([one.baselines[name] for one in errors]) for name in self._baselines}
        if own is None or None in baselines.values():
            return None
        return {
            "relative": relative,
            "error": own,
            "baseline_errors": baselines,
            "skill": _mean([report.skill for report in reports]),
            "skill_error": _error_of_mean([report.skill_error for report in reports if report.skill is not None]),
            "interval_coverage": _mean([report.interval_coverage for report in reports]),
        }

    def _draw(self) -> None:
        rates, numbers = self._rates(), self._numbers()
        if rates["hit_rate"] is not None:
            hit_rates = [rates["hit_rate"], *rates["baseline_hit_rates"].values()]
            errors = [numbers["error"], *numbers["baseline_errors"].values()] if numbers else None
            self._curve.add(HistoryPoint(round(self._clock(), 1), self._counts["events"], hit_rates, errors))

    def _silent_s(self, now: float) -> float | None:
        """Return the seconds since the last batch, None if that is not unusual."""
        if not self._batches:
            return None
        silent, gaps = now - self._batches[-1], len(self._batches) - 1
        usual = (self._batches[-1] - self._batches[0]) / gaps if gaps else 0.0
        return silent if silent > max(SILENT_S, 10 * usual) else None

    def _events_per_s(self, now: float) -> float:
        events = sum(count for at, count in self._recent if at >= now - RATE_S)
        return round(events / RATE_S, 1)


def _name(key: Key) -> str:
    topic, partition, name = key
    return f"{topic}/{partition}" if name is None else name.decode(errors="replace")


def _flat(nested: Any) -> list[Any]:
    """Return the elements of nested lists as one flat list; a single value becomes a list of one."""
    return [each for one in nested for each in _flat(one)] if isinstance(nested, list) else [nested]


def _error_of_mean(errors: Sequence[float | None]) -> float | None:
    """Return the standard error of the mean of independent figures from their errors; None if one is unknown."""
    known = [error for error in errors if error is not None]
    return round(math.hypot(*known) / len(known), 6) if known and len(known) == len(errors) else None


def _mean(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return round(sum(known) / len(known), 6) if known else None
