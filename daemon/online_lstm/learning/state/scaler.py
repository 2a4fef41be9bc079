"""Online standardisation of numbers: each number is scaled to standard deviations from its mean.

The module owns a mean and a variance for each number of a sample, over all samples of a partition; it must not know
what the numbers mean. The scale changes after the first, second, fourth ... sixty-fourth sample, and then after every
``BLOCK`` samples. So the scale is a function of the samples, and does not depend on how they are split into calls.
"""

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.state.packed import ArraySpec, ArrayViews

BLOCK = 64
"""Number of samples after which the scale is updated."""
MAX_DEVIATIONS = 5.0
"""Limit of a number's distance from the mean, in standard deviations: an outlier moves the scale little."""
MAX_SAMPLES = 32_768
"""Limit of the sample count that weighs the past: older samples fade, and the scale follows a drift."""
MAX_VALUE = 1e150
"""Limit of a number's magnitude, so that its square is finite."""
_NORMAL = 1.4826
"""Standard deviation of a normal distribution, divided by its median absolute deviation."""

Numbers = NDArray[np.float64]


def fields(features: int) -> dict[str, ArraySpec]:
    """Describe the arrays of a scale for samples of ``features`` numbers.

    ``scale_block`` has the samples since the scale last changed; until the first block is full, it has all samples.
    """
    return {
        "scale_samples": ArraySpec((1,), "int64"),
        "scale_block": ArraySpec((BLOCK, features), "float64", np.nan),
        "scale_counts": ArraySpec((features,), "float64"),
        "scale_means": ArraySpec((features,), "float64"),
        "scale_variances": ArraySpec((features,), "float64"),
    }


def room(row: ArrayViews) -> int:
    """Return the number of samples until the scale changes."""
    seen = int(row["scale_samples"][0])
    return (1 << seen.bit_length()) - seen if seen < BLOCK else BLOCK - seen % BLOCK


def scaled(row: ArrayViews, samples: Numbers) -> NDArray[np.float32]:
    """Compute samples, float64 (K, features), in standard deviations from the mean; a missing number (NaN) becomes 0.

    If a number has been constant so far, any other number is one standard deviation away.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        away = samples - row["scale_means"]
        deviations = away / np.sqrt(row["scale_variances"])
    deviations = np.where(row["scale_variances"] > 0, deviations, np.sign(away))
    unknown = np.isnan(samples) | (row["scale_counts"] == 0)
    return np.where(unknown, 0, np.clip(deviations, -MAX_DEVIATIONS, MAX_DEVIATIONS)).astype(np.float32)


def observe(row: ArrayViews, samples: Numbers) -> None:
    """Learn from samples, float64 (K, features), at most ``room`` of them."""
    seen = int(row["scale_samples"][0])
    start = seen % BLOCK
    row["scale_block"][start : start + len(samples)] = np.clip(samples, -MAX_VALUE, MAX_VALUE)
    changes = len(samples) == room(row)
    row["scale_samples"][0] = seen = seen + len(samples)
    if changes and seen <= BLOCK:
        _begin(row, row["scale_block"][:seen])
    elif changes:
        _move(row, row["scale_block"])


def _begin(row: ArrayViews, block: Numbers) -> None:
    """Compute mean and variance of the first samples, with numbers far from the median clipped."""
    for feature, column in enumerate(block.T):
        known = column[~np.isnan(column)]
        if len(known):
            median = np.median(known)
            limit = MAX_DEVIATIONS * _NORMAL * np.median(np.abs(known - median))
            near = np.clip(known, median - limit, median + limit) if limit else known
            row["scale_counts"][feature] = len(known)
            row["scale_means"][feature], row["scale_variances"][feature] = near.mean(), near.var()


def _move(row: ArrayViews, block: Numbers) -> None:
    """Update mean and variance (Chan, Golub and LeVeque, 1979) by deviations that are limited."""
    counts, means, variances = row["scale_counts"], row["scale_means"], row["scale_variances"]
    known = ~np.isnan(block)
    # the first numbers that differ are not outliers: how far numbers differ is still unknown
    limit = np.where(variances > 0, MAX_DEVIATIONS * np.sqrt(variances), MAX_VALUE)
    first = (counts == 0) & known.any(axis=0)
    means[:] = np.where(first, np.where(known, block, 0)[known.argmax(axis=0), np.arange(block.shape[1])], means)
    away = np.where(known, np.clip(block - means, -limit, limit), 0)
    new = known.sum(axis=0)
    total = counts + new
    share = 1 / np.maximum(total, 1)
    step = away.sum(axis=0) * share
    variances[:] = np.maximum((counts * variances + (away * away).sum(axis=0)) * share - step * step, 0)
    means += step
    counts[:] = np.minimum(total, MAX_SAMPLES)
