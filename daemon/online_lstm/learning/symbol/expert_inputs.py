"""Inputs and outputs of the symbol experts: runs of events, predicted distributions, forecasts."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ObservedRun(NamedTuple):
    """K values one after another.

    An id of -1 stands for every value without an id, which no expert predicts. ``fresh`` says that the id was assigned
    to its value at this event. No expert can have predicted a fresh value, and what experts learned about its id was
    about another value. ``left`` is the id of a value that was evicted at this event, -1 if none was; the evicted value
    is not predicted any more.
    """

    ids: NDArray[np.int32]  # (K,)
    fresh: NDArray[np.bool_]  # (K,)
    left: NDArray[np.int32]  # (K,)


class ModelBeliefs(NamedTuple):
    """The LSTM's predictions of K events and of the next event, by code; 0 stands for all values without a code."""

    probabilities: NDArray[np.float32]  # (K + 1, classes)
    known: NDArray[np.int32]  # (K + 1,): codes below this number are known
    ids: NDArray[np.int32]  # (2, codes): value ids of the codes, for the first event and for all later events
    came: NDArray[np.int32]  # (K,): codes of the events, 0 if a prediction could not have named the code

    def ranked(self, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the likeliest value ids, -1 if fewer are known, and their probabilities, ``(K + 1, at most most)``.

        Equal probabilities keep the order of admission.
        """
        codes = np.argsort(-self.probabilities[:, 1:], axis=1, kind="stable")[:, :count] + 1
        probabilities = np.take_along_axis(self.probabilities, codes, axis=1)
        known = codes < self.known[:, None]
        table = np.where(np.arange(len(codes)) > 0, 1, 0)[:, None]
        ids = np.where(known, self.ids[table, np.where(known, codes, 0)], -1)
        return ids.astype(np.int32), np.where(known, probabilities, 0)


class ExpertBeliefs(NamedTuple):
    """Predictions of K events and of the next event by M experts.

    ``probabilities`` are over V value ids and sum to 1. An expert reserves the share ``rest`` of its probability for
    values that it does not name. ``favourites`` are the likeliest ids, -1 for none. ``depths`` grow with the longest
    known context, from 0.
    """

    probabilities: NDArray[np.float64]  # (K + 1, M, V)
    rest: NDArray[np.float64]  # (K + 1, M)
    favourites: NDArray[np.int32]  # (K + 1, M)
    depths: NDArray[np.int64]  # (K + 1,)


class Forecast(NamedTuple):
    """The published predictions of K events and of the next event, and the predictions of each of E experts.

    ``probability`` is the predicted probability of the value that came; ``bits`` is each expert's surprise at it.
    """

    top: NDArray[np.int32]  # (K + 1, top): value ids, likeliest first, -1 if there are fewer
    top_probabilities: NDArray[np.floating]  # (K + 1, top)
    probability: NDArray[np.floating]  # (K,)
    favourites: NDArray[np.int32]  # (K + 1, E)
    confidences: NDArray[np.floating]  # (K + 1, E): the probabilities of the favourites
    weights: NDArray[np.float64]  # (K + 1, E)
    bits: NDArray[np.float64]  # (K, E)
