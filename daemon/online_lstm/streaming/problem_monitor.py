"""Silent problems of the assigned partitions, logged once and reported to observers every few seconds.

The problems are records that wait for another producer's open transaction, predictions that the output topic loses,
and hints from the records. The module reaches Kafka only through ``InputSource`` and keeps no learned state.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from online_lstm.events import TopicPartition
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.streaming.broker_protocol import InputSource
from online_lstm.telemetry import Hint, InputObserved, Observer

EVERY_S = 2.0
OPEN_TRANSACTION_S = 5.0
"""An open transaction that blocks records for this long is reported; most transactions are shorter."""
OUTPUTS_EVERY_S = 10.0
"""Interval between two checks of an output partition; each check covers the next partition in turn."""
MIN_KEPT_S = 3600.0
"""Predictions deleted sooner than this after their publication were deleted unintentionally."""

_log = EventLogger(__name__)


@dataclass(slots=True)
class _Watched:
    """The observations of one partition.

    ``hints`` are the hints from its records. ``removed`` is the time at which lost predictions were found, with the
    hint. ``blocked_at`` is the time since which an open transaction blocks the partition. ``kept`` is a time, and the
    end offset of the output partition at that time. ``logged`` has the names of the hints already logged.
    """

    hints: tuple[Hint, ...] = ()
    removed: tuple[float, Hint] | None = None
    blocked_at: float | None = None
    kept: tuple[float, int] | None = None
    logged: set[str] = field(default_factory=set)


class Monitor:
    """A monitor of the partitions that are live, which means learned from without a pending replay.

    Args:
        settings: The settings in force.
        source: The consumer of the input topics.
        observer: Called with an ``InputObserved`` for each partition every few seconds.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self, settings: Settings, *, source: InputSource, observer: Observer, clock: Callable[[], float]
    ) -> None:
        self._output_topic = settings.output_topic
        self._source, self._observer, self._clock = source, observer, clock
        self._watched: dict[TopicPartition, _Watched] = {}
        self._due = self._outputs_due = clock()
        self._outputs: list[TopicPartition] = []
        self.obstacles: tuple[str, ...] = ()

    def note(self, source: TopicPartition, hints: tuple[Hint, ...]) -> None:
        """Store the hints that apply after a batch."""
        self._watched.setdefault(source, _Watched()).hints = hints

    def watch(self, live: Collection[TopicPartition]) -> bool:
        """Check the live partitions if a check is due; return whether ``obstacles`` changed.

        ``obstacles`` are the reasons why new records are not learned on arrival.
        """
        now, before = self._clock(), self.obstacles
        if now < self._due:
            return False
        self._due = now + EVERY_S
        self._watched = {source: self._watched.get(source, _Watched()) for source in sorted(live)}
        self._watch_transactions(now)
        if now >= self._outputs_due and live:
            self._outputs_due = now + OUTPUTS_EVERY_S
            self._watch_next_output(now)
        for source, watched in self._watched.items():
            blocked_s = 0.0 if watched.blocked_at is None else now - watched.blocked_at
            hints = (*watched.hints, *([watched.removed[1]] if watched.removed else []))
            self._log(source, watched, hints)
            self._observer(InputObserved(source, self._source.lag(source), blocked_s, hints))
        return self.obstacles != before

    def _watch_transactions(self, now: float) -> None:
        behind = self._source.behind_transactions(self._watched)
        obstacles = []
        for source, watched in self._watched.items():
            if source not in behind:
                watched.blocked_at = None
                continue
            watched.blocked_at = now if watched.blocked_at is None else watched.blocked_at
            if now - watched.blocked_at >= OPEN_TRANSACTION_S:
                obstacles.append(
                    f"{source} waits for an open transaction of another producer, which has to commit or abort it; "
                    "else the broker does after that producer's transaction.timeout.ms"
                )
        for obstacle in set(obstacles).difference(self.obstacles):
            _log.warning("waiting", reason=obstacle)
        self.obstacles = tuple(obstacles)

    def _watch_next_output(self, now: float) -> None:
        """Check one output partition; each check costs two requests to the broker while records wait."""
        self._outputs = [source for source in self._outputs if source in self._watched] or list(self._watched)
        source = self._outputs.pop(0)
        watched, partitions = self._watched[source], self._source.partitions(self._output_topic)
        if not partitions:
            return
        output = TopicPartition(self._output_topic, source.partition % partitions)
        offset_range = self._source.offset_range(output)
        at, end = watched.kept or (now, offset_range.stop)
        if reason := _lost(output, offset_range, end, now - at):
            watched.removed = now, Hint("predictions_removed", reason)
        elif watched.removed and now - watched.removed[0] > MIN_KEPT_S:
            watched.removed = None
        watched.kept = (now, offset_range.stop) if reason or now - at > MIN_KEPT_S else (at, end)

    def _log(self, source: TopicPartition, watched: _Watched, hints: Iterable[Hint]) -> None:
        for hint in hints:
            if hint.name not in watched.logged:
                watched.logged.add(hint.name)
                _log.warning("hint", source=source, name=hint.name, reason=hint.text)


def _lost(output: TopicPartition, offset_range: range, end: int, age_s: float) -> str:
    """Return the reason for lost predictions of an output that ended at ``end`` before ``age_s``; empty for no loss."""
    if offset_range.stop < end:
        return f"{output} was deleted and created again while the daemon ran: the predictions in it are gone"
    if offset_range.start > end:
        return (
            f"{output} lost predictions within {age_s:.0f} s: it keeps them by their timestamps, which are those of "
            f"the input; set retention.ms of topic {output.topic} above the age of the input, or "
            "message.timestamp.type to LogAppendTime"
        )
    return ""
