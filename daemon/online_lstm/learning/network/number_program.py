"""The compiled program of a number model: a loop whose body is one fit step and one prediction.

As in ``online_lstm.learning.network.symbol_program``, one call carries up to ``events`` events, and the bits do not
depend on how a stream is split into calls. A predicted value arrives some events later, so the last positions of the
sequence have no target yet.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import tensorflow as tf

from online_lstm.learning.network.call_packing import compiled
from online_lstm.learning.network.fit_step import FitReport, StepReport, TrainState, apply_step, fit_if
from online_lstm.learning.network.forward import after_first_step, forward
from online_lstm.learning.network.hyperparameters import LearningSettings
from online_lstm.learning.network.layout import Layout
from online_lstm.learning.network.lstm import Tensor
from online_lstm.learning.network.signatures import NumberArguments, RunResults


@cache
def compile_regression(
    layout: Layout,
    learning: LearningSettings,
    *,
    window: int,
    horizons: tuple[int, ...],
    stateful: bool,
    replayed: bool,
    events: int,
) -> Callable[[NumberArguments], RunResults]:
    """Compile the program, with one output for each of ``horizons``."""
    arguments = NumberArguments.specs(
        layout, learning, window=window, horizons=horizons, replayed=replayed, events=events
    )
    results = RunResults.specs(layout, outputs=len(horizons), events=events)
    steps, longest = window + max(horizons) - 1, max(horizons)
    drops_out = arguments.dropout.shape[0] > 0 and learning.learn

    def run(call: NumberArguments) -> RunResults:
        def step(k: Tensor, state: TrainState, reports: Tensor) -> tuple[Tensor, TrainState, Tensor]:
            arrived = k < call.events
            lines = tf.slice(call.lines, [k, 0], [steps, call.lines.shape[1]])
            batch, starts = lines[:, None], state.states[None]
            if replayed:
                replay = tf.pad(call.replayed_lines[k], ((0, longest - 1), (0, 0)))
                batch, starts = tf.stack([lines, replay], 1), tf.stack([state.states, call.replayed_states[k]])
            seed = tf.gather(call.dropout, k) if drops_out else None
            fitted, slid, report = _fit_step(
                layout, learning, state, lines=batch, starts=starts, horizons=horizons, arrived=arrived, dropout=seed
            )
            slides = arrived & stateful & tf.reduce_all(tf.math.is_finite(slid))
            state = fitted._replace(states=tf.where(slides, slid, state.states))
            return k + 1, state, tf.tensor_scatter_nd_update(reports, [[k]], [report.row()])

        start = (tf.constant(0), TrainState.from_row(layout, call.state), FitReport.blank_rows(results))
        _, state, reports = tf.while_loop(lambda k, *_: k <= call.events, step, start)
        return RunResults(state.row(), *FitReport.split(reports, results))

    return compiled(run, arguments=arguments, results=results)


def _fit_step(
    layout: Layout,
    learning: LearningSettings,
    state: TrainState,
    *,
    lines: Tensor,
    starts: Tensor,
    horizons: tuple[int, ...],
    arrived: Tensor,
    dropout: Tensor | None,
) -> tuple[TrainState, Tensor, FitReport]:
    """Predict from the last of the ``lines`` and, if values have arrived, fit the lines whose targets are known.

    ``lines`` are float32 (T, B, width): the lines of this event and the replayed lines. ``starts`` are their left-edge
    states, float32 (B, states_size). The loss is Huber's (1964), quadratic up to an error of 1, averaged over the known
    targets. With dropout layers (``dropout`` is the argument of ``forward``), the prediction has a pass of its own.
    """
    count, steps = len(horizons), lines.shape[0]
    arriving = steps - np.array(horizons)  # the positions whose targets arrive with this event
    inputs, present, targets, known = tf.split(lines, [layout.classes, 1, count, count], 2)
    fitted_steps = arriving.max() + 1
    weights = known[:fitted_steps]
    if arriving.min() < arriving.max():  # targets at later positions arrive with later events of the call
        weights *= tf.constant(np.arange(fitted_steps)[:, None, None] <= arriving, tf.float32)
    newest = tf.stack([known[position, 0, output] for output, position in enumerate(arriving)])

    def pass_through(sequences: int, dropout: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        sequence_inputs = inputs[:, :sequences]
        outputs, states = forward(
            layout,
            state.weights,
            lambda kernel: sequence_inputs @ kernel,
            present[:, :sequences, 0],
            starts[:sequences],
            dropout=dropout,
            replay_dropout=learning.replay_dropout,
        )
        return outputs[..., :count], states

    with tf.GradientTape() as tape:
        tape.watch(state.weights)
        outputs, states = pass_through(lines.shape[1], dropout)
        errors = tf.abs(outputs[:fitted_steps] - targets[:fitted_steps])
        losses = tf.where(errors < 1, 0.5 * errors * errors, errors - 0.5) * weights
        objective = tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(weights), 1.0)

    def fit() -> tuple[TrainState, StepReport]:
        loss = tf.reduce_sum(losses[:, 0]) / tf.maximum(tf.reduce_sum(weights[:, 0]), 1.0)
        wanted = tf.reduce_max(newest) > 0
        return apply_step(learning, state, tape.gradient(objective, state.weights), loss, wanted=wanted)

    if dropout is not None and layout.drops_out:
        outputs, states = pass_through(1, None)
    fitted, step = fit_if(arrived, learning, state, fit)
    return fitted, after_first_step(states), FitReport(*step, outputs=outputs[-1, 0], edges=state.states)
