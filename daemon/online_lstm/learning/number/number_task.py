"""The task ``number``: forecast numeric values some events ahead.

It defines a hit, and converts arrays to predictions and evaluations. It knows neither network nor experts. One
component at one horizon is a channel; arrays have an axis over horizons, followed by an axis over components.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import NumberEvaluation, NumberEvent, NumberPrediction
from online_lstm.learning.scoring import regression
from online_lstm.settings import Settings
from online_lstm.timestamps import wall_clock_ms

TOLERANCE = 0.1
"""Default tolerance of a hit, as a share of the mean distance of a stream's numbers from their centre."""


class NumberTask:
    """The reader and scorer of the numbers of one stream."""

    def __init__(self, settings: Settings) -> None:
        self._time_zone = settings.time_zone
        self._tolerance = None if settings.tolerance is None else np.array(settings.tolerance)[:, None]

    def values(self, events: Sequence[NumberEvent]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the values, NaN where missing, ``(K, D)``, and the times by the clock in milliseconds, ``(K,)``."""
        values = np.array([event.vector for event in events], np.float64)
        times = [wall_clock_ms(event.record.timestamp_ms, self._time_zone) for event in events]
        return values, np.array(times, np.int64)

    def hits(self, absolute_errors: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which predictions, ``(K, H, D, P)``, are hits, given the scale of the values, ``(K, H, D)``."""
        tolerance = TOLERANCE * scale[..., None] if self._tolerance is None else self._tolerance
        hits: NDArray[np.bool_] = absolute_errors <= tolerance
        return hits

    @staticmethod
    def predictions(
        published: NDArray[np.float64],
        bounds: NDArray[np.float64],
        experts: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> list[NumberPrediction]:
        """Return the predictions to publish after K events.

        Args:
            published: The published predictions, float64 ``(K, H, D)``.
            bounds: Lower and upper bounds, float64 ``(K, H, D, 2)``.
            experts: The predictions of E experts, float64 ``(K, H, D, E)``.
            weights: The weights of the experts, float64 ``(K, H, D, E)``.
        """
        count, channels = len(published), published[0].size
        by_expert = np.stack([experts, weights], axis=-1).reshape(count, channels, -1, 2).transpose(0, 2, 3, 1)
        rows = zip(
            published.reshape(count, -1).tolist(),
            bounds.reshape(count, -1, 2).tolist(),
            by_expert.tolist(),
            strict=True,
        )
        return [
            NumberPrediction(
                tuple(values),
                tuple((low, high) for low, high in intervals),
                tuple((tuple(predicted), tuple(shares)) for predicted, shares in by_expert),
            )
            for values, intervals, by_expert in rows
        ]

    @staticmethod
    def evaluations(
        scored: NDArray[np.bool_],
        predicted: NDArray[np.float64],
        errors: NDArray[np.float64],
        hits: NDArray[np.bool_],
        covered: NDArray[np.float64],
        *,
        losses: NDArray[np.float64],
        sums: NDArray[np.float64],
        drifts: Sequence[bool],
    ) -> list[NumberEvaluation | None]:
        """Return the evaluations of the predictions for K events.

        The C channels are all components of the first horizon, then those of the next horizon, and so on.

        Args:
            scored: Whether any channel was scored, bool ``(K,)``.
            predicted: The predictions, NaN where there was no prediction, ``(K, C)``.
            errors: Values minus predictions, NaN where unknown, ``(K, C)``.
            hits: Which predictions are hits, read only where the error is known, bool ``(K, C)``.
            covered: 1 inside the interval, 0 outside, NaN where there was no interval, ``(K, C)``.
            losses: The loss columns of each event, ``(K, C, columns)``.
            sums: Sums of the losses over the score window after each of S scored events, ``(S, C, columns)``.
            drifts: Whether a drift was detected at each event.
        """
        indices = np.maximum(np.cumsum(scored) - 1, 0).tolist()  # among the scored events
        scores = regression.scores_of(sums).tolist()  # (S, scores, C)
        rows = zip(
            *(array.tolist() for array in (scored, predicted, errors, hits, covered)),
            losses,
            indices,
            drifts,
            strict=True,
        )
        return [
            NumberEvaluation(
                predicted=tuple(predicted),
                hits=tuple(hit if error == error else None for hit, error in zip(near, off, strict=True)),  # noqa: PLR0124 - NaN is not
                errors=tuple(off),
                covered=tuple(bool(one) if one == one else None for one in within),  # noqa: PLR0124
                scores=tuple(map(tuple, scores[index])),
                losses=lost,
                drift=drift,
            )
            if counts
            else None
            for counts, predicted, off, near, within, lost, index, drift in rows
        ]
