"""Calibration of probabilities: of all predictions with probability 0.8, four in five should be hits.

The expected calibration error is defined by Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities
using Bayesian binning" (2015), here for the most likely prediction only, as in Guo et al., "On calibration of modern
neural networks" (2017): over bins of equal width,

    sum of (predictions in the bin / all predictions) |share of hits - mean probability|
"""

from typing import Any

BINS = 10


class ReliabilityBins:
    """Hits and probabilities of predictions, in bins of the probability."""

    def __init__(self) -> None:
        self._counts, self._hits, self._sums = [0] * BINS, [0] * BINS, [0.0] * BINS

    def add(self, probability: float, *, hit: bool) -> None:
        """Count a prediction that was made with this probability, 0 to 1."""
        index = min(int(probability * BINS), BINS - 1)
        self._counts[index] += 1
        self._hits[index] += hit
        self._sums[index] += probability

    def to_json(self) -> dict[str, Any]:
        """Return the error and the bins; figures are None where nothing was counted.

        >>> reliability = ReliabilityBins()
        >>> for hit in (True, True, False, False):
        ...     reliability.add(0.75, hit=hit)
        >>> figures = reliability.to_json()
        >>> figures["expected_calibration_error"], figures["bins"][7]
        (0.25, {'from': 0.7, 'to': 0.8, 'count': 4, 'probability': 0.75, 'hit_rate': 0.5})
        """
        whole = sum(self._counts)
        off = sum(abs(hits - total) for hits, total in zip(self._hits, self._sums, strict=True))
        bins = [
            {
                "from": index / BINS,
                "to": (index + 1) / BINS,
                "count": count,
                "probability": total / count if count else None,
                "hit_rate": hits / count if count else None,
            }
            for index, (count, hits, total) in enumerate(zip(self._counts, self._hits, self._sums, strict=True))
        ]
        return {"expected_calibration_error": off / whole if whole else None, "bins": bins}
