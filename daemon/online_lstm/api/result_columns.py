"""The results of many events as columns: arrays with one item for each event."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import LabelPrediction, LabelResult, NumberResult, SymbolResult
from online_lstm.settings import Settings


class ResultColumns:
    """Columns of results, float64 with NaN for unknown figures; see ``Learner.learn_many``.

    Args:
        settings: The task, and its components and horizons.
        components: The names of the components of a value.
        rows: The number of events.
    """

    def __init__(self, settings: Settings, components: Sequence[str], rows: int) -> None:
        self._numbers = settings.task == "number"
        self._suffixes = [*_suffixes(settings, components)] if self._numbers else [""]
        kinds = (
            ["prediction", "lower", "upper", "error", "hit"]
            if self._numbers
            else ["probability", "hit", "surprise_bits"]
        )
        self._symbols = np.full(rows, None, object)
        self._figures = {kind: np.full((rows, len(self._suffixes)), np.nan) for kind in kinds}
        self._drift = np.zeros(rows, np.bool_)
        self._filled = 0

    def add(self, results: Sequence[Any]) -> None:
        """Add the results of the next events, which are those of the task."""
        rows = slice(self._filled, self._filled + len(results))
        self._filled = rows.stop
        for row, result in enumerate(results, rows.start):
            self._drift[row] = result.evaluation is not None and result.evaluation.drift
        if self._numbers:
            self._add_numbers(rows, results)
        else:
            self._add_symbols(rows, results)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the columns by name."""
        columns: dict[str, NDArray[Any]] = {} if self._numbers else {"prediction": self._symbols}
        for kind, figures in self._figures.items():
            columns |= {f"{kind}{suffix}": figures[:, index] for index, suffix in enumerate(self._suffixes)}
        return {**columns, "drift": self._drift}

    def _add_numbers(self, rows: slice, results: Sequence[NumberResult]) -> None:
        unknown = (np.nan,) * len(self._suffixes)
        no_bounds = ((np.nan, np.nan),) * len(self._suffixes)
        predictions = [result.prediction for result in results]
        evaluations = [result.evaluation for result in results]
        bounds = np.array([no_bounds if one is None else one.bounds for one in predictions])
        figures = {
            "prediction": [unknown if one is None else one.values for one in predictions],
            "lower": bounds[..., 0],
            "upper": bounds[..., 1],
            "error": [unknown if one is None else one.errors for one in evaluations],
            "hit": np.array([unknown if one is None else one.hits for one in evaluations], np.float64),
        }
        for kind, lines in figures.items():
            self._figures[kind][rows] = lines

    def _add_symbols(self, rows: slice, results: Iterable[SymbolResult | LabelResult]) -> None:
        for row, result in enumerate(results, rows.start):
            if (likeliest := _likeliest(result)) is not None:
                self._symbols[row], self._figures["probability"][row] = json.loads(likeliest[0]), likeliest[1]
            if result.evaluation is not None:
                self._figures["hit"][row] = result.evaluation.hit
                self._figures["surprise_bits"][row] = result.evaluation.surprise_bits


def _likeliest(result: SymbolResult | LabelResult) -> tuple[str, float] | None:
    """Return the most likely value with its probability, None if nothing is predicted."""
    if result.prediction is None:
        return None
    ranked = (
        result.prediction.probabilities if isinstance(result.prediction, LabelPrediction) else result.prediction.top
    )
    return ranked[0] if ranked else None


def _suffixes(settings: Settings, components: Sequence[str]) -> Iterator[str]:
    """Yield the end of the column names of each channel: its component and horizon, as far as there are several.

    >>> from online_lstm.settings import read_settings
    >>> [*_suffixes(read_settings({"task": "number", "features": 2, "horizons": "1,24"}), ["temp", "load"])]
    ['_temp_h1', '_load_h1', '_temp_h24', '_load_h24']
    """
    known = components if len(components) == settings.features else settings.component_names
    names = known or range(settings.features)
    for horizon in settings.horizons:
        for name in names:
            component = f"_{name}" if settings.features > 1 else ""
            yield f"{component}_h{horizon}" if len(settings.horizons) > 1 else component
