"""Scores: how often the predictions of a stream were right lately, and how surprising its values were.

It owns the hits of the last scored predictions, one column for each predictor with the published prediction's
first, and its surprise; it does not know what was predicted.
"""

import numpy as np
from numpy.typing import NDArray

from daemon.rows import Field, Row

NAMES = ("scores_count", "scores_totals", "scores_sums", "scores_hits", "scores_bits")


def fields(score_window: int, predictors: int) -> dict[str, Field]:
    """Describe the arrays of one stream; ``hits`` and ``bits`` are rings, ``sums`` counts the hits in the ring."""
    return {
        "scores_count": Field((1,), "int64"),
        "scores_totals": Field((predictors,), "int64"),
        "scores_sums": Field((predictors,), "int64"),
        "scores_hits": Field((score_window, predictors), "bool"),
        "scores_bits": Field((score_window,), "float32"),
    }


def record(row: Row, hits: NDArray[np.bool_], bits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Score a run of predictions.

    Args:
        row: The arrays of the stream, written to.
        hits: Who was right, bool ``(K, P)``.
        bits: -log2 of the probability that had been published for the value that came, ``(K,)``.

    Returns:
        The hit rates after each of them, float64 ``(K, P)``; the same ones however a stream is split into runs.
    """
    ring, count = row["scores_hits"], int(row["scores_count"][0])
    window = len(ring)
    numbers = np.arange(count, count + len(hits))
    places = numbers % window
    # what the ring holds before it is full is no hit, so nothing leaves with it
    leaving = np.concatenate((ring[places[:window]], hits[:-window]))
    sums = row["scores_sums"] + np.subtract(hits, leaving, dtype=np.int64).cumsum(axis=0)
    ring[places[-window:]] = hits[-window:]
    row["scores_bits"][places[-window:]] = bits[-window:]
    row["scores_sums"][:] = sums[-1] if len(sums) else row["scores_sums"]
    row["scores_totals"] += np.add.reduce(hits, axis=0, dtype=np.int64)
    row["scores_count"][0] = count + len(hits)
    rates_after: NDArray[np.float64] = sums / np.minimum(numbers + 1, window)[:, None]
    return rates_after


def rates(row: Row) -> NDArray[np.float64] | None:
    """Give the hit rates over the window, float64 ``(P,)``, or None before the first scored prediction."""
    scored = min(int(row["scores_count"][0]), len(row["scores_hits"]))
    return np.divide(row["scores_sums"], scored) if scored else None


def summary(rows: Row) -> tuple[tuple[float, ...] | None, float | None]:
    """Give hit rates and mean surprise in bits over the windows of all streams together.

    Args:
        rows: Packed arrays, the ones of ``fields`` with a leading axis over streams.

    Returns:
        Hit rates, one for each predictor, and bits; None before the first scored prediction.
    """
    scored = int(np.minimum(rows["scores_count"], rows["scores_hits"].shape[1]).sum())
    if not scored:
        return None, None
    sums = rows["scores_sums"].sum(axis=0)
    bits = rows["scores_bits"].sum(dtype=np.float64)
    return tuple((sums / scored).tolist()), float(bits / scored)
