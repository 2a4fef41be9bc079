"""The compiled programs of a label model: one step for each sample, and a fit step on a whole sequence.

The weights do not change between two fit steps, so one call may carry samples of many sequences. Each sample is
a separate step, whose bits do not depend on the other samples.
"""

from collections.abc import Callable
from functools import cache

import tensorflow as tf

from online_lstm.learning.network.forward import after_first_step, forward
from online_lstm.learning.network.hyperparameters import LearningSettings
from online_lstm.learning.network.layout import Floats, Integers, Layout
from online_lstm.learning.network.lstm import Tensor
from online_lstm.learning.network.symbol_program import IMPOSSIBLE, TrainState, compiled, stepped


@cache
def compile_steps(layout: Layout, *, features: int, classes: int, events: int) -> Callable[[Floats, Integers], Floats]:
    """Compile the program of samples.

    The program takes a row, float32, and integers, int32. The row is the weights (weights_size,), samples
    (events, features), states (events, states_size) and which labels are possible, 1 or 0 (classes,). The integers are
    the number of samples K (1,) and, for each sample, the index of the states that it updates (events,).
    The program returns one row, float32: the states (events, states_size), then probabilities (events, classes), of
    which K lines are meaningful.
    """
    states_size = layout.sizes[-1]
    sizes = [layout.sizes[0], events * features, events * states_size, classes]

    def run(row: Tensor, integers: Tensor) -> Tensor:
        weights, samples, states, possible = tf.split(row, sizes)
        count, places = tf.split(integers, [1, events])
        samples, states = tf.reshape(samples, (events, features)), tf.reshape(states, (events, states_size))

        def trip(k: Tensor, states: Tensor, report: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            place, sample = tf.gather(places, k), tf.gather(samples, k)[None, None]
            logits, after = forward(
                layout,
                weights,
                lambda kernel: sample @ kernel[:features],
                tf.ones((1, 1)),
                tf.gather(states, place)[None],
            )
            line = tf.nn.softmax(_labels(logits[0, 0], classes, possible))
            states = tf.tensor_scatter_nd_update(states, [[place]], [after_first_step(after)])
            return k + 1, states, tf.tensor_scatter_nd_update(report, [[k]], [line])

        start = (tf.constant(0), states, tf.zeros((events, classes)))
        _, states, report = tf.while_loop(lambda k, *_: k < count[0], trip, start)
        return tf.concat([tf.reshape(states, [-1]), tf.reshape(report, [-1])], 0)

    return compiled(run, sum(sizes), 1 + events)


@cache
def compile_fit(
    layout: Layout, learning: LearningSettings, *, features: int, classes: int, steps: int
) -> Callable[[Floats, Integers], Floats]:
    """Compile the program of a fit step on a sequence of up to ``steps`` samples.

    The program takes a row, float32, and integers, int32. The row is the state (row_size,), samples (steps, features),
    the weight of each sample (steps,), zeros before the first sample, and which labels are possible, 1 or 0 (classes,).
    The integers are the length of the sequence and its label (2,) and, if the layout drops out, the seed of its
    dropout (2,).
    The program returns one row, float32: the new state (row_size,), steps applied, steps skipped and the loss.
    """
    sizes = [layout.row_size, steps * features, steps, classes]
    seeds = 2 * layout.drops_out

    def run(row: Tensor, integers: Tensor) -> Tensor:
        state, samples, positions, possible = tf.split(row, sizes)
        inputs = tf.reshape(samples, (steps, 1, features))
        length, label, seed = tf.split(integers, [1, 1, seeds])
        mask = tf.cast(tf.range(steps) >= steps - length, tf.float32)
        memory = TrainState(*tf.split(state, layout.sizes))
        with tf.GradientTape() as tape:
            tape.watch(memory.weights)
            logits, _ = forward(
                layout,
                memory.weights,
                lambda kernel: inputs @ kernel[:features],
                mask[:, None],
                tf.zeros((1, layout.sizes[-1])),
                dropout=seed if seeds else None,
            )
            logits = _labels(logits[:, 0], classes, possible)
            losses = -tf.gather(tf.nn.log_softmax(logits), label[0], axis=1)
            loss = tf.reduce_sum(losses * positions)
        gradient = tape.gradient(loss, memory.weights)
        fitted, done = stepped(learning, memory, gradient, loss, wanted=tf.constant(value=True))
        return tf.concat([*fitted, done], 0)

    return compiled(run, sum(sizes), 2 + seeds)


def _labels(outputs: Tensor, classes: int, possible: Tensor) -> Tensor:
    """Return the logits of all labels, float32 (..., classes), from the network's ``outputs``.

    The sigmoid of a single output is the softmax over 0 and this output.
    """
    if classes == 2:
        outputs = tf.concat([tf.zeros_like(outputs[..., :1]), outputs[..., :1]], -1)
    return tf.where(possible > 0, outputs[..., :classes], IMPOSSIBLE)
