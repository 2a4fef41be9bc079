"""State shared by the learners of all tasks: rows of networks, scores of predictors, drift test."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.network import Model
from online_lstm.learning.scoring import classification, drift
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, PackedArrays
from online_lstm.learning.weight_sharing import WeightSharing
from online_lstm.predictor_scores import PredictorScores
from online_lstm.settings import Settings


class _Described(Protocol):
    @staticmethod
    def network_fields(settings: Settings, network: Any, classes: int, /) -> dict[str, ArraySpec]: ...


class ModelStates(dict[int, PackedArrays]):
    """Packed arrays of networks by number of classes, made at first use; ``scope`` is how streams share weights."""

    def __init__(self, learner: type[_Described], settings: Settings, network: Model, scope: WeightSharing) -> None:
        self._learner = learner
        self._settings = settings
        self._network = network
        self.scope = scope

    def __missing__(self, classes: int) -> PackedArrays:
        own = self._learner.network_fields(self._settings, self._network, classes)
        rows = self[classes] = PackedArrays(self.scope.fields(own))
        return rows


class ScoredBatch(NamedTuple):
    """Scores of K events: for each, the hits of all predictors, their hit rates after it, and whether it is a drift."""

    hits: list[PredictorScores[int] | None]
    rates: list[PredictorScores[float] | None]
    drifts: list[bool]


def score_fields(settings: Settings, losses: int | tuple[int, ...], *, predictions: int = 1) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream that ``score`` writes to; see ``classification.fields``."""
    return {
        **classification.fields(settings.score_window, settings.predictors.count, losses, predictions=predictions),
        **drift.fields(),
    }


def score(
    stream: ArrayViews,
    settings: Settings,
    *,
    first: int,
    scored: NDArray[np.bool_],
    hits: NDArray[np.generic],
    losses: NDArray[np.float64],
) -> ScoredBatch:
    """Score K events; skip events without a pending prediction.

    Args:
        stream: The arrays of the stream, written to.
        settings: The score window, and the parameters of the drift test.
        first: The number of the first event.
        scored: Which events are scored, bool ``(K,)``.
        hits: Which predictors were right, or how often, as in ``classification.record``; read for scored events only.
        losses: The losses of the predictors, float64 ``(K, ...)``; read for scored events only.
    """
    before = classification.rates(stream)
    scored_hits = hits[scored]
    rates = classification.record(stream, scored_hits, losses[scored])
    missed = classification.misses(scored_hits)
    detected = drift.detect(stream, missed, delta=settings.drift_delta, threshold=settings.drift_threshold)
    drifts = [False] * len(scored)
    for index in np.flatnonzero(scored)[detected].tolist() if any(detected) else ():
        drifts[index] = True
        stream["drift_events"][:] = stream["drift_events"][0] + 1, first + index
    predictors = settings.predictors
    rates_before = None if before is None else predictors.named(before.tolist())
    rates_after = [rates_before, *map(predictors.named, rates.tolist())]
    of_predictors = hits[:, : predictors.count].tolist()  # without the number of scored predictions
    named = [predictors.named(row) if one else None for row, one in zip(of_predictors, scored.tolist(), strict=True)]
    return ScoredBatch(named, [rates_after[number] for number in np.cumsum(scored).tolist()], drifts)
