"""The model of every task: stacked layers, their state rows, and their Keras files; each task adds its runs.

The caller owns the states; a model caches layouts, initial states and compiled programs.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from online_lstm.learning.network.hyperparameters import LearningSettings, ModelShape
from online_lstm.learning.network.keras_files import KerasFile, states_of
from online_lstm.learning.network.layout import Floats, Layout


class Model(ABC):
    """Stacked layers; a state is one flat row, float32 (state_size,): see ``online_lstm.learning.network.layout``.

    The length of a row determines its capacity, which is the number of classes in its layout.

    Raises:
        SettingsError: A layer is invalid, or the layers do not fit together.
    """

    events: ClassVar[int] = 64
    """The most events in one call; with this many, the overhead of the call is a twentieth of the time."""

    def __init__(self, shape: ModelShape, learning: LearningSettings) -> None:
        self._shape = shape
        self._learning = learning
        self._layers = shape.stack
        self._layouts: dict[int, Layout] = {}
        self._initial: dict[int, Floats] = {}  # drawn once, for all streams

    @abstractmethod
    def classes_for(self, known: int) -> int:
        """Return the capacity for this many known classes."""

    @abstractmethod
    def prepare(self, classes: int) -> None:
        """Compile the program for this capacity, if the next event would have to wait for the compiler."""

    @abstractmethod
    def _read_keras(self, path: Path) -> KerasFile:
        """Read a Keras file whose layers and ends match.

        Raises:
            SettingsError: The file cannot be loaded, or a layer does not fit.
        """

    @property
    def states_size(self) -> int:
        """The length of the left-edge states, with which a state row ends."""
        return self._layout(self.classes_for(1)).sizes[-1]

    def state_size(self, known: int = 1) -> int:
        """Return the length of a state row for this many known classes."""
        return self._layout(self.classes_for(known)).row_size

    def initial(self, known: int = 1) -> Floats:
        """Return the state before the first event, a function of shape and capacity alone."""
        classes = self.classes_for(known)
        if classes not in self._initial:
            self._initial[classes] = self._layout(classes).initial(self._shape.seed)
        return self._initial[classes].copy()

    def grow(self, state: Floats, classes: int) -> Floats:
        """Return the state with a larger capacity: learned classes stay, new classes have initial weights."""
        return self._layout_of(state).grow(state, self._layout(classes), self._shape.seed)

    def reset_states(self, state: Floats) -> None:
        """Set the left-edge states to zero, in place, where the sequence breaks."""
        self._layout_of(state).reset_states(state)

    def states_of(self, state: Floats) -> dict[str, list[Floats]]:
        """Return the left-edge states by the layer names of the Keras file."""
        return states_of(self._layout_of(state), state)

    def from_keras(self, path: Path) -> tuple[Floats, int]:
        """Read the weights of a Keras file; return the initial state with these weights, and the number of outputs.

        Raises:
            SettingsError: The file cannot be loaded, or a layer does not fit.
        """
        file = self._read_keras(path)
        state = self.initial(file.head.outputs)
        file.fill(self._layout_of(state), state)
        return state, file.head.outputs

    def _layout(self, classes: int) -> Layout:
        if classes not in self._layouts:
            self._layouts[classes] = Layout(self._layers, classes)
        return self._layouts[classes]

    def _layout_of(self, state: Floats) -> Layout:
        without_classes = self._layout(0).row_size
        return self._layout((len(state) - without_classes) // (self._layout(1).row_size - without_classes))
