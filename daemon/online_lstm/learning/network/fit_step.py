"""The fit step of the compiled programs: the train state, a step of Adam, and what a call reports of its events."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from online_lstm.learning.network.hyperparameters import LearningSettings
from online_lstm.learning.network.layout import Layout
from online_lstm.learning.network.lstm import Tensor
from online_lstm.learning.network.signatures import RunResults


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

    @classmethod
    def from_row(cls, layout: Layout, row: Tensor) -> "TrainState":
        """Split a state row."""
        return cls(*tf.split(row, layout.sizes))

    def row(self) -> Tensor:
        """Return the state row."""
        return tf.concat([*self], 0)


class StepReport(NamedTuple):
    """The report of a step, float32 () each: 1 if it was applied, 1 if it would not have been finite, and the loss."""

    applied: Tensor
    skipped: Tensor
    loss: Tensor


class FitReport(NamedTuple):
    """The report of one event, or of N events with an additional first axis: see ``RunResults``."""

    fit_steps: Tensor  # ()
    skipped_steps: Tensor  # ()
    losses: Tensor  # ()
    outputs: Tensor  # (outputs,)
    edges: Tensor  # (states_size,)

    @classmethod
    def blank(cls, results: RunResults) -> "FitReport":
        """Return zeros for all events of a call with these specs."""
        return cls(*[tf.zeros(spec.shape) for spec in results[1:]])

    def at(self, k: Tensor) -> "FitReport":
        """Return the report of event k."""
        return FitReport(*[tf.gather(rows, k) for rows in self])

    def write(self, k: Tensor, report: "FitReport") -> "FitReport":
        """Return the reports with another report of event k."""
        return FitReport(
            *[tf.tensor_scatter_nd_update(rows, [[k]], [row]) for rows, row in zip(self, report, strict=True)]
        )


def fit_if(
    arrived: Tensor,
    learning: LearningSettings,
    state: TrainState,
    fit: Callable[[], tuple[TrainState, StepReport]],
) -> tuple[TrainState, StepReport]:
    """Return the result of ``fit`` if an event has arrived and ``learn`` is set, else unchanged state and zeros."""
    no_step = StepReport(*[tf.zeros(())] * 3)
    if not learning.learn:
        return state, no_step
    fitted: tuple[TrainState, StepReport] = tf.cond(arrived, fit, lambda: (state, no_step))
    return fitted


def apply_step(
    learning: LearningSettings, state: TrainState, gradient: Tensor, loss: Tensor, *, wanted: Tensor
) -> tuple[TrainState, StepReport]:
    """Clip the gradient and apply a step of Adam, if it is wanted and everything is finite."""
    norm = tf.norm(gradient)
    clipped = gradient * tf.minimum(1.0, learning.clip_norm / norm)
    fitted = _adam_step(learning, state, clipped, loss)
    finite = tf.math.is_finite(fitted.weights) & tf.math.is_finite(fitted.v)
    possible = tf.reduce_all(finite) & tf.math.is_finite(norm) & tf.math.is_finite(loss)
    applied = possible & wanted
    kept = [tf.where(applied, new, old) for new, old in zip(fitted, state, strict=True)]
    return TrainState(*kept), StepReport(tf.cast(applied, tf.float32), tf.cast(~possible, tf.float32), loss)


def _adam_step(learning: LearningSettings, state: TrainState, gradient: Tensor, loss: Tensor) -> TrainState:
    """Compute one step of Adam (Kingma and Ba, 2015, algorithm 1: epsilon beside the corrected second moment).

    The learning rate is multiplied by min(1, loss / lr_gate_loss), so that the step leaves a learned window alone.
    """
    steps = state.steps + 1
    root = tf.sqrt(1 - tf.pow(learning.beta_2, steps))
    gate = tf.minimum(1.0, loss / learning.lr_gate_loss) if learning.lr_gate_loss > 0 else 1.0
    m = state.m + (gradient - state.m) * (1 - learning.beta_1)
    v = state.v + (gradient * gradient - state.v) * (1 - learning.beta_2)
    rate = learning.learning_rate * gate * root / (1 - tf.pow(learning.beta_1, steps))
    weights = state.weights - rate * m / (tf.sqrt(v) + learning.epsilon * root)
    return state._replace(weights=weights, m=m, v=v, steps=steps)
