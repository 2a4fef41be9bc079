"""The published prediction: a mixture of the stack and the baselines, never much worse than the best of them.

The members are the stack and the baselines; member i has a weight w_i. When a value arrives, with e_i the absolute
error of a member and m the running mean of the errors of the last value,

    w_i <- ((1 - SHARE) w_i + SHARE f_i) exp(-min((e_i - min e) / m, MAX_LOSS)), then all divided by their sum

where f are the first weights, of which the last value has most: an expert earns its weight. The published prediction is
the mean of the members with these weights. This is the exponentially weighted average forecaster with a fixed share,
whose regret against any sequence of members is bounded from the first event on (Herbster and Warmuth, "Tracking the
best expert", 1998); the errors are in units of m instead of a known range.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

LAST_VALUE = 1
"""Index of the member whose errors are the unit of the losses, and which has most of the first weights."""
FIRST_SHARE = 0.8
"""First weight of the last value; the other members share the rest equally."""
SHARE = 0.005
MAX_LOSS = 8.0
RATE = 0.02
MIN_ERROR = 1e-300


class Mixture(NamedTuple):
    """The arrays of one stream, with P members, of which the first is the stack, and M pending labels."""

    weights: NDArray[np.float64]  # (P,): sum 1
    error: NDArray[np.float64]  # (1,): m
    judged: NDArray[np.int64]  # (1,): number of events so far whose label has arrived
    pending: NDArray[np.float64]  # (M, P): predictions, oldest first
    waiting: NDArray[np.int64]  # (1,): number of pending predictions


def fields(members: int, pending: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream; at most ``pending`` labels are pending."""
    described = {
        "weights": ArraySpec((members,), "float64", tuple(_first_weights(members))),
        "error": ArraySpec((1,), "float64"),
        "judged": ArraySpec((1,), "int64"),
        "pending": ArraySpec((pending, members), "float64"),
        "waiting": ArraySpec((1,), "int64"),
    }
    return {_PREFIX + name: described[name] for name in Mixture._fields}


def observe(
    row: ArrayViews, values: NDArray[np.float64], predictions: NDArray[np.float64], *, horizon: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Learn K values, and mix the P predictions after each.

    Args:
        row: The arrays of the stream, written to.
        values: NaN where missing, ``(K,)``.
        predictions: Float64 ``(K, P)``, the stack first and the last value second.
        horizon: Events until the label of an event arrives.

    Returns:
        The mean of the predictions, float64 ``(K,)``, and the weight of the stack in it, ``(K,)``.
    """
    mixture = Mixture(*[row[_PREFIX + name] for name in Mixture._fields])
    waiting = np.concatenate((mixture.pending, predictions))
    mixed, of_stack = np.empty(len(values)), np.empty(len(values))
    _observe(mixture, values, waiting, (_first_weights(predictions.shape[1]), horizon), mixed, of_stack)
    mixture.pending[:] = waiting[len(values) :]
    return mixed, of_stack


def break_sequence(row: ArrayViews) -> None:
    """Discard the predictions that wait for a label."""
    row[_PREFIX + "waiting"][:] = 0


_PREFIX = "mixture_"


def _first_weights(members: int) -> NDArray[np.float64]:
    weights = np.full(members, (1 - FIRST_SHARE) / (members - 1))
    weights[LAST_VALUE] = FIRST_SHARE
    return weights


@compiled
def _observe(
    mixture: Mixture,
    values: NDArray[np.float64],
    waiting: NDArray[np.float64],
    how: tuple[NDArray[np.float64], int],
    mixed: NDArray[np.float64],
    of_stack: NDArray[np.float64],
) -> None:
    first_weights, horizon = how
    for event in range(len(values)):
        if mixture.waiting[0] < horizon:
            mixture.waiting[0] += 1
        elif not np.isnan(values[event]):
            _learn(mixture, values[event], waiting[len(mixture.pending) - horizon + event], first_weights)
        now = waiting[len(mixture.pending) + event]
        heaviest = np.argmax(mixture.weights)
        mean = now[heaviest]
        for member in range(len(now)):  # exactly their prediction if all members agree
            mean += mixture.weights[member] * (now[member] - now[heaviest])
        mixed[event] = mean
        of_stack[event] = mixture.weights[0]


@compiled
def _learn(mixture: Mixture, value: float, due: NDArray[np.float64], first_weights: NDArray[np.float64]) -> None:
    smallest = np.inf
    for prediction in due:
        smallest = min(smallest, abs(value - prediction))
    mixture.judged[0] += 1
    of_last = abs(value - due[LAST_VALUE])
    mixture.error[0] += max(RATE, 1 / mixture.judged[0]) * (of_last - mixture.error[0])
    unit = max(mixture.error[0], MIN_ERROR)
    total = 0.0
    for member in range(len(due)):
        loss = min((abs(value - due[member]) - smallest) / unit, MAX_LOSS)
        shared = (1 - SHARE) * mixture.weights[member] + SHARE * first_weights[member]
        mixture.weights[member] = shared * np.exp(-loss)
        total += mixture.weights[member]
    for member in range(len(due)):
        mixture.weights[member] /= total
