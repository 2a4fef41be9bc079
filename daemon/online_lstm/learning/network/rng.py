"""Random numbers by counter: the draw of an event is a function of the seed and the event's number alone."""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.network.hyperparameters import LearningSettings
from online_lstm.learning.network.layout import Integers, Layout


def blocks(seed: int, first: int, count: int) -> NDArray[np.uint64]:
    """Return one block of the counter for each of ``count`` events from number ``first`` on, uint64 (count, 4).

    The first number of a block determines the replayed window, the second the dropout.
    """
    return np.random.Philox(key=seed, counter=first).random_raw(4 * count).reshape(count, 4)


def drops_out(layout: Layout, learning: LearningSettings, *, replayed: bool) -> bool:
    """Return whether anything is dropped at random while an event is learned."""
    return layout.drops_out or (replayed and learning.replay_dropout > 0)


def dropout_seeds(seed: int, first: int, count: int) -> Integers:
    """Return the seed of the random numbers of each event's dropout, int32 (count, 2)."""
    return blocks(seed, first, count)[:, 1:2].copy().view(np.int32)
