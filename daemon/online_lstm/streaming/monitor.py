"""What is wrong with the owned partitions although nothing fails: told in the log, and to observers every few seconds.

There are records that wait for another producer's open transaction, predictions that the output topic loses, and the
hints that the records give. Knows the topics through a ``MonitoredTopics``; nothing here is part of any state.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from online_lstm.events import TopicPartition
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.telemetry import Hint, InputObserved, Observer

EVERY_S = 2.0
OPEN_TRANSACTION_S = 5.0
"""Records that wait for a transaction for so long are not learned as they come: most transactions are shorter."""
OUTPUTS_EVERY_S = 10.0
"""What is left of the predictions is asked this often, of one partition after another."""
MIN_KEPT_S = 3600.0
"""Predictions that are gone sooner than so long after they were published were not meant to go."""

_log = EventLogger(__name__)


class MonitoredTopics(Protocol):
    """What is asked of the broker; all of it may raise BrokerUnavailableError."""

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions; 0 if it does not exist."""

    def offset_range(self, source: TopicPartition) -> range:
        """Return the offsets that a topic still has or will have next."""

    def lag(self, source: TopicPartition) -> int:
        """Count the records that are not yet read, also those of transactions that are open."""

    def behind_transactions(self, sources: Collection[TopicPartition]) -> set[TopicPartition]:
        """Return those partitions of which no record can be read before a producer ends its transaction."""


@dataclass(slots=True)
class _Watched:
    """What is known of a partition.

    ``hints`` are those of its records, ``removed`` what its output lost and when that was seen, ``blocked_at`` since
    when it waits for a transaction, ``kept`` when its output ended at which offset; ``logged`` are names of hints.
    """

    hints: tuple[Hint, ...] = ()
    removed: tuple[float, Hint] | None = None
    blocked_at: float | None = None
    kept: tuple[float, int] | None = None
    logged: set[str] = field(default_factory=set)


class Monitor:
    """Watches the partitions that are learned from.

    Args:
        settings: The settings in force.
        topics: The broker.
        observer: Gets an ``InputObserved`` of each partition every few seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self, settings: Settings, *, topics: MonitoredTopics, observer: Observer, clock: Callable[[], float]
    ) -> None:
        self._output_topic = settings.output_topic
        self._topics, self._observer, self._clock = topics, observer, clock
        self._watched: dict[TopicPartition, _Watched] = {}
        self._due = self._outputs_due = clock()
        self._outputs: list[TopicPartition] = []
        self.obstacles: tuple[str, ...] = ()

    def note(self, source: TopicPartition, hints: tuple[Hint, ...]) -> None:
        """Take note of the hints that hold after a batch."""
        self._watched.setdefault(source, _Watched()).hints = hints

    def watch(self, live: Collection[TopicPartition]) -> bool:
        """Look at the partitions that are learned from, if it is time to; return whether ``obstacles`` changed.

        ``obstacles`` are reasons why records are not learned as they come.
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
            self._observer(InputObserved(source, self._topics.lag(source), blocked_s, hints))
        return self.obstacles != before

    def _watch_transactions(self, now: float) -> None:
        behind = self._topics.behind_transactions(self._watched)
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
        """Look at one output: the broker is asked twice for each, while records wait."""
        self._outputs = [source for source in self._outputs if source in self._watched] or list(self._watched)
        source = self._outputs.pop(0)
        watched, partitions = self._watched[source], self._topics.partitions(self._output_topic)
        if not partitions:
            return
        output = TopicPartition(self._output_topic, source.partition % partitions)
        offset_range = self._topics.offset_range(output)
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
    """Return what an output lost that ended at ``end`` some seconds ago; nothing if it lost nothing of since then."""
    if offset_range.stop < end:
        return f"{output} was deleted and created again while the daemon ran: the predictions in it are gone"
    if offset_range.start > end:
        return (
            f"{output} lost predictions within {age_s:.0f} s: it keeps them by their timestamps, which are those of "
            f"the input; set retention.ms of topic {output.topic} above the age of the input, or "
            "message.timestamp.type to LogAppendTime"
        )
    return ""
