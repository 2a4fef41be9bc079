"""What streams begin as: those of another checkpoint, so that not all has to be learned anew."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from online_lstm.errors import StateMismatchError
from online_lstm.learning.scoring import classification, drift
from online_lstm.learning.state.packed import ArrayViews
from online_lstm.learning.state.snapshot import StreamSnapshot, stream_snapshots
from online_lstm.settings import Settings


class WarmStart:
    """The streams of what ``Partition.state`` gave, without their scores.

    ``shared`` is what all streams have in common, where they do. Of labels, no stream goes on then.

    Raises:
        StateMismatchError: It was learned with other shape settings than those that hold now.
    """

    def __init__(self, settings: Settings, state: dict[str, Any]) -> None:
        require_shape(settings, json.loads(state["shape"]), "the warm start", besides=("warm_start",))
        self.shared = _shared(state)
        streams = () if "learner" in state else stream_snapshots(state)
        self._streams = {stored.key: _unscored(stored) for stored in streams}

    def of(self, stream: str | None) -> StreamSnapshot | None:
        """Give what a stream begins as: the one of the same key, else the only one there is, else nothing.

        Where streams share what can be shared, one of another key has nothing that this one should begin with.
        """
        if stream in self._streams or self.shared is not None:
            return self._streams.get(stream)
        return next(iter(self._streams.values())) if len(self._streams) == 1 else None


def require_shape(settings: Settings, stored: Mapping[str, Any], whose: str, *, besides: tuple[str, ...] = ()) -> None:
    """Raise ``StateMismatchError`` unless a state was learned with the shape settings that hold now."""
    expected = settings.of_kind("shape")
    differing = [name for name in expected if name not in besides and stored.get(name) != expected[name]]
    if "task" in differing:
        differing = ["task"]  # its settings are others
    if differing:
        described = ", ".join(f"{n} {stored.get(n)!r} (the settings say {expected[n]!r})" for n in differing)
        raise StateMismatchError(f"{whose} was learned with {described}: use these settings")


def _shared(state: dict[str, Any]) -> dict[str, Any] | None:
    if "learner" not in state:
        return state.get("shared")
    arrays = state["learner"]["arrays"]
    return {**state["learner"], "arrays": _begun(arrays)}


def _unscored(stored: StreamSnapshot) -> StreamSnapshot:
    return stored._replace(row=_begun(stored.row))


def _begun(row: ArrayViews) -> ArrayViews:
    """Leave out the scores and the test for drift, which were another topic's."""
    return {**row, **{name: np.zeros_like(row[name]) for name in (*classification.NAMES, *drift.NAMES)}}
