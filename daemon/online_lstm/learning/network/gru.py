"""A GRU layer (Cho et al., 2014) as in Keras, with the reset gate after the recurrent product and its own gradient.

Computed like ``online_lstm.learning.network.lstm``: one scan runs forward, one runs backward, each sequence is computed
separately, and the large products are outside the scans.
"""

import numpy as np
import tensorflow as tf

from online_lstm.learning.network.lstm import Tensor, matvec

_HELD = 1e30
"""Input of the update gate at a masked step: the gate is 1, so the output stays exactly the same."""


def gru(projected: Tensor, recurrent: Tensor, bias: Tensor, h0: Tensor, mask: Tensor) -> Tensor:
    """Run a GRU with Keras's gate order (update, reset, candidate) over B sequences of T steps.

    Masked steps leave the output unchanged and have no gradient. The initial states have no gradient.

    Args:
        projected: Inputs times kernel plus the bias of the inputs, float32 (T, B, 3u).
        recurrent: Recurrent kernel, float32 (u, 3u).
        bias: Bias of the recurrent product, float32 (3u,).
        h0: Output before the first step, float32 (B, u).
        mask: 1 for a step that counts, 0 for a masked one, float32 (T, B).

    Returns:
        Outputs, float32 (T, B, u).
    """
    return tf.custom_gradient(_gru)(projected, recurrent, bias, h0, mask)


def _gru(projected: Tensor, recurrent: Tensor, bias: Tensor, h0: Tensor, mask: Tensor) -> tuple[Tensor, object]:
    units = recurrent.shape[0]
    # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2, as in the LSTM; halving is exact
    scale = tf.constant(np.repeat([0.5, 0.5, 1], units), tf.float32)
    scaled_recurrent, scaled_bias = recurrent * scale, bias * scale
    held = tf.constant(np.repeat([_HELD, 0, 0], units), tf.float32)

    def step(before: tuple[Tensor, ...], x: Tensor) -> tuple[Tensor, ...]:
        h = before[-1]
        of_h = matvec(scaled_recurrent, h, transpose_a=True) + scaled_bias
        gates = tf.tanh(x[: 2 * units] + of_h[: 2 * units]) * 0.5 + 0.5
        z, r = tf.split(gates, 2)
        g = tf.tanh(x[2 * units :] + r * of_h[2 * units :])
        return z, r, g, of_h[2 * units :], z * h + (1 - z) * g

    def steps(before: list[tuple[Tensor, ...]], xs: list[Tensor]) -> list[tuple[Tensor, ...]]:
        return [step(b, x) for b, x in zip(before, xs, strict=True)]

    inputs = tf.unstack(tf.where(mask[:, :, None] > 0, projected * scale, held), axis=1)
    first = [(*[tf.zeros(units)] * 4, h) for h in tf.unstack(h0)]
    z, r, g, of_h, h = (tf.stack(parts, 1) for parts in zip(*tf.scan(steps, inputs, first), strict=True))

    def gradient(dh: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        h_before = tf.concat([h0[None], h[:-1]], 0)
        by_z, by_g = (h_before - g) * z * (1 - z), (1 - z) * (1 - g * g)
        by_r = by_g * of_h * r * (1 - r)
        by_recurrent = tf.concat([by_z, by_r, by_g * r], 2) * mask[:, :, None]
        dh = _back_through_time(dh, recurrent, slopes=by_recurrent, kept=z)
        of_recurrent = tf.tile(dh, (1, 1, 3)) * by_recurrent
        of_inputs = tf.concat([of_recurrent[:, :, : 2 * units], dh * by_g * mask[:, :, None]], 2)
        flat_h, flat = tf.reshape(h_before, (-1, units)), tf.reshape(of_recurrent, (-1, 3 * units))
        return of_inputs, tf.matmul(flat_h, flat, transpose_a=True), tf.reduce_sum(flat, 0), None, None

    return h, gradient


def _back_through_time(dh: Tensor, recurrent: Tensor, *, slopes: Tensor, kept: Tensor) -> Tensor:
    """Add to the gradient of each step's output, float32 (T, B, u), the gradient from the steps after it."""
    units = dh.shape[2]
    # each step needs the slopes and the update gate of the next step; the last step has no next step
    slopes_after = tf.concat([slopes[1:], tf.zeros_like(slopes[:1])], 0)
    kept_after = tf.concat([kept[1:], tf.zeros_like(kept[:1])], 0)

    def step_back(after: Tensor, at_step: tuple[Tensor, ...]) -> Tensor:
        dh, slopes_after, kept_after = at_step
        of_recurrent = tf.reshape(after[None] * tf.reshape(slopes_after, (3, units)), [-1])
        return dh + after * kept_after + matvec(recurrent, of_recurrent)

    def steps_back(after: list[Tensor], at_step: list[tuple[Tensor, ...]]) -> list[Tensor]:
        return [step_back(a, b) for a, b in zip(after, at_step, strict=True)]

    backward = list(zip(*(tf.unstack(a, axis=1) for a in (dh, slopes_after, kept_after)), strict=True))
    return tf.stack(tf.scan(steps_back, backward, [tf.zeros(units)] * len(backward), reverse=True), 1)
