"""Windows that are kept to be learned from again: which ones, and which of them an event brings back.

Every so many events a stream leaves its window and the left-edge states that it was fitted from. Learning from some of
them beside each new window keeps what is rare from being forgotten.
The arrays belong to the caller; nothing here knows the network.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.network.layout import Floats
from online_lstm.learning.network.rng import blocks

STRIDE = 16
"""Windows overlap, so few of them show everything; each takes as much memory as some hundred weights."""


@dataclass(frozen=True, slots=True)
class ReplayBuffer:
    """A stream's events so far and its kept windows, as views on its arrays, the latest over the stalest.

    ``windows`` are (places, ...), ``states`` float32 (places, states_size). The window of event ``e`` is at place
    ``e // stride % buffer_capacity``.
    """

    events: int
    windows: NDArray[Any]
    states: Floats
    stride: int = STRIDE

    def keep(self, windows: NDArray[Any], states: Floats) -> None:
        """Keep what the next K events leave, in place: (K, ...) and (K, states_size)."""
        if not len(self.windows):
            return
        first = self.events + 1
        events = np.arange(first + -first % self.stride, first + len(windows), self.stride)
        # of more events than there are places, the last ones stay
        events = events[-len(self.windows) :]
        self.windows[events // self.stride % len(self.windows)] = windows[events - first]
        self.states[events // self.stride % len(self.windows)] = states[events - first]

    def forget(self, code: int) -> None:
        """Let a code that now is another symbol's be unknown in all windows, in place."""
        self.windows[self.windows == code] = 0


def buffer_capacity(history: int, *, stride: int = STRIDE, youngest: int = 1) -> int:
    """Give how many windows are kept, so that all that an event can draw are among them."""
    return (youngest - 1 + history) // stride + 2 if history else 0


def sample_window(
    seed: int, first: int, count: int, history: int, *, stride: int = STRIDE, youngest: int = 1
) -> NDArray[np.int64]:
    """Draw the events whose windows come back with each of ``count`` events from number ``first`` on, int64 (count,).

    The age is the square of a uniform number, so recent ones come oftener, times ``history`` or as much as there is,
    and at least ``youngest``. A number below ``stride`` is 0: at that place there is nothing yet. What an event draws
    is a function of its number and the seed alone.
    """
    raw = blocks(seed, first, count)[:, 0]
    uniform = (raw >> np.uint64(11)) * 2.0**-53
    events = np.arange(first, first + count)
    ages = youngest + (uniform * uniform * np.minimum(history, events - youngest).clip(0)).astype(np.int64)
    drawn: NDArray[np.int64] = np.maximum(events - ages, 0) // stride * stride
    return drawn
