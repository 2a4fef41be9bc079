"""A wait for the broker's answer to a producer."""

import time
from collections.abc import Callable

CHECK_AFTER_S = 3.0
"""Time without an answer after which the producer checks that the topics exist, and interval of further checks."""


class BrokerWait:
    """The waiting time for a broker's answer, passed on to ``waiting``; ``waiting`` and ``check`` may raise."""

    def __init__(self, waiting: Callable[[float], None], check: Callable[[], None] = lambda: None) -> None:
        self._waiting, self._check = waiting, check
        self._started = time.monotonic()
        self._check_at_s = CHECK_AFTER_S

    def report(self) -> float:
        """Report the seconds without an answer to ``waiting``, run ``check`` if it is due, and return the seconds."""
        seconds = time.monotonic() - self._started
        self._waiting(seconds)
        if seconds >= self._check_at_s:
            self._check_at_s = seconds + CHECK_AFTER_S
            self._check()
        return seconds
