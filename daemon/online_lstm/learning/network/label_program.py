"""The compiled programs of a label model: one step for each sample, and a fit step on a whole sequence.

The weights do not change between two fit steps, so one call may carry samples of many sequences. Each sample is
a separate step, whose bits do not depend on the other samples.
"""

from collections.abc import Callable
from functools import cache

import tensorflow as tf

from online_lstm.learning.network.call_packing import compiled
from online_lstm.learning.network.fit_step import TrainState, apply_step
from online_lstm.learning.network.forward import after_first_step, forward
from online_lstm.learning.network.hyperparameters import LearningSettings
from online_lstm.learning.network.layout import Layout
from online_lstm.learning.network.lstm import Tensor
from online_lstm.learning.network.signatures import SampleArguments, SampleResults, SequenceArguments, SequenceResults
from online_lstm.learning.network.symbol_program import IMPOSSIBLE


@cache
def compile_steps(
    layout: Layout, *, features: int, classes: int, events: int
) -> Callable[[SampleArguments], SampleResults]:
    """Compile the program of samples."""

    def run(call: SampleArguments) -> SampleResults:
        def step(k: Tensor, probabilities: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            index, sample = tf.gather(call.state_index, k), tf.gather(call.samples, k)[None, None]
            logits, after = forward(
                layout,
                call.weights,
                lambda kernel: sample @ kernel[:features],
                tf.ones((1, 1)),
                tf.gather(states, index)[None],
            )
            row = tf.math.softmax(_labels(logits[0, 0], classes, call.possible))
            probabilities = tf.tensor_scatter_nd_update(probabilities, [[k]], [row])
            return k + 1, probabilities, tf.tensor_scatter_nd_update(states, [[index]], [after_first_step(after)])

        start = (tf.constant(0), tf.zeros((events, classes)), call.states)
        _, probabilities, states = tf.while_loop(lambda k, *_: k < call.events, step, start)
        return SampleResults(probabilities, states)

    return compiled(
        run,
        arguments=SampleArguments.specs(layout, features=features, classes=classes, events=events),
        results=SampleResults.specs(layout, classes=classes, events=events),
    )


@cache
def compile_fit(
    layout: Layout, learning: LearningSettings, *, features: int, classes: int, steps: int
) -> Callable[[SequenceArguments], SequenceResults]:
    """Compile the program of a fit step on a sequence of up to ``steps`` samples."""

    def run(call: SequenceArguments) -> SequenceResults:
        inputs = call.samples[:, None]
        mask = tf.cast(tf.range(steps) >= steps - call.length, tf.float32)
        state = TrainState.from_row(layout, call.state)
        with tf.GradientTape() as tape:
            tape.watch(state.weights)
            logits, _ = forward(
                layout,
                state.weights,
                lambda kernel: inputs @ kernel[:features],
                mask[:, None],
                tf.zeros((1, layout.sizes[-1])),
                dropout=call.dropout if layout.drops_out else None,
            )
            logits = _labels(logits[:, 0], classes, call.possible)
            losses = -tf.gather(tf.math.log_softmax(logits), call.label, axis=1)
            loss = tf.reduce_sum(losses * call.positions)
        gradient = tape.gradient(loss, state.weights)
        fitted, report = apply_step(learning, state, gradient, loss, wanted=tf.constant(value=True))
        return SequenceResults(fitted.row(), *report)

    return compiled(
        run,
        arguments=SequenceArguments.specs(layout, features=features, classes=classes, steps=steps),
        results=SequenceResults.specs(layout),
    )


def _labels(outputs: Tensor, classes: int, possible: Tensor) -> Tensor:
    """Return the logits of all labels, float32 (..., classes), from the network's ``outputs``.

    The sigmoid of a single output is the softmax over 0 and this output.
    """
    if classes == 2:
        outputs = tf.concat([tf.zeros_like(outputs[..., :1]), outputs[..., :1]], -1)
    return tf.where(possible > 0, outputs[..., :classes], IMPOSSIBLE)
