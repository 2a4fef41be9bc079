"""The JSON messages of an event, for each task.

Written by hand, field by field: this is most of the encoding time, and replays compare the bytes.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from online_lstm.codec.cell_text import quote
from online_lstm.events import (
    NUMBER_SCORES,
    Event,
    EventResult,
    LabelEvaluation,
    LabelResult,
    NumberEvaluation,
    NumberResult,
    SymbolEvaluation,
    SymbolPrediction,
    SymbolResult,
)
from online_lstm.settings import Settings
from online_lstm.significance import kappa_temporal

Writer = Callable[[Event, EventResult, str], str]
"""Returns the message of an event, from the event, its result and the name of the model."""


def writer_of(settings: Settings) -> Writer:
    """Return the function that writes the messages of the task."""
    fields: dict[str, Callable[[Any], str]] = {
        "symbol": partial(_symbols, experts=settings.experts),
        "number": partial(_numbers, experts=settings.experts, listed=_listing(settings)),
        "label": _labels,
    }
    listed = ", ".join(map(quote, settings.component_names))
    return partial(
        _write,
        names=f'"components": [{listed}], ' if listed else "",
        fields=fields[settings.task],
        rates=_number_rates if settings.task == "number" else _rates,
    )


def _write(
    event: Event,
    outcome: EventResult,
    model: str,
    *,
    names: str,
    fields: Callable[[Any], str],
    rates: Callable[[EventResult], str],
) -> str:
    record = event.record
    index = "" if record.index is None else f', "index": {record.index}'
    return (
        f'{{"stream": {"null" if event.stream is None else quote(event.stream)}, '
        f'"topic": {quote(record.topic)}, "partition": {record.partition}, "offset": {record.offset}{index}, '
        f'"event": {outcome.event}, {names}"value": {event.literal}, {fields(outcome)}, '
        f'{rates(outcome)}, "model": {quote(model)}}}'
    )


def _number_rates(outcome: EventResult) -> str:
    if not (rates := outcome.hit_rates):
        return '"hit_rate": null, "baseline_hit_rate": null'
    best = max(rates.baselines.values())
    return f'"hit_rate": {_rounded(rates.published, 6)}, "baseline_hit_rate": {_rounded(best, 6)}'


def _rates(outcome: EventResult) -> str:
    kappa = kappa_temporal(outcome.hit_rates) if outcome.hit_rates else None
    return f'{_number_rates(outcome)}, "kappa_temporal": {"null" if kappa is None else _rounded(kappa, 6)}'


def _symbols(outcome: SymbolResult, experts: Sequence[str]) -> str:
    evaluation, prediction = outcome.evaluation, outcome.prediction
    return (
        f'"evaluation": {_symbol_evaluation(evaluation)}, {_symbol_prediction(prediction)}, '
        f'"experts": {_symbol_experts(prediction, experts)}'
    )


def _symbol_evaluation(evaluation: SymbolEvaluation | None) -> str:
    if evaluation is None:
        return "null"
    return f'{{{_comparison(evaluation)}, "drift": {_flag(evaluation.drift)}}}'


def _comparison(evaluation: SymbolEvaluation | LabelEvaluation) -> str:
    """Format the fields about the predicted literal and the probability of the one that came."""
    return (
        f'"predicted": {evaluation.predicted}, "hit": {_flag(evaluation.hit)}, '
        f'"probability": {_rounded(evaluation.probability, 6)}, '
        f'"surprise_bits": {_rounded(evaluation.surprise_bits, 4)}'
    )


def _symbol_prediction(prediction: SymbolPrediction | None) -> str:
    if prediction is None:
        return '"prediction": null, "probability": null, "top": []'
    top = [(literal, _rounded(probability, 6)) for literal, probability in prediction.top]
    listed = ", ".join([f"[{literal}, {probability}]" for literal, probability in top])
    return f'"prediction": {top[0][0]}, "probability": {top[0][1]}, "top": [{listed}]'


def _symbol_experts(prediction: SymbolPrediction | None, names: Sequence[str]) -> str:
    if prediction is None:
        return "{}"
    listed = [
        f'"{name}": [{"null, null" if literal is None else f"{literal}, {_rounded(probability, 6)}"}, '
        f"{_rounded(weight, 4)}]"
        for name, (literal, probability, weight) in zip(names, prediction.experts, strict=False)
    ]
    return f"{{{', '.join(listed)}}}"


def _numbers(outcome: NumberResult, experts: Sequence[str], listed: Callable[[Iterable[str]], str]) -> str:
    evaluation, prediction = outcome.evaluation, outcome.prediction
    values, interval, by_expert = "null", "null", ""
    if prediction is not None:
        values = listed(map(_number, prediction.values))
        interval = listed([_interval(low, high) for low, high in prediction.bounds])
        by_expert = ", ".join(
            f'"{name}": {listed(map(_weighed, predicted, weights))}'
            for name, (predicted, weights) in zip(experts, prediction.experts, strict=True)
        )
    return (
        f'"evaluation": {_number_evaluation(evaluation, listed)}, "prediction": {values}, "interval": {interval}, '
        f'"experts": {{{by_expert}}}'
    )


def _number_evaluation(evaluation: NumberEvaluation | None, listed: Callable[[Iterable[str]], str]) -> str:
    if evaluation is None:
        return "null"
    scores = [
        f'"{name}": {listed(map(_number, line))}' for name, line in zip(NUMBER_SCORES, evaluation.scores, strict=True)
    ]
    return (
        f'{{"predicted": {listed(map(_number, evaluation.predicted))}, "hit": {listed(map(_flag, evaluation.hits))}, '
        f'"error": {listed(map(_number, evaluation.errors))}, "covered": {listed(map(_flag, evaluation.covered))}, '
        f'{", ".join(scores)}, "drift": {_flag(evaluation.drift)}}}'
    )


def _listing(settings: Settings) -> Callable[[Iterable[str]], str]:
    """Return a function that puts one JSON text per component and horizon into the lists that the settings ask for."""
    template = json.dumps(settings.nested(["%s"] * settings.channels)).replace('"', "")
    return lambda texts: template % tuple(texts)


def _weighed(predicted: float, weight: float) -> str:
    return f"[{_number(predicted)}, {_rounded(weight, 4)}]"


def _interval(low: float, high: float) -> str:
    return f"[{_number(low)}, {_number(high)}]" if math.isfinite(low) and math.isfinite(high) else "null"


def _flag(flag: bool | None) -> str:
    return "null" if flag is None else "true" if flag else "false"


def _labels(outcome: LabelResult) -> str:
    evaluation, prediction = outcome.evaluation, outcome.prediction
    ranked = [(literal, _rounded(p, 6)) for literal, p in prediction.probabilities] if prediction else []
    likeliest, probability = ranked[0] if ranked else ("null", "null")
    listed = ", ".join([f"[{literal}, {p}]" for literal, p in ranked])
    return (
        f'"evaluation": {_label_evaluation(evaluation)}, "sample": {prediction.sample if prediction else "null"}, '
        f'"prediction": {likeliest}, "probability": {probability}, "probabilities": [{listed}]'
    )


def _label_evaluation(evaluation: LabelEvaluation | None) -> str:
    if evaluation is None:
        return "null"
    return (
        f'{{"label": {evaluation.label}, {_comparison(evaluation)}, "samples": {evaluation.samples}, '
        f'"stable_since_sample": {evaluation.stable_since_sample}, "drift": {_flag(evaluation.drift)}}}'
    )


def _rounded(number: float, digits: int) -> str:
    # JSON has no infinity: the surprise of a value whose predicted probability was 0.
    return repr(round(number, digits) + 0.0) if math.isfinite(number) else "null"


def _number(number: float) -> str:
    """Write a number with enough digits to tell it from all others: its level may be far above its spread.

    >>> _number(17.25), _number(-2 / 3), _number(1e300), _number(float("inf"))
    ('17.25', '-0.6666666666666666', '1e+300', 'null')
    """
    return repr(number + 0.0) if math.isfinite(number) else "null"
