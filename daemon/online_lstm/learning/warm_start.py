"""Warm start: the streams of another checkpoint, from which new streams start instead of starting untrained."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from online_lstm.errors import StateMismatchError
from online_lstm.learning.scoring import classification, drift
from online_lstm.learning.state.schema import Arrays, LabelsState, PartitionState, StreamSnapshot
from online_lstm.settings import Settings


class WarmStart:
    """The streams of a partition's state, without their scores.

    ``shared`` is the state that all streams have in common, or None; ``labels`` is the common learner of labels, or
    None. With labels, no stream is continued.

    Raises:
        StateMismatchError: The state was learned with other shape settings than the present ones.
    """

    def __init__(self, settings: Settings, state: PartitionState) -> None:
        require_shape(settings, state.shape, "the warm start", besides=("warm_start",))
        learned = replace(state.learned, arrays=_unscored(state.learned.arrays))
        self.labels = learned if isinstance(learned, LabelsState) else None
        self.shared = None if isinstance(learned, LabelsState) else learned.shared
        snapshots = () if isinstance(learned, LabelsState) else learned.snapshots()
        self._streams = {stored.key: stored for stored in snapshots}

    def of(self, stream: str | None) -> StreamSnapshot | None:
        """Return the stream that a new stream starts from: the stream with its key, else the only stream, else None.

        If streams share weights, only a stream with the same key is returned: a stream with another key has no further
        state that the new stream should start from.
        """
        if stream in self._streams or self.shared is not None:
            return self._streams.get(stream)
        return next(iter(self._streams.values())) if len(self._streams) == 1 else None


def require_shape(settings: Settings, stored: Mapping[str, Any], whose: str, *, besides: tuple[str, ...] = ()) -> None:
    """Raise ``StateMismatchError`` unless a state was learned with the present shape settings."""
    expected = settings.of_kind("shape")
    differing = [name for name in expected if name not in besides and stored.get(name) != expected[name]]
    if "task" in differing:
        differing = ["task"]  # the settings of another task differ anyway
    if differing:
        described = ", ".join(f"{n} {stored.get(n)!r} (the settings say {expected[n]!r})" for n in differing)
        raise StateMismatchError(f"{whose} was learned with {described}: use these settings")


def _unscored(arrays: Arrays) -> Arrays:
    """Return arrays with zeros for the scores and the drift test, which belong to another topic."""
    return {**arrays, **{name: np.zeros_like(arrays[name]) for name in (*classification.NAMES, *drift.NAMES)}}
