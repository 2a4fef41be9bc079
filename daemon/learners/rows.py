"""What learners of all tasks have in common: rows of networks, the scores of their predictors, the test for drift."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from daemon import drift, scores
from daemon.learners.scope import Scope
from daemon.network import Classifier, Network, Regression
from daemon.rows import Field, Row, Rows
from daemon.settings import Settings

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


class Scored(NamedTuple):
    """What the scores say of K events: the hits of all predictors at each, their rates after it, whether it drifts."""

    hits: list[tuple[int, ...] | None]
    rates: list[tuple[float, ...] | None]
    drifts: list[bool]


def score_fields(settings: Settings, losses: int | tuple[int, ...], *, predictions: int = 1) -> dict[str, Field]:
    """Describe the arrays of one stream that ``score`` writes to; see ``scores.fields``."""
    predictors = settings.first_expert + len(settings.experts)
    return {**scores.fields(settings.score_window, predictors, losses, predictions=predictions), **drift.fields()}


def score(
    stream: Row,
    settings: Settings,
    *,
    first: int,
    scored: NDArray[np.bool_],
    hits: NDArray[np.generic],
    losses: NDArray[np.float64],
) -> Scored:
    """Score K events; nobody is scored where nothing had been predicted.

    Args:
        stream: The arrays of the stream, written to.
        settings: How many events are scored together, and what counts as a drift.
        first: The number of the first event.
        scored: Which events are scored, bool ``(K,)``.
        hits: Who was right, or how often, as ``scores.record`` takes it; read where scored.
        losses: What they lost, float64 ``(K, ...)``; read where scored.
    """
    before = scores.rates(stream)
    judged = hits[scored]
    rates = scores.record(stream, judged, losses[scored])
    missed = scores.misses(judged)
    found = drift.detect(stream, missed, delta=settings.drift_delta, threshold=settings.drift_threshold)
    drifts = [False] * len(scored)
    for place in np.flatnonzero(scored)[found].tolist() if any(found) else ():
        drifts[place] = True
        stream["drift_events"][:] = stream["drift_events"][0] + 1, first + place
    known = [None if before is None else tuple(before.tolist()), *map(tuple, rates.tolist())]
    told = [tuple(line) if counts else None for line, counts in zip(hits.tolist(), scored.tolist(), strict=True)]
    return Scored(told, [known[number] for number in np.cumsum(scored).tolist()], drifts)
