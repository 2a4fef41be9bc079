"""The network of numbers: stacked layers under linear outputs, each of which predicts a value some events ahead.

The state belongs to the caller, as in ``online_lstm.learning.network.symbol_model``.
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
from online_lstm.learning.network.runtime import pin_runtime, suppress_stderr


@dataclass(frozen=True, slots=True)
class NumberRun:
    """What one call gives for K events.

    ``state`` is the row after them, float32 (state_size,). ``outputs``, float32 (K + 1, outputs), are what is said at
    the line before the first event, and at that of each event once it was learned. ``fit_steps`` and ``skipped_steps``,
    int32 (K,), count optimizer steps that were taken, and that would not have been finite; ``losses``, float32 (K,),
    are those of the windows before the step; ``edges``, float32 (K, states_size), the states at their left edge.
    """

    state: Floats
    outputs: Floats
    fit_steps: Integers
    skipped_steps: Integers
    losses: Floats
    edges: Floats


class NumberModel:
    """Stacked layers from lines of ``features`` numbers to a number for each of ``horizons``; compiled when first run.

    A line is float32 (features + 1 + 2 outputs,): the features, 1 if the line is there (0 before a sequence began), the
    targets, and for each 1 if it is known. The target of an output arrives its horizon of events after the line, if it
    arrives.
    A state is one flat row, float32 (state_size,), of the layout with as many classes as features: what would be a
    class's line of weights is a feature's, and the outputs are those of the first. There are no more outputs than
    features.

    Raises:
        SettingsError: A layer is none, or the layers do not go together.
    """

    events: ClassVar[int] = 64
    """The most events that one call carries."""

    stride: ClassVar[int] = 64
    """Every so many events a window is kept, so what is replayed was kept before the call."""

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
        """Lines that one event needs: a window whose targets are known, and those after it."""
        return self._shape.window + max(self.horizons) - 1

    @property
    def state_size(self) -> int:
        """The length of a state row."""
        return self._layout.row_size

    @property
    def width(self) -> int:
        """The numbers of a line."""
        return line_width(self.features, len(self.horizons))

    @property
    def states_size(self) -> int:
        """The length of the left-edge states, with which a state row ends."""
        return self._layout.sizes[-1]

    def kept_windows(self) -> tuple[tuple[int, int, int], tuple[int, int]]:
        """Give the shapes of the arrays of what is kept of a stream: lines and left-edge states."""
        kept = buffer_capacity(self._shape.replay_buffer_size, stride=self.stride, youngest=self.stride)
        return (kept, self._shape.window, self.width), (kept, self.states_size)

    @cached_property
    def initial(self) -> Floats:
        """The state before the first event."""
        return self._layout.initial(self._shape.seed)

    def reset_states(self, state: Floats) -> None:
        """Set the left-edge states to zero, in place: the sequence breaks here."""
        self._layout.reset_states(state)

    def to_keras(self, state: Floats, *, stateful: bool = False) -> bytes:
        """Give the content of a Keras file: from the features of a line to the outputs."""
        return keras_bytes(self._layout, state, self._head, stateful=stateful)

    def from_keras(self, path: Path) -> Floats:
        """Read the weights of a Keras file into a state that is initial otherwise.

        Raises:
            SettingsError: There is no such file, or a layer does not fit.
        """
        return read_state(path, self._layout, self._head, self.initial)

    def states_of(self, state: Floats) -> dict[str, list[Floats]]:
        """Give the left-edge states by the names of the Keras file's layers."""
        return states_of(self._layout, state)

    def prepare(self, classes: int) -> None:
        """Compile nothing: there is one program, which is compiled when it is first used."""

    def run(self, state: Floats, lines: Floats, past: ReplayBuffer) -> NumberRun:
        """Take K events, each in turn: fit on the window whose last target it is, slide, predict.

        Args:
            state: Left as it is.
            lines: Those before the first event, then one of each; float32 (steps + K, width). Targets that
                arrive with the events are filled in.
            past: The events before, and the windows that may be replayed; left as it is.
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
        """Gather the lines and the left-edge states that the events of a call replay."""
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
        pin_runtime()
        with suppress_stderr():
            from online_lstm.learning.network.number_program import compile_regression  # noqa: PLC0415 - loads TensorFlow

        return compile_regression(
            self._layout,
            self._learning,
            window=self._shape.window,
            horizons=self.horizons,
            carried=self._shape.carried,
            replayed=self._shape.replay_buffer_size > 0,
            events=self.events,
        )
