"""What an exported network is told with: what goes in, what comes out, and where its stream is."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from daemon.commands.contents import Stored
from daemon.learners import AnyNetwork
from daemon.network import Regression
from daemon.settings import Settings
from daemon.tasks import SymbolTask


@dataclass(frozen=True, slots=True)
class Exported:
    """A network as a Keras file: its ``content``, what is told beside it, and what goes in and out in words."""

    content: bytes
    about: dict[str, Any]
    inputs: str
    outputs: str


def export(settings: Settings, stream: Stored, network: AnyNetwork, *, stateful: bool) -> Exported:
    """Make a Keras file of a stream's network; ``about`` has its states and its window, and is told as JSON."""
    about: dict[str, Any] = {
        "stream": stream.key,
        "task": settings.task,
        "events": int(stream.row["events"][0]),
        "network": list(settings.network),
    }
    if isinstance(network, Regression):
        return _number(settings, stream, network, about, stateful=stateful)
    task = SymbolTask(settings)
    task.restore(stream.vocabulary)
    ids, literals = task.vocabulary.ids(), task.vocabulary.literals()
    state, window = stream.network["network"], stream.row["window"]
    about |= {
        "symbols": [None, *(json.loads(literals[ids[code]]) for code in range(1, task.known))],
        "window": window[window >= 0].tolist(),
        "states": _plain(network.states_of(state, stream.classes)),
    }
    return Exported(
        network.to_keras(state, stream.classes, known=task.known, stateful=stateful),
        about,
        inputs=f"a symbol as one-hot of {task.known}, the first of which is any that is not known",
        outputs=f"the probabilities that the {task.known} come next",
    )


def _number(
    settings: Settings, stream: Stored, network: Regression, about: dict[str, Any], *, stateful: bool
) -> Exported:
    state, lines = stream.network["network"], stream.row["lines"]
    present = lines[:, network.features] > 0
    # what the linear expert said last, and the spread that the network's output is in
    told = stream.row["number_asked"][..., -1].reshape(-1, 2)
    about |= {
        "horizon": settings.horizon,
        "linear": told[:, 0].tolist(),
        "spread": told[:, 1].tolist(),
        "window": lines[present, : network.features].tolist(),
        "states": _plain(network.states_of(state)),
    }
    return Exported(
        network.to_keras(state, stateful=stateful),
        about,
        inputs=f"{network.features} features of a value, as the daemon made them: the window has the last ones",
        outputs="by how many spreads the value differs from what the linear expert says",
    )


def _plain(states: dict[str, list[np.ndarray[Any, Any]]]) -> dict[str, list[list[float]]]:
    return {name: [array.tolist() for array in arrays] for name, arrays in states.items()}
