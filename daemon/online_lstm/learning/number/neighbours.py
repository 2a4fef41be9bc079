"""The nearest neighbours: an expert that averages the outcomes of the most similar past events.

Similar events have similar recent deviations and a similar phase in the season. The distance of two events is

    sum over taps of (weight of the tap * difference of the deviations that many steps back)^2
    + sum over both phases of (weight of the phase * circular distance of the phases)^2

with phases from 0 to 1. The candidates are the last H events whose labels have arrived. The prediction is the mean
outcome of the ``NEIGHBOURS`` nearest candidates, weighted by 1 / (0.3 + distance / largest distance among them).
The source of the method: Yakowitz, "Nearest-neighbour methods for time series analysis", 1987.
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled

NEIGHBOURS = 20
PHASE_WEIGHTS = (3.0, 6.0)  # of the phase in the period, and in the shorter period
SHARPNESS = 0.3


def predict(
    deviations: NDArray[np.float32],
    phases: NDArray[np.float32],
    outcomes: NDArray[np.float32],
    *,
    known: int,
    count: int,
    taps: tuple[NDArray[np.int64], NDArray[np.float32]],
    horizon: int,
) -> NDArray[np.float64]:
    """Predict the outcomes of the last K of N events.

    Args:
        deviations: Deviations of all events, oldest first, float32 ``(N,)``.
        phases: Phases in the period and in the shorter period, from 0 to 1, float32 ``(2, N)``.
        outcomes: Outcomes of all events, read only where they can be known, NaN for a missing value, float32 ``(N,)``.
        known: Number of valid events before the last K; older events are ignored.
        count: K; the candidates of each event are among the N - K events before it.
        taps: Lags in steps, int64 ``(T,)``, and their weights, float32 ``(T,)``.
        horizon: Steps until the label of an event arrives.

    Returns:
        Predicted outcomes, NaN where there are fewer than ``NEIGHBOURS`` candidates, float64 ``(K,)``.
    """
    predicted = np.full(count, np.nan)
    weights = np.array(PHASE_WEIGHTS, np.float32)
    _predict((deviations, phases, outcomes), (*taps, weights), (known, int(taps[0].max()), horizon), predicted)
    return predicted


@compiled
def _predict(
    past: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    likeness: tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]],
    reach: tuple[int, int, int],
    predicted: NDArray[np.float64],
) -> None:
    deviations, phases, outcomes = past
    taps, weights, phase_weights = likeness
    known, back, horizon = reach
    before = len(deviations) - len(predicted)
    distances = np.empty(len(deviations), np.float32)
    nearest = np.empty(NEIGHBOURS, np.int64)
    near = np.empty(NEIGHBOURS, np.float32)
    for event in range(len(predicted)):
        now = before + event
        first = max(event, before - known) + back
        end = now - horizon + 1
        if end - first < NEIGHBOURS:
            continue
        distances[first:end] = 0
        for tap in range(len(taps)):
            _add(
                distances[first:end],
                deviations[first - taps[tap] : end - taps[tap]],
                deviations[now - taps[tap]],
                weights[tap],
            )
        for index in range(len(phases)):
            _add_around(distances[first:end], phases[index, first:end], phases[index, now], phase_weights[index])
        _find(distances, outcomes, (first, end), near, nearest)
        if near[-1] == np.inf:
            continue
        total = 0.0
        weight = 0.0
        for index in range(NEIGHBOURS):
            own = 1 / (SHARPNESS + near[index] / max(near[NEIGHBOURS - 1], np.float32(1e-9)))
            total += own * outcomes[nearest[index]]
            weight += own
        predicted[event] = total / weight


@compiled
def _add(
    distances: NDArray[np.float32], deviations: NDArray[np.float32], deviation: np.float32, weight: np.float32
) -> None:
    for index in range(len(distances)):
        difference = weight * (deviations[index] - deviation)
        distances[index] += difference * difference


@compiled
def _add_around(
    distances: NDArray[np.float32], turns: NDArray[np.float32], turn: np.float32, weight: np.float32
) -> None:
    for index in range(len(distances)):
        way = abs(turns[index] - turn)
        way = weight * min(way, np.float32(1) - way)
        distances[index] += way * way


@compiled
def _find(
    distances: NDArray[np.float32],
    outcomes: NDArray[np.float32],
    among: tuple[int, int],
    near: NDArray[np.float32],
    nearest: NDArray[np.int64],
) -> None:
    """Write the smallest distances with a known outcome and their indices, ascending; in a tie, the later one first."""
    first, end = among
    near[:] = np.inf
    for index in range(end - 1, first - 1, -1):
        if distances[index] < near[-1] and not np.isnan(outcomes[index]):
            rank = len(near) - 1
            while rank > 0 and distances[index] < near[rank - 1]:
                near[rank], nearest[rank] = near[rank - 1], nearest[rank - 1]
                rank -= 1
            near[rank], nearest[rank] = distances[index], index
