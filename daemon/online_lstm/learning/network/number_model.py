"""The model of numbers: stacked layers below linear outputs, each of which predicts a value some events ahead."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from online_lstm.learning.network.base_model import Model
from online_lstm.learning.network.hyperparameters import LearningSettings, ModelShape, line_width
from online_lstm.learning.network.keras_files import Head, KerasFile, keras_bytes, read_keras
from online_lstm.learning.network.layout import Floats, Integers
from online_lstm.learning.network.replay_buffer import ReplayBuffer, buffer_capacity, sample_window
from online_lstm.learning.network.rng import dropout_seeds, drops_out
from online_lstm.learning.network.signatures import NumberArguments, RunResults
from online_lstm.learning.network.tensorflow_runtime import load_tensorflow


@dataclass(frozen=True, slots=True)
class NumberRun:
    """The result of one call for K events.

    ``state`` is the row after the events, float32 (state_size,). ``outputs``, float32 (K + 1, outputs), are the
    predictions at the line before the first event, and at the line of each event after the fit on it. ``fit_steps``,
    int32 (K,), counts the optimizer steps that were taken; ``skipped_steps``, int32 (K,), counts the steps whose result
    would not have been finite. ``losses``, float32 (K,), are the losses of the windows before the step. ``edges``,
    float32 (K, states_size), are the states at the left edge of the windows.
    """

    state: Floats
    outputs: Floats
    fit_steps: Integers
    skipped_steps: Integers
    losses: Floats
    edges: Floats


class NumberModel(Model):
    """Stacked layers from lines of ``features`` numbers to one number per horizon; compiled at the first run.

    A line is float32 (features + 1 + 2 outputs,): the features, 1 if the line exists (0 before the start of a
    sequence), the targets, and for each target 1 if it is known. The target of an output arrives its horizon of events
    after the line, unless it is missing.
    The layout has as many classes as features. The line of a class belongs to one feature; the outputs use the first
    lines. There are at most as many outputs as features.
    """

    stride: ClassVar[int] = 64
    """Events between two kept windows, and the least age of a replayed one: it was kept before the call."""

    def __init__(
        self, shape: ModelShape, learning: LearningSettings, *, features: int, horizons: tuple[int, ...]
    ) -> None:
        super().__init__(shape, learning)
        self.features = features
        self.horizons = horizons

    @property
    def steps(self) -> int:
        """Number of lines that one event needs: a window whose targets are known, and the lines after it."""
        return self._shape.window + max(self.horizons) - 1

    def classes_for(self, known: int) -> int:  # noqa: ARG002 - used by symbols
        """Return the number of features."""
        return self.features

    @property
    def width(self) -> int:
        """Number of columns of a line."""
        return line_width(self.features, len(self.horizons))

    def kept_windows(self) -> tuple[tuple[int, int, int], tuple[int, int]]:
        """Return the shapes of the arrays of a stream's ``ReplayBuffer``: lines and left-edge states."""
        kept = buffer_capacity(self._shape.replay_buffer_size, stride=self.stride, youngest=self.stride)
        return (kept, self._shape.window, self.width), (kept, self.states_size)

    def to_keras(self, state: Floats, *, stateful: bool = False) -> bytes:
        """Return the content of a Keras file: features of a line in, outputs out."""
        return keras_bytes(self._layout_of(state), state, self._head, stateful=stateful)

    def _read_keras(self, path: Path) -> KerasFile:
        return read_keras(
            path, self._layers, self._head.activation, inputs=self._head.inputs, outputs=self._head.outputs
        )

    def prepare(self, classes: int) -> None:
        """Do nothing: there is one program, which is compiled at its first use."""

    def run(self, state: Floats, lines: Floats, past: ReplayBuffer) -> NumberRun:
        """Process K events in turn: fit on the window whose last target is the event, slide, predict.

        Args:
            state: State row; it is not changed.
            lines: The lines before the first event, then one line per event; float32 (steps + K, width). Targets that
                arrive with the events are filled in.
            past: The number of earlier events, and the windows that may be replayed; it is not changed.
        """
        count, seed = len(lines) - self.steps, self._shape.seed
        call = NumberArguments(state, count, lines)
        if history := self._shape.replay_buffer_size:
            drawn = sample_window(seed, past.events + 1, count, history, stride=self.stride, youngest=self.stride)
            kept = drawn // self.stride % len(past.windows)
            call = call._replace(replayed_lines=past.windows[kept], replayed_states=past.states[kept])
        if drops_out(self._layout_of(state), self._learning, replayed=history > 0):
            call = call._replace(dropout=dropout_seeds(seed, past.events + 1, count))
        results = self._program(call)
        return NumberRun(
            state=results.state,
            outputs=results.outputs[: count + 1],
            fit_steps=results.fit_steps[:count].astype(np.int32),
            skipped_steps=results.skipped_steps[:count].astype(np.int32),
            losses=results.losses[:count],
            edges=results.edges[:count],
        )

    @property
    def _head(self) -> Head:
        return Head(self.features, len(self.horizons), "linear")

    @cached_property
    def _program(self) -> Callable[[NumberArguments], RunResults]:
        load_tensorflow()
        from online_lstm.learning.network.number_program import compile_regression  # noqa: PLC0415 - loads TensorFlow

        return compile_regression(
            self._layout(self.features),
            self._learning,
            window=self._shape.window,
            horizons=self.horizons,
            stateful=self._shape.stateful,
            replayed=self._shape.replay_buffer_size > 0,
            events=self.events,
        )
