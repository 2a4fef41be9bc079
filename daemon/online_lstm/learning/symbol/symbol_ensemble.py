"""Ensemble of a stream of symbols: experts, baselines, and the mixture, which is the published prediction.

Experts and baselines know the values of a stream by id only. Each module has ``fields`` and ``observe(row, run)``.
``observe`` learns some values, and returns the prediction of each value, made before the value was learned, and the
prediction of the next value.
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


class SymbolEnsemble:
    """The experts and baselines that the settings ask for; their learned state is in the rows.

    The suffix memory that forgets fast is always a baseline; as an expert, it is the same memory.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kinds = [EXPERTS["symbol"].index(name) - 1 for name in settings.experts if name != "lstm"]

    def fields(self) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream."""
        modules, settings = _modules(), self._settings
        values = 2 * settings.max_vocabulary
        kinds = 1 + max(self._kinds, default=0)
        mixer = modules["mixture"].fields(1 + len(self._kinds), settings.model_scope) if self._kinds else {}
        return {
            **modules["last_value"].fields(),
            **modules["most_frequent"].fields(values),
            **modules["suffix_memory"].fields(settings.suffix_contexts, values, kinds),
            **mixer,
        }

    def observe(
        self, row: ArrayViews, run: ObservedRun, codes: ModelBeliefs, *, pending: bool
    ) -> tuple[Forecast, NDArray[np.bool_]]:
        """Return the forecasts of a run of events, and learn the events, one after another.

        If the settings say not to learn, memories and mixture learn nothing; only the last value and the most frequent
        value are still updated.

        Args:
            row: The arrays of the stream, written to.
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
            modules["most_frequent"].observe(row, run),
            expected.favourites[:, 0],
        ]
        if self._kinds:
            forecast = self._mixed(row, run, codes, _of_kinds(expected, self._kinds), pending=pending)
        else:
            forecast = _alone(codes, self._settings.top_k)
        predicted = np.column_stack([forecast.top[:, 0], *baselines, forecast.favourites])[:-1]
        hits = (predicted == run.ids[:, None]) & ~run.fresh[:, None]
        # a favourite may still be the id of its former owner
        hits[:, 1 : 1 + len(baselines)] &= ~run.adopted[:, None]
        return forecast, hits

    @staticmethod
    def break_sequence(row: ArrayViews) -> None:
        """Start a new sequence in the rows of a stream."""
        _modules()["suffix_memory"].break_sequence(row)

    def _mixed(
        self, row: ArrayViews, run: ObservedRun, codes: ModelBeliefs, expected: ExpertBeliefs, *, pending: bool
    ) -> Forecast:
        favourites, confidences = codes.ranked(1)
        favourites = np.column_stack([favourites, expected.favourites])
        named = np.take_along_axis(expected.probabilities, np.maximum(expected.favourites, 0)[..., None], axis=2)
        mixed = _modules()["mixture"].mix(row, run, (codes, expected), self._settings, pending=pending)
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
