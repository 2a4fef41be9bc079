"""Whose the weights are: a network for each stream, or one that all streams of a partition share.

The state of a network, float32 (state_size,), is the flat row of ``online_lstm.learning.network.layout``. Which part
of it is where is known here only; learners run a network on the state of a stream, and hand back what it has come to.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from online_lstm.learning.network import NumberModel, SymbolModel
from online_lstm.learning.network.layout import Floats
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, require_same
from online_lstm.learning.state.vocabulary import Vocabulary
from online_lstm.settings import Settings


class WeightSharing(Protocol):
    """Where the state of a stream's network is; a ``row`` are the arrays of one stream.

    ``shared`` says that streams learn from each other, so that their order counts; ``shared_vocabulary`` has the codes
    of symbols that they share then.
    """

    @property
    def shared(self) -> bool:
        """Whether streams learn from each other."""

    @property
    def shared_vocabulary(self) -> Vocabulary | None:
        """The symbols of all streams, if they share their codes."""

    def fields(self, own: Mapping[str, ArraySpec]) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream; ``own`` are those with the whole state in ``network``."""

    def begin(self, row: ArrayViews, initial: Floats) -> None:
        """Give a new stream its state."""

    def state_of(self, row: ArrayViews) -> Floats:
        """Give the state that a stream runs on."""

    def keep(self, row: ArrayViews, state: Floats) -> None:
        """Take over the state that a stream has come to."""

    def move(self, network: SymbolModel, old: ArrayViews, new: ArrayViews, classes: tuple[int, int]) -> None:
        """Move the state of a stream from a row to one of more ``classes``."""


class PerStreamWeights:
    """Each stream has the whole of its state in its row."""

    shared = False
    shared_vocabulary = None

    def fields(self, own: Mapping[str, ArraySpec]) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream."""
        return dict(own)

    def begin(self, row: ArrayViews, initial: Floats) -> None:
        """Give a new stream the initial state."""
        row["network"][:] = initial

    def state_of(self, row: ArrayViews) -> Floats:
        """View the state of a stream."""
        state: Floats = row["network"]
        return state

    def keep(self, row: ArrayViews, state: Floats) -> None:
        """Write the state into the row."""
        row["network"][:] = state

    def move(self, network: SymbolModel, old: ArrayViews, new: ArrayViews, classes: tuple[int, int]) -> None:
        """Let the state grow."""
        new["network"][:] = network.grow(old["network"], *classes)


class SharedWeights:
    """A stream's row has the end of the state, its own left-edge states; all streams share what is before.

    That are weights, moments, step count and spent budget, for as many classes as the book of symbols needs. Where the
    settings say not to learn, they stay as they are, and so does the book.
    """

    shared = True

    def __init__(self, settings: Settings, network: SymbolModel | NumberModel) -> None:
        self._learns = settings.learn
        self._network = network
        self._states_size = network.states_size
        self.shared_vocabulary = Vocabulary(max_codes=settings.max_vocabulary, min_occurrences=settings.min_occurrences)
        if isinstance(network, SymbolModel):
            self._classes = network.classes_for(self.shared_vocabulary.known)
            initial = network.initial(self._classes)
        else:
            self._classes, initial = network.features, network.initial
        self._common = initial[: -self._states_size].copy()

    def fields(self, own: Mapping[str, ArraySpec]) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream: ``states`` instead of ``network``."""
        others = {name: field for name, field in own.items() if name != "network"}
        return {"states": ArraySpec((self._states_size,), "float32"), **others}

    def begin(self, row: ArrayViews, initial: Floats) -> None:
        """Give a new stream the initial left-edge states."""
        row["states"][:] = initial[-self._states_size :]

    def state_of(self, row: ArrayViews) -> Floats:
        """Put the state of a stream together."""
        return np.concatenate([self._common, row["states"]])

    def keep(self, row: ArrayViews, state: Floats) -> None:
        """Take the state apart."""
        row["states"][:] = state[-self._states_size :]
        if self._learns:
            self._common[:] = state[: -self._states_size]

    def move(self, network: SymbolModel, old: ArrayViews, new: ArrayViews, classes: tuple[int, int]) -> None:
        """Let what is shared grow, unless it has for another stream."""
        new["states"][:] = old["states"]
        if self._classes < classes[1]:
            state = network.grow(self.state_of(old), self._classes, classes[1])
            self._common, self._classes = state[: -self._states_size], classes[1]

    def state(self) -> dict[str, Any]:
        """Copy what is shared, as plain data."""
        return {
            "classes": np.int32(self._classes),
            "network": self._common.copy(),
            "book": self.shared_vocabulary.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` gave.

        Raises:
            StateMismatchError: It is not what ``state`` gives.
        """
        require_same("names of what is shared", sorted(state), ["book", "classes", "network"])
        self.shared_vocabulary.restore(state["book"])
        self._classes = int(state["classes"])
        network = self._network
        if isinstance(network, SymbolModel):
            require_same("classes that are shared", self._classes, network.classes_for(self.shared_vocabulary.known))
            size = network.state_size(self._classes)
        else:
            require_same("classes that are shared", self._classes, network.features)
            size = network.state_size
        common = state["network"]
        require_same("shape of the shared network", common.shape, (size - self._states_size,))
        require_same("dtype of the shared network", common.dtype, self._common.dtype)
        self._common = common.copy()
