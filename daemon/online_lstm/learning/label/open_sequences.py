"""The sequences of a partition that are not yet learned: open sequences, and sequences that wait for a label.

It owns the arrays of the sequences and their order. The learner decides when a sequence is over and what is learned
from it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.label.label_task import NONE
from online_lstm.learning.network import LabelModel
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, require_same
from online_lstm.learning.state.schema import TableState
from online_lstm.learning.stream_table import Key, StreamTable
from online_lstm.settings import Settings


class StalestSequence(NamedTuple):
    """The least recently seen sequence: number of its last event, key, and table."""

    seen: int
    key: Key
    contexts: StreamTable


class OpenSequences:
    """At most one open sequence of each key, and at most one sequence that is over and waits for its label.

    The arrays of a sequence: ``seen`` is the number of the event at which the sequence was last seen, or was over.
    ``samples`` are the samples so far, scaled with the scale at their arrival. ``pending`` are the probabilities after
    the last sample, ``favourite`` is the most likely label after the last sample, and ``stable_since_sample`` is the
    number of the sample since which this label has been the most likely one.
    """

    def __init__(self, settings: Settings, network: LabelModel) -> None:
        self._longest, self._features = settings.max_sequence_length, settings.features
        self._states_size = network.states_size
        fields = {
            "seen": ArraySpec((1,), "int64"),
            "length": ArraySpec((1,), "int32"),
            "label": ArraySpec((1,), "int32", NONE),
            "favourite": ArraySpec((1,), "int32", NONE),
            "stable_since_sample": ArraySpec((1,), "int32"),
            "states": ArraySpec((self._states_size,), "float32"),
            "pending": ArraySpec((settings.classes,), "float32"),
            "samples": ArraySpec((settings.max_sequence_length, settings.features), "float32"),
        }
        self.open, self.waiting = StreamTable(fields), StreamTable(fields)

    def __len__(self) -> int:
        return len(self.open) + len(self.waiting)

    def label_of(self, key: Key) -> int:
        """Return the class of an open sequence's label, ``NONE`` if the label is unknown."""
        return int(self.open.row(key)["label"][0])

    def before_next(self, key: Key) -> tuple[NDArray[np.float32], int]:
        """Return the states before the next sample of a key, float32 (1, states_size), and the sample's number."""
        if key not in self.open:
            return np.zeros((1, self._states_size), np.float32), 1
        sequence = self.open.row(key)
        return sequence["states"][None], int(sequence["length"][0]) + 1

    def note(self, rows: NDArray[np.integer], numbers: Sequence[int], probabilities: NDArray[np.float32]) -> None:
        """Store the prediction after each sample, and the sample since which the label of its sequence has not changed.

        Args:
            rows: Row numbers of the open sequences of K samples, integers (K,).
            numbers: The numbers of the samples in their sequences.
            probabilities: Float32 (K, classes).
        """
        favourite, stable_since_sample, pending = map(self.open.column, ("favourite", "stable_since_sample", "pending"))
        likeliest = probabilities.argmax(axis=1).tolist()
        for row, number, predicted, label in zip(rows.tolist(), numbers, probabilities, likeliest, strict=True):
            pending[row] = predicted
            if favourite[row, 0] != label:
                favourite[row], stable_since_sample[row] = label, number

    def wait(self, key: Key, event: int) -> bool:
        """Move an open sequence to the waiting ones; return whether it replaced a waiting sequence of the same key."""
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
        """Return the least recently seen sequence; at least one sequence must exist."""
        return min(filter(None, map(stalest_of, (self.open, self.waiting))), key=lambda sequence: sequence.seen)

    def forget(self, key: Key) -> None:
        """Forget the sequences of a key."""
        for contexts in (self.open, self.waiting):
            if key in contexts:
                contexts.remove(key)

    def state(self) -> tuple[TableState, TableState]:
        """Return a copy of the open and of the waiting sequences; their existing samples are one after the other."""
        states = self.open.state(), self.waiting.state()
        for state in states:
            state.arrays["samples"] = state.arrays["samples"][self._filled(state.arrays)]
        return states

    def restore(self, opened: TableState, waiting: TableState) -> None:
        """Restore the sequences from the result of ``state``.

        Raises:
            StateMismatchError: The arrays of the state do not match the settings.
        """
        for contexts, state in ((self.open, opened), (self.waiting, waiting)):
            filled = self._filled(state.arrays)
            packed = state.arrays["samples"]
            require_same("shape of samples", packed.shape, (int(filled.sum()), self._features))
            samples = np.zeros((*filled.shape, self._features), packed.dtype)
            samples[filled] = packed
            contexts.restore(replace(state, arrays={**state.arrays, "samples": samples}))

    def _filled(self, arrays: ArrayViews) -> Any:
        return np.arange(self._longest) < arrays["length"]


def stalest_of(contexts: StreamTable) -> StalestSequence | None:
    """Return the least recently seen sequence of a table; None if the table is empty."""
    for key in contexts:
        return StalestSequence(int(contexts.column("seen")[contexts.number(key), 0]), key, contexts)
    return None
