"""The fallback from the stack to a baseline, for as long as the baseline has recently been much better.

The state is a running mean of the absolute errors for the stack and each baseline, and for each baseline the running
share of events at which its error was less than half the error of the stack. From ``MIN_JUDGED`` labels on, a baseline
replaces the stack if its mean error is less than half the mean error of the stack, and if its share is above ``OFTEN``.
Among several such baselines, the one with the smallest mean error is published. Both conditions are necessary: the
first excludes a baseline that is closer most of the time but far off when it matters, the second excludes a
switch after a few bad events. A mean error of the stack up to ``MIN_RELATIVE_ERROR`` of the mean absolute value counts
as zero.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

RATE = 0.02
MUCH = 0.5
OFTEN = 0.75
MIN_RELATIVE_ERROR = 1e-12
MIN_JUDGED = 20


class Record(NamedTuple):
    """The arrays of one stream, with P predictors, of which the first is the stack, and M pending labels."""

    errors: NDArray[np.float64]  # (P,): running mean
    shares: NDArray[np.float64]  # (P,): share of events at which the predictor was much better than the stack
    size: NDArray[np.float64]  # (1,): running mean of the absolute values
    judged: NDArray[np.int64]  # (1,): number of events so far whose label has arrived
    pending: NDArray[np.float64]  # (M, P): predictions, oldest first
    waiting: NDArray[np.int64]  # (1,): number of pending predictions


def fields(predictors: int, pending: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream; at most ``pending`` labels are pending."""
    described = {
        "errors": ArraySpec((predictors,), "float64"),
        "shares": ArraySpec((predictors,), "float64"),
        "size": ArraySpec((1,), "float64"),
        "judged": ArraySpec((1,), "int64"),
        "pending": ArraySpec((pending, predictors), "float64"),
        "waiting": ArraySpec((1,), "int64"),
    }
    return {_PREFIX + name: described[name] for name in Record._fields}


def observe(
    row: ArrayViews, values: NDArray[np.float64], predictions: NDArray[np.float64], *, horizon: int
) -> NDArray[np.int64]:
    """Learn K values, and choose one of the P predictions after each.

    Args:
        row: The arrays of the stream, written to.
        values: NaN where missing, ``(K,)``.
        predictions: Float64 ``(K, P)``, the stack first.
        horizon: Events until the label of an event arrives.

    Returns:
        The index of the chosen prediction, int64 ``(K,)``; 0 is the stack.
    """
    record = _record(row)
    waiting = np.concatenate((record.pending, predictions))
    chosen = np.empty(len(values), np.int64)
    _observe(record, values, waiting, horizon, chosen)
    record.pending[:] = waiting[len(values) :]
    return chosen


def best(row: ArrayViews) -> int:
    """Return the index of the prediction that was chosen after the last value; 0 is the stack."""
    chosen: int = _best(_record(row))
    return chosen


def break_sequence(row: ArrayViews) -> None:
    """Discard the predictions that wait for a label."""
    row[_PREFIX + "waiting"][:] = 0


_PREFIX = "fallback_"


def _record(row: ArrayViews) -> Record:
    return Record(*[row[_PREFIX + name] for name in Record._fields])


@compiled
def _observe(
    record: Record,
    values: NDArray[np.float64],
    waiting: NDArray[np.float64],
    horizon: int,
    chosen: NDArray[np.int64],
) -> None:
    for event in range(len(values)):
        due = waiting[len(record.pending) - horizon + event]
        if record.waiting[0] < horizon:
            record.waiting[0] += 1
        elif not np.isnan(values[event]):
            record.judged[0] += 1
            rate = max(RATE, 1 / record.judged[0])
            record.size[0] += rate * (abs(values[event]) - record.size[0])
            of_stack = abs(values[event] - due[0])
            for predictor in range(len(record.errors)):
                error = abs(values[event] - due[predictor])
                record.errors[predictor] += rate * (error - record.errors[predictor])
                better = 1.0 if error < MUCH * of_stack else 0.0
                record.shares[predictor] += rate * (better - record.shares[predictor])
        chosen[event] = _best(record)


@compiled
def _best(record: Record) -> int:
    best = 0
    wrong = record.judged[0] >= MIN_JUDGED and record.errors[0] > MIN_RELATIVE_ERROR * record.size[0]
    for predictor in range(1, len(record.errors)):
        much = wrong and record.errors[predictor] < MUCH * record.errors[0]
        if much and record.shares[predictor] > OFTEN and record.errors[predictor] < record.errors[best]:
            best = predictor
    return best
