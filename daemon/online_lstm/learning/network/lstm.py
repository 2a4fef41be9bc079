"""An LSTM layer (Hochreiter and Schmidhuber, 1997; forget gates of Gers et al., 2000) with its own gradient.

One scan runs forward, one runs backward. Everything that does not depend on the previous step is one large product
outside the scans. Within the scans each sequence is computed separately: all products are of a matrix and a vector, and
nothing is concatenated. XLA then makes each scan one vectorised function, in half the time of one call per operation
(see ``XLA_PINS``).
"""

from typing import Any

import numpy as np
import tensorflow as tf

Tensor = Any  # TensorFlow has no type stubs


def matvec(matrix: Tensor, vector: Tensor, *, transpose_a: bool = False) -> Tensor:
    """Multiply a matrix by a vector, as in ``tf.linalg``, which would import fifty modules for it."""
    return tf.squeeze(tf.matmul(matrix, tf.expand_dims(vector, -1), transpose_a=transpose_a), -1)


def lstm(projected: Tensor, recurrent: Tensor, h0: Tensor, c0: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Run an LSTM with Keras's gate order (input, forget, cell, output) over B sequences of T steps.

    Masked steps may only come first, and with zero initial states: they leave the states zero and have no
    gradient. The initial states have no gradient.

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
    units = recurrent.shape[0]
    # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: one tanh for all four gates; halving is exact, so it moves out of the scan
    scale = tf.constant(np.repeat([0.5, 0.5, 1, 0.5], units), tf.float32)
    shift = tf.constant(np.repeat([0.5, 0.5, 0, 0.5], units), tf.float32)
    scaled_recurrent = recurrent * scale

    def step(before: tuple[Tensor, ...], z: Tensor) -> tuple[Tensor, ...]:
        _, c, h = before
        gates = tf.tanh(z + matvec(scaled_recurrent, h, transpose_a=True)) * scale + shift
        i, f, g, o = tf.split(gates, 4)
        c = f * c + i * g
        return gates, c, o * tf.tanh(c)

    def steps(before: list[tuple[Tensor, ...]], zs: list[Tensor]) -> list[tuple[Tensor, ...]]:
        return [step(b, z) for b, z in zip(before, zs, strict=True)]

    # a masked step's input is zero, and so is its g = tanh(0 + 0 R): c and h stay zero without a mask in the scan
    inputs = tf.unstack(projected * scale * mask[:, :, None], axis=1)
    first = [(tf.zeros(4 * units), c, h) for c, h in zip(tf.unstack(c0), tf.unstack(h0), strict=True)]
    gates, c, h = (tf.stack(parts, 1) for parts in zip(*tf.scan(steps, inputs, first), strict=True))

    def gradient(dh: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        c_before, h_before = tf.concat([c0[None], c[:-1]], 0), tf.concat([h0[None], h[:-1]], 0)
        dz = _back_through_time(dh, recurrent, gates=gates, c=c, c_before=c_before, mask=mask)
        flat_h, flat_dz = tf.reshape(h_before, (-1, units)), tf.reshape(dz, (-1, 4 * units))
        return dz, tf.matmul(flat_h, flat_dz, transpose_a=True), None, None, None

    return (h, c), gradient


def _back_through_time(
    dh: Tensor, recurrent: Tensor, *, gates: Tensor, c: Tensor, c_before: Tensor, mask: Tensor
) -> Tensor:
    """Return the gradient of the gate inputs z, float32 (T, B, 4u), from the outputs' gradient, float32 (T, B, u)."""
    units = dh.shape[2]
    i, f, g, o = tf.split(gates, 4, 2)
    tanh_c = tf.tanh(c)
    dc_by_dh = o * (1 - tanh_c * tanh_c)
    by_z = [g * i * (1 - i), c_before * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)]
    slopes = tf.concat(by_z, 2) * mask[:, :, None]
    is_output = tf.constant([[False], [False], [False], [True]])

    def step_back(after: tuple[Tensor, ...], at_step: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        dz_after, dc = after
        dh, dc_by_dh, slopes, f = at_step
        dh = dh + matvec(recurrent, dz_after)
        dc = dc + dh * dc_by_dh
        by_gate = tf.where(is_output, dh, dc) * tf.reshape(slopes, (4, units))
        return tf.reshape(by_gate, [-1]), dc * f

    def steps_back(after: list[tuple[Tensor, ...]], at_step: list[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
        return [step_back(a, b) for a, b in zip(after, at_step, strict=True)]

    backward = list(zip(*(tf.unstack(a, axis=1) for a in (dh, dc_by_dh, slopes, f)), strict=True))
    rows = tf.scan(steps_back, backward, [(tf.zeros(4 * units), tf.zeros(units))] * len(backward), reverse=True)
    return tf.stack([dz for dz, _ in rows], 1)
