"""Keras exports of learned networks, with a description of inputs, outputs and the current window of the stream."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from online_lstm.audit.state_description import numbers_or_none
from online_lstm.learning.network import Model, NumberModel, SymbolModel
from online_lstm.learning.network.layout import Floats
from online_lstm.learning.state.scaler import MAX_DEVIATIONS
from online_lstm.learning.state.schema import LabelsState, LearnedState, StreamSnapshot, TableState
from online_lstm.learning.symbol.symbol_task import SymbolTask
from online_lstm.settings import Settings


@dataclass(frozen=True, slots=True)
class Exported:
    """A network as a Keras file: ``content``, the accompanying JSON object, and inputs and outputs in words."""

    content: bytes
    about: dict[str, Any]
    inputs: str
    outputs: str


def export(settings: Settings, learned: LearnedState, index: int | None, network: Model, *, stateful: bool) -> Exported:
    """Return a Keras file of a network of a partition.

    ``place`` is the index of the stream among the keys; None for no stream. ``about`` is the JSON object beside the
    file: the meaning of the columns, and the window of the stream with the recurrent states before the window.
    """
    about: dict[str, Any] = {"task": settings.task, "network": list(settings.network)}
    if isinstance(learned, LabelsState):
        exported = _label(learned, index, network, stateful=stateful)
    else:
        assert index is not None
        stream = learned.with_shared_weights([*learned.snapshots()][index])
        about["events"] = int(stream.row["events"][0])
        exported = _OF_STREAMS[settings.task](settings, stream, network, stateful=stateful)
    return Exported(exported.content, about | exported.about, exported.inputs, exported.outputs)


def _symbol(settings: Settings, stream: StreamSnapshot, network: SymbolModel, *, stateful: bool) -> Exported:
    task = SymbolTask(settings)
    task.restore(stream.vocabulary)
    ids, literals = task.vocabulary.ids(), task.vocabulary.literals()
    state, window = stream.network["network"], stream.row["window"]
    about = {
        "symbols": [None, *(json.loads(literals[ids[code]]) for code in range(1, task.known))],
        "window": window[window >= 0].tolist(),
        "states": _plain(network.states_of(state)),
    }
    return Exported(
        network.to_keras(state, known=task.known, stateful=stateful),
        about,
        inputs=f"a symbol as one-hot of {task.known}, the first of which is any that is not known",
        outputs=f"the probabilities that the {task.known} come next",
    )


def _number(settings: Settings, stream: StreamSnapshot, network: NumberModel, *, stateful: bool) -> Exported:
    state, rows = stream.network["network"], stream.row["lines"]
    present = rows[:, network.features] > 0
    # the latest predictions of the linear experts, and the spreads, which are the units of the network's outputs
    linear, spread = stream.row["number_asked"][..., -1].reshape(-1, 2).T
    about = {
        "horizons": list(settings.horizons),
        "linear": numbers_or_none(linear),
        "spread": numbers_or_none(spread),
        "window": rows[present, : network.features].tolist(),
        "states": _plain(network.states_of(state)),
    }
    return Exported(
        network.to_keras(state, stateful=stateful),
        about,
        inputs=f"{network.features} features of a value, as the daemon made them: the window has the last ones",
        outputs="by how many spreads each component, at each horizon, differs from what the linear expert says",
    )


def _label(state: LabelsState, index: int | None, network: Any, *, stateful: bool) -> Exported:
    shared, labels = state.row, [json.loads(literal) for literal in state.labels]
    about = {
        "events": int(shared["events"][0]),
        "labels": labels + [None] * (network.classes - len(labels)),
        "means": shared["scale_means"].tolist(),
        "deviations": np.sqrt(shared["scale_variances"]).tolist(),
        "most_deviations": MAX_DEVIATIONS,
        "window": [] if index is None else _samples(state.opened, index),
        "states": _plain(network.states_of(shared["network"])),
    }
    return Exported(
        network.to_keras(shared["network"], possible=shared["learned"], stateful=stateful),
        about,
        inputs=f"a sample of {network.features} numbers, each in deviations from its mean",
        outputs="the probability of the second label"
        if network.classes == 2
        else f"the probabilities of the {network.classes} labels",
    )


_OF_STREAMS: Mapping[str, Callable[..., Exported]] = {"symbol": _symbol, "number": _number}


def _samples(sequences: TableState, index: int) -> list[list[float]]:
    """Return the samples of the sequence with this index; the samples of all sequences are concatenated."""
    arrays = sequences.arrays
    ends = np.cumsum(arrays["length"][:, 0])
    samples: list[list[float]] = arrays["samples"][ends[index] - arrays["length"][index, 0] : ends[index]].tolist()
    return samples


def _plain(states: dict[str, list[Floats]]) -> dict[str, list[list[float]]]:
    return {name: [array.tolist() for array in arrays] for name, arrays in states.items()}
