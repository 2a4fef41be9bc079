"""Durations of the parts of a command."""

import time

import pytest
from online_lstm.devtools.elapsed_times import Durations


def test_parts_are_listed_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that were measured elsewhere are listed like the others."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    durations = Durations()
    durations.add("install", 41.0)
    for part, seconds in (("broker", 2.25), ("learned", 7.0)):
        with durations.measure(part):
            now[0] += seconds
    assert ["install          41.0 s", "broker            2.2 s", "learned           7.0 s"] == durations.lines()


def test_a_failed_part_is_not_listed() -> None:
    """Its duration would be of half a part."""
    durations = Durations()
    with pytest.raises(KeyError), durations.measure("broker"):
        raise KeyError
    assert [] == durations.lines()
