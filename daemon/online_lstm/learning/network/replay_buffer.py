"""The replay buffer: which windows a stream keeps, and which of the kept windows each event replays.

Every ``stride`` events a stream keeps its window and the left-edge states that the window was fitted from. Learning
from some kept windows beside each new window prevents the network from forgetting rare patterns.
The caller owns the arrays. Must not know the network.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.network.layout import Floats
from online_lstm.learning.network.rng import blocks

STRIDE = 16
"""Events between two kept windows. They overlap, so few show everything; each takes the memory of some 100 weights."""


@dataclass(frozen=True, slots=True)
class ReplayBuffer:
    """The number of events of a stream so far, and views of its kept windows; the newest window replaces the oldest.

    ``windows`` are (capacity, ...), ``states`` float32 (capacity, states_size). The window of event ``e`` is at index
    ``e // stride % buffer_capacity``.
    """

    events: int
    windows: NDArray[Any]
    states: Floats
    stride: int = STRIDE

    def keep(self, windows: NDArray[Any], states: Floats) -> None:
        """Keep the due windows and states of the next K events, in place: (K, ...) and (K, states_size)."""
        if not len(self.windows):
            return
        first = self.events + 1
        events = np.arange(first + -first % self.stride, first + len(windows), self.stride)
        # if more windows are due than the buffer holds, the last ones stay
        events = events[-len(self.windows) :]
        self.windows[events // self.stride % len(self.windows)] = windows[events - first]
        self.states[events // self.stride % len(self.windows)] = states[events - first]

    def forget(self, code: int) -> None:
        """Set a code that now belongs to another symbol to 0, unknown, in all windows, in place."""
        self.windows[self.windows == code] = 0


def buffer_capacity(history: int, *, stride: int = STRIDE, youngest: int = 1) -> int:
    """Return the number of windows to keep, so that every window that an event can draw is kept."""
    return (youngest - 1 + history) // stride + 2 if history else 0


def sample_window(
    seed: int, first: int, count: int, history: int, *, stride: int = STRIDE, youngest: int = 1
) -> NDArray[np.int64]:
    """Draw the event whose window each of ``count`` events from number ``first`` on replays, int64 (count,).

    The age of the drawn event is the square of a uniform number, so recent events come more often, times the smaller of
    ``history`` and the number of earlier events; at least ``youngest``. A drawn number below ``stride`` becomes 0, and
    index 0 is still empty then. The draw of an event is a function of its number and the seed alone.
    """
    raw = blocks(seed, first, count)[:, 0]
    uniform = (raw >> np.uint64(11)) * 2.0**-53
    events = np.arange(first, first + count)
    ages = youngest + (uniform * uniform * np.minimum(history, events - youngest).clip(0)).astype(np.int64)
    drawn: NDArray[np.int64] = np.maximum(events - ages, 0) // stride * stride
    return drawn
