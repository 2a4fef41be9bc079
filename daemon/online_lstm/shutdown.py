"""Signal handling of a command: the first signal asks it to stop, a second one ends it at once.

Must not know what the command does; its reactions to the first and to later signals are functions given to
``Shutdown``.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NoReturn, Self, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a service manager's stop, and a closed terminal; no signal reloads anything."""


def interrupt(number: signal.Signals) -> NoReturn:  # noqa: ARG001 - same signature as exit_at_once
    """Raise ``KeyboardInterrupt``, so that every context is closed in order."""
    raise KeyboardInterrupt


def exit_at_once(number: signal.Signals) -> NoReturn:
    """End the process as the signal would have, without closing any context."""
    os._exit(128 + number)


class DeferredInterrupt:
    """A context that Ctrl-C does not break: the handler of SIGINT runs at ``deliver``, or when the context ends.

    Python's handler raises ``KeyboardInterrupt``. Only the main thread receives signals; in another thread nothing is
    deferred.
    """

    def __init__(self) -> None:
        self._requested = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT)):
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        self.deliver()

    def deliver(self) -> None:
        """Run the handler now if Ctrl-C was pressed."""
        if self._requested:
            self._requested = False
            self._before(signal.SIGINT, None)

    def _handle(self, _number: int, _frame: object) -> None:
        self._requested = True


class Shutdown:
    """A context, in the main thread, that handles the signals of ``SIGNALS`` and restores the previous handlers.

    A command started by ``nohup`` ignores SIGHUP, and continues to ignore it.

    Args:
        on_first: Called at the first signal, between any two steps of the main thread. None: ``requested`` is set, and
            a waiting ``take`` returns.
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

    def take(self, items: Iterator[T], max_items: int) -> list[T]:
        """Return the next items: fewer than ``max_items`` at their end, or if a stop is requested during the wait."""
        received: list[T] = []
        try:
            self._waiting = True
            if not self.requested:
                for item in islice(items, max_items):
                    received.append(item)  # noqa: PERF402 - keeps the items read before an interrupt
            self._waiting = False
        except KeyboardInterrupt:
            if self.requested:
                raise
            self.requested = True
        finally:
            self._waiting = False
        return received

    def _handle(self, number: int, _frame: object) -> None:
        if self.requested:
            self._on_second(signal.Signals(number))
        if self._waiting:  # an exception elsewhere could leave a Kafka client in any state
            raise KeyboardInterrupt
        self.requested = True
        if self._on_first is not None:
            self._on_first(signal.Signals(number))
