"""Descriptions of a restored state for people: each stream, and for labels the learner that all streams share.

The module only reads states; it must not know where they are stored.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.label.label_task import NONE
from online_lstm.learning.network.label_model import capacity
from online_lstm.learning.network.layers import parse_layers
from online_lstm.learning.network.layout import Layout
from online_lstm.learning.scoring import classification
from online_lstm.learning.scoring.named_figures import score_figures
from online_lstm.learning.state.packed import ArrayViews
from online_lstm.learning.state.schema import LabelsState, PartitionState
from online_lstm.learning.state.vocabulary import VocabularyState
from online_lstm.learning.symbol.symbol_ensemble import SymbolEnsemble
from online_lstm.learning.symbol.symbol_task import SymbolTask
from online_lstm.settings import Settings

LAST_VALUES = 8
"""Number of a stream's latest values in its description."""


def settings_of(state: PartitionState) -> Settings:
    """Return settings with the shape settings of a state, and defaults for all others."""
    return Settings.model_construct().with_shape(state.shape)


def streams_of(state: PartitionState) -> Iterator[dict[str, Any]]:
    """Yield a description of each stream of a partition, the most recently seen stream first."""
    settings, learned = settings_of(state), state.learned
    if isinstance(learned, LabelsState):
        yield from _sequences(learned)
        return
    layers = parse_layers(settings.network)
    for stored in reversed([*learned.snapshots()]):
        key, classes, vocabulary, row, network = learned.with_shared_weights(stored)
        layout = Layout(layers, classes)
        of_task = _symbols(settings, row, network, vocabulary) if settings.task == "symbol" else _numbers(settings, row)
        yield {
            "key": key,
            "events": int(row["events"][0]),
            **_scores(settings, row),
            **of_task,
            "network_classes": classes,
            **_network(layout, network["network"]),
        }


def learner_of(state: PartitionState) -> dict[str, Any] | None:
    """Return a description of the learner that all streams share; None if each stream has a separate learner."""
    if not isinstance(state.learned, LabelsState):
        return None
    settings, row = settings_of(state), state.learned.row
    layout = Layout(parse_layers(settings.network), capacity(features=settings.features, classes=settings.classes))
    labels = [json.loads(literal) for literal in state.learned.labels]
    return {
        "events": int(row["events"][0]),
        **_scores(settings, row),
        "labels": [list(pair) for pair in zip(labels, row["label_counts"].tolist(), strict=False)],
        "scale_means": row["scale_means"].tolist(),
        "scale_deviations": np.sqrt(row["scale_variances"]).tolist(),
        **_network(layout, row["network"]),
    }


def _sequences(state: LabelsState) -> Iterator[dict[str, Any]]:
    labels = [json.loads(literal) for literal in state.labels]
    for table, waits in ((state.opened, False), (state.waiting, True)):
        for number, key in reversed([*enumerate(table.keys)]):
            row = {name: array[number] for name, array in table.arrays.items() if name != "samples"}
            likeliest = sorted(zip(row["pending"].tolist(), labels, strict=False), key=lambda pair: -pair[0])
            label = int(row["label"][0])
            yield {
                "key": key,
                "waiting": waits,
                "samples": int(row["length"][0]),
                "label": None if label == NONE else labels[label],
                "prediction": [[name, round(p, 6)] for p, name in likeliest if p > 0] or None,
            }


def _network(layout: Layout, row: NDArray[np.float32]) -> dict[str, Any]:
    weights = row[: layout.sizes[0]].astype(np.float64)
    return {
        "fit_steps": int(row[3 * layout.sizes[0]]),
        "weights": len(weights),
        "weights_norm": float(np.sqrt(weights @ weights)) if np.isfinite(weights).all() else None,
    }


def _scores(settings: Settings, row: ArrayViews) -> dict[str, Any]:
    rows = {name: row[name][None] for name in classification.NAMES}
    drifts, last = row["drift_events"].tolist()
    return {
        "scored": int(row["scores_count"][0]),
        "drifts": drifts,
        "last_drift_event": last or None,
        **score_figures(settings, rows),
    }


def _symbols(settings: Settings, row: ArrayViews, network: ArrayViews, vocabulary: VocabularyState) -> dict[str, Any]:
    task = SymbolTask(settings)
    task.restore(vocabulary)
    ids, literals = task.vocabulary.ids(), task.vocabulary.literals()
    window = row["window"][row["window"] >= 0]
    codes = task.codes([], network["pending"][None], row["known"])
    (prediction,) = task.predictions(SymbolEnsemble(settings).pending(row, codes), [])
    return {
        "vocabulary": task.known - 1,
        "candidates": len(vocabulary.literals) - (task.known - 1),
        "last_values": [json.loads(literals[ids[code]]) if code else None for code in window[-LAST_VALUES:].tolist()],
        "prediction": [[json.loads(literal), round(p, 6)] for literal, p in prediction.top]
        if prediction and len(window)
        else None,
    }


def _numbers(settings: Settings, row: ArrayViews) -> dict[str, Any]:
    values = np.where(row["number_missing"], np.nan, row["number_values"])
    components = [
        component[len(component) - known :]
        for component, (known,) in zip(values, row["number_events"].tolist(), strict=True)
    ]
    longest = max(map(len, components))
    # a component that appeared later than others has fewer values
    padded = [
        numbers_or_none(np.concatenate([np.full(longest - len(component), np.nan), component]))
        for component in components
    ]
    latest = [list(component) if settings.features > 1 else component[0] for component in zip(*padded, strict=True)]
    predicted = numbers_or_none(row["pending"][-1, ..., 0].ravel())
    return {
        "last_values": latest[-LAST_VALUES:],
        "prediction": settings.nested(predicted) if any(value is not None for value in predicted) else None,
    }


def numbers_or_none(numbers: NDArray[np.float64]) -> list[float | None]:
    """Return numbers for JSON, with None for numbers that are not finite."""
    return [number if math.isfinite(number) else None for number in numbers.tolist()]
