"""The published prediction: a mixture of the stack and the baselines, never much worse than the best of them.

The members are the stack and the baselines; member i has a weight w_i. When a value arrives, with e_i the absolute
error of a member, m the mean error of the last value, and h the horizon,

    w_i <- ((1 - SHARE) w_i + SHARE f_i) exp(-min((e_i - min e) / (m sqrt(h)), MAX_LOSS)), then all divided by their sum

where f are the first weights, of which the last value has most: an expert earns its weight. The published prediction is
the mean of the members with these weights. This is the exponentially weighted average forecaster with a fixed share,
whose regret against any sequence of members is bounded from the first event on (Herbster and Warmuth, "Tracking the
best expert", 1998). Errors at a horizon overlap, so each of them counts less.

There are two sets of weights, each used and learned in its own situation. A value is *surprising* if both the stack and
the last value missed it by more than ``SURPRISE`` m, with the m before it. It and the next one are the situation in
which nobody knows whether it was an outlier, where the last value fails, or a step, where the stack does: each stream
has its own answer. At a horizon h, the next h - 1 values are no new surprise.

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
SURPRISE = 5.0
SURPRISED_EVENTS = 2
BLOCK = 64
MAX_GROWTH = 10.0
FIRST = 10
"""Number of first errors that are not limited."""
MIN_ERROR = 1e-300


class Mixture(NamedTuple):
    """The arrays of one stream, with P members, of which the first is the stack, and M pending labels."""

    weights: NDArray[np.float64]  # (2, P): usually, and after a surprising value; sums 1
    errors: NDArray[np.float64]  # (2,): sums of the last value's errors, in this block and in the one before
    judged: NDArray[np.int64]  # (1,): number of events so far whose label has arrived
    calm: NDArray[np.int64]  # (1,): number of known values since the last surprising one
    pending: NDArray[np.float64]  # (M, P + 1): predictions, oldest first, and index of their weights
    waiting: NDArray[np.int64]  # (1,): number of pending predictions


def fields(members: int, pending: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream; at most ``pending`` labels are pending."""
    described = {
        "weights": ArraySpec((2, members), "float64", tuple(_first_weights(members))),
        "errors": ArraySpec((2,), "float64"),
        "judged": ArraySpec((1,), "int64"),
        "calm": ArraySpec((1,), "int64", SURPRISED_EVENTS),
        "pending": ArraySpec((pending, members + 1), "float64"),
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
    new = np.column_stack((predictions, np.zeros(len(values))))
    waiting = np.concatenate((mixture.pending, new))
    mixed = np.empty((len(values), 2))
    _observe(mixture, values, waiting, (_first_weights(predictions.shape[1]), horizon), mixed)
    mixture.pending[:] = waiting[len(values) :]
    return mixed[:, 0], mixed[:, 1]


def stack_weight(row: ArrayViews) -> float:
    """Return the weight of the stack after the last value."""
    surprised = int(row[_PREFIX + "calm"][0] < SURPRISED_EVENTS)
    weight: float = row[_PREFIX + "weights"][surprised, 0]
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
        situation = 1 if mixture.calm[0] < SURPRISED_EVENTS else 0
        now[-1] = situation
        weights = mixture.weights[situation]
        heaviest = np.argmax(weights)
        mean = now[heaviest]
        for member in range(len(weights)):  # exactly their prediction if all members agree
            mean += weights[member] * (now[member] - now[heaviest])
        mixed[event, 0], mixed[event, 1] = mean, weights[0]


@compiled
def _learn(
    mixture: Mixture, value: float, due: NDArray[np.float64], first_weights: NDArray[np.float64], horizon: int
) -> None:
    weights = mixture.weights[int(due[-1])]
    errors = np.abs(value - due[:-1])
    limit = SURPRISE * _mean_error(mixture)
    mixture.calm[0] += 1
    if mixture.judged[0] >= FIRST and min(errors[0], errors[LAST_VALUE]) > limit and mixture.calm[0] >= horizon:
        mixture.calm[0] = 0
    _add_error(mixture, errors[LAST_VALUE])
    unit = max(_mean_error(mixture), MIN_ERROR) * np.sqrt(horizon)
    smallest = errors.min()
    for member in range(len(weights)):
        loss = min((errors[member] - smallest) / unit, MAX_LOSS)
        weights[member] = ((1 - SHARE) * weights[member] + SHARE * first_weights[member]) * np.exp(-loss)
    weights /= weights.sum()


@compiled
def _mean_error(mixture: Mixture) -> float:
    """Return m."""
    judged = mixture.judged[0]
    count = judged if judged <= BLOCK else BLOCK + (judged - 1) % BLOCK + 1
    mean: float = mixture.errors.sum() / max(count, 1)
    return mean


@compiled
def _add_error(mixture: Mixture, error: float) -> None:
    if mixture.judged[0] >= FIRST:
        error = min(error, MAX_GROWTH * _mean_error(mixture))
    if mixture.judged[0] % BLOCK == 0:
        mixture.errors[1] = mixture.errors[0]
        mixture.errors[0] = 0.0
    mixture.errors[0] += error
    mixture.judged[0] += 1
