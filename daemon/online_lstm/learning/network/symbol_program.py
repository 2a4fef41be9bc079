"""The compiled program of a symbol model: a loop of fit steps; most events take one step (predict, fit, slide).

One call carries up to ``events`` events in one XLA computation. The number of events is an argument, so one program
serves every number, and the bits do not depend on how a stream is split into calls. A missed event gets a few retry
steps before the window slides, as far as the budget allows.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from online_lstm.learning.network.forward import after_first_step, forward
from online_lstm.learning.network.hyperparameters import LearningSettings
from online_lstm.learning.network.layout import Floats, Integers, Layout
from online_lstm.learning.network.lstm import Tensor
from online_lstm.learning.network.rng import drops_out
from online_lstm.learning.network.runtime import trim_heap

IMPOSSIBLE = -1e30
"""The logit of an impossible class: not -inf, whose product with 0 would be NaN in the cross-entropy."""


class TrainState(NamedTuple):
    """The parts of a state row, which an event changes.

    Float32: ``weights``, ``m``, ``v`` (weights_size,), ``steps`` (1,), ``spent`` (1,), ``states`` (states_size,).
    The step count is exact up to 2**24 and stays there; by then Adam's bias correction has long been 1. ``spent`` is
    the part of the retry budget that retry steps have used and later events have not refilled yet.
    """

    weights: Tensor
    m: Tensor
    v: Tensor
    steps: Tensor
    spent: Tensor
    states: Tensor


@cache
def compile_program(
    layout: Layout, learning: LearningSettings, *, window: int, carried: bool, replayed: bool, events: int
) -> Callable[[Floats, Integers], Floats]:
    """Compile the program for one capacity.

    The program takes a row, float32, and integers, int32. The row is the state (row_size,) and, with replay, the
    left-edge states of replayed windows from before the call (events + 1, states_size). The integers are the number of
    events K (1,), codes (window + events + 1,) and known (events + 2,). With replay, they continue with the codes of
    the replayed windows (events + 1, window + 1) and the index in the call of each window's event, -1 for a window
    from before the call (events + 1,). With dropout, they end with the dropout seeds of each event (events + 1, 2).
    The program returns one row, float32: the new state (row_size,), then (events + 1, 3 + classes + states_size): steps
    applied, steps skipped, first loss, probabilities, and the left-edge states before each event; K + 1 lines of them
    are meaningful.
    There is one array per type and direction, because every further array adds some 10 us to a call.
    """
    states_size, windows = layout.sizes[-1], (events + 1) * replayed
    seeds = (events + 1) * drops_out(layout, learning, replayed=replayed)
    row_sizes = [layout.row_size, windows * states_size]
    integer_sizes = [1, window + events + 1, events + 2, windows * (window + 1), windows, 2 * seeds]

    def run(row: Tensor, integers: Tensor) -> Tensor:
        state, edges = tf.split(row, row_sizes)
        count, codes, known, earlier, places, dropout = tf.split(integers, integer_sizes)
        edges, earlier = tf.reshape(edges, (windows, states_size)), tf.reshape(earlier, (windows, window + 1))

        def trip(
            k: Tensor, left: Tensor, memory: TrainState, report: Tensor
        ) -> tuple[Tensor, Tensor, TrainState, Tensor]:
            """Run one fit step for event k; ``left`` retry steps remain after it, -1 for the event's first step."""
            new, arrived = left < 0, k < count[0]
            here, classes = tf.slice(codes, [k], [window + 1]), tf.slice(known, [k], [2])
            batch, starts = here[None], memory.states[None]
            if replayed:
                # gather: a slice that starts at a value of the arguments would be compiled again for each value
                place = tf.gather(places, k)
                found = tf.gather(report, tf.maximum(place, 0))[-states_size:]
                replay_start = tf.where(place < 0, tf.gather(edges, k), found)
                replay = tf.where(new, tf.gather(earlier, k), -1)  # once per event, not in its retry steps
                batch, starts = tf.stack([here, replay]), tf.stack([memory.states, replay_start])
            seed = (
                tf.gather(tf.reshape(dropout, (seeds, 2)), k) + tf.stack([left, 0])
                if seeds and learning.learn
                else None
            )
            fitted, slid, line = _fit_step(
                layout, learning, memory, codes=batch, starts=starts, known=classes, arrived=arrived, dropout=seed
            )
            extra = _retry_steps(learning, memory, line[3:], codes=here, known=classes[0], arrived=arrived)
            owed = tf.where(new, extra, left)
            refilled = tf.maximum(memory.spent + tf.cast(extra, tf.float32) - learning.retry_refill, 0.0)
            slides = (owed == 0) & arrived & carried & tf.reduce_all(tf.math.is_finite(slid))
            line = tf.concat([line, memory.states], 0)
            memory = fitted._replace(
                spent=tf.where(new & arrived, refilled, memory.spent),
                states=tf.where(slides, slid, memory.states),
            )
            line = tf.where(new, line, report[k] + tf.concat([line[:2], tf.zeros(line.shape[0] - 2)], 0))
            report = tf.tensor_scatter_nd_update(report, [[k]], [line])
            return k + tf.cast(owed == 0, tf.int32), owed - 1, memory, report

        memory = TrainState(*tf.split(state, layout.sizes))
        report = tf.zeros((events + 1, 3 + layout.classes + states_size))
        start = (tf.constant(0), tf.constant(-1), memory, report)
        *_, memory, report = tf.while_loop(lambda k, *_: k <= count[0], trip, start)
        return tf.concat([*memory, tf.reshape(report, [-1])], 0)

    return compiled(run, sum(row_sizes), sum(integer_sizes))


def compiled(
    run: Callable[[Tensor, Tensor], Tensor], floats: int, integers: int
) -> Callable[[Floats, Integers], Floats]:
    """Compile a function of one float row and one integer row, of these lengths, that returns a float row."""
    signature = [tf.TensorSpec((floats,)), tf.TensorSpec((integers,), tf.int32)]
    # without autograph: there is no Python to convert into graphs, and its files would remain after a killed process
    function = tf.function(run, jit_compile=True, autograph=False, input_signature=signature)
    # called flat, because binding the arguments to the signature takes 0.1 of the 0.5 ms of a call with one event
    program = function.get_concrete_function().inference_fn

    def call(row: Floats, numbers: Integers) -> Floats:
        (answer,) = program.call_flat(tf.constant(row), tf.constant(numbers))
        copied: Floats = answer.numpy()
        return copied

    call(np.zeros(floats, np.float32), np.zeros(integers, np.int32))  # compiles
    trim_heap()
    return call


def _fit_step(
    layout: Layout,
    learning: LearningSettings,
    memory: TrainState,
    *,
    codes: Tensor,
    starts: Tensor,
    known: Tensor,
    arrived: Tensor,
    dropout: Tensor | None,
) -> tuple[TrainState, Tensor, Tensor]:
    """Predict the last of the first ``codes`` from the codes before it and, if it has arrived, fit all of them.

    ``codes`` are int32 (B, window + 1): the window of this event and the replayed windows. ``starts`` are their
    left-edge states, float32 (B, states_size). ``known``, int32 (2,), are the numbers of known classes before and after
    the arrival. With dropout layers (``dropout`` is the argument of ``forward``), the prediction has a pass of its own.
    Return the new train state, the left-edge states after one step, and a line of the report without the states.
    """
    codes = tf.transpose(codes)
    mask = tf.cast(codes[:-1] >= 0, tf.float32)

    def pass_through(sequences: int, dropout: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        inputs = tf.maximum(codes[:-1, :sequences], 0)
        here, before = mask[:, :sequences], starts[:sequences]
        return forward(
            layout,
            memory.weights,
            lambda kernel: tf.gather(kernel, inputs),
            here,
            before,
            dropout=dropout,
            replay_dropout=learning.replay_dropout,
        )

    with tf.GradientTape() as tape:
        tape.watch(memory.weights)
        logits, states = pass_through(codes.shape[1], dropout)
        losses = _cross_entropies(_among(logits, known[1]), codes[1:]) * mask
        objective = tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(mask), 1.0)

    def fit() -> tuple[TrainState, Tensor]:
        loss = tf.reduce_sum(losses[:, 0]) / tf.maximum(tf.reduce_sum(mask[:, 0]), 1.0)
        return stepped(learning, memory, tape.gradient(objective, memory.weights), loss, wanted=mask[-1, 0] > 0)

    if dropout is not None and layout.drops_out:
        logits, states = pass_through(1, None)
    memory, done = fitted_if(arrived, learning, memory, fit)
    probabilities = tf.nn.softmax(_among(logits[-1, 0], known[0]))
    return memory, after_first_step(states), tf.concat([done, probabilities], 0)


def _retry_steps(
    learning: LearningSettings,
    memory: TrainState,
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
    judged = arrived & (codes[-2] >= 0) & (known > 1)
    missed = judged & ((predicted != codes[-1]) | (codes[-1] >= known))
    affordable = tf.cast(learning.retry_budget - memory.spent[0], tf.int32)
    return tf.where(missed, tf.minimum(learning.retry_steps, affordable), 0)


def _among(logits: Tensor, known: Tensor) -> Tensor:
    """Set the logits of all codes from ``known`` on to impossible; logits are (..., classes)."""
    return tf.where(tf.range(logits.shape[-1]) < known, logits, IMPOSSIBLE)


def _cross_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each position, in nats."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(targets, 0), logits)


def fitted_if(
    arrived: Tensor, learning: LearningSettings, memory: TrainState, fit: Callable[[], tuple[TrainState, Tensor]]
) -> tuple[TrainState, Tensor]:
    """Return the result of ``fit`` if an event has arrived and ``learn`` is set, else unchanged memory and zeros."""
    done = tf.zeros(3)
    if not learning.learn:
        return memory, done
    found: tuple[TrainState, Tensor] = tf.cond(arrived, fit, lambda: (memory, done))
    return found


def stepped(
    learning: LearningSettings, memory: TrainState, gradient: Tensor, loss: Tensor, *, wanted: Tensor
) -> tuple[TrainState, Tensor]:
    """Clip the gradient and apply a step of Adam, if it is wanted and everything is finite.

    Return the new train state, and float32 (3,): 1 for a step, 1 for a step that would not have been finite, the loss.
    """
    norm = tf.norm(gradient)
    clipped = gradient * tf.minimum(1.0, learning.clip_norm / norm)
    fitted = _adam_step(learning, memory, clipped, loss)
    finite = tf.math.is_finite(fitted.weights) & tf.math.is_finite(fitted.v)
    possible = tf.reduce_all(finite) & tf.math.is_finite(norm) & tf.math.is_finite(loss)
    applied = possible & wanted
    kept = [tf.where(applied, new, old) for new, old in zip(fitted, memory, strict=True)]
    return TrainState(*kept), tf.stack([tf.cast(applied, tf.float32), tf.cast(~possible, tf.float32), loss])


def _adam_step(learning: LearningSettings, memory: TrainState, gradient: Tensor, loss: Tensor) -> TrainState:
    """Compute one step of Adam (Kingma and Ba, 2015, algorithm 1: epsilon beside the corrected second moment).

    The learning rate is multiplied by min(1, loss / lr_gate_loss), so that the step leaves a learned window alone.
    """
    steps = memory.steps + 1
    root = tf.sqrt(1 - tf.pow(learning.beta_2, steps))
    gate = tf.minimum(1.0, loss / learning.lr_gate_loss) if learning.lr_gate_loss > 0 else 1.0
    m = memory.m + (gradient - memory.m) * (1 - learning.beta_1)
    v = memory.v + (gradient * gradient - memory.v) * (1 - learning.beta_2)
    rate = learning.learning_rate * gate * root / (1 - tf.pow(learning.beta_1, steps))
    weights = memory.weights - rate * m / (tf.sqrt(v) + learning.epsilon * root)
    return memory._replace(weights=weights, m=m, v=v, steps=steps)
