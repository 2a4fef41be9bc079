"""The phase of an event: its position in the period, from 0 to 1."""

import math

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled


def in_periods(steps: NDArray[np.int64], periods: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the phases in two periods, from 0 to 1, float32 ``(2, K)``; 0 for a period of 1."""
    return (steps % periods[:, None] / periods[:, None]).astype(np.float32)


@compiled
def on_circles(phases: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return sine and cosine of P phases of K events, float32 ``(K, 2 P)``."""
    points = np.empty((phases.shape[1], 2 * len(phases)), np.float32)
    for event in range(len(points)):
        for index in range(len(phases)):
            angle = 2 * math.pi * phases[index, event]
            points[event, 2 * index] = math.sin(angle)
            points[event, 2 * index + 1] = math.cos(angle)
    return points
