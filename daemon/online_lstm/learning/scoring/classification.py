"""The hits and losses over the score window: hit rates, window sums and their standard errors.

It owns the hits of the last scored events, with one column for each predictor and the published prediction first, and
the losses of these events, whose meaning is defined by the task. It does not know the predictions. An event may have
several predictions.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.state.packed import ArraySpec, ArrayViews
from online_lstm.predictor_scores import Predictors, PredictorScores
from online_lstm.significance import paired_error

NAMES = ("scores_count", "scores_totals", "scores_sums", "scores_hits", "scores_losses")
BLOCK = 64
"""Events between two full summations over the window; a smaller window is summed once per window length."""


def fields(
    score_window: int, predictors: int, losses: int | tuple[int, ...], *, predictions: int = 1
) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream; ``hits`` and ``losses`` are rings, ``sums`` counts the hits in the ring.

    If an event may have several ``predictions``, the last column of the hits counts the scored predictions.
    """
    columns, shape = predictors + (predictions > 1), (losses,) if isinstance(losses, int) else losses
    return {
        "scores_count": ArraySpec((1,), "int64"),
        "scores_totals": ArraySpec((columns,), "int64"),
        "scores_sums": ArraySpec((columns,), "int64"),
        "scores_hits": ArraySpec((score_window, columns), "int32" if predictions > 1 else "bool"),
        "scores_losses": ArraySpec((score_window, *shape), "float64"),
    }


def record(row: ArrayViews, hits: NDArray[np.generic], losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score a run of events.

    Args:
        row: The arrays of the stream, written to.
        hits: Whether each predictor was right, bool ``(K, P)``; with several predictions an event, the number of hits
            of each predictor and the number of scored predictions, int32 ``(K, P + 1)``.
        losses: The losses of the events, float64 ``(K, ...)``.

    Returns:
        The hit rates after each event, float64 ``(K, P)``. They do not depend on how a stream is split into runs.
    """
    ring, count = row["scores_hits"], int(row["scores_count"][0])
    window = len(ring)
    numbers = np.arange(count, count + len(hits))
    slots = numbers % window
    # the free slots of a ring that is not full hold no hits, so overwriting them removes none
    leaving = np.concatenate((ring[slots[:window]], hits[:-window]))
    sums = row["scores_sums"] + np.subtract(hits, leaving, dtype=np.int64).cumsum(axis=0)
    ring[slots[-window:]] = hits[-window:]
    row["scores_losses"][slots[-window:]] = losses[-window:]
    row["scores_sums"][:] = sums[-1] if len(sums) else row["scores_sums"]
    row["scores_totals"] += np.add.reduce(hits, axis=0, dtype=np.int64)
    row["scores_count"][0] = count + len(hits)
    return _rates(ring, sums, np.minimum(numbers + 1, window)[:, None])


def rates(row: ArrayViews) -> NDArray[np.float64] | None:
    """Return the hit rates over the window, float64 ``(P,)``; None before the first scored event."""
    scored = min(int(row["scores_count"][0]), len(row["scores_hits"]))
    return _rates(row["scores_hits"], row["scores_sums"], scored) if scored else None


def misses(hits: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the share of wrong published predictions at K events, float64 ``(K,)``; ``hits`` as for ``record``."""
    several = hits.dtype != np.bool_
    shares: NDArray[np.float64] = 1 - np.divide(hits[:, 0], hits[:, -1] if several else 1)
    return shares


def _rates(ring: NDArray[np.generic], sums: NDArray[np.int64], events: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide hits by the number of scored predictions: one an event, or the count in the last column."""
    several = ring.dtype != np.bool_
    hit_rates: NDArray[np.float64] = sums[..., :-1] / sums[..., -1:] if several else np.divide(sums, events)
    return hit_rates


def window_sums(row: ArrayViews, losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of the losses over the window after each of K events that are not yet recorded.

    The result is float64 ``(K, ...)``. At the first event of a block, the whole window is summed again, backwards, so
    that no rounding error of a large loss outlives the loss in the window. Within the block, the sum of the block's new
    losses is added to the sum of the older losses that are still in the window.
    """
    ring, count = row["scores_losses"], int(row["scores_count"][0])
    window = len(ring)
    block, base, end = min(BLOCK, window), max(0, count - window), count + len(losses)
    series = np.concatenate([ring[np.arange(base, count) % window], losses])
    sums = np.empty_like(losses)
    for first in range(count // block * block, end, block):
        before = np.cumsum(series[first - base - 1 :: -1] if first > base else series[:0], axis=0)[:window]
        before = np.concatenate([np.zeros_like(series[:1]), before])
        after = np.cumsum(series[first - base : first - base + block], axis=0)
        here = np.arange(max(first, count), min(first + block, end))
        kept = np.minimum(window - 1 - (here - first), first)
        sums[here - count] = before[kept] + after[here - first]
    return sums


def scored(rows: ArrayViews) -> int:
    """Count the scored events in the windows of all streams; ``rows`` as for ``summary``."""
    return int(np.minimum(rows["scores_count"], rows["scores_hits"].shape[1]).sum())


def summary(
    rows: ArrayViews, predictors: Predictors
) -> tuple[PredictorScores[float], NDArray[np.float64]] | tuple[None, None]:
    """Return hit rates and mean losses of an event over the windows of all streams together.

    ``rows`` are packed arrays of ``fields``, with a leading axis over streams. None before the first scored event.
    """
    events = scored(rows)
    if not events:
        return None, None
    hit_rates = _rates(rows["scores_hits"], rows["scores_sums"].sum(axis=0), events)
    return predictors.named(hit_rates.tolist()), rows["scores_losses"].sum(axis=(0, 1)) / events


def lift_errors(rows: ArrayViews, predictors: Predictors) -> Mapping[str, float] | None:
    """Return the standard errors of the published hit rate minus the hit rate of each baseline.

    The hits in the windows of all streams together are compared event by event. ``rows`` as for ``summary``. None
    before the first scored event.
    """
    events, sums, hits = scored(rows), rows["scores_sums"].sum(axis=0).tolist(), rows["scores_hits"]
    if not events:
        return None
    several = hits.dtype != np.bool_
    predictions = sums[-1] if several else events
    named_sums = predictors.named(sums[: predictors.count])
    named_hits = predictors.named([hits[..., index] for index in range(predictors.count)])
    errors = {}
    for name, other in named_hits.baselines.items():
        if several:
            squares = int(np.square(named_hits.published - other, dtype=np.int64).sum())
        else:
            squares = int(np.count_nonzero(named_hits.published != other))
        total = named_sums.published - named_sums.baselines[name]
        errors[name] = paired_error(total, squares, events, predictions)
    return errors
