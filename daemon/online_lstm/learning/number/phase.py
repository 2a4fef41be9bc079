"""The phase of an event: its position in the period, from 0 to 1."""

import math

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled


def in_periods(steps: NDArray[np.int64], periods: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the phases in two periods, from 0 to 1, float32 ``(2, K)``; 0 for a period of 1."""
    return (steps % periods[:, None] / periods[:, None]).astype(np.float32)


@compiled
def on_circles(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return sine and cosine of P phases of K events, float32 ``(K, 2 P)``."""
    points = np.empty((places.shape[1], 2 * len(places)), np.float32)
    for event in range(len(points)):
        for place in range(len(places)):
            angle = 2 * math.pi * places[place, event]
            points[event, 2 * place] = math.sin(angle)
            points[event, 2 * place + 1] = math.cos(angle)
    return points
