"""The task ``number``: predict the values of quantities some events ahead.

It says what counts as a hit, and turns arrays into predictions and evaluations; it knows neither network nor experts.
What is predicted of one component at one horizon is a channel; arrays have an axis over horizons, then one over
components.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import Event, NumberEvaluation, NumberPrediction
from online_lstm.learning.scoring import regression
from online_lstm.settings import Settings

TOLERANCE = 0.1
"""So much of the mean distance of a stream's numbers from their centre is near enough, unless the settings say."""


class NumberTask:
    """Read and score the numbers of one stream."""

    def __init__(self, settings: Settings) -> None:
        self._tolerance = None if settings.tolerance is None else np.array(settings.tolerance)[:, None]

    @staticmethod
    def values(events: Sequence[Event]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Give values, NaN where missing, ``(K, D)``, and time stamps in milliseconds, ``(K,)``."""
        values = np.array([event.vector for event in events], np.float64)
        return values, np.array([event.record.timestamp_ms for event in events], np.int64)

    def hits(self, absolute_errors: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say which predictions, ``(K, H, D, P)``, were near enough, given the scale of the values, ``(K, H, D)``."""
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
        """Give what is published after K events.

        Args:
            published: Float64 ``(K, H, D)``.
            bounds: Lower and upper ones, float64 ``(K, H, D, 2)``.
            experts: What each of E says, float64 ``(K, H, D, E)``.
            weights: Their weights, likewise.
        """
        count, channels = len(published), published[0].size
        of_experts = np.stack([experts, weights], axis=-1).reshape(count, channels, -1, 2).transpose(0, 2, 3, 1)
        told = zip(
            published.reshape(count, -1).tolist(),
            bounds.reshape(count, -1, 2).tolist(),
            of_experts.tolist(),
            strict=True,
        )
        return [
            NumberPrediction(
                tuple(values),
                tuple((low, high) for low, high in lines),
                tuple((tuple(said), tuple(weight)) for said, weight in others),
            )
            for values, lines, others in told
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
        """Judge what had been published for K events; of C channels, horizon by horizon of each component.

        Args:
            scored: Whether something was scored at all, bool ``(K,)``.
            predicted: What had been predicted, NaN where nothing was, ``(K, C)``.
            errors: Values minus that, NaN where not known, ``(K, C)``.
            hits: Which are hits, read where the error is known, bool ``(K, C)``.
            covered: 1 within the interval, 0 outside, NaN where there was none, ``(K, C)``.
            losses: What adds up, of each event, ``(K, C, columns)``.
            sums: The same over the score window after each of the S scored ones, ``(S, C, columns)``.
            drifts: Whether the stream was found to have changed, of each event.
        """
        places = np.maximum(np.cumsum(scored) - 1, 0).tolist()
        of_window = np.moveaxis(regression.scores_of(sums), 0, 1).tolist()  # (S, scores, C)
        told = zip(
            *(array.tolist() for array in (scored, predicted, errors, hits, covered)),
            losses,
            places,
            drifts,
            strict=True,
        )
        return [
            NumberEvaluation(
                predicted=tuple(predicted),
                hits=tuple(hit if error == error else None for hit, error in zip(near, off, strict=True)),  # noqa: PLR0124 - NaN is not
                errors=tuple(off),
                covered=tuple(bool(one) if one == one else None for one in within),  # noqa: PLR0124
                scores=tuple(map(tuple, of_window[place])),
                losses=lost,
                drift=drift,
            )
            if counts
            else None
            for counts, predicted, off, near, within, lost, place, drift in told
        ]
