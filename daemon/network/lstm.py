"""An LSTM layer (Hochreiter and Schmidhuber, 1997; forget gates of Gers et al., 2000) with its own gradient.

One scan forward, one back; what does not depend on the step before is one large product outside them. Each
scan carries a single row a sequence, so that XLA stores one slice a step: a third faster than one array for each part.
"""

from typing import Any

import numpy as np
import tensorflow as tf

Tensor = Any  # TensorFlow has no type stubs


def lstm(projected: Tensor, recurrent: Tensor, h0: Tensor, c0: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Run an LSTM with Keras's gate order (input, forget, cell, output) over B sequences of T steps.

    Masked steps may only come first, and with zero initial states: they leave the states zero and have no
    gradient. There is no gradient into the initial states.

    Args:
        projected: Inputs times kernel plus bias, float32 (T, B, 4u).
        recurrent: Recurrent kernel, float32 (u, 4u).
        h0: Output before the first step, float32 (B, u).
        c0: Cell state before the first step, float32 (B, u).
        mask: 1 for a step that counts, 0 for a masked one, float32 (T, B).

    Returns:
        Outputs and cell states, float32 (T, B, u) each; only the outputs have a gradient.
    """
    return tf.custom_gradient(_lstm)(projected, recurrent, h0, c0, mask)  # type: ignore[no-any-return]


def _lstm(projected: Tensor, recurrent: Tensor, h0: Tensor, c0: Tensor, mask: Tensor) -> tuple[Tensor, Any]:
    steps, batch, _ = projected.shape
    units = recurrent.shape[0]
    # within the scans a single sequence goes without the batch: XLA's loops over it would take half as long again
    lead = () if batch == 1 else (batch,)
    # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: all four gates by one tanh; halving is exact, so it moves outside
    scale = tf.constant(np.repeat([0.5, 0.5, 1, 0.5], units), tf.float32)
    shift = tf.constant(np.repeat([0.5, 0.5, 0, 0.5], units), tf.float32)
    scaled_recurrent = recurrent * scale

    def step(row: Tensor, z: Tensor) -> Tensor:
        _, c, h = tf.split(row, [4 * units, units, units], -1)
        recurring = tf.matmul(tf.reshape(h, (batch, units)), scaled_recurrent)
        gates = tf.tanh(z + tf.reshape(recurring, (*lead, 4 * units))) * scale + shift
        i, f, g, o = tf.split(gates, 4, -1)
        c = f * c + i * g
        return tf.concat([gates, c, o * tf.tanh(c)], -1)

    # a masked step's input is zero, and so is its g = tanh(0 + 0 R): c and h stay zero without a mask in the scan
    first = tf.concat([tf.zeros((batch, 4 * units)), c0, h0], 1)
    inputs = tf.reshape(projected * scale * mask[:, :, None], (steps, *lead, 4 * units))
    rows = tf.reshape(tf.scan(step, inputs, tf.reshape(first, (*lead, 6 * units))), (steps, batch, 6 * units))
    gates, c, h = tf.split(rows, [4 * units, units, units], 2)

    def gradient(dh: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        c_before, h_before = tf.concat([c0[None], c[:-1]], 0), tf.concat([h0[None], h[:-1]], 0)
        dz = _back_through_time(dh, recurrent, gates=gates, c=c, c_before=c_before, mask=mask)
        flat_h, flat_dz = tf.reshape(h_before, (-1, units)), tf.reshape(dz, (-1, 4 * units))
        return dz, tf.matmul(flat_h, flat_dz, transpose_a=True), None, None, None

    return (h, c), gradient


def _back_through_time(
    dh: Tensor, recurrent: Tensor, *, gates: Tensor, c: Tensor, c_before: Tensor, mask: Tensor
) -> Tensor:
    """Give the gradient of the gates' inputs z, float32 (T, B, 4u), for that of the outputs, float32 (T, B, u)."""
    steps, batch, units = dh.shape
    lead = () if batch == 1 else (batch,)
    i, f, g, o = tf.split(gates, 4, 2)
    tanh_c = tf.tanh(c)
    dc_by_dh = o * (1 - tanh_c * tanh_c)
    by_z = [g * i * (1 - i), c_before * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)]
    slopes = tf.concat(by_z, 2) * mask[:, :, None]
    transposed = tf.transpose(recurrent)  # once, and not within each step

    def step_back(row: Tensor, here: tuple[Tensor, ...]) -> Tensor:
        dz_after, dc = tf.split(row, [4 * units, units], -1)
        dh, dc_by_dh, slopes, f = here
        dh = dh + (tf.matmul(dz_after, transposed) if lead else tf.linalg.matvec(recurrent, dz_after))
        dc = dc + dh * dc_by_dh
        return tf.concat([tf.concat([dc, dc, dc, dh], -1) * slopes, dc * f], -1)

    backward = tuple(tf.reshape(a, (steps, *lead, a.shape[-1])) for a in (dh, dc_by_dh, slopes, f))
    rows = tf.scan(step_back, backward, tf.zeros((*lead, 5 * units)), reverse=True)
    return tf.reshape(rows, (steps, batch, 5 * units))[:, :, : 4 * units]
