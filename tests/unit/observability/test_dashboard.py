"""What the page is told: from reports to snapshots, streams and curves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from online_lstm.events import OutputRecord, TopicPartition
from online_lstm.observability.dashboard import LAST, LAST_OF_STREAM, MAX_DRIFTS, MAX_STREAMS, DashboardState
from online_lstm.observability.history import POINTS
from online_lstm.predictor_scores import NO_HITS, PredictorScores
from online_lstm.telemetry import (
    AssignmentChanged,
    BatchCommitted,
    CheckpointFinished,
    Hint,
    InputObserved,
    PartitionStats,
)
from support.fakes import NUMBER_REPORT, Clock

UNKNOWN: PredictorScores[float | None] = PredictorScores(None, {"last_value": None, "most_frequent": None}, {})
FIRST, SECOND = TopicPartition("numbers", 0), TopicPartition("numbers", 1)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def board(clock: Clock) -> DashboardState:
    return DashboardState({"task": "symbol", "channels": 1}, baselines=("last_value", "most_frequent"), clock=clock)


def message(key: str | None, event: int, value: object, evaluation: Mapping[str, object] | None = None) -> OutputRecord:
    said = {
        "evaluation": evaluation,
        "stream": key,
        "event": event,
        "value": value,
        "prediction": 4,
        "hit_rate": 0.5,
        "model": f"1f3a9c20@{event}",
    }
    return OutputRecord(0, 0, None if key is None else key.encode(), json.dumps(said).encode(), ())


def batch(outputs: Sequence[OutputRecord], source: TopicPartition = FIRST, **changed: Any) -> BatchCommitted:
    counts: dict[str, Any] = {"events": len(outputs), "scored": len(outputs), "hits": NO_HITS, "fit_steps": 1}
    counts |= {"skipped_steps": 0, "dead_letters": (), "evicted_streams": 0}
    counts |= {"step_seconds": 0.1, "lag_records": 0, "last_timestamp_ms": 0, **changed}
    return BatchCommitted(source=source, outputs=outputs, **counts)


def standing(
    source: TopicPartition = FIRST, hit_rate: float | None = 0.9, streams: int = 1, **changed: Any
) -> PartitionStats:
    baselines, errors = {"last_value": 0.5, "most_frequent": 0.7}, {"last_value": 0.03, "most_frequent": 0.04}
    return PartitionStats(
        source=source,
        streams=streams,
        vocabulary=3,
        hit_rates=None if hit_rate is None else PredictorScores(hit_rate, baselines, {}),
        lift_errors=None if hit_rate is None else errors,
        log_loss_bits=0.2,
        checkpoint_offset=None,
        **{"numbers": None, "scored": 0 if hit_rate is None else 500, **changed},
    )


def test_a_snapshot_says_how_all_partitions_stand_together(board: DashboardState) -> None:
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
    errors = {
        "last_value": pytest.approx(0.03 / 2**0.5, abs=1e-6),
        "most_frequent": pytest.approx(0.04 / 2**0.5, abs=1e-6),
    }
    assert errors == told["lift_errors"]  # of the mean of two partitions


def test_messages_are_told_once(board: DashboardState) -> None:
    """Each snapshot has those after the one before; only the last hundred are kept."""
    board.observe(batch([message("a", event, event) for event in range(3)]))
    first = board.snapshot()
    assert [0, 1, 2] == [one["value"] for one in first["messages"]]
    board.observe(batch([message("a", event, event) for event in range(3, 5)]))
    assert [3, 4] == [one["value"] for one in board.snapshot(first["said"])["messages"]]
    board.observe(batch([message("a", event, event) for event in range(3 * LAST)]))
    assert LAST == len(board.snapshot()["messages"])


def test_streams_are_found_by_a_part_of_their_key(board: DashboardState) -> None:
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


def test_a_stream_tells_what_it_said_last(board: DashboardState) -> None:
    """Up to a number of messages; another key is another stream, and an unknown one is none."""
    board.observe(batch([message("a", event, event) for event in range(100)] + [message("b", 1, 4)]))
    told = board.stream("numbers", 0, b"a")
    assert told is not None
    assert list(range(100 - LAST_OF_STREAM, 100)) == [one["value"] for one in told["messages"]]
    assert board.stream("numbers", 0, None) is None
    assert board.stream("numbers", 1, b"a") is None


def test_it_is_bounded(board: DashboardState, clock: Clock) -> None:
    """Streams that were silent for longest go; the curve is thinned, and still begins where it began."""
    board.observe(batch([message(f"stream {number}", 1, 4) for number in range(MAX_STREAMS + 50)]))
    assert MAX_STREAMS == board.streams()["kept"]
    assert board.stream("numbers", 0, b"stream 49") is None
    for _ in range(5 * POINTS):
        clock.now_s += 1
        board.observe(standing())
    curve = board.snapshot()["curve"]
    assert POINTS / 2 < len(curve) <= POINTS + 1
    assert {"at": 1001.0, "events": MAX_STREAMS + 50, "hit_rates": [0.9, 0.5, 0.7], "errors": None} == curve[0]
    newest = board.snapshot(drawn=board.snapshot()["drawn"])
    assert [] == newest["curve"]


def test_speed_is_that_of_the_last_seconds(board: DashboardState, clock: Clock) -> None:
    """And none when nothing comes."""
    for _ in range(5):
        clock.now_s += 1
        board.observe(batch([message("a", 1, 4)], events=200))
    assert 100 == board.snapshot()["events_per_s"]
    clock.now_s += 60
    assert 0 == board.snapshot()["events_per_s"]


def test_checkpoints_tell_whether_a_restart_is_safe(board: DashboardState, clock: Clock) -> None:
    """The oldest of the partitions' newest ones counts; failures are counted too."""
    board.observe(standing(FIRST))
    board.observe(standing(SECOND))
    assert (2, None) == (board.snapshot()["unsaved_partitions"], board.snapshot()["checkpoint_age_s"])
    board.observe(CheckpointFinished(FIRST, 5, "written"))
    clock.now_s += 9
    board.observe(CheckpointFinished(SECOND, 5, "written"))
    board.observe(CheckpointFinished(SECOND, 9, "failed"))
    told = board.snapshot()
    assert (0, 9, 1) == (told["unsaved_partitions"], told["checkpoint_age_s"], told["checkpoint_failures"])


HIT, MISS, CHANGE = ({"hit": hit, "drift": drift} for hit, drift in ((True, False), (False, False), (False, True)))


def test_changes_are_marked_with_how_it_went_since(board: DashboardState, clock: Clock) -> None:
    """Each at its value and time; what was predicted since the last one is counted, in its batch and after it."""
    board.observe(standing(streams=1))
    board.observe(batch([message("a", event, 4, HIT) for event in range(1, 11)]))
    assert ([], 0) == (board.snapshot()["marks"], board.snapshot()["drifts"])
    clock.now_s += 5
    said = [message("a", event, 4, evaluation) for event, evaluation in enumerate((HIT, CHANGE, MISS, HIT, None), 11)]
    board.observe(batch(said, drifts=1))
    board.observe(batch([message("a", event, 4, HIT) for event in range(16, 19)], hits=PredictorScores(3, {}, {})))
    told = board.snapshot()
    assert [{"at": 1005.0, "events": 12, "stream": "a"}] == told["marks"]
    assert {"events": 6, "scored": 5, "hits": 4} == told["since_drift"]
    assert 1 == told["drifts"]
    assert told["headline"]["text"].startswith("The stream changed 6 values ago")
    assert "80.0 % of the predictions since" in told["headline"]["text"]


def test_a_change_of_labels_is_of_no_stream(clock: Clock) -> None:
    """What changed is what all sequences of the partition have in common, not the one whose evaluation told it."""
    board = DashboardState({"task": "label", "channels": 1}, baselines=("last_value", "most_frequent"), clock=clock)
    board.observe(batch([message("run 7", 1, 4, CHANGE)], drifts=1))
    assert [{"at": 1000.0, "events": 1, "stream": None}] == board.snapshot()["marks"]


def test_changes_that_are_not_in_a_message_are_marked_as_well(board: DashboardState) -> None:
    """A sequence that had to make room is scored and not published; numbers may have several hits."""
    board.observe(standing(streams=1))
    board.observe(batch([message("a", 1, 4, HIT), message("b", 2, 4, MISS)], drifts=1, hits=PredictorScores(1, {}, {})))
    assert [{"at": 1000.0, "events": 2, "stream": None}] == board.snapshot()["marks"]
    # where in its batch it was nobody knows, so what was judged since begins with the next one
    assert {"events": 0, "scored": 0, "hits": 0} == board.snapshot()["since_drift"]
    several = {"hit": [[True, None], [False, True]], "drift": False}
    board.observe(batch([message("a", 3, 4, CHANGE), message("a", 4, 4, several)], drifts=1))
    assert {"events": 1, "scored": 3, "hits": 2} == board.snapshot()["since_drift"]
    for _ in range(2 * MAX_DRIFTS):
        board.observe(batch([message("a", 5, 4, CHANGE)], drifts=1))
    assert MAX_DRIFTS == len(board.snapshot()["marks"])
    assert 2 + 2 * MAX_DRIFTS == board.snapshot()["drifts"]


def test_of_numbers_the_errors_are_told(board: DashboardState, clock: Clock) -> None:
    """In their unit, or where a partition has several of these, by their size; in the curve as well."""
    board.observe(standing(FIRST, numbers=NUMBER_REPORT))
    told = board.snapshot()
    expected = {"relative": False, "error": 2.0, "baseline_errors": {"last_value": 4.0, "most_frequent": 8.0}}
    assert {**expected, "skill": 0.5, "skill_error": 0.03, "interval_coverage": 0.9} == told["numbers"]
    assert [2.0, 4.0, 8.0] == told["curve"][0]["errors"]
    clock.now_s += 1
    vectors = replace(
        NUMBER_REPORT,
        mean_absolute_errors=None,
        mean_absolute_error_ratios=PredictorScores(0.3, {"last_value": 0.4, "most_frequent": 0.4}, {"lstm": 0.3}),
        skill=None,
    )
    board.observe(standing(SECOND, numbers=vectors))
    told = board.snapshot()
    expected = {"relative": True, "error": 0.2, "baseline_errors": {"last_value": 0.3, "most_frequent": 0.4}}
    assert {**expected, "skill": 0.5, "skill_error": 0.03, "interval_coverage": 0.9} == told["numbers"]
    third = replace(NUMBER_REPORT, skill_error=0.04)
    board.observe(standing(SECOND, numbers=third))
    assert 0.025 == board.snapshot()["numbers"]["skill_error"]  # of the mean of both: root of .03^2 + .04^2, by 2
    unknown = replace(vectors, mean_absolute_error_ratios=UNKNOWN)
    board.observe(AssignmentChanged(revoked=(FIRST, SECOND)))
    board.observe(standing(FIRST, numbers=unknown))
    assert board.snapshot()["numbers"] is None


def test_what_a_hit_rate_is_worth_is_told(board: DashboardState) -> None:
    """Means over the partitions that know it; the surprise is the last one that was told."""
    assert (None, None) == (board.snapshot()["kappa_temporal"], board.snapshot()["surprise_bits"])
    board.observe(standing(FIRST, kappa_temporal=0.5, surprise_bits=3.0))
    board.observe(standing(SECOND, kappa_temporal=0.7, surprise_bits=0.1))
    board.observe(standing(FIRST))
    told = board.snapshot()
    assert (0.7, 0.1) == (told["kappa_temporal"], told["surprise_bits"])


def test_when_the_present_level_was_reached_is_told(board: DashboardState, clock: Clock) -> None:
    """In values of this process; 0 where the hit rate was there before."""
    assert board.snapshot()["level_reached_after"] is None
    for events, hit_rate in ((100, 0.2), (100, 0.6), (100, 0.9), (700, 0.92)):
        board.observe(batch([], events=events))
        board.observe(standing(hit_rate=hit_rate))
        clock.now_s += 1
    assert 300 == board.snapshot()["level_reached_after"]
    restarted = DashboardState(
        {"task": "symbol", "channels": 1}, baselines=("last_value", "most_frequent"), clock=clock
    )
    restarted.observe(standing(hit_rate=0.9))
    assert 0 == restarted.snapshot()["level_reached_after"]


def test_a_stream_that_fell_silent_is_noticed(board: DashboardState, clock: Clock) -> None:
    """After a minute, or after ten times what usually passes between two batches."""
    assert board.snapshot()["silent_s"] is None
    board.observe(standing())
    for _ in range(5):
        clock.now_s += 1
        board.observe(batch([message("a", 1, 4)]))
    clock.now_s += 60
    assert board.snapshot()["silent_s"] is None
    clock.now_s += 1
    assert 61 == board.snapshot()["silent_s"]
    assert "No input is arriving" in board.snapshot()["headline"]["text"]
    for _ in range(30):
        clock.now_s += 600
        board.observe(batch([message("a", 1, 4)]))
    clock.now_s += 6000
    assert board.snapshot()["silent_s"] is None
    clock.now_s += 1
    assert 6001 == board.snapshot()["silent_s"]


def test_a_partition_that_went_is_no_longer_shown(board: DashboardState) -> None:
    """Its streams, rates and lag go with it."""
    board.observe(standing(FIRST))
    board.observe(batch([message("a", 1, 4)], lag_records=5))
    board.observe(AssignmentChanged(revoked=(FIRST,)))
    told = board.snapshot()
    assert (0, 0, None) == (told["partitions"], told["lag_records"], told["hit_rate"])
    assert 0 == board.streams()["kept"]


def test_what_waits_is_told_though_no_batch_comes(board: DashboardState) -> None:
    """Records behind an open transaction count, and what was lost with a partition does not."""
    board.observe(batch([message(None, 1, 4)]))
    board.observe(InputObserved(FIRST, lag_records=51, open_transaction_s=6.0))
    assert 51 == board.snapshot()["lag_records"]
    board.observe(AssignmentChanged(revoked=(FIRST,)))
    assert 0 == board.snapshot()["lag_records"]


def test_hints_are_told_with_their_partitions(board: DashboardState) -> None:
    """Those that hold now; one that stops all partitions is the headline."""
    hint = Hint("keys_never_return", "nothing is predicted, as no key came twice")
    board.observe(standing(FIRST))
    board.observe(standing(SECOND))
    board.observe(InputObserved(FIRST, 0, 0.0, (hint,)))
    told = board.snapshot()
    assert [{"partition": "numbers/0", "name": hint.name, "text": hint.text}] == told["hints"]
    assert "no key" not in told["headline"]["text"]
    board.observe(InputObserved(SECOND, 0, 0.0, (hint,)))
    assert {"mood": "bad", "text": "Nothing is predicted, as no key came twice."} == board.snapshot()["headline"]
    for source in (FIRST, SECOND):
        board.observe(InputObserved(source, 0, 0.0))
    assert [] == board.snapshot()["hints"]


def test_stream_by_partition_ignores_keys(clock: Clock) -> None:
    """Its messages have the keys of their records, and it has none."""
    about = {"task": "symbol", "channels": 1, "stream_by": "partition"}
    board = DashboardState(about, baselines=("last_value", "most_frequent"), clock=clock)
    said = json.loads(message(None, 1, 4).value or b"")
    rows = [OutputRecord(0, 0, b"row-%d" % event, json.dumps(said | {"event": event}).encode(), ()) for event in (1, 2)]
    board.observe(batch(rows))
    (stream,) = board.streams()["streams"]
    assert (None, 2) == (stream["name"], stream["events"])
    assert board.stream("numbers", 0, None)
