"""Counts of what was predicted where what came."""

from collections import Counter

import numpy as np
from online_lstm.backtest.report.confusion import MAX_SHOWN, MAX_TRACKED, Confusion


def test_few_values_are_counted_exactly() -> None:
    """Rows are what came, columns what was predicted, the most frequent value first."""
    confusion = Confusion()
    for came, predicted in [("a", "a")] * 3 + [("b", "a")] * 2 + [(4, "b")]:
        confusion.add(came, predicted)
    figures = confusion.to_json()
    assert ["a", "b", 4] == figures["values"]
    assert [[3, 0, 0], [2, 0, 0], [0, 1, 0]] == figures["counts"]
    assert figures["other"] is False


def test_the_rest_are_others() -> None:
    """At most ten values have a row of their own; nothing is lost."""
    confusion = Confusion()
    for value in range(30):
        for _ in range(40 - value):
            confusion.add(value, value)
    figures = confusion.to_json()
    assert list(range(MAX_SHOWN)) == figures["values"]
    assert figures["other"] is True
    assert sum(range(11, 41)) == sum(map(sum, figures["counts"]))
    assert sum(range(11, 31)) == figures["counts"][-1][-1]


def test_memory_is_bounded_and_late_frequent_values_found() -> None:
    """Fifty thousand values that come once do not hide five that come again and again."""
    confusion, drawn = Confusion(), np.random.default_rng(0)
    expected = Counter[str]()
    for place in range(50_000):
        if place > 20_000 and place % 8 == 0:
            value = f"frequent {drawn.integers(5)}"
            confusion.add(value, value)
            expected[value] += 1
        else:
            confusion.add(place, place - 1)
        assert len(confusion._seen) <= MAX_TRACKED + 2
    assert len(confusion._pairs) <= 3 * MAX_TRACKED
    figures = confusion.to_json()
    counted = {value: figures["counts"][place][place] for place, value in enumerate(figures["values"])}
    assert dict(expected) == {value: count for value, count in counted.items() if isinstance(value, str)}


def test_what_was_frequent_long_ago_makes_way() -> None:
    """However often many values came at first, one that comes all the time later is found among what comes once."""
    confusion = Confusion()
    for number in range(300):
        for _ in range(100):
            confusion.add(f"early {number}", f"early {number}")
    for place in range(60_000):
        value = "late" if place % 4 == 0 else place
        confusion.add(value, value)
    figures = confusion.to_json()
    assert "late" == figures["values"][0]
    assert 14_000 < figures["counts"][0][0] <= 15_000
