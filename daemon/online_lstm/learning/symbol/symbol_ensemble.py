"""Experts and baselines for a stream of symbols, and their mixture, which is what is published.

They know a stream's values by their ids only. Each module has ``fields`` and ``observe(row, run)``, which learns some
values and gives what had been expected of each before it was learned, and of the one that comes next.
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
"""A surprise is taken as if the probability had not been lower."""


class SymbolEnsemble:
    """The experts and baselines that the settings ask for; what they learned is in the rows.

    The memory that forgets fast is a baseline in any case, and the same one is an expert.
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
        """Say what was expected of each event, and learn it, one after another.

        Where the settings say not to learn, memories and mixture stay as they are, and only the last value and the most
        frequent one go on.

        Args:
            row: The arrays of the stream, written to.
            run: The events; without any, the forecast is that of the event to come.
            codes: What the LSTM says of them.
            pending: Whether there had been a prediction of the first one.

        Returns:
            The forecast, and the hits of what is published, of the baselines, and of the experts, bool ``(K, 1 + B
            + E)``; the same ones however a stream is split into runs.
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
            forecast = _alone(codes, self._settings.top)
        predicted = np.column_stack([forecast.top[:, 0], *baselines, forecast.favourites])[:-1]
        hits = (predicted == run.ids[:, None]) & ~run.fresh[:, None]
        # an id may still be a favourite of before it was given away
        hits[:, 1 : 1 + len(baselines)] &= ~run.adopted[:, None]
        return forecast, hits

    @staticmethod
    def break_sequence(row: ArrayViews) -> None:
        """Let what comes next begin a sequence."""
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
    """Let what the LSTM says be the forecast."""
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
    """Keep the memories of some kinds, which are next to each other."""
    kept = slice(kinds[0], kinds[-1] + 1)
    return ExpertBeliefs(
        np.ascontiguousarray(expected.probabilities[:, kept]),
        np.ascontiguousarray(expected.rest[:, kept]),
        np.ascontiguousarray(expected.favourites[:, kept]),
        expected.depths,
    )


@cache
def _modules() -> dict[str, ModuleType]:
    # the compiler is loaded with them, when the first stream begins
    from online_lstm.learning.symbol import last_value, mixture, most_frequent, suffix_memory  # noqa: PLC0415

    return {
        "last_value": last_value,
        "most_frequent": most_frequent,
        "suffix_memory": suffix_memory,
        "mixture": mixture,
    }
