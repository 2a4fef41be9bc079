"""The compiled program of a symbol model: a loop of fit steps; most events take one step (predict, fit, slide).

One call carries up to ``events`` events in one XLA computation. The number of events is an argument, so one program
serves every number, and the bits do not depend on how a stream is split into calls. A missed event gets a few retry
steps before the window slides, as far as the budget allows.
"""

from collections.abc import Callable
from functools import cache

import tensorflow as tf

from online_lstm.learning.network.call_packing import compiled
from online_lstm.learning.network.fit_step import FitReport, StepReport, TrainState, apply_step, fit_if
from online_lstm.learning.network.forward import after_first_step, forward
from online_lstm.learning.network.hyperparameters import LearningSettings
from online_lstm.learning.network.layout import Layout
from online_lstm.learning.network.lstm import Tensor
from online_lstm.learning.network.signatures import RunResults, SymbolArguments

IMPOSSIBLE = -1e30
"""The logit of an impossible class: not -inf, whose product with 0 would be NaN in the cross-entropy."""


@cache
def compile_program(
    layout: Layout, learning: LearningSettings, *, window: int, stateful: bool, replayed: bool, events: int
) -> Callable[[SymbolArguments], RunResults]:
    """Compile the program for one capacity. The outputs are probabilities."""
    arguments = SymbolArguments.specs(layout, learning, window=window, replayed=replayed, events=events)
    results = RunResults.specs(layout, outputs=layout.classes, events=events)
    drops_out = arguments.dropout.shape[0] > 0 and learning.learn

    def run(call: SymbolArguments) -> RunResults:
        def step(
            k: Tensor, left: Tensor, state: TrainState, reports: Tensor
        ) -> tuple[Tensor, Tensor, TrainState, Tensor]:
            """Run one fit step for event k; ``left`` retry steps remain after it, -1 for the event's first step."""
            new, arrived = left < 0, k < call.events
            codes, known = tf.slice(call.codes, [k], [window + 1]), tf.slice(call.known, [k], [2])
            batch, starts = codes[None], state.states[None]
            if replayed:
                # gather: a slice that starts at a value of the arguments would be compiled again for each value
                index = tf.gather(call.replayed_index, k)
                within = FitReport.split(tf.gather(reports, tf.maximum(index, 0)), results).edges
                start = tf.where(index < 0, tf.gather(call.replayed_states, k), within)
                # once per event, not in its retry steps
                replay = tf.where(new, tf.gather(call.replayed_codes, k), -1)
                batch, starts = tf.stack([codes, replay]), tf.stack([state.states, start])
            seed = tf.gather(call.dropout, k) + tf.stack([left, 0]) if drops_out else None
            fitted, slid, report = _fit_step(
                layout, learning, state, codes=batch, starts=starts, known=known, arrived=arrived, dropout=seed
            )
            extra = _retry_steps(learning, state, report.outputs, codes=codes, known=known[0], arrived=arrived)
            owed = tf.where(new, extra, left)
            refilled = tf.maximum(state.spent + tf.cast(extra, tf.float32) - learning.retry_refill, 0.0)
            slides = (owed == 0) & arrived & stateful & tf.reduce_all(tf.math.is_finite(slid))
            before = FitReport.split(tf.gather(reports, k), results)
            retried = before._replace(
                fit_steps=before.fit_steps + report.fit_steps,
                skipped_steps=before.skipped_steps + report.skipped_steps,
            )
            row = tf.where(new, report.row(), retried.row())
            state = fitted._replace(
                spent=tf.where(new & arrived, refilled, state.spent),
                states=tf.where(slides, slid, state.states),
            )
            return k + tf.cast(owed == 0, tf.int32), owed - 1, state, tf.tensor_scatter_nd_update(reports, [[k]], [row])

        state, reports = TrainState.from_row(layout, call.state), FitReport.blank_rows(results)
        start = (tf.constant(0), tf.constant(-1), state, reports)
        *_, state, reports = tf.while_loop(lambda k, *_: k <= call.events, step, start)
        return RunResults(state.row(), *FitReport.split(reports, results))

    return compiled(run, arguments=arguments, results=results)


def _fit_step(
    layout: Layout,
    learning: LearningSettings,
    state: TrainState,
    *,
    codes: Tensor,
    starts: Tensor,
    known: Tensor,
    arrived: Tensor,
    dropout: Tensor | None,
) -> tuple[TrainState, Tensor, FitReport]:
    """Predict the last of the first ``codes`` from the codes before it and, if it has arrived, fit all of them.

    ``codes`` are int32 (B, window + 1): the window of this event and the replayed windows. ``starts`` are their
    left-edge states, float32 (B, states_size). ``known``, int32 (2,), are the numbers of known classes before and after
    the arrival. With dropout layers (``dropout`` is the argument of ``forward``), the prediction has a pass of its own.
    Return the new train state, the left-edge states after one step, and the report.
    """
    codes = tf.transpose(codes)
    mask = tf.cast(codes[:-1] >= 0, tf.float32)

    def pass_through(sequences: int, dropout: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        inputs = tf.maximum(codes[:-1, :sequences], 0)
        return forward(
            layout,
            state.weights,
            lambda kernel: tf.gather(kernel, inputs),
            mask[:, :sequences],
            starts[:sequences],
            dropout=dropout,
            replay_dropout=learning.replay_dropout,
        )

    with tf.GradientTape() as tape:
        tape.watch(state.weights)
        logits, states = pass_through(codes.shape[1], dropout)
        losses = _cross_entropies(_masked_logits(logits, known[1]), codes[1:]) * mask
        objective = tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(mask), 1.0)

    def fit() -> tuple[TrainState, StepReport]:
        loss = tf.reduce_sum(losses[:, 0]) / tf.maximum(tf.reduce_sum(mask[:, 0]), 1.0)
        return apply_step(learning, state, tape.gradient(objective, state.weights), loss, wanted=mask[-1, 0] > 0)

    if dropout is not None and layout.drops_out:
        logits, states = pass_through(1, None)
    fitted, step = fit_if(arrived, learning, state, fit)
    probabilities = tf.math.softmax(_masked_logits(logits[-1, 0], known[0]))
    return fitted, after_first_step(states), FitReport(*step, outputs=probabilities, edges=state.states)


def _retry_steps(
    learning: LearningSettings,
    state: TrainState,
    probabilities: Tensor,
    *,
    codes: Tensor,
    known: Tensor,
    arrived: Tensor,
) -> Tensor:
    """Return the number of retry steps for an event, int32 (): some if it was missed, within the budget.

    Code 0, unknown, is never predicted and never a hit. A class that was not known before is never a hit either.
    """
    if not learning.learn:
        return tf.constant(0)
    predicted = 1 + tf.argmax(probabilities[1:], output_type=tf.int32)
    scored = arrived & (codes[-2] >= 0) & (known > 1)
    missed = scored & ((predicted != codes[-1]) | (codes[-1] >= known))
    affordable = tf.cast(learning.retry_budget - state.spent[0], tf.int32)
    return tf.where(missed, tf.minimum(learning.retry_steps, affordable), 0)


def _masked_logits(logits: Tensor, known: Tensor) -> Tensor:
    """Set the logits of all codes from ``known`` on to impossible; logits are (..., classes)."""
    return tf.where(tf.range(logits.shape[-1]) < known, logits, IMPOSSIBLE)


def _cross_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each position, in nats."""
    flat_logits, flat_targets = tf.reshape(logits, (-1, logits.shape[-1])), tf.reshape(tf.maximum(targets, 0), [-1])
    losses = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=flat_logits, labels=flat_targets)[0]
    return tf.reshape(losses, targets.shape)
