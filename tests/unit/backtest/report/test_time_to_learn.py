"""Times until a level is reached, on hits and errors that are made by hand."""

from collections.abc import Sequence

import pytest
from online_lstm.backtest.report.time_to_learn import MAX_DRIFTS, WINDOW, DriftRecoveries, TimeToLearn


def time_to_learn(worths: Sequence[float], *, higher: bool = True) -> int | None:
    timed = TimeToLearn(higher_is_better=higher)
    for event, worth in enumerate(worths, 1):
        timed.add(event, worth)
    events: int | None = timed.to_json()["events"]
    return events


def test_hit_rate_is_reached_when_window_equals_end() -> None:
    """After 300 misses the window needs 48 hits of 50 for 95 % of 1."""
    assert 300 + 48 == time_to_learn([0] * 300 + [1] * 700)
    assert WINDOW == time_to_learn([1] * 1000)


def test_it_is_the_first_time() -> None:
    """What is lost and learned again later was learned before."""
    assert WINDOW == time_to_learn([1] * 100 + [0] * 300 + [1] * 2000)


def test_a_drift_counts_also_where_its_error_is_not_known() -> None:
    """What is not known is no error of 0, and no prediction that recovery takes."""
    recoveries = DriftRecoveries(higher_is_better=False, max_streams=3)
    for event in range(1, 301):
        recoveries.add(event, event, None, None if event % 2 else 2.0, drift=event == 201)
    assert [{"event": 201, "line": 201, "stream": None, "level_before": 2.0, "recovered_after": WINDOW}] == (
        recoveries.to_json()
    )


def test_an_error_is_reached_from_above() -> None:
    """Of 10 at first and 2 in the end, with 2 / .95 as the goal: one 10 among 50 would be too much."""
    assert 200 + WINDOW == time_to_learn([10.0] * 200 + [2.0] * 800, higher=False)
    assert WINDOW == time_to_learn([0.0] * 200, higher=False)


def test_a_slow_decline_of_errors_keeps_few_moments() -> None:
    """An error that falls with every event is told to half a percent, and takes no memory of each."""
    timed = TimeToLearn(higher_is_better=False)
    for event in range(1, 100_001):
        timed.add(event, 1e6 / event)
    assert len(timed._bests) < 2000
    # the mean of the last 1,000 is reached, but 5 %, some 5 % before
    assert timed.to_json()["events"] == pytest.approx(100_000 / 1.005 * 0.95, rel=0.02)


@pytest.mark.parametrize("worths", [[], [1], [1] * (2 * WINDOW - 1), [0] * 1000])
def test_too_few_or_nothing_learned_is_none(worths: list[float]) -> None:
    """A level of 0 is not reached by standing still."""
    assert time_to_learn(worths) is None


def recovered(worths: Sequence[float], drifts: Sequence[int], *, higher: bool = True) -> list[int | None]:
    recoveries = DriftRecoveries(higher_is_better=higher, max_streams=3)
    for event, worth in enumerate(worths, 1):
        recoveries.add(event, event, None, worth, drift=event in drifts)
    return [one["recovered_after"] for one in recoveries.to_json()]


def test_recovery_is_counted_from_the_drift_on() -> None:
    """Thirty misses more, then 48 of 50 hits are 95 % of 1."""
    assert [30 + 48] == recovered([1] * 300 + [0] * 40 + [1] * 200, [310])
    assert [40 + WINDOW] == recovered([2.0] * 300 + [9.0] * 50 + [2.0] * 200, [310], higher=False)


def test_what_is_never_recovered_is_none() -> None:
    """Because the input is over, another drift came before, or there was no level before."""
    assert [None] == recovered([1] * 300 + [0] * 100, [310])
    assert [None, WINDOW] == recovered([1] * 300 + [0, 1] * 100, [310, 450])
    assert [None] == recovered([1] * 60 + [0] * 20 + [1] * 200, [70])


def test_each_stream_recovers_by_itself() -> None:
    """The hits of another one are no sign of it."""
    recoveries = DriftRecoveries(higher_is_better=True, max_streams=3)
    for event in range(600):
        recoveries.add(event, event, "a", float(event < 300), drift=event == 320)
        recoveries.add(event, event, "b", 1.0, drift=False)
    (told,) = recoveries.to_json()
    assert ("a", 320, None) == (told["stream"], told["event"], told["recovered_after"])
    assert 1.0 == told["level_before"]


def test_memory_is_bounded() -> None:
    """However many streams and drifts there are; all drifts are counted."""
    recoveries = DriftRecoveries(higher_is_better=True, max_streams=3)
    for event in range(2000):
        recoveries.add(event, event, str(event % 100), 1.0, drift=True)
    assert 2000 == recoveries.count
    assert (MAX_DRIFTS, 3) == (len(recoveries.to_json()), len(recoveries._streams))
    assert set(recoveries._waiting) <= set(recoveries._streams)
