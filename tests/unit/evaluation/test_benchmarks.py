"""The metrics of the protocols: which elements they cover, and when they have no value."""

from collections.abc import Sequence

import pytest
from online_lstm.evaluation.benchmarks import (
    LAST,
    LATE,
    MIN_RATIO,
    MOVING,
    PROTOCOLS,
    Trace,
    error_by_last_value,
    hit_rate,
    last_bits,
    last_hits,
    last_hits_before_switch,
    last_listed,
    learned,
    mean_bits,
    misses_later,
    relearned,
    share_of_first,
    worse_streams,
)


def track(hits: str, scored: str | None = None) -> Trace:
    """Read hits and scored elements: ``x`` is one."""
    return Trace([mark == "x" for mark in scored or "x" * len(hits)], [mark == "x" for mark in hits])


def test_rates_are_of_the_elements_that_they_say() -> None:
    """The first 500, all, or the last scored ones; what was not predicted is a miss."""
    hits = track("." * 250 + "x" * 250 + "x" * LATE + ".")
    assert 0.5 == share_of_first(hits)
    assert 1 == misses_later(hits)
    assert 0.5 == hit_rate(track("x."))
    ending = track("." * 10 + "x." * LAST, "x" * 10 + "x." * LAST)
    assert 1.0 == last_hits(ending)
    halves = track("x.x." + "x.x.", "x.x." + ".x.x")
    assert (1.0, 0.5) == (last_hits_before_switch(halves), last_hits(halves))


def test_surprise_and_lists_are_those_of_who_has_them() -> None:
    """Others have no figure; an element without a prediction has no surprise."""
    told = Trace([True, False, True], [False] * 3, [None, 4.0, 2.0], [True, False, False])
    assert (3.0, 2.0, 0.5) == (mean_bits(told), last_bits(told), last_listed(told))
    silent = track("x")
    assert (None, None, None) == (mean_bits(silent), last_bits(silent), last_listed(silent))


def test_figures_of_too_short_a_stream_are_none() -> None:
    """There is no mean of nothing."""
    assert (None, None) == (misses_later(track("x")), hit_rate(track("")))


def test_it_has_learned_when_95_of_the_last_100_are_right() -> None:
    """Of those that are scored; the first ones that are missing count as misses, and the count is in elements."""
    assert 95 == learned(track("x" * 400))
    assert 2 * 95 - 1 == learned(track("x." * 400, "x." * 400))
    assert 105 == learned(track("." * 10 + "x" * 390))
    assert learned(track("x" * 94 + "." * 306)) is None
    late = "x" * 90 + "." * 10
    assert learned(track(late * 8)) is None


def test_relearning_counts_from_the_switch() -> None:
    """What was right before it does not count, and what comes after it does not count for learning."""
    whole = track("." * MOVING + "x" * 100 + "." * 20 + "x" * 180)
    assert (195, 115) == (learned(whole), relearned(whole))
    assert learned(track("." * 200 + "x" * 200)) is None


def test_published_figures_have_a_metric_and_a_source() -> None:
    """Every published figure is of a metric that the protocol has."""
    for protocol in PROTOCOLS.values():
        names = {measure.name for measure in protocol.measures}
        assert all(set(them.figures) <= names for them in protocol.published)
        assert bool(protocol.published) == bool(protocol.source)


def numbers(**streams: Sequence[tuple[float | None, float | None, float | None]]) -> Trace:
    """Read the errors of a predictor, of the last value and of the seasonal naive, event by event."""
    rows = [row for stream in streams.values() for row in stream]
    ours, last, seasonal = zip(*rows, strict=True)
    keys = [name for name, stream in streams.items() for _ in stream]
    flags = [True] * len(rows)
    baselines = {"last_value": last, "seasonal_naive": seasonal}
    return Trace(flags, flags, errors=ours, baseline_errors=baselines, keys=keys)


def test_errors_are_compared_by_the_age_of_a_stream() -> None:
    """The mean of a stream's events by that of the last value, and the geometric mean over the streams."""
    first = [(None, None, None), (1.0, 2.0, 9.0), (3.0, 2.0, 9.0), (8.0, 1.0, 9.0)]
    other = [(None, None, None), (4.0, 1.0, 9.0), (4.0, 1.0, 9.0), (0.0, 1.0, 9.0)]
    trace = numbers(first=first, other=other)
    assert 2.0 == pytest.approx(error_by_last_value(2, 3, trace))
    assert (8 * MIN_RATIO) ** 0.5 == pytest.approx(error_by_last_value(4, 9, trace))
    assert error_by_last_value(5, 9, trace) is None
    assert error_by_last_value(2, 3, numbers(constant=[(0.0, 0.0, 0.0)] * 4)) is None


def test_a_stream_is_worse_by_more_than_chance() -> None:
    """Than the better of its baselines, by two standard errors of the differences; squares count large errors more."""
    sure = [(2.0, 9.0, 1.0), (2.1, 9.0, 1.0)] * 20
    luck = [(0.0, 9.0, 1.0), (2.1, 9.0, 1.0)] * 20
    better = [(0.5, 9.0, 1.0), (0.4, 9.0, 1.0)] * 20
    assert 1 == worse_streams(1, numbers(sure=sure, luck=luck, better=better, young=[(None, None, None)]))
    assert 2 == worse_streams(2, numbers(sure=sure, luck=luck, better=better))
