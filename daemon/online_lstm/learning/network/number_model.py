"""The network of numbers: stacked layers below linear outputs, each of which predicts a value some events ahead.

The caller owns the state, as in ``online_lstm.learning.network.symbol_model``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from online_lstm.learning.network.hyperparameters import LearningSettings, ModelShape, line_width
from online_lstm.learning.network.keras_files import Head, keras_bytes, read_state, states_of
from online_lstm.learning.network.layout import Floats, Integers, Layout
from online_lstm.learning.network.replay_buffer import ReplayBuffer, buffer_capacity, sample_window
from online_lstm.learning.network.rng import dropout_seeds, drops_out
from online_lstm.learning.network.runtime import load_tensorflow


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


class NumberModel:
    """Stacked layers from lines of ``features`` numbers to one number per horizon; compiled at the first run.

    A line is float32 (features + 1 + 2 outputs,): the features, 1 if the line exists (0 before the start of a
    sequence), the targets, and for each target 1 if it is known. The target of an output arrives its horizon of events
    after the line, unless it is missing.
    A state is one flat row, float32 (state_size,), of the layout with as many classes as features. The line of a class
    belongs to one feature; the outputs use the first lines. There are at most as many outputs as features.

    Raises:
        SettingsError: A layer is invalid, or the layers do not fit together.
    """

    events: ClassVar[int] = 64
    """The most events in one call."""

    stride: ClassVar[int] = 64
    """Events between two kept windows, and the least age of a replayed one: it was kept before the call."""

    def __init__(
        self, shape: ModelShape, learning: LearningSettings, *, features: int, horizons: tuple[int, ...]
    ) -> None:
        self._shape = shape
        self._learning = learning
        self._layout = Layout(shape.stack, features)
        self.features = features
        self.horizons = horizons

    @property
    def steps(self) -> int:
        """Number of lines that one event needs: a window whose targets are known, and the lines after it."""
        return self._shape.window + max(self.horizons) - 1

    @property
    def state_size(self) -> int:
        """The length of a state row."""
        return self._layout.row_size

    @property
    def width(self) -> int:
        """Number of columns of a line."""
        return line_width(self.features, len(self.horizons))

    @property
    def states_size(self) -> int:
        """The length of the left-edge states, with which a state row ends."""
        return self._layout.sizes[-1]

    def kept_windows(self) -> tuple[tuple[int, int, int], tuple[int, int]]:
        """Return the shapes of the arrays of a stream's ``ReplayBuffer``: lines and left-edge states."""
        kept = buffer_capacity(self._shape.replay_buffer_size, stride=self.stride, youngest=self.stride)
        return (kept, self._shape.window, self.width), (kept, self.states_size)

    @cached_property
    def initial(self) -> Floats:
        """The state before the first event."""
        return self._layout.initial(self._shape.seed)

    def reset_states(self, state: Floats) -> None:
        """Set the left-edge states to zero, in place, where the sequence breaks."""
        self._layout.reset_states(state)

    def to_keras(self, state: Floats, *, stateful: bool = False) -> bytes:
        """Return the content of a Keras file: features of a line in, outputs out."""
        return keras_bytes(self._layout, state, self._head, stateful=stateful)

    def from_keras(self, path: Path) -> Floats:
        """Read the weights of a Keras file; return the initial state with these weights.

        Raises:
            SettingsError: The file cannot be loaded, or a layer does not fit.
        """
        return read_state(path, self._layout, self._head, self.initial)

    def states_of(self, state: Floats) -> dict[str, list[Floats]]:
        """Return the left-edge states by the layer names of the Keras file."""
        return states_of(self._layout, state)

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
        count = len(lines) - self.steps
        padded = np.zeros((self.steps + self.events, lines.shape[1]), np.float32)
        padded[: len(lines)] = lines
        replayed = self._replayed(count, past) if self._shape.replay_buffer_size else ()
        row = np.concatenate([state, padded.ravel(), *replayed])
        drops = drops_out(self._layout, self._learning, replayed=self._shape.replay_buffer_size > 0)
        integers = np.zeros(1 + 2 * (self.events + 1) * drops, np.int32)
        integers[0] = count
        if drops:
            integers[1:][: 2 * count] = dropout_seeds(self._shape.seed, past.events + 1, count).ravel()
        answer = self._program(row, integers)
        report = answer[self.state_size :].reshape(self.events + 1, -1)
        edges = 3 + len(self.horizons)
        return NumberRun(
            state=answer[: self.state_size],
            outputs=report[: count + 1, 3:edges],
            fit_steps=report[:count, 0].astype(np.int32),
            skipped_steps=report[:count, 1].astype(np.int32),
            losses=report[:count, 2],
            edges=report[:count, edges:],
        )

    def _replayed(self, count: int, past: ReplayBuffer) -> tuple[Floats, Floats]:
        """Return the lines and the left-edge states that the events of a call replay."""
        history, (lines_shape, states_shape) = self._shape.replay_buffer_size, self.kept_windows()
        lines = np.zeros((self.events + 1, *lines_shape[1:]), np.float32)
        states = np.zeros((self.events + 1, *states_shape[1:]), np.float32)
        drawn = sample_window(
            self._shape.seed, past.events + 1, count, history, stride=self.stride, youngest=self.stride
        )
        place = drawn // self.stride % len(past.windows)
        lines[:count], states[:count] = past.windows[place], past.states[place]
        return lines.ravel(), states.ravel()

    @property
    def _head(self) -> Head:
        return Head(self.features, len(self.horizons), "linear")

    @cached_property
    def _program(self) -> Callable[[Floats, Integers], Floats]:
        load_tensorflow()
        from online_lstm.learning.network.number_program import compile_regression  # noqa: PLC0415 - imports TensorFlow

        return compile_regression(
            self._layout,
            self._learning,
            window=self._shape.window,
            horizons=self.horizons,
            carried=self._shape.carried,
            replayed=self._shape.replay_buffer_size > 0,
            events=self.events,
        )
