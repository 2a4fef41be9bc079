"""What signals do to a command: the first asks, the second ends, and the handlers of before come back."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from online_lstm.shutdown import SIGNALS, DeferredInterrupt, Shutdown, interrupt

TWICE = """
import signal
from online_lstm.shutdown import Shutdown, exit_at_once

with Shutdown(on_second=exit_at_once):
    signal.raise_signal(signal.{name})
    print("went on", flush=True)
    signal.raise_signal(signal.{name})
    print("never reached", flush=True)
"""


@pytest.fixture(autouse=True)
def a_terminal_that_hangs_up() -> Iterator[None]:
    """SIGHUP has its default handler, also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks_and_the_second_interrupts(number: signal.Signals) -> None:
    """Each signal alike; afterwards each has the handler of before."""
    before = [signal.getsignal(other) for other in SIGNALS]
    asked: list[signal.Signals] = []
    with Shutdown(asked.append) as shutdown:
        requested = [shutdown.requested]
        signal.raise_signal(number)
        requested.append(shutdown.requested)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert [False, True] == requested
    assert [number] == asked
    assert before == [signal.getsignal(other) for other in SIGNALS]


def test_a_first_signal_may_interrupt() -> None:
    """Where a command has nothing to finish."""
    with pytest.raises(KeyboardInterrupt), Shutdown(interrupt):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_second_signal_may_exit_at_once(name: str, code: int) -> None:
    """With 128 and the signal's number, as a shell tells it."""
    ended = subprocess.run(
        [sys.executable, "-c", TWICE.format(name=name)], stdout=subprocess.PIPE, text=True, check=False
    )
    assert (code, "went on\n") == (ended.returncode, ended.stdout)


def test_a_command_under_nohup_does_not_hear_sighup() -> None:
    """It was asked to go on when its terminal is closed."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Shutdown(interrupt) as shutdown:
        signal.raise_signal(signal.SIGHUP)
        assert not shutdown.requested
    assert signal.SIG_IGN == signal.getsignal(signal.SIGHUP)


def test_a_signal_ends_the_wait_for_an_item() -> None:
    """What was taken before is returned, and nothing is taken after."""

    def items() -> Iterator[int]:
        yield from (1, 2)
        signal.raise_signal(signal.SIGHUP)
        yield 3

    waited = items()
    with Shutdown(interrupt) as shutdown:
        assert [1] == shutdown.take(waited, 1)
        assert [2] == shutdown.take(waited, 5)
        assert [] == shutdown.take(iter([4]), 5)


def test_an_interrupt_waits_for_the_end_of_a_context() -> None:
    """Or for the moment at which the program allows it; it comes once, and the handler of before comes back."""
    before, steps = signal.getsignal(signal.SIGINT), []

    def interrupted() -> None:
        with DeferredInterrupt():
            signal.raise_signal(signal.SIGINT)
            steps.append("went on")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with DeferredInterrupt() as deferred:
        deferred.deliver()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            deferred.deliver()
        steps.append("ended")
    assert ["went on", "ended"] == steps
    assert before == signal.getsignal(signal.SIGINT)


def test_nothing_is_deferred_in_another_thread() -> None:
    """Only the main thread receives signals and may choose what they do."""
    before = signal.getsignal(signal.SIGINT)

    def handler_inside() -> object:
        with DeferredInterrupt():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as other:
        assert before == other.submit(handler_inside).result()
