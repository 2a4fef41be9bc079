"""The compiled program of a number model: a loop whose body is one fit step and one prediction.

As in ``online_lstm.learning.network.symbol_program``, one call carries up to ``events`` events, and the bits do not
depend on how a stream is split into calls. A predicted value arrives some events later, so the last positions of the
sequence have no target yet.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import tensorflow as tf

from online_lstm.learning.network.forward import after_first_step, forward
from online_lstm.learning.network.hyperparameters import LearningSettings, line_width
from online_lstm.learning.network.layout import Floats, Integers, Layout
from online_lstm.learning.network.lstm import Tensor
from online_lstm.learning.network.rng import drops_out
from online_lstm.learning.network.symbol_program import TrainState, compiled, fitted_if, stepped


@cache
def compile_regression(
    layout: Layout,
    learning: LearningSettings,
    *,
    window: int,
    horizons: tuple[int, ...],
    carried: bool,
    replayed: bool,
    events: int,
) -> Callable[[Floats, Integers], Floats]:
    """Compile the program.

    The program takes a row, float32, and integers, int32. The integers are the number of events K (1,) and, with
    dropout, the dropout seeds of each event (events + 1, 2). The row is the state (row_size,), the lines
    (window + longest horizon - 1 + events, width), and, with replay, the lines (events + 1, window, width) and the
    left-edge states (events + 1, states_size) that each event replays. ``NumberModel`` describes a line; it has one
    output for each of ``horizons``.
    The program returns one row, float32: the new state (row_size,), then (events + 1, 3 + outputs + states_size): steps
    applied, steps skipped, loss, outputs for the last line, and the left-edge states before each event; K + 1 lines of
    them are meaningful.
    """
    outputs, longest = len(horizons), max(horizons)
    states_size, width, steps = layout.sizes[-1], line_width(layout.classes, outputs), window + longest - 1
    windows, seeds = (events + 1) * replayed, (events + 1) * drops_out(layout, learning, replayed=replayed)
    shapes = ((steps + events, width), (windows, window, width), (windows, states_size))
    sizes = [layout.row_size, *(tf.TensorShape(shape).num_elements() for shape in shapes)]

    def run(row: Tensor, integers: Tensor) -> Tensor:
        count, dropout = tf.split(integers, [1, 2 * seeds])
        state, *parts = tf.split(row, sizes)
        lines, earlier, edges = (tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True))

        def trip(k: Tensor, memory: TrainState, report: Tensor) -> tuple[Tensor, Tensor, TrainState]:
            arrived = k < count[0]
            here = tf.slice(lines, [k, 0], [steps, width])
            batch, starts = here[:, None], memory.states[None]
            if replayed:
                again = tf.pad(earlier[k], ((0, longest - 1), (0, 0)))
                batch, starts = tf.stack([here, again], 1), tf.stack([memory.states, edges[k]])
            seed = tf.gather(tf.reshape(dropout, (seeds, 2)), k) if seeds and learning.learn else None
            fitted, slid, line = _fit_step(
                layout, learning, memory, lines=batch, starts=starts, horizons=horizons, arrived=arrived, dropout=seed
            )
            report = tf.tensor_scatter_nd_update(report, [[k]], [tf.concat([line, memory.states], 0)])
            slides = arrived & carried & tf.reduce_all(tf.math.is_finite(slid))
            memory = fitted._replace(states=tf.where(slides, slid, memory.states))
            return k + 1, memory, report

        report = tf.zeros((events + 1, 3 + outputs + states_size))
        start = (tf.constant(0), TrainState(*tf.split(state, layout.sizes)), report)
        _, memory, report = tf.while_loop(lambda k, *_: k <= count[0], trip, start)
        return tf.concat([*memory, tf.reshape(report, [-1])], 0)

    return compiled(run, sum(sizes), 1 + 2 * seeds)


def _fit_step(
    layout: Layout,
    learning: LearningSettings,
    memory: TrainState,
    *,
    lines: Tensor,
    starts: Tensor,
    horizons: tuple[int, ...],
    arrived: Tensor,
    dropout: Tensor | None,
) -> tuple[TrainState, Tensor, Tensor]:
    """Predict from the last of the ``lines`` and, if values have arrived, fit the lines whose targets are known.

    ``lines`` are float32 (T, B, width): the lines of this event and the replayed lines. ``starts`` are their left-edge
    states, float32 (B, states_size). The loss is Huber's (1964), quadratic up to an error of 1, averaged over the known
    targets. With dropout layers (``dropout`` is the argument of ``forward``), the prediction has a pass of its own.
    """
    count, steps = len(horizons), lines.shape[0]
    told = steps - np.array(horizons)  # the positions whose targets arrive with this event
    inputs, present, targets, known = tf.split(lines, [layout.classes, 1, count, count], 2)
    fitted = told.max() + 1
    weights = known[:fitted]
    if told.min() < told.max():  # targets at later positions arrive with later events of the call
        weights *= tf.constant(np.arange(fitted)[:, None, None] <= told, tf.float32)
    newest = tf.stack([known[position, 0, place] for place, position in enumerate(told)])

    def pass_through(sequences: int, dropout: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        here, mask = inputs[:, :sequences], present[:, :sequences, 0]
        outputs, states = forward(
            layout,
            memory.weights,
            lambda kernel: here @ kernel,
            mask,
            starts[:sequences],
            dropout=dropout,
            replay_dropout=learning.replay_dropout,
        )
        return outputs[..., :count], states

    with tf.GradientTape() as tape:
        tape.watch(memory.weights)
        outputs, states = pass_through(lines.shape[1], dropout)
        errors = tf.abs(outputs[:fitted] - targets[:fitted])
        losses = tf.where(errors < 1, 0.5 * errors * errors, errors - 0.5) * weights
        objective = tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(weights), 1.0)

    def fit() -> tuple[TrainState, Tensor]:
        loss = tf.reduce_sum(losses[:, 0]) / tf.maximum(tf.reduce_sum(weights[:, 0]), 1.0)
        wanted = tf.reduce_max(newest) > 0
        return stepped(learning, memory, tape.gradient(objective, memory.weights), loss, wanted=wanted)

    if dropout is not None and layout.drops_out:
        outputs, states = pass_through(1, None)
    memory, done = fitted_if(arrived, learning, memory, fit)
    return memory, after_first_step(states), tf.concat([done, outputs[-1, 0]], 0)
