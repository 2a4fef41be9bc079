"""The nearest neighbours: what came after the events of the past that were most like this one.

Events are alike in their latest deviations and in their place in the season: the distance of two events is

    sum over taps of (weight of tap * difference of the deviations so many steps back)^2
    + sum over both places of (weight of place * shorter way around)^2

with places in turns, from 0 to 1. Of the ``NEIGHBOURS`` nearest ones among the last H whose label has come, the
outcomes are averaged with weights 1 / (0.3 + distance / the largest of them).
(Nearest neighbours as a predictor of series: Yakowitz, "Nearest-neighbour methods for time series analysis", 1987.)
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled

NEIGHBOURS = 20
WEIGHTS_OF_PLACES = (3.0, 6.0)  # in the period, and in the shorter one
SHARPNESS = 0.3


def predict(
    deviations: NDArray[np.float32],
    places: NDArray[np.float32],
    outcomes: NDArray[np.float32],
    *,
    known: int,
    count: int,
    taps: tuple[NDArray[np.int64], NDArray[np.float32]],
    horizon: int,
) -> NDArray[np.float64]:
    """Predict the outcomes of the last K of N events.

    Args:
        deviations: Of all events, oldest first, float32 ``(N,)``.
        places: In the period and in the shorter one, in turns, float32 ``(2, N)``.
        outcomes: Of all events, read where they can be known, NaN for a value that is missing, float32 ``(N,)``.
        known: How many of the events before the last K there are; what is further back is not looked at.
        count: K; each of them looks at events of the N - K before it only.
        taps: Steps back, int64 ``(T,)``, and their weights, float32 ``(T,)``.
        horizon: Steps until the label of an event comes.

    Returns:
        Predicted outcomes, NaN where there are fewer than ``NEIGHBOURS`` events, float64 ``(K,)``.
    """
    predicted = np.full(count, np.nan)
    weights = np.array(WEIGHTS_OF_PLACES, np.float32)
    _predict((deviations, places, outcomes), (*taps, weights), (known, int(taps[0].max()), horizon), predicted)
    return predicted


@compiled
def _predict(
    past: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    likeness: tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]],
    reach: tuple[int, int, int],
    predicted: NDArray[np.float64],
) -> None:
    deviations, places, outcomes = past
    taps, weights, weights_of_places = likeness
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
        for place in range(len(places)):
            _add_around(distances[first:end], places[place, first:end], places[place, now], weights_of_places[place])
        _find(distances, outcomes, (first, end), near, nearest)
        if near[-1] == np.inf:
            continue
        total = 0.0
        weight = 0.0
        for place in range(NEIGHBOURS):
            own = 1 / (SHARPNESS + near[place] / max(near[NEIGHBOURS - 1], np.float32(1e-9)))
            total += own * outcomes[nearest[place]]
            weight += own
        predicted[event] = total / weight


@compiled
def _add(
    distances: NDArray[np.float32], deviations: NDArray[np.float32], deviation: np.float32, weight: np.float32
) -> None:
    for place in range(len(distances)):
        difference = weight * (deviations[place] - deviation)
        distances[place] += difference * difference


@compiled
def _add_around(
    distances: NDArray[np.float32], turns: NDArray[np.float32], turn: np.float32, weight: np.float32
) -> None:
    for place in range(len(distances)):
        way = abs(turns[place] - turn)
        way = weight * min(way, np.float32(1) - way)
        distances[place] += way * way


@compiled
def _find(
    distances: NDArray[np.float32],
    outcomes: NDArray[np.float32],
    among: tuple[int, int],
    near: NDArray[np.float32],
    nearest: NDArray[np.int64],
) -> None:
    """Write the smallest distances and where they are, of known outcomes, ascending, of equal ones the later first."""
    first, end = among
    near[:] = np.inf
    for place in range(end - 1, first - 1, -1):
        if distances[place] < near[-1] and not np.isnan(outcomes[place]):
            rank = len(near) - 1
            while rank > 0 and distances[place] < near[rank - 1]:
                near[rank], nearest[rank] = near[rank - 1], nearest[rank - 1]
                rank -= 1
            near[rank], nearest[rank] = distances[place], place
