"""The results of a learner: the fields of the daemon's messages as plain frozen records of Python values.

A field has the name and the meaning of the field in a message (``docs/reference/messages.md``), and is None where the
message has null. Numbers have all digits. For vectors, and for several horizons, the figures of numbers are nested
tuples: ``prediction[1][0]`` is the first component at the second horizon.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from online_lstm.events import (
    NUMBER_SCORES,
    EventResult,
    LabelEvaluation,
    LabelPrediction,
    NumberEvaluation,
    NumberPrediction,
    Prediction,
    Symbol,
    SymbolEvaluation,
    SymbolPrediction,
)
from online_lstm.settings import Settings
from online_lstm.significance import kappa_temporal

Figures: TypeAlias = Any
"""One figure, or for several channels nested tuples of figures, by horizon and then by component."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolForecast:
    """The pending prediction of a symbol.

    ``top`` has the most likely values with their probabilities. ``experts`` has, for each expert, its most likely
    value, the predicted probability of this value, and the weight of the expert.
    """

    prediction: Symbol | None
    probability: float | None
    top: tuple[tuple[Symbol, float], ...]
    experts: dict[str, tuple[Symbol | None, float | None, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolScore:
    """The score of the prediction of a symbol."""

    predicted: Symbol
    hit: bool
    probability: float
    surprise_bits: float | None
    drift: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolOutcome(SymbolForecast):
    """The result of learning one symbol: the score of the pending prediction, and the new prediction."""

    event: int
    evaluation: SymbolScore | None
    hit_rate: float | None
    baseline_hit_rate: float | None
    kappa_temporal: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberForecast:
    """The pending prediction of numbers.

    ``interval`` has the lower and the upper bound. ``experts`` has, for each expert, its prediction and its weight.
    """

    prediction: Figures
    interval: Figures
    experts: dict[str, Figures]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberScore:
    """The scores of the predictions of an event's numbers, each made one horizon earlier."""

    predicted: Figures
    hit: Figures
    error: Figures
    covered: Figures
    mean_absolute_error: Figures
    baseline_mean_absolute_error: Figures
    root_mean_squared_error: Figures
    mean_absolute_percentage_error: Figures
    skill_last_value: Figures
    skill_seasonal_naive: Figures
    interval_coverage: Figures
    drift: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberOutcome(NumberForecast):
    """The result of learning the numbers of one event: the score of the pending predictions, and the new ones."""

    event: int
    evaluation: NumberScore | None
    hit_rate: float | None
    baseline_hit_rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelForecast:
    """The pending prediction of the label of a sequence; ``sample`` counts the samples of the sequence."""

    sample: int | None
    prediction: Symbol | None
    probability: float | None
    probabilities: tuple[tuple[Symbol, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """The score of the prediction after the last sample of a sequence that has its label."""

    label: Symbol
    predicted: Symbol
    hit: bool
    probability: float
    surprise_bits: float | None
    samples: int
    stable_since_sample: int
    drift: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOutcome(LabelForecast):
    """The result of learning a sample, a label, or both; ``evaluation`` is set when a sequence has end and label."""

    event: int
    evaluation: LabelScore | None
    hit_rate: float | None
    baseline_hit_rate: float | None
    kappa_temporal: float | None


_Fields: TypeAlias = Callable[[Any], dict[str, Any]]
_Score: TypeAlias = Callable[[Any], SymbolScore | NumberScore | LabelScore]


class ResultReader:
    """The reader of the results of a task, from the records of the learners."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        tasks: dict[str, tuple[_Fields, _Score, type[Any], type[Any]]] = {
            "symbol": (self._symbol_fields, _symbol_score, SymbolForecast, SymbolOutcome),
            "number": (self._number_fields, self._number_score, NumberForecast, NumberOutcome),
            "label": (_label_fields, _label_score, LabelForecast, LabelOutcome),
        }
        self._fields, self._score, self._forecast_type, self._outcome_type = tasks[settings.task]

    def forecast(self, prediction: Prediction | None) -> Any:
        """Return a pending prediction as the forecast of the task; None if there is none."""
        return None if prediction is None else self._forecast_type(**self._fields(prediction))

    def outcome(self, result: EventResult) -> Any:
        """Return the result of an event as the outcome of the task."""
        rates = result.hit_rates
        shares: dict[str, float | None] = {
            "hit_rate": None if rates is None else rates.published,
            "baseline_hit_rate": None if rates is None else max(rates.baselines.values()),
        }
        if self._settings.task != "number":
            shares["kappa_temporal"] = None if rates is None else kappa_temporal(rates)
        return self._outcome_type(
            event=result.event,
            evaluation=None if result.evaluation is None else self._score(result.evaluation),
            **self._fields(result.prediction),
            **shares,
        )

    def _symbol_fields(self, prediction: SymbolPrediction | None) -> dict[str, Any]:
        if prediction is None:
            return {"prediction": None, "probability": None, "top": (), "experts": {}}
        top = _ranked(prediction.top)
        by_expert = zip(self._settings.experts, prediction.experts, strict=True)
        experts = {
            name: (None, None, weight) if literal is None else (json.loads(literal), probability, weight)
            for name, (literal, probability, weight) in by_expert
        }
        return {"prediction": top[0][0], "probability": top[0][1], "top": top, "experts": experts}

    def _number_fields(self, prediction: NumberPrediction | None) -> dict[str, Any]:
        if prediction is None:
            return {"prediction": None, "interval": None, "experts": {}}
        by_expert = zip(self._settings.experts, prediction.experts, strict=True)
        return {
            "prediction": self._nested(map(_finite, prediction.values)),
            "interval": self._nested((low, high) if _known(low, high) else None for low, high in prediction.bounds),
            "experts": {
                name: self._nested(zip(map(_finite, predicted), map(_finite, weights), strict=True))
                for name, (predicted, weights) in by_expert
            },
        }

    def _number_score(self, evaluation: NumberEvaluation) -> NumberScore:
        scores = {
            name: self._nested(map(_finite, row)) for name, row in zip(NUMBER_SCORES, evaluation.scores, strict=True)
        }
        return NumberScore(
            predicted=self._nested(map(_finite, evaluation.predicted)),
            hit=self._nested(evaluation.hits),
            error=self._nested(map(_finite, evaluation.errors)),
            covered=self._nested(evaluation.covered),
            drift=evaluation.drift,
            **scores,
        )

    def _nested(self, figures: Iterable[Any]) -> Figures:
        return self._settings.nested(tuple(figures))


def _symbol_score(evaluation: SymbolEvaluation) -> SymbolScore:
    return SymbolScore(
        predicted=json.loads(evaluation.predicted),
        hit=evaluation.hit,
        probability=evaluation.probability,
        surprise_bits=_finite(evaluation.surprise_bits),
        drift=evaluation.drift,
    )


def _label_score(evaluation: LabelEvaluation) -> LabelScore:
    return LabelScore(
        label=json.loads(evaluation.label),
        predicted=json.loads(evaluation.predicted),
        hit=evaluation.hit,
        probability=evaluation.probability,
        surprise_bits=_finite(evaluation.surprise_bits),
        samples=evaluation.samples,
        stable_since_sample=evaluation.stable_since_sample,
        drift=evaluation.drift,
    )


def _label_fields(prediction: LabelPrediction | None) -> dict[str, Any]:
    ranked = _ranked(prediction.probabilities) if prediction else ()
    likeliest, probability = ranked[0] if ranked else (None, None)
    return {
        "sample": prediction and prediction.sample,
        "prediction": likeliest,
        "probability": probability,
        "probabilities": ranked,
    }


def _ranked(literals: Sequence[tuple[str, float]]) -> tuple[tuple[Symbol, float], ...]:
    return tuple((json.loads(literal), probability) for literal, probability in literals)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _known(*bounds: float) -> bool:
    return all(map(math.isfinite, bounds))
