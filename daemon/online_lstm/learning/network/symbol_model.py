"""The model of symbols: the codes of a stream in, the probabilities of the next code out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from online_lstm.errors import SettingsError
from online_lstm.learning.network.base_model import Model
from online_lstm.learning.network.hyperparameters import LearningSettings, ModelShape
from online_lstm.learning.network.keras_files import Head, KerasFile, keras_bytes, read_keras
from online_lstm.learning.network.layout import MIN_CLASSES, Floats, Integers, Layout
from online_lstm.learning.network.replay_buffer import STRIDE, ReplayBuffer, buffer_capacity, sample_window
from online_lstm.learning.network.rng import dropout_seeds, drops_out
from online_lstm.learning.network.signatures import RunResults, SymbolArguments
from online_lstm.learning.network.tensorflow_runtime import load_tensorflow


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


class SymbolModel(Model):
    """Stacked layers below a softmax over the codes; one program for each capacity, compiled at its first run."""

    def __init__(self, shape: ModelShape, learning: LearningSettings) -> None:
        super().__init__(shape, learning)
        self._programs: dict[int, Callable[[SymbolArguments], RunResults]] = {}

    def classes_for(self, known: int) -> int:
        """Return the capacity for this many known classes: a power of two, at least 4."""
        return max(MIN_CLASSES, 1 << (known - 1).bit_length())

    def kept_windows(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the shapes of the arrays of a stream's ``ReplayBuffer``: codes and left-edge states."""
        kept = buffer_capacity(self._shape.replay_buffer_size)
        return (kept, self._shape.window + 1), (kept, self.states_size)

    def no_past(self) -> ReplayBuffer:
        """Return the empty replay buffer of a new stream, with its own arrays."""
        codes, states = self.kept_windows()
        return ReplayBuffer(0, np.full(codes, -1, np.int32), np.zeros(states, np.float32))

    def forget_class(self, state: Floats, code: int) -> None:
        """Reset a class that another symbol will use to its initial weights, in place."""
        self._layout_of(state).reset_class(state, code, self._shape.seed)

    def to_keras(self, state: Floats, *, known: int, stateful: bool = False) -> bytes:
        """Return the content of a Keras file: one-hot codes below ``known`` in, their probabilities out."""
        return keras_bytes(self._layout_of(state), state, Head(known, known, "softmax"), stateful=stateful)

    def _read_keras(self, path: Path) -> KerasFile:
        file = read_keras(path, self._layers, "softmax")
        known = file.head.outputs
        if file.head.inputs != known:
            raise SettingsError(
                f"{path}: layer 1: received a kernel for {file.head.inputs} inputs, expected {known}: "
                "one for each output, including code 0 (unknown)"
            )
        return file

    def prepare(self, classes: int) -> None:
        """Compile the program for this capacity, unless it is already compiled."""
        if classes not in self._programs:
            empty = np.full(self._shape.window, -1, np.int32)
            self.run(self.initial(classes), empty, np.array([1], np.int32), self.no_past())

    def run(self, state: Floats, codes: Integers, known: Integers, past: ReplayBuffer) -> SymbolRun:
        """Process K events in turn: predict the event, fit on the window with the event as last target, slide.

        Args:
            state: State row; it is not changed.
            codes: The window before the first event, with -1 on the left where it is not filled yet, then the K codes
                of the events; int32 (window + K,), 0 <= K <= ``events``.
            known: The number of classes known when event k was predicted; ``known[K]`` is the number now; int32
                (K + 1,). All codes of the window and event k are below ``known[k + 1]``.
            past: The number of earlier events, and the windows that may be replayed; it is not changed.
        """
        count, window = len(known) - 1, self._shape.window
        windows = codes[np.arange(count)[:, None] + np.arange(window + 1)]
        call = SymbolArguments(state, count, codes, known)
        if self._shape.replay_buffer_size:
            call = self._with_replay(call, windows, past)
        layout = self._layout_of(state)
        if drops_out(layout, self._learning, replayed=self._shape.replay_buffer_size > 0):
            call = call._replace(dropout=dropout_seeds(self._shape.seed, past.events + 1, count))
        results = self._program(layout)(call)
        return SymbolRun(
            state=results.state,
            probabilities=results.outputs[: count + 1],
            fit_steps=results.fit_steps[:count].astype(np.int32),
            skipped_steps=results.skipped_steps[:count].astype(np.int32),
            losses=results.losses[:count],
            windows=windows,
            edges=results.edges[:count],
        )

    def _with_replay(self, call: SymbolArguments, windows: Integers, past: ReplayBuffer) -> SymbolArguments:
        """Return the arguments with the windows that the events of the call replay, and their left-edge states."""
        drawn = sample_window(self._shape.seed, past.events + 1, call.events, self._shape.replay_buffer_size)
        index = np.maximum(drawn - past.events - 1, -1)
        kept = drawn // STRIDE % len(past.windows)
        codes, inside = past.windows[kept], index >= 0
        codes[inside] = windows[index[inside]]
        return call._replace(replayed_codes=codes, replayed_index=index, replayed_states=past.states[kept])

    def _program(self, layout: Layout) -> Callable[[SymbolArguments], RunResults]:
        if layout.classes not in self._programs:
            load_tensorflow()
            from online_lstm.learning.network.symbol_program import compile_program  # noqa: PLC0415 - loads TensorFlow

            self._programs[layout.classes] = compile_program(
                layout,
                self._learning,
                window=self._shape.window,
                stateful=self._shape.stateful,
                replayed=self._shape.replay_buffer_size > 0,
                events=self.events,
            )
        return self._programs[layout.classes]
