"""What learners of all tasks have in common: rows of networks, and the scores of their predictors."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from daemon import scores
from daemon.learners.scope import Scope
from daemon.network import Classifier, Network, Regression
from daemon.rows import Field, Row, Rows

AnyNetwork = Network | Regression | Classifier


class _Described(Protocol):
    @staticmethod
    def network_fields(network: AnyNetwork, classes: int) -> dict[str, Field]: ...


class NetworkRows(dict[int, Rows]):
    """Packed arrays of networks, by their number of classes, made when first needed; ``scope`` says whose they are."""

    def __init__(self, learner: type[_Described], network: AnyNetwork, scope: Scope) -> None:
        self._learner = learner
        self._network = network
        self.scope = scope

    def __missing__(self, classes: int) -> Rows:
        rows = self[classes] = Rows(self.scope.fields(self._learner.network_fields(self._network, classes)))
        return rows


def score(
    stream: Row, scored: NDArray[np.bool_], hits: NDArray[np.generic], losses: NDArray[np.float64]
) -> tuple[list[tuple[int, ...] | None], list[tuple[float, ...] | None]]:
    """Score K events; nobody is scored where nothing had been predicted.

    Args:
        stream: The arrays of the stream, written to.
        scored: Which events are scored, bool ``(K,)``.
        hits: Who was right, or how often, as ``scores.record`` takes it; read where scored.
        losses: What they lost, float64 ``(K, ...)``; read where scored.

    Returns:
        Hits of all predictors at each event, and their hit rates after it.
    """
    before = scores.rates(stream)
    rates = scores.record(stream, hits[scored], losses[scored])
    known = [None if before is None else tuple(before.tolist()), *map(tuple, rates.tolist())]
    told = [tuple(line) if counts else None for line, counts in zip(hits.tolist(), scored.tolist(), strict=True)]
    return told, [known[number] for number in np.cumsum(scored).tolist()]
