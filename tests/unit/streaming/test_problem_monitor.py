"""What is wrong although nothing fails: open transactions of others, predictions that vanish, hints; told once."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from online_lstm.events import TopicPartition
from online_lstm.streaming.problem_monitor import EVERY_S, MIN_KEPT_S, OPEN_TRANSACTION_S, OUTPUTS_EVERY_S, Monitor
from online_lstm.telemetry import Hint, InputObserved, TelemetryEvent
from support.fakes import SOURCES, Clock, FakeDaemon, FakeKafka, record, small_settings

FIRST, SECOND = SOURCES
HINT = Hint("all_missing", "each of the last 100 values is missing")


class Topics:
    """A broker as the monitor sees it, of which a test decides everything."""

    def __init__(self) -> None:
        self.behind: set[TopicPartition] = set()
        self.lags = dict.fromkeys(SOURCES, 0)
        self.output = range(100)
        self.asked: list[TopicPartition] = []

    def partitions(self, topic: str) -> int:
        assert topic == "predictions"
        return 2 if self.output.stop else 0

    def offset_range(self, source: TopicPartition) -> range:
        self.asked.append(source)
        return self.output

    def lag(self, source: TopicPartition) -> int:
        return self.lags[source]

    def behind_transactions(self, sources: Iterable[TopicPartition]) -> set[TopicPartition]:
        return self.behind & set(sources)


class Watch:
    """A monitor, with a clock that a test moves."""

    def __init__(self) -> None:
        self.topics, self.clock = Topics(), Clock(0.0)
        self.reports: list[TelemetryEvent] = []
        source: Any = self.topics
        self.monitor = Monitor(small_settings(), source=source, observer=self.reports.append, clock=self.clock)

    def after(self, seconds: float, live: Iterable[TopicPartition] = (FIRST,)) -> bool:
        """Look after some seconds, at each time at which it is due."""
        end, changed = self.clock.now_s + seconds, False
        while True:
            changed |= self.monitor.watch(list(live))
            if self.clock.now_s >= end:
                return changed
            self.clock.now_s = min(end, self.clock.now_s + EVERY_S)

    @property
    def last(self) -> InputObserved:
        assert isinstance(self.reports[-1], InputObserved)
        return self.reports[-1]

    def removed(self) -> str:
        """Return what the last report says of predictions that are gone."""
        return "".join(hint.text for hint in self.last.hints if hint.name == "predictions_removed")


def test_open_transaction_is_reported_within_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """The reason names the partition and what ends it; it is logged once, and gone when the transaction is."""
    watch = Watch()
    watch.after(2)
    watch.topics.behind, watch.topics.lags[FIRST] = {FIRST}, 50
    with caplog.at_level(logging.WARNING):
        assert watch.after(10, SOURCES)
    (reason,) = watch.monitor.obstacles
    assert reason.startswith("numbers/0 waits for an open transaction of another producer")
    assert "transaction.timeout.ms" in reason
    assert 1 == len(caplog.records)
    first = watch.reports[-2]
    assert isinstance(first, InputObserved)
    assert (FIRST, 50) == (first.source, first.lag_records)
    assert OPEN_TRANSACTION_S <= first.open_transaction_s <= 10
    assert (SECOND, 0, 0.0) == (watch.last.source, watch.last.lag_records, watch.last.open_transaction_s)
    watch.topics.behind = set()
    assert watch.after(2)
    assert () == watch.monitor.obstacles
    assert 0.0 == watch.last.open_transaction_s


def test_short_transactions_one_after_another_are_no_obstacle() -> None:
    """A partition that moves now and then does not wait for a single one."""
    watch = Watch()
    for _ in range(10):
        watch.topics.behind = {FIRST}
        assert not watch.after(4)
        watch.topics.behind = set()
        assert not watch.after(2)


def test_predictions_that_vanish_are_told() -> None:
    """Gone within an hour: the text names the partition, the reason and the setting of the topic."""
    watch = Watch()
    watch.after(20)
    watch.topics.output = range(100, 600)
    watch.after(20)
    assert "" == watch.removed()
    watch.topics.output = range(101, 600)
    watch.after(OUTPUTS_EVERY_S)
    assert "predictions/0 lost predictions within 50 s" in watch.removed()
    assert "retention.ms of topic predictions" in watch.removed()
    watch.after(MIN_KEPT_S + 2 * OUTPUTS_EVERY_S)
    assert "" == watch.removed()


def test_predictions_that_were_kept_for_an_hour_may_go() -> None:
    """What was there an hour ago is what the retention of a topic is for."""
    watch = Watch()
    watch.after(MIN_KEPT_S + OUTPUTS_EVERY_S)
    watch.topics.output = range(100, 5000)
    watch.after(MIN_KEPT_S / 2)
    assert "" == watch.removed()


def test_an_output_topic_that_was_made_anew_is_told() -> None:
    """It ends before where it ended; while there is none nothing is asked of it."""
    watch = Watch()
    watch.after(20)
    asked, watch.topics.output = len(watch.topics.asked), range(0)
    watch.after(20)
    assert asked == len(watch.topics.asked)
    watch.topics.output = range(3)
    watch.after(20)
    assert "predictions/0 was deleted and created again" in watch.removed()


def test_outputs_are_looked_at_in_turn() -> None:
    """One at a time, as each takes two requests that records wait for."""
    watch = Watch()
    watch.after(4 * OUTPUTS_EVERY_S - 1, SOURCES)
    assert [TopicPartition("predictions", number) for number in (0, 1, 0, 1)] == watch.topics.asked


def test_a_hint_is_logged_once_and_reported_as_long_as_it_holds(caplog: pytest.LogCaptureFixture) -> None:
    """The log has its source, name and text."""
    watch = Watch()
    with caplog.at_level(logging.WARNING):
        for hints in ((HINT,), (), (HINT,)):
            watch.monitor.note(FIRST, hints)
            watch.after(10)
            assert hints == watch.last.hints
    (line,) = caplog.records
    assert "hint source=numbers/0 name=all_missing reason=" in line.getMessage()
    assert HINT.text in line.getMessage()


def test_a_partition_that_left_is_forgotten() -> None:
    """Nothing is reported of it any more, and nothing is left when it comes back."""
    watch = Watch()
    watch.topics.behind = {FIRST}
    watch.monitor.note(FIRST, (HINT,))
    watch.after(10, SOURCES)
    watch.after(2, [SECOND])
    assert SECOND == watch.last.source
    assert () == watch.monitor.obstacles
    watch.after(2)
    assert (FIRST, 0.0, ()) == (watch.last.source, watch.last.open_transaction_s, watch.last.hints)


@pytest.mark.long
def test_the_loop_is_not_ready_behind_an_open_transaction(tmp_path: Path) -> None:
    """It becomes so without any record, and goes on when the transaction ended."""
    kafka = FakeKafka({FIRST: [record(0, b"4")]})
    daemon = FakeDaemon(kafka, tmp_path).run()
    kafka.open_transactions = {FIRST}
    kafka.logs[FIRST] += [record(offset, b"4") for offset in range(10, 60)]
    kafka.ends[FIRST] = 60
    for _ in range(10):
        daemon.step()
    assert daemon.health.reasons[-1][0].startswith("numbers/0 waits for an open transaction")
    last = daemon.reports[-1]
    assert isinstance(last, InputObserved)
    assert last.lag_records >= 50
    kafka.open_transactions = set()
    daemon.run()
    assert 51 == len(kafka.published[FIRST])
