"""The model of labels: at each sample of a sequence, stacked layers predict the label of the whole sequence.

All sequences share the weights, and each sequence has its own states; the caller owns both. A sample costs one step of
the cells. A sequence that is over and has its label costs one fit step on all its samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.network.base_model import Model
from online_lstm.learning.network.hyperparameters import LearningSettings, ModelShape
from online_lstm.learning.network.keras_files import Head, KerasFile, keras_bytes, read_keras
from online_lstm.learning.network.layout import Floats
from online_lstm.learning.network.rng import dropout_seeds
from online_lstm.learning.network.signatures import SampleArguments, SampleResults, SequenceArguments, SequenceResults
from online_lstm.learning.network.tensorflow_runtime import load_tensorflow

MIN_LENGTH = 8
"""Steps of the smallest fit program; shorter sequences are padded to this length."""

PositionWeights = Literal["all", "last", "linear"]
"""How the samples of a sequence are weighted in its fit step."""


def outputs_of(classes: int) -> int:
    """Return the number of outputs for this many labels: one, with a sigmoid, for two labels; else one per label."""
    return 1 if classes == 2 else classes


def capacity(*, features: int, classes: int) -> int:
    """Return the number of classes of the layout: a class has a feature's row of the first kernel, an output's column.

    >>> capacity(features=3, classes=2), capacity(features=3, classes=13)
    (3, 13)
    """
    return max(features, outputs_of(classes))


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


class LabelModel(Model):
    """Stacked layers from samples of ``features`` numbers to the probabilities of ``classes`` labels.

    Two labels need one output, with a sigmoid; more labels have one output each, with a softmax. A label without any
    learned sequence is impossible.
    The layout has as many classes as there are features or outputs, whichever are more. The line of a class has one
    feature's row of the first kernel and one output's column of the last kernel. The states in the row stay zero, since
    each sequence has its own states.
    """

    def __init__(
        self,
        shape: ModelShape,
        learning: LearningSettings,
        *,
        features: int,
        classes: int,
        position_weights: PositionWeights,
    ) -> None:
        super().__init__(shape, learning)
        self._position_weights = position_weights
        self._fits: dict[int, Callable[[SequenceArguments], SequenceResults]] = {}
        self.features = features
        self.classes = classes

    @staticmethod
    def bucket(length: int) -> int:
        """Return the padded length of a sequence of this length: a power of two, at least ``MIN_LENGTH``.

        >>> [LabelModel.bucket(length) for length in (1, 8, 9, 500)]
        [8, 8, 16, 512]
        """
        return max(MIN_LENGTH, 1 << (length - 1).bit_length())

    def classes_for(self, known: int) -> int:  # noqa: ARG002 - used by symbols
        """Return the number of features or of outputs, whichever is larger."""
        return capacity(features=self.features, classes=self.classes)

    def prepare(self, classes: int) -> None:
        """Do nothing: a fit step is compiled when the first sequence of its length is over."""

    def positions(self, length: int) -> Floats:
        """Return the weights of the samples of a sequence, which sum to 1, float32 (length,)."""
        weights = np.zeros(length, np.float32)
        if self._position_weights == "last":
            weights[-1] = 1
        else:
            weights[:] = 1 if self._position_weights == "all" else np.arange(1, length + 1)
        weights /= weights.sum()
        return weights

    def to_keras(self, state: Floats, *, possible: NDArray[np.bool_], stateful: bool = False) -> bytes:
        """Return the content of a Keras file: scaled samples in, label probabilities out (of two, the second)."""
        return keras_bytes(self._layout_of(state), state, self._head, stateful=stateful, possible=possible)

    def _read_keras(self, path: Path) -> KerasFile:
        return read_keras(
            path, self._layers, self._head.activation, inputs=self._head.inputs, outputs=self._head.outputs
        )

    def run(
        self, state: Floats, samples: Floats, index: NDArray[np.integer], states: Floats, possible: NDArray[np.bool_]
    ) -> SequenceSteps:
        """Run K samples in turn, each as one step of the cells from the states of its sequence.

        The prediction for a sample is the same, bit for bit, whatever else is in the call.

        Args:
            state: State row; it is not changed.
            samples: Scaled, float32 (K, features), 0 <= K <= ``events``.
            index: Index in ``states`` of the sequence of each sample, integers (K,).
            states: States of the S sequences, float32 (S, states_size); they are not changed.
            possible: Which labels are possible, (classes,).
        """
        weights = state[: self._layout_of(state).sizes[0]]
        results = self._steps(SampleArguments(weights, len(samples), samples, index, states, possible))
        return SequenceSteps(results.probabilities[: len(samples)], results.states[: len(states)])

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
        before = steps - length  # masked steps, which leave the zero states unchanged
        results = self._fit(steps)(
            SequenceArguments(
                state,
                samples=np.pad(samples, ((before, 0), (0, 0))),
                positions=np.pad(self.positions(length), (before, 0)),
                possible=possible,
                length=length,
                label=label,
                dropout=dropout_seeds(self._shape.seed, number, 1)[0] if self._layout_of(state).drops_out else None,
            )
        )
        return LabelFit(results.state, int(results.fit_steps), int(results.skipped_steps), float(results.losses))

    @property
    def _head(self) -> Head:
        return Head(self.features, outputs_of(self.classes), "sigmoid" if self.classes == 2 else "softmax")

    @cached_property
    def _steps(self) -> Callable[[SampleArguments], SampleResults]:
        load_tensorflow()
        from online_lstm.learning.network.label_program import compile_steps  # noqa: PLC0415 - loads TensorFlow

        return compile_steps(
            self._layout(self.classes_for(1)), features=self.features, classes=self.classes, events=self.events
        )

    def _fit(self, steps: int) -> Callable[[SequenceArguments], SequenceResults]:
        if steps not in self._fits:
            load_tensorflow()
            from online_lstm.learning.network.label_program import compile_fit  # noqa: PLC0415 - imports TensorFlow

            self._fits[steps] = compile_fit(
                self._layout(self.classes_for(1)),
                self._learning,
                features=self.features,
                classes=self.classes,
                steps=steps,
            )
        return self._fits[steps]
