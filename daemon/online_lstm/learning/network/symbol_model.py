"""The network of symbols: compiled programs and the state rows that they update.

The caller owns the state; the network caches its compiled programs and the initial states.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from online_lstm.errors import SettingsError
from online_lstm.learning.network.hyperparameters import LearningSettings, ModelShape
from online_lstm.learning.network.keras_files import Head, keras_bytes, read_keras, states_of
from online_lstm.learning.network.layout import MIN_CLASSES, Floats, Integers, Layout
from online_lstm.learning.network.replay_buffer import STRIDE, ReplayBuffer, buffer_capacity, sample_window
from online_lstm.learning.network.rng import dropout_seeds, drops_out
from online_lstm.learning.network.runtime import load_tensorflow


@dataclass(frozen=True, slots=True)
class SymbolRun:
    """The result of one call for K events.

    ``state`` is the row after the events, float32 (state_size,). Row k of ``probabilities``, float32 (K + 1, classes),
    was predicted before event k; the last row predicts the next event. ``fit_steps``, int32 (K,), counts the optimizer
    steps of each event. ``skipped_steps``, int32 (K,), counts the steps whose loss, gradient or result was not finite;
    they leave weights, moments and step count unchanged. ``losses``, float32 (K,), are the losses of the windows before
    the first step, in nats per position. ``windows``, int32 (K, window + 1), and ``edges``, float32 (K, states_size),
    are the data of each event's fit: the window with the event as last target, and the states at its left edge.
    """

    state: Floats
    probabilities: Floats
    fit_steps: Integers
    skipped_steps: Integers
    losses: Floats
    windows: Integers
    edges: Floats


class SymbolModel:
    """Stacked layers below a softmax over ``classes`` codes; one program per ``classes``, compiled at its first run.

    A state is one flat row, float32 (state_size,): see ``online_lstm.learning.network.layout``.

    Raises:
        SettingsError: A layer is invalid, or the layers do not fit together.
    """

    events: ClassVar[int] = 64
    """The most events in one call; with this many, the overhead of the call is a twentieth of the time."""

    def __init__(self, shape: ModelShape, learning: LearningSettings) -> None:
        self._shape = shape
        self._learning = learning
        self._layers = shape.stack
        self._drops_out = drops_out(self._layout(MIN_CLASSES), learning, replayed=shape.replay_buffer_size > 0)
        self._initial: dict[int, Floats] = {}  # drawn once, for all streams
        self._programs: dict[int, Callable[[Floats, Integers], Floats]] = {}

    @staticmethod
    def classes_for(known: int) -> int:
        """Return the capacity for this many known classes: a power of two, at least 4.

        >>> [SymbolModel.classes_for(known) for known in (1, 4, 5, 256)]
        [4, 4, 8, 256]
        """
        return max(MIN_CLASSES, 1 << (known - 1).bit_length())

    def state_size(self, classes: int) -> int:
        """Return the length of a state row."""
        return self._layout(classes).row_size

    @property
    def states_size(self) -> int:
        """The length of the left-edge states, with which a state row ends."""
        return self._layout(MIN_CLASSES).sizes[-1]

    def kept_windows(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the shapes of the arrays of a stream's ``ReplayBuffer``: codes and left-edge states."""
        kept = buffer_capacity(self._shape.replay_buffer_size)
        return (kept, self._shape.window + 1), (kept, self.states_size)

    def no_past(self) -> ReplayBuffer:
        """Return the empty replay buffer of a new stream, with its own arrays."""
        codes, states = self.kept_windows()
        return ReplayBuffer(0, np.full(codes, -1, np.int32), np.zeros(states, np.float32))

    def initial(self, classes: int) -> Floats:
        """Return the state before the first event, a function of shape and classes alone."""
        if classes not in self._initial:
            self._initial[classes] = self._layout(classes).initial(self._shape.seed)
        return self._initial[classes].copy()

    def grow(self, state: Floats, classes: int, larger: int) -> Floats:
        """Return the state with room for more classes: learned classes stay, new classes have initial weights."""
        return self._layout(classes).grow(state, self._layout(larger), self._shape.seed)

    def forget_class(self, state: Floats, classes: int, code: int) -> None:
        """Reset a class that another symbol will use to its initial weights, in place."""
        self._layout(classes).reset_class(state, code, self._shape.seed)

    def reset_states(self, state: Floats, classes: int) -> None:
        """Set the left-edge states to zero, in place, where the sequence breaks."""
        self._layout(classes).reset_states(state)

    def to_keras(self, state: Floats, classes: int, *, known: int, stateful: bool = False) -> bytes:
        """Return the content of a Keras file: one-hot codes below ``known`` in, their probabilities out."""
        return keras_bytes(self._layout(classes), state, Head(known, known, "softmax"), stateful=stateful)

    def from_keras(self, path: Path) -> tuple[Floats, int]:
        """Read the weights of a Keras file; return the initial state with these weights, and the number of known codes.

        The capacity of the state is ``classes_for`` of this number.

        Raises:
            SettingsError: The file cannot be loaded, or a layer does not fit.
        """
        file = read_keras(path, self._layers, "softmax")
        known = file.head.outputs
        if file.head.inputs != known:
            raise SettingsError(
                f"{path}: layer 1: received a kernel for {file.head.inputs} inputs, expected {known}: "
                "one for each output, including code 0 (unknown)"
            )
        layout = self._layout(self.classes_for(known))
        state = self.initial(layout.classes)
        file.fill(layout, state)
        return state, known

    def states_of(self, state: Floats, classes: int) -> dict[str, list[Floats]]:
        """Return the left-edge states by the layer names of the Keras file."""
        return states_of(self._layout(classes), state)

    def prepare(self, classes: int) -> None:
        """Compile the program for this capacity, unless it is already compiled."""
        if classes not in self._programs:
            nothing = np.full(self._shape.window, -1, np.int32)
            self.run(self.initial(classes), classes, nothing, np.array([1], np.int32), self.no_past())

    def run(
        self, state: Floats, classes: int, codes: Integers, known: Integers, past: ReplayBuffer | None = None
    ) -> SymbolRun:
        """Process K events in turn: predict the event, fit on the window with the event as last target, slide.

        Args:
            state: State row; it is not changed.
            classes: The capacity of the state.
            codes: The window before the first event, with -1 on the left where it is not filled yet, then the K codes
                of the events; int32 (window + K,), 0 <= K <= ``events``.
            known: The number of classes known when event k was predicted; ``known[K]`` is the number now; int32
                (K + 1,). All codes of the window and event k are below ``known[k + 1]``.
            past: The number of earlier events, and the windows that may be replayed; it is not changed. Required with
                replay or dropout.
        """
        count, window = len(known) - 1, self._shape.window
        windows = codes[np.arange(count)[:, None] + np.arange(window + 1)]
        integers = np.zeros(window + 2 * self.events + 4, np.int32)
        integers[0] = count
        integers[1 : 1 + len(codes)] = codes
        integers[2 + window + self.events :][: count + 1] = known
        row = state
        if self._shape.replay_buffer_size:
            assert past is not None
            earlier, sources, edges = self._replayed(windows, count, past)
            integers = np.concatenate([integers, earlier.ravel(), sources])
            row = np.concatenate([state, edges.ravel()])
        if self._drops_out:
            assert past is not None
            seeds = np.zeros((self.events + 1, 2), np.int32)
            seeds[:count] = dropout_seeds(self._shape.seed, past.events + 1, count)
            integers = np.concatenate([integers, seeds.ravel()])
        answer = self._program(classes)(row, integers)
        size = self.state_size(classes)
        report = answer[size:].reshape(self.events + 1, -1)
        return SymbolRun(
            state=answer[:size],
            probabilities=report[: count + 1, 3 : 3 + classes],
            fit_steps=report[:count, 0].astype(np.int32),
            skipped_steps=report[:count, 1].astype(np.int32),
            losses=report[:count, 2],
            windows=windows,
            edges=report[:count, 3 + classes :],
        )

    def _replayed(self, windows: Integers, count: int, past: ReplayBuffer) -> tuple[Integers, Integers, Floats]:
        """Return the data that the events of a call replay, in the program's form: codes, sources and left-edge states.

        A window of the call itself is identified by the index of its event in the call: its states are not known yet.
        """
        codes_shape, states_shape = self.kept_windows()
        codes = np.full((self.events + 1, codes_shape[1]), -1, np.int32)
        sources = np.full(self.events + 1, -1, np.int32)
        states = np.zeros((self.events + 1, states_shape[1]), np.float32)
        drawn = sample_window(self._shape.seed, past.events + 1, count, self._shape.replay_buffer_size)
        kept = drawn // STRIDE % codes_shape[0]
        states[:count] = past.states[kept]
        codes[:count] = past.windows[kept]
        sources[:count] = np.maximum(drawn - past.events - 1, -1)
        inside = sources[:count] >= 0
        codes[:count][inside] = windows[sources[:count][inside]]
        return codes, sources, states

    def _layout(self, classes: int) -> Layout:
        return Layout(self._layers, classes)

    def _program(self, classes: int) -> Callable[[Floats, Integers], Floats]:
        if classes not in self._programs:
            load_tensorflow()
            from online_lstm.learning.network.symbol_program import compile_program  # noqa: PLC0415 - imports TensorFlow

            self._programs[classes] = compile_program(
                self._layout(classes),
                self._learning,
                window=self._shape.window,
                carried=self._shape.carried,
                replayed=self._shape.replay_buffer_size > 0,
                events=self.events,
            )
        return self._programs[classes]
