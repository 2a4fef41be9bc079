"""The stack: a weighted mean of the experts' predictions (Wolpert, "Stacked generalization", 1992).

The weights sum to 1 and are equal at the beginning. They are learned by a regression with slow forgetting: the error of
the first expert is regressed on the differences between the other experts and the first expert, in spreads. The result
is limited to the range of the experts' predictions, extended by half its width on both sides. If all experts agree up
to rounding, the result is exactly the prediction of the first expert. A prediction that is not finite is replaced by
the prediction of the first expert.
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.number import ridge
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

FORGETTING = 0.999
RIDGE = 10.0
MARGIN = 0.5
ROUNDING = 1e-14  # relative to the size of a prediction


def fields(experts: int, pending: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream; at most ``pending`` labels are pending."""
    return ridge.fields(_PREFIX, pending=pending, first_weights=_first_weights(experts))


def observe(
    row: ArrayViews,
    values: NDArray[np.float64],
    predictions: NDArray[np.float64],
    spread: NDArray[np.float64],
    *,
    horizon: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Learn K values, and weight the predictions of the experts after each value.

    Args:
        row: The arrays of the stream, written to.
        values: NaN where missing, float64 ``(K,)``.
        predictions: Predictions of E experts after each event, float64 ``(K, E)``.
        spread: Spread in units of the values, above 0, float64 ``(K,)``.
        horizon: Steps until the label of an event arrives.

    Returns:
        The predictions, float64 ``(K,)``, and the experts' weights, ``(K, E)``.
    """
    first = predictions[:, 0]
    predictions = np.where(np.isfinite(predictions), predictions, first[:, None])
    with np.errstate(over="ignore"):
        apart = np.clip((predictions[:, 1:] - first[:, None]) / spread[:, None], -ridge.MAX_TARGET, ridge.MAX_TARGET)
    fitted = ridge.observe(
        row,
        _PREFIX,
        values,
        np.column_stack([apart, first, spread]),
        horizon=horizon,
        first_weights=_first_weights(predictions.shape[1]),
        forgetting=FORGETTING,
        ridge=RIDGE,
    )
    lowest, highest = predictions.min(axis=1), predictions.max(axis=1)
    margin = MARGIN * (highest - lowest)
    stacked = np.clip(fitted.predictions, lowest - margin, highest + margin)
    return np.where(highest - lowest <= ROUNDING * np.abs(first), first, stacked), _with_first(fitted.weights)


def weights_of(row: ArrayViews) -> NDArray[np.float64]:
    """Return the experts' weights after the last value, float64 ``(E,)``."""
    weights: NDArray[np.float64] = _with_first(row[_PREFIX + "weights"][None])[0]
    return weights


def break_sequence(row: ArrayViews) -> None:
    """Discard the predictions that wait for a label."""
    ridge.break_sequence(row, _PREFIX)


_PREFIX = "stack_"


def _with_first(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of all experts, of which the stack learns all but the first, float64 ``(K, E)``."""
    return np.column_stack([1 - weights.sum(axis=1), weights])


def _first_weights(experts: int) -> NDArray[np.float64]:
    return np.full(experts - 1, 1 / experts)
