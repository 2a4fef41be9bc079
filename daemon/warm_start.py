"""What streams begin as: those of another checkpoint, so that not all has to be learned anew."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from daemon import scores
from daemon.errors import StateMismatchError
from daemon.rows import Row
from daemon.settings import Settings
from daemon.vocabulary import unpack


@dataclass(frozen=True, slots=True)
class Beginning:
    """One stream as it was: its number of classes, its vocabulary, and its rows."""

    classes: int
    vocabulary: dict[str, Any]
    stream: Row
    network: Row


class WarmStart:
    """The streams of what ``Partition.state`` gave, without their scores, which were another topic's.

    ``shared`` is what all streams have in common, where they do. Of labels, no stream goes on then.

    Raises:
        StateMismatchError: It was learned with other shape settings than those that hold now.
    """

    def __init__(self, settings: Settings, state: dict[str, Any]) -> None:
        require_shape(settings, json.loads(state["shape"]), "the warm start", besides=("warm_start",))
        self.shared = _shared(state)
        self._beginnings = {} if "learner" in state else dict(_beginnings(state))

    def of(self, stream: str | None) -> Beginning | None:
        """Give what a stream begins as: the one of the same key, else the only one there is, else nothing.

        Where streams share what can be shared, one of another key has nothing that this one should begin with.
        """
        if stream in self._beginnings or self.shared is not None:
            return self._beginnings.get(stream)
        return next(iter(self._beginnings.values())) if len(self._beginnings) == 1 else None


def require_shape(settings: Settings, stored: Mapping[str, Any], whose: str, *, besides: tuple[str, ...] = ()) -> None:
    """Raise ``StateMismatchError`` unless a state was learned with the shape settings that hold now."""
    expected = settings.of_kind("shape")
    differing = [name for name in expected if name not in besides and stored.get(name) != expected[name]]
    if differing:
        described = ", ".join(f"{n} {stored.get(n)!r} (the settings say {expected[n]!r})" for n in differing)
        raise StateMismatchError(f"{whose} was learned with {described}: use these settings")


def _shared(state: dict[str, Any]) -> dict[str, Any] | None:
    if "learner" not in state:
        return state.get("shared")
    arrays = state["learner"]["arrays"]
    return {**state["learner"], "arrays": arrays | {name: np.zeros_like(arrays[name]) for name in scores.NAMES}}


def _beginnings(state: dict[str, Any]) -> Iterator[tuple[str | None, Beginning]]:
    streams = state["streams"]
    classes = streams["classes"].tolist()
    for number, vocabulary in enumerate(unpack(streams["vocabularies"])):
        stream = {name: array[number] for name, array in streams["arrays"].items()}
        stream |= {name: np.zeros_like(stream[name]) for name in scores.NAMES}
        place = classes[:number].count(classes[number])  # networks of as many classes are in the order of their streams
        network = {name: array[place] for name, array in state["networks"][str(classes[number])].items()}
        yield json.loads(streams["keys"][number]), Beginning(classes[number], vocabulary, stream, network)
