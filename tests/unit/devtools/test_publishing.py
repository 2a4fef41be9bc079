"""Publishing: keys, pace, and what a signal ends."""

import signal
import time
from collections.abc import Iterator

import pytest
from online_lstm.devtools.publishing import Message, paced, split_keys, until_requested
from online_lstm.shutdown import Shutdown


def test_a_key_ends_at_the_first_separator() -> None:
    """A separator may be longer than a character, and values may contain it."""
    assert [(b"a", b"4"), (b"", b"=>5")] == list(split_keys([b"a=>4", b"=>=>5"], "=>", "-"))


def test_a_rate_spaces_values_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that sending takes is made up for, so that the rate holds over the whole."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    sent_at = []
    for _ in paced(iter([(None, b"4")] * 4), rate=10):
        sent_at.append(round(now[0] - 100.0, 6))
        now[0] += 0.03
    assert [0.0, 0.1, 0.2, 0.3] == sent_at


def test_a_signal_ends_the_wait_for_a_value() -> None:
    """Nobody presses Ctrl-C and then waits for the next line of standard input."""
    passed = []

    def messages() -> Iterator[Message]:
        yield None, b"4"
        signal.raise_signal(signal.SIGINT)
        yield None, b"never read"

    with Shutdown() as shutdown:
        passed += list(until_requested(shutdown, messages()))
    assert [(None, b"4")] == passed


def test_a_signal_while_sending_lets_that_value_finish() -> None:
    """It ends before the next value, and whoever handled the signal before does so again."""
    before = signal.getsignal(signal.SIGTERM)
    finished = []
    with Shutdown() as shutdown:
        for _, value in until_requested(shutdown, iter([(None, b"4"), (None, b"8")])):
            signal.raise_signal(signal.SIGTERM)
            finished.append(value)
    assert [b"4"] == finished
    assert before == signal.getsignal(signal.SIGTERM)
