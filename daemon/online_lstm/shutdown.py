"""How signals end a command: the first one asks it to stop, a second one ends it at once.

Knows nothing of what the command does; what it does when it is asked, and when it is ended, are functions given to
``Shutdown``.
"""

import os
import signal
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NoReturn, Self, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a service manager's stop, and a terminal that is closed; none of them reloads anything."""


def interrupt(number: signal.Signals) -> NoReturn:  # noqa: ARG001 - as exit_at_once
    """Raise ``KeyboardInterrupt``, so that every context is left in order."""
    raise KeyboardInterrupt


def exit_at_once(number: signal.Signals) -> NoReturn:
    """End the process as the signal would have, without leaving any context."""
    os._exit(128 + number)


class Shutdown:
    """A context, in the main thread, that receives the signals of ``SIGNALS`` and restores their handlers.

    A command started by ``nohup`` ignores SIGHUP, and goes on doing so.

    Args:
        on_first: Called at the first signal, between any two steps of the main thread. None: ``requested`` is set, and
            a ``take`` that waits returns.
        on_second: Called at every later signal.
    """

    def __init__(
        self,
        on_first: Callable[[signal.Signals], None] | None = None,
        *,
        on_second: Callable[[signal.Signals], NoReturn] = interrupt,
    ) -> None:
        self.requested = False
        self._on_first, self._on_second = on_first, on_second
        self._waiting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def take(self, items: Iterator[T], most: int) -> list[T]:
        """Return the next items: fewer than ``most`` at their end or when a stop is requested, which ends the wait."""
        taken: list[T] = []
        try:
            self._waiting = True
            if not self.requested:
                for item in islice(items, most):
                    taken.append(item)  # noqa: PERF402 - what was read is kept, whatever comes
            self._waiting = False
        except KeyboardInterrupt:
            if self.requested:
                raise
            self.requested = True
        finally:
            self._waiting = False
        return taken

    def _handle(self, number: int, _frame: object) -> None:
        if self.requested:
            self._on_second(signal.Signals(number))
        if self._waiting:  # an exception elsewhere could leave a client of Kafka in any state
            raise KeyboardInterrupt
        self.requested = True
        if self._on_first is not None:
            self._on_first(signal.Signals(number))
