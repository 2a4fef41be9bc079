"""Windows that are kept to be learned from again: which ones, and which of them an event brings back.

Every ``STRIDE``-th event of a stream leaves its window, its own code as the last target, and the left-edge states
that it was fitted from. Learning from some of them beside each new window keeps what is rare from being forgotten.
The arrays belong to the caller; nothing here knows the network.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.network.layout import Floats, Integers

STRIDE = 16
"""Windows overlap, so few of them show everything; each takes as much memory as some hundred weights."""


@dataclass(frozen=True, slots=True)
class Past:
    """A stream's events so far and its kept windows, as views on its arrays, the latest over the stalest.

    ``codes`` are int32 (places, window + 1), -1 before a sequence began; ``states`` float32 (places, states_size).
    The window of event ``e`` is at place ``e // STRIDE % places``.
    """

    events: int
    codes: Integers
    states: Floats

    def keep(self, windows: Integers, states: Floats) -> None:
        """Keep what the next K events leave, in place: (K, window + 1) and (K, states_size)."""
        if not len(self.codes):
            return
        first = self.events + 1
        events = np.arange(first + -first % STRIDE, first + len(windows), STRIDE)
        # of more events than there are places, the last ones stay
        events = events[-len(self.codes) :]
        self.codes[events // STRIDE % len(self.codes)] = windows[events - first]
        self.states[events // STRIDE % len(self.codes)] = states[events - first]

    def forget(self, code: int) -> None:
        """Let a code that now is another symbol's be unknown in all windows, in place."""
        self.codes[self.codes == code] = 0


def places(history: int) -> int:
    """Give how many windows are kept, so that those of the last ``history`` events are among them."""
    return history // STRIDE + 2 if history else 0


def draw(seed: int, first: int, count: int, history: int) -> NDArray[np.int64]:
    """Draw the events whose windows come back with each of ``count`` events from number ``first`` on, int64 (count,).

    The age is the square of a uniform number, so recent ones come oftener, times ``history`` or as much as there is.
    A number below ``STRIDE`` is 0: at that place there is nothing yet. What an event draws is a function of its number
    and the seed alone.
    """
    raw = np.random.Philox(key=seed, counter=first).random_raw(4 * count)[::4]  # one block of the counter an event
    uniform = (raw >> np.uint64(11)) * 2.0**-53
    events = np.arange(first, first + count)
    ages = 1 + (uniform * uniform * np.minimum(history, events - 1)).astype(np.int64)
    drawn: NDArray[np.int64] = np.maximum(events - ages, 0) // STRIDE * STRIDE
    return drawn
