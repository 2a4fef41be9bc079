"""Weight sharing: a network for each stream, or one network and other arrays that all streams of a partition share.

The state of a network, float32 (state_size,), is the flat row of ``online_lstm.learning.network.layout``. Only this
module knows where each part of the state is stored. Learners run a network on the state of a stream, and hand the new
state back.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np

from online_lstm.learning.network import Model
from online_lstm.learning.network.layout import Floats
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, PackedArrays, require_same
from online_lstm.learning.state.schema import SharedState
from online_lstm.learning.state.vocabulary import Vocabulary
from online_lstm.settings import Settings


class WeightSharing(Protocol):
    """Storage of the states of the streams' networks; a ``row`` is the arrays of one stream.

    ``shared`` says that streams learn from each other, so that their order matters; ``shared_vocabulary`` then has the
    codes of the symbols of all streams, and ``arrays`` are the further arrays that they have in common.
    """

    @property
    def shared(self) -> bool:
        """Whether streams learn from each other."""

    @property
    def shared_vocabulary(self) -> Vocabulary | None:
        """The vocabulary of all streams, None unless they share their codes."""

    @property
    def arrays(self) -> ArrayViews:
        """The arrays that all streams share, besides the network; none if they share nothing."""

    def fields(self, own: Mapping[str, ArraySpec]) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream; ``own`` describes them with the whole state in ``network``."""

    def begin(self, row: ArrayViews, initial: Floats) -> None:
        """Write the initial state of a new stream."""

    def state_of(self, row: ArrayViews) -> Floats:
        """Return the state that a stream's network runs on."""

    def keep(self, row: ArrayViews, state: Floats) -> None:
        """Store the new state of a stream."""

    def move(self, network: Model, old: ArrayViews, new: ArrayViews, classes: int) -> None:
        """Move the state of a stream to a row with more classes."""


class PerStreamWeights:
    """Storage of the whole state of each stream in its row."""

    shared = False
    shared_vocabulary = None
    arrays: ArrayViews = MappingProxyType({})

    def fields(self, own: Mapping[str, ArraySpec]) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream."""
        return dict(own)

    def begin(self, row: ArrayViews, initial: Floats) -> None:
        """Write the initial state of a new stream."""
        row["network"][:] = initial

    def state_of(self, row: ArrayViews) -> Floats:
        """Return the state of a stream as a view."""
        state: Floats = row["network"]
        return state

    def keep(self, row: ArrayViews, state: Floats) -> None:
        """Write the state into the row."""
        row["network"][:] = state

    def move(self, network: Model, old: ArrayViews, new: ArrayViews, classes: int) -> None:
        """Grow the state to more classes."""
        new["network"][:] = network.grow(old["network"], classes)


class SharedWeights:
    """Storage of one network for all streams; a stream's row has only its left-edge states, the end of the state.

    All streams share the rest of the state: weights, moments, step count and spent budget, for as many classes as the
    shared vocabulary needs. ``fields`` describe the further arrays that the learners of all streams share; the learners
    write to them. If the settings say not to learn, shared state and vocabulary stay unchanged.
    """

    shared = True

    def __init__(self, settings: Settings, network: Model, fields: Mapping[str, ArraySpec]) -> None:
        self._learns = settings.learn
        self._network = network
        self._states_size = network.states_size
        self.shared_vocabulary = Vocabulary(max_codes=settings.max_vocabulary, min_occurrences=settings.min_occurrences)
        self._classes = network.classes_for(self.shared_vocabulary.known)
        self._common = network.initial(self._classes)[: -self._states_size]
        self._rows = PackedArrays(fields)
        self._row = self._rows.add()
        self.arrays: ArrayViews = self._rows.view(self._row)

    def fields(self, own: Mapping[str, ArraySpec]) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream: ``states`` instead of ``network``, and none that streams share."""
        others = {name: field for name, field in own.items() if name != "network" and name not in self.arrays}
        return {"states": ArraySpec((self._states_size,), "float32"), **others}

    def begin(self, row: ArrayViews, initial: Floats) -> None:
        """Write the initial left-edge states of a new stream."""
        row["states"][:] = initial[-self._states_size :]

    def state_of(self, row: ArrayViews) -> Floats:
        """Join the shared state and the left-edge states of a stream."""
        return np.concatenate([self._common, row["states"]])

    def keep(self, row: ArrayViews, state: Floats) -> None:
        """Store the left-edge states of a stream and, if the settings say to learn, the shared state."""
        row["states"][:] = state[-self._states_size :]
        if self._learns:
            self._common[:] = state[: -self._states_size]

    def move(self, network: Model, old: ArrayViews, new: ArrayViews, classes: int) -> None:
        """Move the left-edge states; grow the shared state, unless another stream has already grown it."""
        new["states"][:] = old["states"]
        if self._classes < classes:
            state = network.grow(self.state_of(old), classes)
            self._common, self._classes = state[: -self._states_size], classes

    def state(self) -> SharedState:
        """Copy the shared state."""
        return SharedState(
            self._classes, self._common.copy(), self.shared_vocabulary.state(), self._rows.take([self._row])
        )

    def restore(self, state: SharedState) -> None:
        """Restore a state that ``state`` returned.

        Raises:
            StateMismatchError: The state does not have the structure that ``state`` returns.
        """
        self.shared_vocabulary.restore(state.vocabulary)
        self._classes = state.classes
        classes = self._network.classes_for(self.shared_vocabulary.known)
        require_same("classes that are shared", self._classes, classes)
        common = state.network
        size = self._network.state_size(classes) - self._states_size
        require_same("shape of the shared network", common.shape, (size,))
        require_same("dtype of the shared network", common.dtype, self._common.dtype)
        self._common = common.copy()
        self._rows.put([self._row], state.arrays)
