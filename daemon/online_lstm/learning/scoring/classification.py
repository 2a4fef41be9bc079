"""Scores: how often the predictions of a stream were right lately, and what they lost.

It owns the hits of the last scored events, one column for each predictor with the published prediction's first, and
their losses, whose meaning is the task's; it does not know what was predicted. An event may have several predictions.
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.state.packed import ArraySpec, ArrayViews
from online_lstm.significance import paired_error

NAMES = ("scores_count", "scores_totals", "scores_sums", "scores_hits", "scores_losses")
BLOCK = 64
"""Sums over the window begin anew with every so many events, or as many as it has."""


def fields(
    score_window: int, predictors: int, losses: int | tuple[int, ...], *, predictions: int = 1
) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream; ``hits`` and ``losses`` are rings, ``sums`` counts the hits in the ring.

    Where an event may have several ``predictions``, the last column of the hits counts those that were scored.
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
        hits: Who was right, bool ``(K, P)``; or how often, and of how many predictions, int32 ``(K, P + 1)``.
        losses: What they lost, float64 ``(K, ...)``.

    Returns:
        The hit rates after each of them, float64 ``(K, P)``; the same ones however a stream is split into runs.
    """
    ring, count = row["scores_hits"], int(row["scores_count"][0])
    window = len(ring)
    numbers = np.arange(count, count + len(hits))
    places = numbers % window
    # what the ring holds before it is full is no hit, so nothing leaves with it
    on_revoked = np.concatenate((ring[places[:window]], hits[:-window]))
    sums = row["scores_sums"] + np.subtract(hits, on_revoked, dtype=np.int64).cumsum(axis=0)
    ring[places[-window:]] = hits[-window:]
    row["scores_losses"][places[-window:]] = losses[-window:]
    row["scores_sums"][:] = sums[-1] if len(sums) else row["scores_sums"]
    row["scores_totals"] += np.add.reduce(hits, axis=0, dtype=np.int64)
    row["scores_count"][0] = count + len(hits)
    return _rates(ring, sums, np.minimum(numbers + 1, window)[:, None])


def rates(row: ArrayViews) -> NDArray[np.float64] | None:
    """Give the hit rates over the window, float64 ``(P,)``, or None before the first scored event."""
    scored = min(int(row["scores_count"][0]), len(row["scores_hits"]))
    return _rates(row["scores_hits"], row["scores_sums"], scored) if scored else None


def misses(hits: NDArray[np.generic]) -> NDArray[np.float64]:
    """Give the share of the published predictions that was wrong at K events, float64 ``(K,)``; of hits as recorded."""
    several = hits.dtype != np.bool_
    found: NDArray[np.float64] = 1 - np.divide(hits[:, 0], hits[:, -1] if several else 1)
    return found


def _rates(ring: NDArray[np.generic], sums: NDArray[np.int64], events: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide hits by the predictions that were scored: one an event, or as many as the last column says."""
    several = ring.dtype != np.bool_
    found: NDArray[np.float64] = sums[..., :-1] / sums[..., -1:] if several else np.divide(sums, events)
    return found


def window_sums(row: ArrayViews, losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the sums of the losses over the window after each of K events that are yet to be recorded.

    float64 ``(K, ...)``. At the first event of a block all of the window is summed anew, backwards, so that nothing is
    left of what is large and gone; what comes in the block is added to as much of that as is still in the window.
    """
    ring, count = row["scores_losses"], int(row["scores_count"][0])
    window = len(ring)
    block, base, end = min(BLOCK, window), max(0, count - window), count + len(losses)
    line = np.concatenate([ring[np.arange(base, count) % window], losses])
    sums = np.empty_like(losses)
    for first in range(count // block * block, end, block):
        before = np.cumsum(line[first - base - 1 :: -1] if first > base else line[:0], axis=0)[:window]
        before = np.concatenate([np.zeros_like(line[:1]), before])
        after = np.cumsum(line[first - base : first - base + block], axis=0)
        here = np.arange(max(first, count), min(first + block, end))
        kept = np.minimum(window - 1 - (here - first), first)
        sums[here - count] = before[kept] + after[here - first]
    return sums


def scored(rows: ArrayViews) -> int:
    """Count the scored events within the windows of all streams; ``rows`` as ``summary`` takes them."""
    return int(np.minimum(rows["scores_count"], rows["scores_hits"].shape[1]).sum())


def summary(rows: ArrayViews) -> tuple[tuple[float, ...], NDArray[np.float64]] | None:
    """Give hit rates and mean losses over the windows of all streams together.

    Args:
        rows: Packed arrays, the ones of ``fields`` with a leading axis over streams.

    Returns:
        Hit rates, one for each predictor, and losses of an event; None before the first scored event.
    """
    events = scored(rows)
    if not events:
        return None
    found = _rates(rows["scores_hits"], rows["scores_sums"].sum(axis=0), events)
    return tuple(found.tolist()), rows["scores_losses"].sum(axis=(0, 1)) / events


def lift_errors(rows: ArrayViews, others: int) -> tuple[float, ...] | None:
    """Give the standard errors of the published prediction's hit rate minus that of each of the first others.

    Over the windows of all streams together, whose hits say who was right where another one was wrong; ``rows`` as
    ``summary`` takes them. None before the first scored event.
    """
    events, sums, hits = scored(rows), rows["scores_sums"].sum(axis=0).tolist(), rows["scores_hits"]
    if not events:
        return None
    several = hits.dtype != np.bool_
    predictions = sums[-1] if several else events
    errors = []
    for place in range(1, others + 1):
        if several:
            squares = int(np.square(hits[..., 0] - hits[..., place], dtype=np.int64).sum())
        else:
            squares = int(np.count_nonzero(hits[..., 0] != hits[..., place]))
        errors.append(paired_error(sums[0] - sums[place], squares, events, predictions))
    return tuple(errors)
