"""What the page is told: from reports to snapshots, streams and curves."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from fakes import Clock

from daemon.board import LAST, LAST_OF_STREAM, MOST_STREAMS, Board
from daemon.curve import POINTS
from daemon.records import OutputRecord, TopicPartition
from daemon.reports import AssignmentReport, BatchReport, CheckpointReport, PartitionReport

FIRST, SECOND = TopicPartition("numbers", 0), TopicPartition("numbers", 1)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def board(clock: Clock) -> Board:
    return Board({"task": "symbol"}, baselines=("last_value", "most_frequent"), clock=clock)


def message(key: str | None, event: int, value: object) -> OutputRecord:
    said = {
        "stream": key,
        "event": event,
        "value": value,
        "prediction": 4,
        "hit_rate": 0.5,
        "model": f"1f3a9c20@{event}",
    }
    return OutputRecord(0, 0, None if key is None else key.encode(), json.dumps(said).encode(), ())


def batch(outputs: Sequence[OutputRecord], source: TopicPartition = FIRST, **changed: Any) -> BatchReport:
    counts: dict[str, Any] = {"events": len(outputs), "scored": len(outputs), "hits": 0, "baseline_hits": (0, 0)}
    counts |= {"expert_hits": (), "fit_steps": 1, "skipped_steps": 0, "dead_letters": (), "evicted_streams": 0}
    counts |= {"step_seconds": 0.1, "lag_records": 0, "last_timestamp_ms": 0, **changed}
    return BatchReport(source=source, outputs=outputs, **counts)


def standing(source: TopicPartition = FIRST, hit_rate: float | None = 0.9, streams: int = 1) -> PartitionReport:
    baselines = None if hit_rate is None else (0.5, 0.7)
    return PartitionReport(
        source=source,
        streams=streams,
        vocabulary=3,
        hit_rate=hit_rate,
        baseline_hit_rates=baselines,
        expert_hit_rates=None,
        log_loss_bits=0.2,
        numbers=None,
        checkpoint_offset=None,
    )


def test_a_snapshot_says_how_all_partitions_stand_together(board: Board) -> None:
    """Rates are means, counts and streams are sums; what is not scored yet has no rate."""
    assert board.snapshot()["hit_rate"] is None
    for report in (
        standing(FIRST, 0.9, 2),
        standing(SECOND, 0.7, 3),
        batch([message("a", 1, 4)], SECOND, lag_records=7),
    ):
        board.observe(report)
    told = board.snapshot()
    assert ("symbol", 2, 5, 1, 7) == (
        told["task"],
        told["partitions"],
        told["streams"],
        told["events"],
        told["lag_records"],
    )
    assert 0.8 == pytest.approx(told["hit_rate"])
    assert {"last_value": 0.5, "most_frequent": 0.7} == told["baseline_hit_rates"]


def test_messages_are_told_once(board: Board) -> None:
    """Each snapshot has those after the one before; only the last hundred are kept."""
    board.observe(batch([message("a", event, event) for event in range(3)]))
    first = board.snapshot()
    assert [0, 1, 2] == [one["value"] for one in first["messages"]]
    board.observe(batch([message("a", event, event) for event in range(3, 5)]))
    assert [3, 4] == [one["value"] for one in board.snapshot(first["said"])["messages"]]
    board.observe(batch([message("a", event, event) for event in range(3 * LAST)]))
    assert LAST == len(board.snapshot()["messages"])


def test_streams_are_found_by_a_part_of_their_key(board: Board) -> None:
    """The one that spoke last comes first; a stream without a key goes by its partition."""
    board.observe(
        batch([message("Pump-7", 1, 4), message("valve", 1, 4), message(None, 1, 4), message("Pump-7", 2, 8)])
    )
    assert ["Pump-7", None, "valve"] == [one["name"] for one in board.streams()["streams"]]
    found = board.streams("pump")
    assert (1, 3) == (found["found"], found["kept"])
    assert {"events": 2, "value": 8, "model": "1f3a9c20@2"}.items() <= found["streams"][0].items()
    assert 1 == len(board.streams("numbers/0")["streams"])
    assert 2 == len(board.streams(limit=2)["streams"])


def test_a_stream_tells_what_it_said_last(board: Board) -> None:
    """Up to a number of messages; another key is another stream, and an unknown one is none."""
    board.observe(batch([message("a", event, event) for event in range(100)] + [message("b", 1, 4)]))
    told = board.stream("numbers", 0, b"a")
    assert told is not None
    assert list(range(100 - LAST_OF_STREAM, 100)) == [one["value"] for one in told["messages"]]
    assert board.stream("numbers", 0, None) is None
    assert board.stream("numbers", 1, b"a") is None


def test_it_is_bounded(board: Board, clock: Clock) -> None:
    """Streams that were silent for longest go; the curve is thinned, and still begins where it began."""
    board.observe(batch([message(f"stream {number}", 1, 4) for number in range(MOST_STREAMS + 50)]))
    assert MOST_STREAMS == board.streams()["kept"]
    assert board.stream("numbers", 0, b"stream 49") is None
    for _ in range(5 * POINTS):
        clock.now_s += 1
        board.observe(standing())
    curve = board.snapshot()["curve"]
    assert POINTS / 2 < len(curve) <= POINTS
    assert [1001.0, 0.9, 0.5, 0.7] == curve[0]
    newest = board.snapshot(drawn=board.snapshot()["drawn"])
    assert [] == newest["curve"]


def test_speed_is_that_of_the_last_seconds(board: Board, clock: Clock) -> None:
    """And none when nothing comes."""
    for _ in range(5):
        clock.now_s += 1
        board.observe(batch([message("a", 1, 4)], events=200))
    assert 100 == board.snapshot()["events_per_s"]
    clock.now_s += 60
    assert 0 == board.snapshot()["events_per_s"]


def test_checkpoints_tell_whether_a_restart_is_safe(board: Board, clock: Clock) -> None:
    """The oldest of the partitions' newest ones counts; failures are counted too."""
    board.observe(standing(FIRST))
    board.observe(standing(SECOND))
    assert (2, None) == (board.snapshot()["unsaved_partitions"], board.snapshot()["checkpoint_age_s"])
    board.observe(CheckpointReport(FIRST, 5, "written"))
    clock.now_s += 9
    board.observe(CheckpointReport(SECOND, 5, "written"))
    board.observe(CheckpointReport(SECOND, 9, "failed"))
    told = board.snapshot()
    assert (0, 9, 1) == (told["unsaved_partitions"], told["checkpoint_age_s"], told["checkpoint_failures"])


def test_a_partition_that_went_is_no_longer_shown(board: Board) -> None:
    """Its streams, rates and lag go with it."""
    board.observe(standing(FIRST))
    board.observe(batch([message("a", 1, 4)], lag_records=5))
    board.observe(AssignmentReport(revoked=(FIRST,)))
    told = board.snapshot()
    assert (0, 0, None) == (told["partitions"], told["lag_records"], told["hit_rate"])
    assert 0 == board.streams()["kept"]
