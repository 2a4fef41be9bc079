"""The published prediction: a mixture of the stack and the baselines, never much worse than the best of them.

The members are the stack and the baselines; member i has a weight w_i. When a value arrives, with e_i the absolute
error of a member, m the mean error of the last value, and h the horizon,

    w_i <- ((1 - SHARE) w_i + SHARE f_i) exp(-min((e_i - min e) / (m sqrt(h)), MAX_LOSS)), then all divided by their sum

where f are the first weights, of which the last value has most: an expert earns its weight. The published prediction is
the mean of the members with these weights. This is the exponentially weighted average forecaster with a fixed share,
whose regret against any sequence of members is bounded from the first event on (Herbster and Warmuth, "Tracking the
best expert", 1998). Errors at a horizon overlap, so each of them counts less.

m is the mean over this block of ``BLOCK`` events and the one before, each error at most ``MAX_GROWTH`` times the mean
before it: one wild value does not make all later errors small, nor does a unit that changes.
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
SHARE = 0.002
MAX_LOSS = 8.0
BLOCK = 64
MAX_GROWTH = 10.0
FIRST = 10
"""Number of first errors that are not limited."""
MIN_ERROR = 1e-300


class Mixture(NamedTuple):
    """The arrays of one stream, with P members, of which the first is the stack, and M pending labels."""

    weights: NDArray[np.float64]  # (P,): sum 1
    errors: NDArray[np.float64]  # (2,): sums of the last value's errors, in this block and in the one before
    judged: NDArray[np.int64]  # (1,): number of events so far whose label has arrived
    pending: NDArray[np.float64]  # (M, P): predictions, oldest first
    waiting: NDArray[np.int64]  # (1,): number of pending predictions


def fields(members: int, pending: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream; at most ``pending`` labels are pending."""
    described = {
        "weights": ArraySpec((members,), "float64", tuple(_first_weights(members))),
        "errors": ArraySpec((2,), "float64"),
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
    mixed = np.empty((len(values), 2))
    _observe(mixture, values, waiting, (_first_weights(predictions.shape[1]), horizon), mixed)
    mixture.pending[:] = waiting[len(values) :]
    return mixed[:, 0], mixed[:, 1]


def stack_weight(row: ArrayViews) -> float:
    """Return the weight of the stack after the last value."""
    weight: float = row[_PREFIX + "weights"][0]
    return weight


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
) -> None:
    first_weights, horizon = how
    for event in range(len(values)):
        if mixture.waiting[0] < horizon:
            mixture.waiting[0] += 1
        elif not np.isnan(values[event]):
            _learn(mixture, values[event], waiting[len(mixture.pending) - horizon + event], first_weights, horizon)
        now = waiting[len(mixture.pending) + event]
        heaviest = np.argmax(mixture.weights)
        mean = now[heaviest]
        for member in range(len(now)):  # exactly their prediction if all members agree
            mean += mixture.weights[member] * (now[member] - now[heaviest])
        mixed[event, 0], mixed[event, 1] = mean, mixture.weights[0]


@compiled
def _learn(
    mixture: Mixture, value: float, due: NDArray[np.float64], first_weights: NDArray[np.float64], horizon: int
) -> None:
    smallest = np.inf
    for prediction in due:
        smallest = min(smallest, abs(value - prediction))
    unit = max(_mean_error(mixture, abs(value - due[LAST_VALUE])), MIN_ERROR) * np.sqrt(horizon)
    total = 0.0
    for member in range(len(due)):
        loss = min((abs(value - due[member]) - smallest) / unit, MAX_LOSS)
        shared = (1 - SHARE) * mixture.weights[member] + SHARE * first_weights[member]
        mixture.weights[member] = shared * np.exp(-loss)
        total += mixture.weights[member]
    for member in range(len(due)):
        mixture.weights[member] /= total


@compiled
def _mean_error(mixture: Mixture, error: float) -> float:
    """Add an error of the last value; return m."""
    judged = mixture.judged[0]
    if judged >= FIRST:
        error = min(error, MAX_GROWTH * mixture.errors.sum() / _errors_of(judged))
    if judged % BLOCK == 0:
        mixture.errors[1] = mixture.errors[0]
        mixture.errors[0] = 0.0
    mixture.errors[0] += error
    mixture.judged[0] += 1
    mean: float = mixture.errors.sum() / _errors_of(judged + 1)
    return mean


@compiled
def _errors_of(judged: int) -> int:
    """Return the number of errors in both blocks."""
    return judged if judged <= BLOCK else BLOCK + (judged - 1) % BLOCK + 1
