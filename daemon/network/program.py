"""The compiled program: a loop whose body is one event (predict, then fit, then slide the window).

One call carries up to ``events`` events in one XLA computation. How many there are is an argument, so one
program serves all, and the bits do not depend on how a stream is cut into calls.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from daemon.network.layout import Floats, Integers, Layout
from daemon.network.lstm import Tensor, lstm
from daemon.network.shape import Learning

# not -inf, whose product with 0 would be NaN in the cross-entropy
_IMPOSSIBLE = -1e30


class Memory(NamedTuple):
    """The parts of a state row: what an event changes.

    Float32: ``weights``, ``m``, ``v`` (weights_size,), ``steps`` (1,), ``states`` (states_size,). The step count
    is exact up to 2**24 and stays there, where Adam's bias correction has long been 1.
    """

    weights: Tensor
    m: Tensor
    v: Tensor
    steps: Tensor
    states: Tensor


def compile_program(
    layout: Layout, learning: Learning, *, window: int, carried: bool, events: int
) -> Callable[[Floats, Integers], Floats]:
    """Trace the program for one capacity; XLA compiles it at its first call.

    It takes a state row, float32 (row_size,), and integers, int32: the number of events K (1,), codes
    (window + events + 1,), known (events + 2,). It gives one row, float32: the new state (row_size,), then
    (events + 1, 2 + classes): applied, loss and probabilities of each event; K + 1 of them are meaningful.
    It is one array each way, because every further one adds some 10 us to a call.
    """

    def run(state: Tensor, integers: Tensor) -> Tensor:
        count, codes, known = tf.split(integers, [1, window + events + 1, events + 2])

        def trip(k: Tensor, memory: Memory, report: Tensor) -> tuple[Tensor, Memory, Tensor]:
            memory, line = _event(
                layout,
                learning,
                memory,
                codes=tf.slice(codes, [k], [window + 1]),
                known=tf.slice(known, [k], [2]),
                arrived=k < count[0],
                carried=carried,
            )
            return k + 1, memory, tf.tensor_scatter_nd_update(report, [[k]], [line])

        memory = Memory(*tf.split(state, layout.sizes))
        report = tf.zeros((events + 1, 2 + layout.classes))
        _, memory, report = tf.while_loop(lambda k, *_: k <= count[0], trip, (tf.constant(0), memory, report))
        return tf.concat([*memory, tf.reshape(report, [-1])], 0)

    signature = [tf.TensorSpec((layout.row_size,)), tf.TensorSpec((window + 2 * events + 4,), tf.int32)]
    compiled = tf.function(run, jit_compile=True, input_signature=signature).get_concrete_function()

    def call(state: Floats, integers: Integers) -> Floats:
        row: Floats = compiled(tf.constant(state), tf.constant(integers)).numpy()
        return row

    return call


def _event(
    layout: Layout,
    learning: Learning,
    memory: Memory,
    *,
    codes: Tensor,
    known: Tensor,
    arrived: Tensor,
    carried: bool,
) -> tuple[Memory, Tensor]:
    """Predict the last of ``codes`` from those before it and, if it has arrived, fit and slide.

    ``codes`` are int32 (window + 1,), ``known`` int32 (2,): the classes known before and after the arrival.
    Returns what is in memory now and the event's line of the report, float32 (2 + classes,).
    """
    mask = tf.cast(codes[:-1] >= 0, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(memory.weights)
        logits, slid = _forward(layout, memory.weights, codes[:-1], mask, memory.states)
        loss = _cross_entropy(_among(logits, known[1]), codes[1:], mask)

    def fit() -> tuple[Memory, Tensor, Tensor]:
        gradient = tape.gradient(loss, memory.weights)
        norm = tf.norm(gradient)
        clipped = gradient * tf.minimum(1.0, learning.clip_norm / norm)
        fitted = _adam_step(learning, memory, clipped, loss)
        finite = tf.math.is_finite(fitted.weights) & tf.math.is_finite(fitted.v)
        applied = tf.reduce_all(finite) & tf.math.is_finite(norm) & tf.math.is_finite(loss)
        learned = applied & (mask[-1] > 0)
        kept = [tf.where(learned, new, old) for new, old in zip(fitted, memory, strict=True)]
        moves = carried & tf.reduce_all(tf.math.is_finite(slid))
        states = tf.where(moves, slid, memory.states)
        return Memory(*kept)._replace(states=states), tf.cast(applied, tf.float32), loss

    memory, applied, loss = tf.cond(arrived, fit, lambda: (memory, tf.constant(0.0), tf.constant(0.0)))
    probabilities = tf.nn.softmax(_among(logits[-1], known[0]))
    return memory, tf.concat([[applied, loss], probabilities], 0)


def _forward(layout: Layout, weights: Tensor, codes: Tensor, mask: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """Give the logits, float32 (T, classes), and the states after the first step, float32 (states_size,).

    Where the first step is masked, its states are zero, as are those before it.
    """
    parts = zip(tf.split(weights, layout.weight_sizes), layout.weight_shapes, strict=True)
    *shared, by_class = [tf.reshape(part, shape) for part, shape in parts]
    first_kernel, dense_kernel, dense_bias = tf.split(by_class, layout.class_widths, 1)
    arrays, edges, slid = iter(shared), iter(tf.split(states, layout.state_sizes)), []
    hidden = None
    for _ in layout.units:
        below = tf.gather(first_kernel, tf.maximum(codes, 0)) if hidden is None else hidden @ next(arrays)
        recurrent, bias = next(arrays), next(arrays)
        hidden, cells = lstm(below + bias, recurrent, next(edges), next(edges), mask)
        slid += [hidden[0], cells[0]]
    logits = tf.matmul(hidden, dense_kernel, transpose_b=True) + dense_bias[:, 0]
    return logits, tf.stop_gradient(tf.concat(slid, 0))


def _among(logits: Tensor, known: Tensor) -> Tensor:
    """Leave only the codes below ``known`` possible; logits are (..., classes)."""
    return tf.where(tf.range(logits.shape[-1]) < known, logits, _IMPOSSIBLE)


def _cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Average over the steps that count, in nats; 0 if none does."""
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(targets, 0), logits)
    return tf.reduce_sum(each * mask) / tf.maximum(tf.reduce_sum(mask), 1.0)


def _adam_step(learning: Learning, memory: Memory, gradient: Tensor, loss: Tensor) -> Memory:
    """Take one step of Adam (Kingma and Ba, 2015, section 2, end: epsilon outside the bias correction).

    The rate is multiplied by min(1, loss / gate_loss): what is learned is left alone.
    """
    steps = memory.steps + 1
    correction = tf.sqrt(1 - tf.pow(learning.beta_2, steps)) / (1 - tf.pow(learning.beta_1, steps))
    gate = tf.minimum(1.0, loss / learning.gate_loss) if learning.gate_loss > 0 else 1.0
    m = memory.m + (gradient - memory.m) * (1 - learning.beta_1)
    v = memory.v + (gradient * gradient - memory.v) * (1 - learning.beta_2)
    rate = learning.learning_rate * gate * correction
    weights = memory.weights - rate * m / (tf.sqrt(v) + learning.epsilon)
    return Memory(weights, m, v, steps, memory.states)
