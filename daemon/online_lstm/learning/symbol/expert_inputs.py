"""What experts are told of some events, and what they say of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ObservedRun(NamedTuple):
    """K values one after another.

    ``fresh`` says that an id was given to its value just now, as it is wherever an id comes first: nobody can have
    predicted that value, and what was learned about the id was about another one. ``left`` is the id that a value
    had until it had to leave at this event, -1 where none did: it is predicted no more. ``adopted`` says that the id
    was given to its value before, and that the value comes for the first time now: the LSTM may have predicted it, as
    it learns from other streams, and nobody else.
    """

    ids: NDArray[np.int32]  # (K,)
    fresh: NDArray[np.bool_]  # (K,)
    left: NDArray[np.int32]  # (K,)
    adopted: NDArray[np.bool_]  # (K,)

    @property
    def first(self) -> NDArray[np.bool_]:
        """Where a value comes for the first time, bool ``(K,)``."""
        return self.fresh | self.adopted


class ModelBeliefs(NamedTuple):
    """What the LSTM says of K events and of the one after them, by code; 0 stands for all values without one."""

    probabilities: NDArray[np.float32]  # (K + 1, classes)
    known: NDArray[np.int32]  # (K + 1,): codes below are known
    ids: NDArray[np.int32]  # (2, codes): value ids of the codes, for the first event and for all after it
    came: NDArray[np.int32]  # (K,): codes of the events, 0 where a prediction could not have named it

    def ranked(self, most: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Give the likeliest value ids, -1 where fewer are known, and their probabilities, ``(K + 1, at most most)``.

        Equal probabilities keep the order of admission.
        """
        codes = np.argsort(-self.probabilities[:, 1:], axis=1, kind="stable")[:, :most] + 1
        probabilities = np.take_along_axis(self.probabilities, codes, axis=1)
        known = codes < self.known[:, None]
        table = np.where(np.arange(len(codes)) > 0, 1, 0)[:, None]
        ids = np.where(known, self.ids[table, np.where(known, codes, 0)], -1)
        return ids.astype(np.int32), np.where(known, probabilities, 0)


class ExpertBeliefs(NamedTuple):
    """What M experts expect of K events and of the one after them.

    ``probabilities`` are over V value ids and sum to 1; of them an expert gives up the part ``rest`` for values that
    it does not name. ``favourites`` are the likeliest ids, -1 for none. ``depths`` grow with the longest known
    context, from 0.
    """

    probabilities: NDArray[np.float64]  # (K + 1, M, V)
    rest: NDArray[np.float64]  # (K + 1, M)
    favourites: NDArray[np.int32]  # (K + 1, M)
    depths: NDArray[np.int64]  # (K + 1,)


class Forecast(NamedTuple):
    """What is published of K events and of the one after them, and what each of E experts said.

    ``probability`` is what had been given to the value that came, ``bits`` the surprise of each expert at it.
    """

    top: NDArray[np.int32]  # (K + 1, top): value ids, likeliest first, -1 where there are fewer
    top_probabilities: NDArray[np.floating]  # (K + 1, top)
    probability: NDArray[np.floating]  # (K,)
    favourites: NDArray[np.int32]  # (K + 1, E)
    confidences: NDArray[np.floating]  # (K + 1, E): the probabilities of the favourites
    weights: NDArray[np.float64]  # (K + 1, E)
    bits: NDArray[np.float64]  # (K, E)
