"""Online regression: recursive least squares with forgetting, a ridge and delayed labels.

For an event s with inputs x_s, a base b_s and a spread v_s, the prediction of the value h steps later is

    b_s + v_s w.x_s        w = w0 + (R + ridge I)^-1 r

When the value y has arrived, its outcome is o = (y - b_s) / v_s, limited to 8 in size, and the update is

    R = forgetting R + a x x'        r = forgetting r + a x (o - w0.x)        a = min(1, m / |o - w.x|)

where m is the running mean of |o - w.x|: the loss of errors above m is linear, not quadratic (Huber, "Robust estimation
of a location parameter", 1964). The state is R, not its inverse, and the ridge is not forgotten (exponentially weighted
least squares in information form, Haykin, "Adaptive Filter Theory"). Therefore the state can neither wind up nor lose
its symmetry: R + ridge I always has a Cholesky decomposition.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

MAX_TARGET = 8.0
RATE_OF_ERROR = 0.005


class Ridge(NamedTuple):
    """The arrays of one stream, with N inputs and M pending labels, at least h."""

    products: NDArray[np.float64]  # (N, N): R; only the lower half is used
    answers: NDArray[np.float64]  # (N,): r
    weights: NDArray[np.float64]  # (N,): w
    error: NDArray[np.float64]  # (1,): m
    learned: NDArray[np.int64]  # (1,)
    pending: NDArray[np.float64]  # (M, N + 2): inputs, base and spread, oldest first; spread 0: no event


class RidgeFit(NamedTuple):
    """The predictions and weights after each of K events, and the outcomes at these events."""

    predictions: NDArray[np.float64]  # (K,): in units of the values
    weights: NDArray[np.float64]  # (K, N)
    outcomes: NDArray[np.float64]  # (K,): o of the event h steps before, NaN if unknown


def fields(prefix: str, *, pending: int, first_weights: NDArray[np.float64]) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream; ``first_weights`` are w0, float64 ``(N,)``."""
    inputs = len(first_weights)
    described = {
        "products": ArraySpec((inputs, inputs), "float64"),
        "answers": ArraySpec((inputs,), "float64"),
        "weights": ArraySpec((inputs,), "float64", tuple(first_weights)),
        "error": ArraySpec((1,), "float64"),
        "learned": ArraySpec((1,), "int64"),
        "pending": ArraySpec((pending, inputs + 2), "float64"),
    }
    return {prefix + name: described[name] for name in Ridge._fields}


def observe(
    row: ArrayViews,
    prefix: str,
    values: NDArray[np.float64],
    inputs: NDArray[np.float64],
    *,
    horizon: int,
    first_weights: NDArray[np.float64],
    forgetting: float,
    ridge: float,
    learns: bool = True,
) -> RidgeFit:
    """Learn K values as labels of the events ``horizon`` steps before them, and predict after each value.

    Args:
        row: The arrays of the stream, written to.
        prefix: Prefix of the array names.
        values: NaN where missing, float64 ``(K,)``; missing values are not learned.
        inputs: Inputs, bases and spreads of the events, float64 ``(K, N + 2)``.
        horizon: h in the formula.
        first_weights: w0, float64 ``(N,)``.
        forgetting: Factor on R and r at each event.
        ridge: The ridge in the formula.
        learns: If false, the weights stay unchanged; predictions and outcomes are returned all the same.
    """
    count, size = len(values), len(first_weights)
    fitted = RidgeFit(np.empty(count), np.empty((count, size)), np.empty(count))
    state = Ridge(*[row[prefix + name] for name in Ridge._fields])
    waiting = np.concatenate((state.pending, inputs))
    _observe(state, values, waiting, (first_weights, forgetting, ridge, horizon, learns), fitted)
    state.pending[:] = waiting[count:]
    return fitted


def break_sequence(row: ArrayViews, prefix: str) -> None:
    """Discard the events that wait for a label."""
    row[prefix + "pending"][...] = 0


@compiled
def _observe(
    state: Ridge,
    values: NDArray[np.float64],
    waiting: NDArray[np.float64],
    how: tuple[NDArray[np.float64], float, float, int, bool],
    fitted: RidgeFit,
) -> None:
    first_weights, forgetting, ridge, horizon, learns = how
    size = len(first_weights)
    pending = len(state.pending)
    lower = np.empty((size, size))
    for event in range(len(values)):
        due = waiting[pending - horizon + event]
        fitted.outcomes[event] = np.nan
        if due[size + 1] > 0 and not np.isnan(values[event]):
            outcome = min(max((values[event] - due[size]) / due[size + 1], -MAX_TARGET), MAX_TARGET)
            fitted.outcomes[event] = outcome
            if learns:
                _learn(state, due[:size], outcome, first_weights, forgetting)
                _solve(state.products, state.answers, ridge, lower, state.weights)
                for index in range(size):
                    state.weights[index] += first_weights[index]
        now = waiting[pending + event]
        scaled = 0.0
        for index in range(size):
            fitted.weights[event, index] = state.weights[index]
            scaled += state.weights[index] * now[index]
        fitted.predictions[event] = now[size] + now[size + 1] * min(max(scaled, -MAX_TARGET), MAX_TARGET)


@compiled
def _learn(
    state: Ridge,
    inputs: NDArray[np.float64],
    outcome: float,
    first_weights: NDArray[np.float64],
    forgetting: float,
) -> None:
    """Add one labelled event to R and r."""
    error = outcome
    answer = outcome
    for index in range(len(inputs)):
        error -= state.weights[index] * inputs[index]
        answer -= first_weights[index] * inputs[index]
    state.learned[0] += 1
    state.error[0] += max(1 / state.learned[0], RATE_OF_ERROR) * (abs(error) - state.error[0])
    attention = 1.0 if abs(error) <= state.error[0] else state.error[0] / abs(error)
    for index in range(len(inputs)):
        given = attention * inputs[index]
        state.answers[index] = forgetting * state.answers[index] + given * answer
        for other in range(index + 1):
            state.products[index, other] = forgetting * state.products[index, other] + given * inputs[other]


@compiled
def _solve(
    products: NDArray[np.float64],
    answers: NDArray[np.float64],
    ridge: float,
    lower: NDArray[np.float64],
    solution: NDArray[np.float64],
) -> None:
    """Write (R + ridge I)^-1 r, by Cholesky decomposition into ``lower``."""
    size = len(answers)
    for row in range(size):
        for column in range(row + 1):
            rest = products[row, column] + (ridge if row == column else 0.0)
            for index in range(column):
                rest -= lower[row, index] * lower[column, index]
            lower[row, column] = np.sqrt(max(rest, ridge)) if row == column else rest / lower[column, column]
    for row in range(size):
        rest = answers[row]
        for index in range(row):
            rest -= lower[row, index] * solution[index]
        solution[row] = rest / lower[row, row]
    for row in range(size - 1, -1, -1):
        rest = solution[row]
        for index in range(row + 1, size):
            rest -= lower[index, row] * solution[index]
        solution[row] = rest / lower[row, row]
