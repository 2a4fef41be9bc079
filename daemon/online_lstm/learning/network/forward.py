"""The forward pass through a network's layers: the computation of each layer, for fitting and for predicting."""

from collections.abc import Callable

import tensorflow as tf

from online_lstm.learning.network.gru import gru
from online_lstm.learning.network.layers import Dense, Dropout, Gru, LayerNorm, LeakyRelu, Lstm
from online_lstm.learning.network.layout import Layout
from online_lstm.learning.network.lstm import Tensor, lstm

_NORM_EPSILON = 1e-3  # Keras's default
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": tf.identity,
    "tanh": tf.tanh,
    "relu": lambda hidden: tf.nn.relu(hidden),  # noqa: PLW0108 - tf.nn is loaded at its first use, and loads a lot
    "sigmoid": tf.sigmoid,
}


def forward(
    layout: Layout,
    weights: Tensor,
    enter: Callable[[Tensor], Tensor],
    mask: Tensor,
    starts: Tensor,
    *,
    dropout: Tensor | None = None,
    replay_dropout: float = 0.0,
) -> tuple[Tensor, list[Tensor]]:
    """Compute the logits and the states for B sequences of T steps.

    Masked steps may come first if ``starts`` are zero: the states stay zero up to the first step that counts. Masked
    steps may also come last: they change nothing before them. The outputs at masked steps are meaningless.

    Args:
        layout: Layout of the weights.
        weights: Float32 (weights_size,).
        enter: Multiplies the inputs by the first kernel (classes, k); returns float32 (T, B, k).
        mask: 1 for a step that counts, 0 for a masked one, float32 (T, B).
        starts: The states before the first step, float32 (B, states_size).
        dropout: For a fit: seed of the random numbers of this pass, int32 (2,). None, to predict: nothing is dropped.
        replay_dropout: Share of the last layer's outputs that is dropped, in every sequence except the first.

    Returns:
        Logits, float32 (T, B, classes), and the states after each step: float32 (T, B, size) for each of the layout's
        ``state_sizes``, without a gradient.
    """
    parts = zip(tf.split(weights, layout.weight_sizes), layout.weight_shapes, strict=True)
    *shared, by_class = [tf.reshape(part, shape) for part, shape in parts]
    first_kernel, dense_kernel, dense_bias = tf.split(by_class, layout.class_widths, 1)
    arrays, edges = iter(shared), iter(tf.split(starts, layout.state_sizes, 1))
    hidden: Tensor = None
    states: list[Tensor] = []
    for number, layer in enumerate(layout.layers):
        if layer.kernel:
            hidden = enter(first_kernel) if number == 0 else _times(hidden, next(arrays))
        match layer:
            case Lstm():
                recurrent, bias = next(arrays), next(arrays)
                hidden, cells = lstm(hidden + bias, recurrent, next(edges), next(edges), mask)
                states += [hidden, cells]
            case Gru():
                recurrent, (bias, recurrent_bias) = next(arrays), tf.unstack(next(arrays))
                hidden = gru(hidden + bias, recurrent, recurrent_bias, next(edges), mask)
                states.append(hidden)
            case Dense(activation=activation):
                hidden = _ACTIVATIONS[activation](hidden + next(arrays))
            case LayerNorm():
                hidden = _normalized(hidden) * next(arrays) + next(arrays)
            case LeakyRelu(slope=slope):
                hidden = tf.where(hidden > 0, hidden, slope * hidden)
            case Dropout(rate=rate) if dropout is not None and rate > 0:
                hidden = _dropped(hidden, rate, dropout + tf.constant([0, number]))
    if dropout is not None and replay_dropout > 0 and hidden.shape[1] > 1:
        replayed = _dropped(hidden[:, 1:], replay_dropout, dropout + tf.constant([0, len(layout.layers)]))
        hidden = tf.concat([hidden[:, :1], replayed], 1)
    logits = _times(hidden, tf.transpose(dense_kernel)) + dense_bias[:, 0]
    return logits, [tf.stop_gradient(state) for state in states]


def after_first_step(states: list[Tensor]) -> Tensor:
    """Return the first sequence's states after one step, float32 (states_size,): the left edge of the next window."""
    return tf.concat([state[0, 0] for state in states], 0)


def _times(sequences: Tensor, matrix: Tensor) -> Tensor:
    """Multiply (T, B, n) by (n, m) as one matrix product."""
    steps, batch, width = sequences.shape
    return tf.reshape(tf.reshape(sequences, (steps * batch, width)) @ matrix, (steps, batch, matrix.shape[1]))


def _normalized(sequences: Tensor) -> Tensor:
    """Normalise each step to mean 0 and nearly variance 1: a constant is added to the variance."""
    mean, variance = tf.nn.moments(sequences, [-1], keepdims=True)
    return (sequences - mean) * tf.math.rsqrt(variance + _NORM_EPSILON)


def _dropped(sequences: Tensor, rate: float, seed: Tensor) -> Tensor:
    """Set each number to 0 with probability ``rate`` and divide the others by ``1 - rate``; ``seed`` is int32 (2,)."""
    uniform = tf.random.stateless_uniform(sequences.shape, seed, alg="philox")
    return tf.where(uniform >= rate, sequences / (1 - rate), 0.0)
