"""Where an event is in its season: in the periods, or in the day and the week."""

import math

import numpy as np
from numpy.typing import NDArray

from daemon.experts.jit import compiled

DAY_MS = 24 * 60 * 60 * 1000
MONDAY_MS = 4 * DAY_MS  # 1970 began on a Thursday


def of_steps(steps: NDArray[np.int64], periods: NDArray[np.int64]) -> NDArray[np.float32]:
    """Give the places in two periods, in turns from 0 to 1, float32 ``(2, K)``; 0 for a period of 1."""
    return (steps % periods[:, None] / periods[:, None]).astype(np.float32)


def of_times(timestamps_ms: NDArray[np.int64]) -> NDArray[np.float32]:
    """Give the places in the week from Monday and in the day, UTC, in turns, float32 ``(2, K)``; 0 without a time."""
    turns = np.stack([(timestamps_ms - MONDAY_MS) % (7 * DAY_MS) / (7 * DAY_MS), timestamps_ms % DAY_MS / DAY_MS])
    return np.where(timestamps_ms < 0, 0, turns).astype(np.float32)


@compiled
def on_circles(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give sine and cosine of P places of K events, float32 ``(K, 2 P)``."""
    points = np.empty((places.shape[1], 2 * len(places)), np.float32)
    for event in range(len(points)):
        for place in range(len(places)):
            angle = 2 * math.pi * places[place, event]
            points[event, 2 * place] = math.sin(angle)
            points[event, 2 * place + 1] = math.cos(angle)
    return points
