"""Ctrl-C while something is learned: it ends after the records at hand, and what came of them is told."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from types import FrameType, TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class Interruption:
    """Hears Ctrl-C as long as it is entered as a context, in the main thread.

    A first one lets the records be learned that were read already; a second one ends at once, as does one that comes
    outside of the context.
    """

    def __init__(self) -> None:
        self.asked = False
        self._reading = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _hear(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - what signals ask for
        if self.asked or self._reading:  # whoever waits for input waits in vain
            raise KeyboardInterrupt
        self.asked = True
        with suppress(OSError):  # a print may have been what was interrupted
            os.write(2, b"\nending with the records at hand; Ctrl-C once more ends at once\n")

    def take(self, items: Iterator[T], most: int) -> list[T]:
        """Give the next items, none if it was interrupted; fewer than ``most`` if that happens, or at their end."""
        taken: list[T] = []
        try:
            self._reading = True
            if not self.asked:
                for item in islice(items, most):
                    taken.append(item)  # noqa: PERF402 - what was read is kept, whatever comes
        except KeyboardInterrupt:
            if self.asked:
                raise
            self.asked = True
        finally:
            self._reading = False
        return taken
