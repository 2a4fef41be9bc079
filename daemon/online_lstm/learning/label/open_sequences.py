"""The sequences of a partition that are not yet learned from: those that are open, and those that wait for a label.

It owns their arrays and their order; when one is over, and what is learned from it, is the learner's affair.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from online_lstm.learning.label.label_task import NONE
from online_lstm.learning.network import LabelModel
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, require_same
from online_lstm.learning.stream_table import Key, StreamTable
from online_lstm.settings import Settings


class StalestSequence(NamedTuple):
    """The sequence that was seen least recently: at which event, whose, and among which ones."""

    seen: int
    key: Key
    contexts: StreamTable


class OpenSequences:
    """At most one open sequence of each key, and at most one that is over and waits for its label.

    The arrays of a sequence: ``seen`` is the event at which it was last seen, or was over; ``samples`` are those so
    far, scaled as they were when they came; ``pending`` are the probabilities after the last one, ``favourite`` the
    label that was the likeliest then, and ``stable_since_sample`` the sample that it has been so from.
    """

    def __init__(self, settings: Settings, network: LabelModel) -> None:
        self._longest, self._features = settings.max_sequence_length, settings.features
        fields = {
            "seen": ArraySpec((1,), "int64"),
            "length": ArraySpec((1,), "int32"),
            "label": ArraySpec((1,), "int32", NONE),
            "favourite": ArraySpec((1,), "int32", NONE),
            "stable_since_sample": ArraySpec((1,), "int32"),
            "states": ArraySpec((network.states_size,), "float32"),
            "pending": ArraySpec((settings.classes,), "float32"),
            "samples": ArraySpec((settings.max_sequence_length, settings.features), "float32"),
        }
        self.open, self.waiting = StreamTable(fields), StreamTable(fields)

    def __len__(self) -> int:
        return len(self.open) + len(self.waiting)

    def label_of(self, key: Key) -> int:
        """Give the label of an open sequence, ``NONE`` if it is not known."""
        return int(self.open.row(key)["label"][0])

    def wait(self, key: Key, event: int) -> bool:
        """Let an open sequence wait for its label from this event on; say whether another one of the key gave up."""
        instead = key in self.waiting
        if instead:
            self.waiting.remove(key)
        self.waiting.add(key)
        waiting: ArrayViews = self.waiting.row(key)
        for name, array in self.open.row(key).items():
            waiting[name][...] = array
        waiting["seen"][:] = event
        self.open.remove(key)
        return instead

    def stalest(self) -> StalestSequence:
        """Say which one was seen least recently; there has to be one."""
        return min(filter(None, map(stalest_of, (self.open, self.waiting))), key=lambda found: found.seen)

    def forget(self, key: Key) -> None:
        """Forget the sequences of a key."""
        for contexts in (self.open, self.waiting):
            if key in contexts:
                contexts.remove(key)

    def state(self) -> dict[str, Any]:
        """Copy all of them as plain data; of ``samples`` as many as there are, sequence after sequence."""
        state = {"streams": self.open.state(), "waiting": self.waiting.state()}
        for contexts in state.values():
            arrays = contexts["arrays"]
            arrays["samples"] = arrays["samples"][self._filled(arrays)]
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` gave.

        Raises:
            StateMismatchError: It is not what ``state`` gives.
        """
        for contexts, name in ((self.open, "streams"), (self.waiting, "waiting")):
            arrays = dict(state[name]["arrays"])
            filled = self._filled(arrays)
            packed = arrays["samples"]
            require_same(f"shape of samples in {name}", packed.shape, (int(filled.sum()), self._features))
            arrays["samples"] = np.zeros((*filled.shape, self._features), packed.dtype)
            arrays["samples"][filled] = packed
            contexts.restore({**state[name], "arrays": arrays})

    def _filled(self, arrays: ArrayViews) -> Any:
        return np.arange(self._longest) < arrays["length"]


def stalest_of(contexts: StreamTable) -> StalestSequence | None:
    """Say which one of some sequences was seen least recently, if there is any."""
    for key in contexts:
        return StalestSequence(int(contexts.column("seen")[contexts.number(key), 0]), key, contexts)
    return None
