import logging

import pytest
from online_lstm.events import TopicPartition
from online_lstm.observability.log_summary import EVERY_S, LogSummary
from online_lstm.predictor_scores import Predictors
from online_lstm.telemetry import AssignmentChanged, BatchCommitted, TransactionEnded

PREDICTORS = Predictors(("last_value", "most_frequent"), ())
SOURCES = (TopicPartition("numbers", 0), TopicPartition("numbers", 1))


def batch(
    source: TopicPartition, *, events: int, hits: int, baselines: tuple[int, ...], lag: int, drifts: int = 0
) -> BatchCommitted:
    return BatchCommitted(
        source=source,
        events=events,
        scored=events,
        hits=PREDICTORS.named([hits, *baselines]),
        fit_steps=events,
        skipped_steps=0,
        dead_letters=(),
        evicted_streams=0,
        step_seconds=0.1,
        lag_records=lag,
        last_timestamp_ms=0,
        drifts=drifts,
    )


def test_a_line_a_minute_says_what_was_learned(caplog: pytest.LogCaptureFixture) -> None:
    """All partitions together since the last line; the baseline is the one that was best in that time."""
    now = 0.0
    summary = LogSummary(clock=lambda: now)
    with caplog.at_level(logging.INFO):
        summary.observe(batch(SOURCES[0], events=60, hits=57, baselines=(10, 30), lag=7, drifts=1))
        summary.observe(TransactionEnded(0.1, 60, committed=True))
        assert [] == caplog.messages
        now = EVERY_S
        summary.observe(batch(SOURCES[1], events=40, hits=38, baselines=(40, 0), lag=3, drifts=2))
        assert [
            "learned events=100 seconds=60 hit_rate=0.95 best_baseline=0.5 drifts=3 lag_records=10 partitions=2"
        ] == caplog.messages
        caplog.clear()
        summary.observe(AssignmentChanged(revoked=(SOURCES[0],)))
        now = 2 * EVERY_S
        summary.observe(batch(SOURCES[1], events=0, hits=0, baselines=(0, 0), lag=1))
    assert [
        "learned events=0 seconds=60 hit_rate=0.0 best_baseline=0.0 drifts=0 lag_records=1 partitions=1"
    ] == caplog.messages
