"""The task ``number``: predict the value of a quantity some events ahead.

It says what counts as a hit, and turns arrays into predictions and verdicts; it knows neither network nor experts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.records import Event, NumberPrediction, NumberVerdict
from daemon.settings import Settings

TOLERANCE = 0.1
"""So much of the mean distance of a stream's numbers from their centre is near enough, unless the settings say."""
MOST_ERROR = 1e300
"""A larger error counts as this one, so that the mean of some is finite."""


class NumberTask:
    """Read and score the numbers of one stream."""

    def __init__(self, settings: Settings) -> None:
        self._tolerance = settings.tolerance

    @staticmethod
    def values(events: Sequence[Event]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Give values and time stamps in milliseconds, ``(K,)`` each."""
        values = np.array([event.vector[0] for event in events], np.float64)
        return values, np.array([event.record.timestamp_ms for event in events], np.int64)

    @staticmethod
    def absolute_errors(errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give errors without sign; those that are not known are the largest."""
        return np.minimum(np.abs(np.where(np.isnan(errors), np.inf, errors)), MOST_ERROR)

    def hits(self, absolute_errors: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say which of ``(K, P)`` predictions were near enough, given the scale of the values then, ``(K,)``."""
        tolerance = TOLERANCE * scale[:, None] if self._tolerance is None else self._tolerance
        hits: NDArray[np.bool_] = absolute_errors <= tolerance
        return hits

    @staticmethod
    def predictions(
        made: NDArray[np.float64], experts: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> list[NumberPrediction]:
        """Give what is published, ``(K,)``, and what each expert says, with its weight, ``(K, E)``."""
        return [
            NumberPrediction(value, tuple(zip(said, weight, strict=True)))
            for value, said, weight in zip(made.tolist(), experts.tolist(), weights.tolist(), strict=True)
        ]

    @staticmethod
    def verdicts(
        scored: NDArray[np.bool_],
        pending: NDArray[np.float64],
        errors: NDArray[np.float64],
        hits: NDArray[np.bool_],
        losses: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> list[NumberVerdict | None]:
        """Judge K published predictions.

        Args:
            scored: Which of them there are, bool ``(K,)``.
            pending: What had been predicted, ``(K,)``.
            errors: Values minus what had been predicted, ``(K,)``.
            hits: Which are hits, bool ``(K,)``.
            losses: Errors of all predictors without sign, and values without sign, ``(K, P + 1)``; and the mean errors
                of published prediction and baselines after those that are scored, ``(S, 1 + B)``.
        """
        (line, means), places = losses, np.maximum(np.cumsum(scored) - 1, 0).tolist()
        told = zip(
            scored.tolist(), pending.tolist(), errors.tolist(), hits.tolist(), line.tolist(), places, strict=True
        )
        of_all = means.tolist()
        return [
            NumberVerdict(
                predicted=predicted,
                hit=hit,
                error=error,
                absolute_errors=tuple(absolute[:-1]),
                magnitude=absolute[-1],
                mean_absolute_error=of_all[place][0],
                baseline_mean_absolute_error=min(of_all[place][1:]),
            )
            if counts
            else None
            for counts, predicted, error, hit, absolute, place in told
        ]
