"""The compiled program: a loop whose body is one event (predict, then fit, then slide the window).

One call carries up to ``events`` events in one XLA computation. How many there are is an argument, so one
program serves all, and the bits do not depend on how a stream is cut into calls.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from daemon.network.layout import Layout
from daemon.network.lstm import Tensor, lstm
from daemon.network.shape import Learning

# not -inf, whose product with 0 would be NaN in the cross-entropy
_IMPOSSIBLE = -1e30


class Memory(NamedTuple):
    """What an event changes: the parts of a state row.

    Float32: ``weights``, ``m``, ``v`` (weights_size,), ``steps`` (), ``states`` (states_size,). The step count is
    exact up to 2**24; there it stays, when Adam's bias correction has long been 1.
    """

    weights: Tensor
    m: Tensor
    v: Tensor
    steps: Tensor
    states: Tensor


def compile_program(
    layout: Layout, learning: Learning, *, window: int, carried: bool, events: int
) -> Callable[[Tensor, Tensor], Tensor]:
    """Build the program for one capacity; XLA compiles it at its first call.

    It takes a state row, float32 (state_size,), and integers, int32: the number of events K (1,), codes
    (window + events + 1,), known (events + 2,). It gives one row, float32: the new state (state_size,),
    applied (events,), losses (events,), probabilities (events + 1, classes), meaningful up to K or K + 1.
    """

    def run(state: Tensor, integers: Tensor) -> Tensor:
        count, codes, known = tf.split(integers, [1, window + events + 1, events + 2])

        def event(k: Tensor, memory: Memory, *results: Tensor) -> tuple[Tensor, ...]:
            here = tf.slice(codes, [k], [window + 1])
            *after, probabilities = _event(
                layout, learning, memory, here, tf.slice(known, [k], [2]), carried=carried, arrived=k < count[0]
            )
            return k + 1, *after, *_written(results, k, (*after[1:], probabilities))

        results = tf.zeros(events + 1), tf.zeros(events + 1), tf.zeros((events + 1, layout.classes))
        memory = _unpack(layout, state)
        _, memory, applied, losses, probabilities = tf.while_loop(
            lambda k, *_: k <= count[0], event, (tf.constant(0), memory, *results)
        )
        return tf.concat([*memory, applied, losses, probabilities], 0)

    signature = [tf.TensorSpec((layout.state_size,)), tf.TensorSpec((window + 2 * events + 4,), tf.int32)]
    return tf.function(run, jit_compile=True, input_signature=signature).get_concrete_function()
