"""Ensemble of a stream of symbols: experts, baselines, and the mixture, which is the published prediction.

Experts and baselines know the values of a stream by id only. Each module has ``fields``, ``OWN`` and ``observe``.
``observe`` learns some values, and returns the prediction of each value, made before the value was learned, and the
prediction of the next value. ``OWN`` names the arrays that a stream keeps if streams share what they learn.

Streams that share also learn from each other between two events of a stream. So a stream keeps its pending prediction,
with the probability and the bits of each code: it is scored as it was published, and what the experts know when the
value arrives is what they learn from.
"""

from collections.abc import Sequence
from functools import cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import EXPERTS
from online_lstm.learning.state.packed import ArraySpec, ArrayViews
from online_lstm.learning.symbol.expert_inputs import ExpertBeliefs, Forecast, ModelBeliefs, ObservedRun
from online_lstm.settings import Settings

__all__ = ["MIN_PROBABILITY", "Forecast", "ModelBeliefs", "ObservedRun", "SymbolEnsemble"]

MIN_PROBABILITY = 1e-12
"""Lower bound of the probability from which a surprise is computed."""
SHARED_CONTEXTS = 64
"""A memory that streams share has this many times the contexts of a stream's own memory."""


class SymbolEnsemble:
    """The experts and baselines that the settings ask for; their learned state is in the rows.

    The suffix memory that forgets fast is always a baseline; as an expert, it is the same memory.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shares = settings.model_scope == "partition"
        self._kinds = [EXPERTS["symbol"].index(name) - 1 for name in settings.experts if name != "lstm"]

    def fields(self) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream; without the arrays of ``shared_fields``, if streams share them."""
        if not self._shares:
            return self._learned_fields()
        own = frozenset().union(*(module.OWN for module in _modules().values()))
        kept = {name: field for name, field in self._learned_fields().items() if name in own}
        top, experts = self._settings.top_k, 1 + len(self._kinds)
        return {
            **kept,
            "published_top": ArraySpec((top,), "int32", -1),
            "published_probabilities": ArraySpec((top,), "float64"),
            "published_confidences": ArraySpec((experts,), "float64"),
            "published_weights": ArraySpec((experts,), "float64"),
        }

    def shared_fields(self) -> dict[str, ArraySpec]:
        """Describe the arrays that all streams have in common, none if they share nothing."""
        own = self.fields()
        return {name: field for name, field in self._learned_fields().items() if name not in own}

    def pending_fields(self, classes: int) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream that depend on the number of its classes.

        ``published_codes`` has the probability of each code in the pending prediction, and each expert's bits.
        """
        mixed = self._shares and self._kinds
        return {"published_codes": ArraySpec((2 + len(self._kinds), classes), "float64")} if mixed else {}

    def _learned_fields(self) -> dict[str, ArraySpec]:
        modules, settings = _modules(), self._settings
        values = 2 * settings.max_vocabulary
        kinds = 1 + max(self._kinds, default=0)
        contexts = settings.suffix_contexts * (SHARED_CONTEXTS if self._shares else 1)
        mixer = modules["mixture"].fields(1 + len(self._kinds), settings.model_scope) if self._kinds else {}
        return {
            **modules["last_value"].fields(),
            **modules["most_frequent"].fields(values),
            **modules["suffix_memory"].fields(contexts, values, kinds, shared=self._shares),
            **mixer,
        }

    def observe(
        self, row: ArrayViews, run: ObservedRun, codes: ModelBeliefs, *, pending: bool
    ) -> tuple[Forecast, NDArray[np.bool_]]:
        """Return the forecasts of a run of events, and learn the events, one after another.

        If the settings say not to learn, memories and mixture learn nothing; only the last value and the most frequent
        value are still updated.

        Args:
            row: The arrays of the stream, together with the shared ones, written to.
            run: The events; if there are none, the forecast is only the forecast of the next event.
            codes: The predictions of the events by the LSTM.
            pending: Whether the first event has a pending prediction.

        Returns:
            The forecast, and the hits of the output, of the baselines and of the experts, bool ``(K, 1 + B + E)``.
            Neither depends on how a stream is split into runs.
        """
        modules = _modules()
        values = int(codes.ids[1].max()) + 1
        expected: ExpertBeliefs = modules["suffix_memory"].observe(row, run, learns=self._settings.learn, values=values)
        baselines = [
            modules["last_value"].observe(row, run),
            modules["most_frequent"].observe(row, run, learns=self._settings.learn or not self._shares),
            expected.favourites[:, 0],
        ]
        if self._kinds:
            forecast = self._mixed(row, run, codes, _of_kinds(expected, self._kinds), pending=pending)
        else:
            forecast = _alone(codes, self._settings.top_k)
        if self._shares:
            self._publish(row, forecast)
        predicted = np.column_stack([forecast.top[:, 0], *baselines, forecast.favourites])[:-1]
        return forecast, (predicted == run.ids[:, None]) & (~run.fresh & (run.ids >= 0))[:, None]

    def pending(self, row: ArrayViews, codes: ModelBeliefs) -> Forecast:
        """Return the forecast of the next event, which is pending; ``codes`` is its prediction by the LSTM."""
        if not self._shares:
            return self.observe(row, _NO_EVENTS, codes, pending=False)[0]
        memories = row["suffix_prediction"][self._kinds]
        return Forecast(
            top=row["published_top"][None],
            top_probabilities=row["published_probabilities"][None],
            probability=np.empty(0),
            favourites=np.concatenate([codes.ranked(1)[0][0], memories])[None],
            confidences=row["published_confidences"][None],
            weights=row["published_weights"][None],
            bits=np.empty((0, 1 + len(memories))),
        )

    @staticmethod
    def _publish(row: ArrayViews, forecast: Forecast) -> None:
        """Replace the first forecast by the pending one, as it was published; keep the forecast of the next event."""
        forecast.top[0, 0] = row["published_top"][0]
        row["published_top"][:] = -1
        row["published_top"][: forecast.top.shape[1]] = forecast.top[-1]
        row["published_probabilities"][: forecast.top.shape[1]] = forecast.top_probabilities[-1]
        row["published_confidences"][:] = forecast.confidences[-1]
        row["published_weights"][:] = forecast.weights[-1]

    @staticmethod
    def break_sequence(row: ArrayViews) -> None:
        """Start a new sequence in the rows of a stream."""
        _modules()["suffix_memory"].break_sequence(row)
        if "published_top" in row:
            row["published_top"][:] = -1

    def _mixed(
        self, row: ArrayViews, run: ObservedRun, codes: ModelBeliefs, expected: ExpertBeliefs, *, pending: bool
    ) -> Forecast:
        favourites, confidences = codes.ranked(1)
        favourites = np.column_stack([favourites, expected.favourites])
        named = np.take_along_axis(expected.probabilities, np.maximum(expected.favourites, 0)[..., None], axis=2)
        mixed = _modules()["mixture"].mix(
            row, run, (codes, expected), self._settings, pending=pending, shared=self._shares
        )
        if self._shares:
            published = row["published_codes"]
            if len(run.ids):
                mixed.probability[0], *mixed.bits[0] = published[:, codes.came[0]]
            published[:] = mixed.coming[:, -1:]
            known = codes.known[-1]
            published[:, 1:known] = mixed.coming[:, codes.ids[-1, 1:known]]
        return Forecast(
            top=mixed.top,
            top_probabilities=mixed.top_probabilities,
            probability=mixed.probability,
            favourites=favourites,
            confidences=np.column_stack([confidences, (1 - expected.rest) * named[..., 0]]),
            weights=mixed.weights,
            bits=mixed.bits,
        )


def _alone(codes: ModelBeliefs, top: int) -> Forecast:
    """Return the predictions of the LSTM as the forecast."""
    ids, probabilities = codes.ranked(top)
    came = codes.probabilities[np.arange(len(codes.came)), codes.came]
    return Forecast(
        top=ids,
        top_probabilities=probabilities,
        probability=came,
        favourites=ids[:, :1],
        confidences=probabilities[:, :1],
        weights=np.ones((len(ids), 1)),
        bits=-np.log2(np.maximum(came, MIN_PROBABILITY, dtype=np.float64))[:, None],
    )


def _of_kinds(expected: ExpertBeliefs, kinds: Sequence[int]) -> ExpertBeliefs:
    """Select the predictions of some kinds of memory, which are next to each other."""
    kept = slice(kinds[0], kinds[-1] + 1)
    return ExpertBeliefs(
        np.ascontiguousarray(expected.probabilities[:, kept]),
        np.ascontiguousarray(expected.rest[:, kept]),
        np.ascontiguousarray(expected.favourites[:, kept]),
        expected.depths,
    )


_NO_EVENTS = ObservedRun(np.empty(0, np.int32), np.empty(0, np.bool_), np.empty(0, np.int32))


@cache
def _modules() -> dict[str, ModuleType]:
    # these modules load the compiler, so they are imported when the first stream begins
    from online_lstm.learning.symbol import last_value, mixture, most_frequent, suffix_memory  # noqa: PLC0415

    return {
        "last_value": last_value,
        "most_frequent": most_frequent,
        "suffix_memory": suffix_memory,
        "mixture": mixture,
    }
