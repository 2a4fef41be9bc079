"""The network of labels: at each sample of a sequence, stacked layers predict the label of the whole sequence.

All sequences share the weights, and each sequence has its own states; the caller owns both. A sample costs one step of
the cells. A sequence that is over and has its label costs one fit step on all its samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.network.hyperparameters import LearningSettings, ModelShape
from online_lstm.learning.network.keras_files import Head, keras_bytes, read_state, states_of
from online_lstm.learning.network.layers import Layer
from online_lstm.learning.network.layout import Floats, Integers, Layout
from online_lstm.learning.network.rng import dropout_seeds
from online_lstm.learning.network.runtime import load_tensorflow

MIN_LENGTH = 8
"""Steps of the smallest fit program; shorter sequences are padded to this length."""

PositionWeights = Literal["all", "last", "linear"]
"""How the samples of a sequence are weighted in its fit step."""


def outputs_of(classes: int) -> int:
    """Return the number of outputs for this many labels: one, with a sigmoid, for two labels; else one per label."""
    return 1 if classes == 2 else classes


def layout_of(layers: tuple[Layer, ...], *, features: int, classes: int) -> Layout:
    """Return the layout of a state row: each line has one feature's row of the first kernel and one output's column."""
    return Layout(layers, max(features, outputs_of(classes)))


@dataclass(frozen=True, slots=True)
class SequenceSteps:
    """The result of one call for K samples of S sequences.

    ``probabilities``, float32 (K, classes), are the probabilities after each sample. ``states``, float32
    (S, states_size), are the states of each sequence after its last sample.
    """

    probabilities: Floats
    states: Floats


@dataclass(frozen=True, slots=True)
class LabelFit:
    """The result of one fit step.

    ``state`` is the row after the step, float32 (state_size,). ``fit_steps`` is 1 if the step was taken.
    ``skipped_steps`` is 1 if the result of the step would not have been finite. ``loss`` is the loss before the step,
    in nats, weighted over the positions.
    """

    state: Floats
    fit_steps: int
    skipped_steps: int
    loss: float


class LabelModel:
    """Stacked layers from samples of ``features`` numbers to the probabilities of ``classes`` labels.

    Two labels need one output, with a sigmoid; more labels have one output each, with a softmax. A label without any
    learned sequence is impossible.
    A state is one flat row, float32 (state_size,). Its layout has as many classes as there are features or outputs,
    whichever are more. The line of a class has one feature's row of the first kernel and one output's column of the
    last kernel. The states in the row stay zero, since each sequence has its own states.

    Raises:
        SettingsError: A layer is invalid, or the layers do not fit together.
    """

    events: ClassVar[int] = 64
    """The most samples, and the most sequences, in one call."""

    def __init__(
        self,
        shape: ModelShape,
        learning: LearningSettings,
        *,
        features: int,
        classes: int,
        position_weights: PositionWeights,
    ) -> None:
        self._shape = shape
        self._learning = learning
        self._position_weights = position_weights
        self._layout = layout_of(shape.stack, features=features, classes=classes)
        self._fits: dict[int, Callable[[Floats, Integers], Floats]] = {}
        self.features = features
        self.classes = classes

    @staticmethod
    def bucket(length: int) -> int:
        """Return the padded length of a sequence of this length: a power of two, at least ``MIN_LENGTH``.

        >>> [LabelModel.bucket(length) for length in (1, 8, 9, 500)]
        [8, 8, 16, 512]
        """
        return max(MIN_LENGTH, 1 << (length - 1).bit_length())

    @property
    def state_size(self) -> int:
        """The length of a state row."""
        return self._layout.row_size

    @property
    def states_size(self) -> int:
        """The length of the states of one sequence, which are zeros before its first sample."""
        return self._layout.sizes[-1]

    @cached_property
    def initial(self) -> Floats:
        """The state before the first sequence."""
        return self._layout.initial(self._shape.seed)

    def positions(self, length: int) -> Floats:
        """Return the weights of the samples of a sequence, which sum to 1, float32 (length,)."""
        weights = np.zeros(length, np.float32)
        if self._position_weights == "last":
            weights[-1] = 1
        else:
            weights[:] = 1 if self._position_weights == "all" else np.arange(1, length + 1)
        weights /= weights.sum()
        return weights

    def to_keras(self, state: Floats, possible: NDArray[np.bool_], *, stateful: bool = False) -> bytes:
        """Return the content of a Keras file: scaled samples in, label probabilities out (of two, the second)."""
        return keras_bytes(self._layout, state, self._head, stateful=stateful, possible=possible)

    def from_keras(self, path: Path) -> Floats:
        """Read the weights of a Keras file; return the initial state with these weights.

        Raises:
            SettingsError: The file cannot be loaded, or a layer does not fit.
        """
        return read_state(path, self._layout, self._head, self.initial)

    def states_of(self, state: Floats) -> dict[str, list[Floats]]:
        """Return the states before a sequence, which are zeros, by the layer names of the Keras file."""
        return states_of(self._layout, state)

    def run(
        self, state: Floats, samples: Floats, places: NDArray[np.integer], states: Floats, possible: NDArray[np.bool_]
    ) -> SequenceSteps:
        """Run K samples in turn, each as one step of the cells from the states of its sequence.

        The prediction for a sample is the same, bit for bit, whatever else is in the call.

        Args:
            state: State row; it is not changed.
            samples: Scaled, float32 (K, features), 0 <= K <= ``events``.
            places: Index in ``states`` of the sequence of each sample, integers (K,).
            states: States of the S sequences, float32 (S, states_size); they are not changed.
            possible: Which labels are possible, (classes,).
        """
        count, known = len(samples), len(states)
        padded = np.zeros((self.events, self.features), np.float32)
        padded[:count] = samples
        before = np.zeros((self.events, self.states_size), np.float32)
        before[:known] = states
        integers = np.zeros(1 + self.events, np.int32)
        integers[0], integers[1 : 1 + count] = count, places
        weights = state[: self._layout.sizes[0]]
        row = np.concatenate([weights, padded.ravel(), before.ravel(), possible.astype(np.float32)])
        answer = self._steps(row, integers)
        after = before.size
        return SequenceSteps(
            probabilities=answer[after:].reshape(self.events, self.classes)[:count],
            states=answer[:after].reshape(before.shape)[:known],
        )

    def fit(self, state: Floats, samples: Floats, label: int, possible: NDArray[np.bool_], *, number: int) -> LabelFit:
        """Run one fit step on a whole sequence, many to many, from zero states.

        Args:
            state: State row; it is not changed.
            samples: Scaled, float32 (length, features).
            label: Class of the sequence.
            possible: Which labels are possible, (classes,); ``label`` is one of them.
            number: Running number of the learned sequence; it determines the dropout.
        """
        length = len(samples)
        steps = self.bucket(length)
        # padded in front: masked steps there leave the zero states unchanged
        padded = np.zeros((steps, self.features), np.float32)
        padded[steps - length :] = samples
        positions = np.zeros(steps, np.float32)
        positions[steps - length :] = self.positions(length)
        row = np.concatenate([state, padded.ravel(), positions, possible.astype(np.float32)])
        seed = dropout_seeds(self._shape.seed, number, 1)[0] if self._layout.drops_out else ()
        answer = self._fit(steps)(row, np.array([length, label, *seed], np.int32))
        taken, skipped, loss = answer[self.state_size :].tolist()
        return LabelFit(answer[: self.state_size], int(taken), int(skipped), loss)

    @property
    def _head(self) -> Head:
        return Head(self.features, outputs_of(self.classes), "sigmoid" if self.classes == 2 else "softmax")

    @cached_property
    def _steps(self) -> Callable[[Floats, Integers], Floats]:
        load_tensorflow()
        from online_lstm.learning.network.label_program import compile_steps  # noqa: PLC0415 - imports TensorFlow

        return compile_steps(self._layout, features=self.features, classes=self.classes, events=self.events)

    def _fit(self, steps: int) -> Callable[[Floats, Integers], Floats]:
        if steps not in self._fits:
            load_tensorflow()
            from online_lstm.learning.network.label_program import compile_fit  # noqa: PLC0415 - imports TensorFlow

            self._fits[steps] = compile_fit(
                self._layout, self._learning, features=self.features, classes=self.classes, steps=steps
            )
        return self._fits[steps]
