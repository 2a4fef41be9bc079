"""What is in a restored state, stream by stream, as a person would ask for it."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from daemon import scores
from daemon.experts.symbols import SymbolPanel
from daemon.network.layers import parse_layers
from daemon.network.layout import Layout
from daemon.rows import Row
from daemon.settings import Settings
from daemon.tasks import SymbolTask
from daemon.vocabulary import unpack

LAST_VALUES = 8
"""So many of a stream's latest values are told."""


def streams_of(state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Describe each stream of what ``Partition.state`` gave, the one seen last first."""
    streams = state["streams"]
    shape = json.loads(state["shape"])
    settings = Settings.model_construct().with_shape(shape)
    classes = streams["classes"].tolist()
    vocabularies = unpack(streams["vocabularies"])
    unseen = Counter(classes)
    for number in reversed(range(len(classes))):
        row = {name: array[number].copy() for name, array in streams["arrays"].items()}
        unseen[classes[number]] -= 1  # networks of as many classes are in the order of their streams
        place = unseen[classes[number]]
        network = {name: array[place] for name, array in state["networks"][str(classes[number])].items()}
        layout = Layout(parse_layers(shape["network"]), classes[number])
        weights = network["network"][: layout.sizes[0]].astype(np.float64)
        of_task = _symbols(settings, row, network, vocabularies[number]) if settings.task == "symbol" else _numbers(row)
        yield {
            "key": json.loads(streams["keys"][number]),
            "events": int(row["events"][0]),
            **_scores(settings, row),
            **of_task,
            "network_classes": classes[number],
            "fit_steps": int(network["network"][3 * layout.sizes[0]]),
            "weights": len(weights),
            "weights_norm": float(np.sqrt(weights @ weights)) if np.isfinite(weights).all() else None,
        }


def _scores(settings: Settings, row: Row) -> dict[str, Any]:
    rates, losses = scores.summary({name: row[name][None] for name in scores.NAMES}) or (None, None)
    names, first = (*settings.baselines, *settings.experts), len(settings.baselines)

    def by_name(figures: tuple[float, ...] | None) -> list[dict[str, float] | None]:
        if figures is None:
            return [None, None]
        named = list(zip(names, figures, strict=True))
        return [dict(named[:first]), dict(named[first:])]

    told: dict[str, Any] = {
        "scored": int(row["scores_count"][0]),
        "hit_rate": rates[0] if rates else None,
    }
    told["baseline_hit_rates"], told["expert_hit_rates"] = by_name(rates[1:] if rates else None)
    if settings.task == "symbol":
        return {**told, "log_loss_bits": losses[0] if losses else None}
    told["mean_absolute_error"] = losses[0] if losses else None
    errors = by_name(losses[1:-1] if losses else None)
    told["baseline_mean_absolute_errors"], told["expert_mean_absolute_errors"] = errors
    return told


def _symbols(settings: Settings, row: Row, network: Row, vocabulary: dict[str, Any]) -> dict[str, Any]:
    task = SymbolTask(settings)
    task.restore(vocabulary)
    ids, literals = task.vocabulary.ids(), task.vocabulary.literals()
    window = row["window"][row["window"] >= 0]
    codes = task.codes([], network["pending"][None], np.array([task.known], np.int32))
    forecast, _ = SymbolPanel(settings).observe(row, task.values([]), codes, pending=False)
    (prediction,) = task.predictions(forecast, [])
    return {
        "vocabulary": task.known - 1,
        "candidates": len(vocabulary["literals"]) - (task.known - 1),
        "last_values": [json.loads(literals[ids[code]]) if code else None for code in window[-LAST_VALUES:].tolist()],
        "prediction": [[json.loads(literal), round(p, 6)] for literal, p in prediction.top]
        if prediction and len(window)
        else None,
    }


def _numbers(row: Row) -> dict[str, Any]:
    known = min(int(row["number_events"][0]), LAST_VALUES)
    return {
        "last_values": row["number_values"][len(row["number_values"]) - known :].tolist(),
        "prediction": next((value for value in row["pending"][-1:, 0].tolist() if np.isfinite(value)), None),
    }
