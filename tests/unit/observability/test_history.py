"""The curves of the page: bounded, from the beginning on, and what they say about how long learning took."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from online_lstm.observability.history import MIN_EVENTS, POINTS, HistoryPoint, MetricHistory


def curve_of(points: Sequence[tuple[int, float]]) -> MetricHistory:
    curve = MetricHistory()
    for number, (events, hit_rate) in enumerate(points):
        curve.add(HistoryPoint(float(number), events, [hit_rate, 0.1]))
    return curve


def test_it_is_thinned_and_begins_where_it_began() -> None:
    """However long a process runs; no two points are nearer than the step."""
    curve = curve_of([(number, 0.5) for number in range(5 * POINTS)])
    assert POINTS / 2 < len(curve.points) <= POINTS + 1
    assert 0.0 == curve.points[0].at
    assert 5 * POINTS - 1 == curve.points[-1].at == curve.drawn
    assert all(after.at - before.at >= curve.step_s for before, after in pairwise(curve.points[:-1]))


def test_the_last_point_is_there_also_if_one_is_near() -> None:
    """What is told is how it stands now; the next one takes its place, unless it is far enough from the one before."""
    curve = MetricHistory()
    for at, events in ((1.0, 40), (1.05, 80)):
        curve.add(HistoryPoint(at, events, [0.5 + events / 200]))
    assert [40, 80] == [point.events for point in curve.points]
    assert 80 == curve.level_reached_after(0.9)
    curve.add(HistoryPoint(1.08, 90, [0.9]))
    assert [40, 90] == [point.events for point in curve.points]
    curve.add(HistoryPoint(1.1, 95, [0.9]))
    assert [40, 95] == [point.events for point in curve.points]
    assert [1.1] == [point["at"] for point in curve.after(1.08)]


def test_what_is_new_is_told_as_json_has_it() -> None:
    """All of it to whoever knows nothing yet."""
    curve = curve_of([(10, 0.5), (20, 0.75)])
    assert 1.0 == curve.drawn
    assert [{"at": 1.0, "events": 20, "hit_rates": [0.75, 0.1], "errors": None}] == curve.after(0.0)
    assert 2 == len(curve.after(-1.0))
    assert [] == MetricHistory().after(0.0)
    assert 0.0 == MetricHistory().drawn


@pytest.mark.parametrize(
    ("points", "hit_rate", "expected"),
    [
        ([], 0.9, None),
        ([(50, 0.4), (150, 0.7), (400, 0.96), (900, 0.9)], 1.0, 400),
        ([(50, 0.4), (150, 0.7)], 0.7, 150),
        ([(50, 0.4), (150, 0.7)], None, None),
        ([(50, 0.4), (150, 0.7)], 0.0, None),
        ([(50, 0.4), (150, 0.7)], 0.99, None),
        ([(MIN_EVENTS - 1, 1.0), (100, 0.5), (200, 0.9)], 0.9, 200),
        ([(MIN_EVENTS - 1, 1.0), (200, 0.9)], 0.9, None),
        ([(0, 0.89), (200, 0.9)], 0.9, 0),
    ],
)
def test_time_to_learn_is_until_the_present_level_was_near(
    points: list[tuple[int, float]], hit_rate: float | None, expected: int | None
) -> None:
    """Within a twentieth; the first few events tell nothing, and 0 is said of what was learned before.

    Nothing is said where the first point is that high: it may have been so long before.
    """
    assert expected == curve_of(points).level_reached_after(hit_rate)


def test_it_knows_how_it_stood_earlier() -> None:
    """At the last point before so many events; and whether anything was there when the process began."""
    curve = curve_of([(10, 0.5), (20, 0.6), (40, 0.7)])
    earlier = curve.earlier(39)
    assert earlier is not None
    assert 20 == earlier.events
    assert curve.earlier(9) is None
    assert not curve.resumed
    assert curve_of([(0, 0.5)]).resumed
    assert not MetricHistory().resumed
