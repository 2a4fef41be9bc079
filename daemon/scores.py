"""Scores: how often the predictions of a stream were right lately, and what they lost.

It owns the hits of the last scored predictions, one column for each predictor with the published prediction's
first, and their losses, whose meaning is the task's; it does not know what was predicted.
"""

import numpy as np
from numpy.typing import NDArray

from daemon.rows import Field, Row

NAMES = ("scores_count", "scores_totals", "scores_sums", "scores_hits", "scores_losses")


def fields(score_window: int, predictors: int, losses: int) -> dict[str, Field]:
    """Describe the arrays of one stream; ``hits`` and ``losses`` are rings, ``sums`` counts the hits in the ring."""
    return {
        "scores_count": Field((1,), "int64"),
        "scores_totals": Field((predictors,), "int64"),
        "scores_sums": Field((predictors,), "int64"),
        "scores_hits": Field((score_window, predictors), "bool"),
        "scores_losses": Field((score_window, losses), "float64"),
    }


def record(row: Row, hits: NDArray[np.bool_], losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score a run of predictions.

    Args:
        row: The arrays of the stream, written to.
        hits: Who was right, bool ``(K, P)``.
        losses: What they lost, float64 ``(K, L)``.

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
    row["scores_losses"][places[-window:]] = losses[-window:]
    row["scores_sums"][:] = sums[-1] if len(sums) else row["scores_sums"]
    row["scores_totals"] += np.add.reduce(hits, axis=0, dtype=np.int64)
    row["scores_count"][0] = count + len(hits)
    rates_after: NDArray[np.float64] = sums / np.minimum(numbers + 1, window)[:, None]
    return rates_after


def rates(row: Row) -> NDArray[np.float64] | None:
    """Give the hit rates over the window, float64 ``(P,)``, or None before the first scored prediction."""
    scored = min(int(row["scores_count"][0]), len(row["scores_hits"]))
    return np.divide(row["scores_sums"], scored) if scored else None


def mean_losses(row: Row, losses: NDArray[np.float64], *, first: int) -> NDArray[np.float64]:
    """Give the first mean losses over the window after each of K predictions that are yet to be recorded.

    float64 ``(K, first)``; each is summed anew over its window, so that nothing is left of what is large and gone.
    """
    ring, count = row["scores_losses"], int(row["scores_count"][0])
    window = len(ring)
    kept = ring[np.arange(max(0, count - window), count) % window, :first]
    line = np.concatenate([kept, losses[:, :first]])
    means = np.empty((len(losses), first))
    for place in range(len(losses)):
        end = len(kept) + place + 1
        means[place] = line[max(0, end - window) : end].mean(axis=0)
    return means


def summary(rows: Row) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Give hit rates and mean losses over the windows of all streams together.

    Args:
        rows: Packed arrays, the ones of ``fields`` with a leading axis over streams.

    Returns:
        Hit rates, one for each predictor, and losses; None before the first scored prediction.
    """
    scored = int(np.minimum(rows["scores_count"], rows["scores_hits"].shape[1]).sum())
    if not scored:
        return None
    sums = rows["scores_sums"].sum(axis=0)
    losses = rows["scores_losses"].sum(axis=(0, 1))
    return tuple((sums / scored).tolist()), tuple((losses / scored).tolist())
