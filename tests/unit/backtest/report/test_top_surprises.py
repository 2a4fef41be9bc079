"""The most surprising moments: which are kept, and which are told."""

import doctest
import random

from online_lstm.backtest.report import top_surprises as module
from online_lstm.backtest.report.top_surprises import MAX_MOMENTS, TopSurprises


def test_after_any_part_the_most_surprising_ones_are_known() -> None:
    """Wherever the time to learn turns out to have ended."""
    chance, surprising, begun = random.Random(3), TopSurprises(), [0]
    moments = [(event, float(chance.randrange(40))) for event in range(1, 501)]
    for event, surprise in moments:
        if surprising.wants(surprise):
            surprising.add(surprise, {"event": event, "bits": surprise})
        if event in {40, 41, 300, 495, 500}:
            surprising.begin_part(event)
            begun.append(event)
    for after in begun:
        expected = sorted((-surprise, event) for event, surprise in moments if event > after)[:MAX_MOMENTS]
        assert expected == [(-one["bits"], one["event"]) for one in surprising.top(after)]


def test_its_examples_are_right() -> None:
    """Those in the docstrings."""
    assert (0, True) == ((done := doctest.testmod(module)).failed, done.attempted > 0)
