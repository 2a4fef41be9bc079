"""The stack: the published prediction, weighted from those of the experts (Wolpert, "Stacked generalization", 1992).

The weights sum to 1 and are learned by regression of what the first expert leaves over on how far the others are from
it, in spreads, with slow forgetting; they begin equal. What is published is at most half the experts' range outside it,
and exactly what the first one says where they agree but for rounding.
An expert whose prediction is not finite is taken to say what the first one says.
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.number import ridge
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

FORGETTING = 0.999
RIDGE = 10.0
MARGIN = 0.5
ROUNDING = 1e-14  # of the size of a prediction


def fields(experts: int, pending: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream, of which so many labels may be pending."""
    return ridge.fields(_PREFIX, pending=pending, first_weights=_first_weights(experts))


def observe(
    row: ArrayViews,
    values: NDArray[np.float64],
    predictions: NDArray[np.float64],
    spread: NDArray[np.float64],
    *,
    horizon: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Learn K values and weigh what the experts predict after each.

    Args:
        row: The arrays of the stream, written to.
        values: NaN where missing, float64 ``(K,)``.
        predictions: Those of E experts after each event, float64 ``(K, E)``.
        spread: In units of the values, above 0, float64 ``(K,)``.
        horizon: Steps until the label of an event comes.

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
    least, most = predictions.min(axis=1), predictions.max(axis=1)
    margin = MARGIN * (most - least)
    stacked = np.clip(fitted.predictions, least - margin, most + margin)
    weights = np.column_stack([1 - fitted.weights.sum(axis=1), fitted.weights])
    return np.where(most - least <= ROUNDING * np.abs(first), first, stacked), weights


def break_sequence(row: ArrayViews) -> None:
    """Let the next value be no label of what was predicted before it."""
    ridge.break_sequence(row, _PREFIX)


_PREFIX = "stack_"


def _first_weights(experts: int) -> NDArray[np.float64]:
    return np.full(experts - 1, 1 / experts)
