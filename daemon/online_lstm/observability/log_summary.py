"""A summary of learning in the log, once a minute, for use without a dashboard."""

import time
from collections.abc import Callable

from online_lstm.events import TopicPartition
from online_lstm.logs import EventLogger
from online_lstm.predictor_scores import NO_HITS, total_hits
from online_lstm.telemetry import AssignmentChanged, BatchCommitted, PartitionStats, TelemetryEvent

EVERY_S = 60.0
_log = EventLogger(__name__)


class LogSummary:
    """An observer that logs a summary while events are learned, and nothing otherwise."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._events, self._scored, self._hits, self._drifts = 0, 0, NO_HITS, 0
        self._lags: dict[TopicPartition, int] = {}

    def observe(self, report: TelemetryEvent) -> None:
        """Add a telemetry event, and log the summary if it is due."""
        match report:
            case AssignmentChanged():
                for source in report.revoked:
                    self._lags.pop(source, None)
            case PartitionStats():
                self._lags.setdefault(report.source, 0)
            case BatchCommitted():
                self._add(report)

    def _add(self, report: BatchCommitted) -> None:
        self._events += report.events
        self._scored += report.scored
        self._hits = total_hits([self._hits, report.hits])
        self._drifts += report.drifts
        self._lags[report.source] = report.lag_records
        seconds = self._clock() - self._since
        if seconds >= EVERY_S:
            self._log_summary(seconds)

    def _log_summary(self, seconds: float) -> None:
        scored = max(self._scored, 1)
        _log.info(
            "learned",
            events=self._events,
            seconds=round(seconds),
            hit_rate=round(self._hits.published / scored, 4),
            best_baseline=round(max(self._hits.baselines.values(), default=0) / scored, 4),
            drifts=self._drifts,
            lag_records=sum(self._lags.values()),
            partitions=len(self._lags),
        )
        self._since = self._clock()
        self._events, self._scored, self._hits, self._drifts = 0, 0, NO_HITS, 0
