"""The errors of numeric forecasts: loss columns that are summed over events, and metrics computed from the sums.

A channel is one component at one horizon. An event has, for each channel, the loss columns

    1                  if the channel was scored
    |e|                of the published prediction, each baseline and each expert
    e^2                if |e| is at most 1e150, else 0
    (e / 1e150)^2      if |e| is above 1e150, else 0
    |y|
    |e| / |y|          if y is not 0, else 0
    1                  if y is not 0
    1                  if there was an interval
    1                  if the value was inside the interval

with e the value y minus the published prediction. With m(x) the sum of x divided by the number of its terms,

    mean absolute error m(|e|)                    root mean squared error sqrt(m(e^2))
    mean absolute percentage error m(|e| / |y|)   mean absolute error ratio sum |e| / sum |y|
    skill against a baseline 1 - m(|e|) / m(|e| of the baseline)

Shares are fractions: 0.05 is 5 %. A metric is NaN where its divisor is 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import BASELINES
from online_lstm.predictor_scores import Predictors
from online_lstm.significance import paired_error
from online_lstm.telemetry import RegressionStats

MAX_ERROR = 1e300
"""Larger errors are limited to this value, so that their mean is finite."""
LARGE = 1e150
"""Unit of larger errors when they are squared, because the square may exceed float64."""

_AFTER = 7  # columns after the absolute errors
_SIZE = -5  # the column of |y|
_BASELINES = len(BASELINES["number"])


class RegressionMetrics(NamedTuple):
    """The metrics of channels, float64 ``(...)``, some with a last axis over P predictors or B baselines."""

    mean_absolute_errors: NDArray[np.float64]  # (..., P)
    root_mean_squared_error: NDArray[np.float64]
    mean_absolute_percentage_error: NDArray[np.float64]
    mean_absolute_error_ratios: NDArray[np.float64]  # (..., P)
    skills: NDArray[np.float64]  # (..., B)
    interval_coverage: NDArray[np.float64]


def columns(predictors: int) -> int:
    """Return the number of loss columns."""
    return 1 + predictors + _AFTER


def losses_of(
    values: NDArray[np.float64], predictions: NDArray[np.float64], covered: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the loss columns of C channels.

    Args:
        values: NaN where missing, float64 ``(..., C)``.
        predictions: Of P predictors, the published one first; NaN if there was none, float64 ``(..., C, P)``.
        covered: 1 if the value was inside its interval, 0 if not, NaN if there was no interval, float64 ``(..., C)``.

    Returns:
        Float64 ``(..., C, columns)``; zeros where a channel was not scored.
    """
    scored = np.isfinite(values) & np.isfinite(predictions[..., 0])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        errors = np.abs(values[..., None] - predictions)
        # a prediction that is not finite gets the largest error
        errors = np.minimum(np.where(np.isfinite(errors), errors, MAX_ERROR), MAX_ERROR)
        own, size = errors[..., 0], np.minimum(np.abs(values), MAX_ERROR)
        some = size > 0
        shares = np.minimum(np.where(some, own / size, 0), MAX_ERROR)
    bounded = np.isfinite(covered)
    large = own > LARGE
    squares = [np.where(large, 0, own) ** 2, (np.where(large, own, 0) / LARGE) ** 2]
    after = [*squares, size, shares, some, bounded, np.where(bounded, covered, 0)]
    all_columns = np.concatenate([np.ones((*values.shape, 1)), errors, np.stack(after, axis=-1)], axis=-1)
    losses: NDArray[np.float64] = np.where(scored[..., None], all_columns, 0)
    return losses


def absolute_errors(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the absolute errors in ``losses``, float64 ``(..., C, P)``; valid only for scored channels."""
    return losses[..., 1:-_AFTER]


def squared_differences(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the summed squares of the published prediction's absolute error minus the error of each baseline.

    The losses are the result of ``losses_of`` for events, float64 ``(N..., C, columns)``; the sums over the events are
    ``(C, B)``.
    """
    errors, axes = absolute_errors(losses), tuple(range(losses.ndim - 2))
    with np.errstate(over="ignore"):
        columns = [np.square(errors[..., 0] - errors[..., 1 + b]).sum(axis=axes) for b in range(_BASELINES)]
    return np.stack(columns, axis=-1)


def skill_error(sums: NDArray[np.float64], squares: NDArray[np.float64]) -> float | None:
    """Return the standard error of the skill of ``regression_stats``; None if unknown or the errors are too large.

    For one channel, it is the standard error of the mean difference between the absolute errors of the published
    prediction and the best baseline, divided by the mean absolute error of that baseline. For several channels, it is
    the mean of the channels' standard errors, an upper bound that is reached if the errors of all channels are fully
    correlated.

    Args:
        sums: Sums of the results of ``losses_of``, float64 ``(C, columns)``.
        squares: The result of ``squared_differences`` for the same events, ``(C, B)``.
    """
    own, *baselines = absolute_errors(sums)[:, : 1 + _BASELINES].T.tolist()
    errors = []
    for channel, scored in enumerate(np.rint(sums[:, 0]).astype(int).tolist()):
        baseline, best = min(enumerate(row[channel] for row in baselines), key=lambda pair: pair[1])
        if scored and best > 0:
            error = paired_error(own[channel] - best, float(squares[channel, baseline]), scored, scored)
            errors.append(error / (best / scored))
    return _mean(np.array(errors)) if np.isfinite(errors).all() else None


def mean_sizes(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean |y| of channels, float64 ``(...)``, from sums of loss columns; NaN if nothing was scored."""
    with np.errstate(invalid="ignore", divide="ignore"):
        sizes: NDArray[np.float64] = sums[..., _SIZE] / sums[..., 0]
    return sizes


def regression_metrics(sums: NDArray[np.float64]) -> RegressionMetrics:
    """Return the metrics of channels, from sums or means of loss columns, float64 ``(..., columns)``."""
    scored, squares, large_squares, size, shares, some, bounded, covered = (
        sums[..., column] for column in (0, *range(-_AFTER, 0))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        means = absolute_errors(sums) / scored[..., None]
        return RegressionMetrics(
            mean_absolute_errors=means,
            root_mean_squared_error=np.hypot(np.sqrt(squares / scored), LARGE * np.sqrt(large_squares / scored)),
            mean_absolute_percentage_error=shares / some,
            mean_absolute_error_ratios=np.where(size[..., None] > 0, absolute_errors(sums) / size[..., None], np.nan),
            skills=_skills(means),
            interval_coverage=covered / bounded,
        )


def scores_of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores in evaluations of C channels, in the order of ``NUMBER_SCORES``, float64 ``(..., S, C)``."""
    metrics = regression_metrics(sums)
    means = metrics.mean_absolute_errors
    return np.stack(
        [
            means[..., 0],
            means[..., 1 : 1 + _BASELINES].min(axis=-1),
            metrics.root_mean_squared_error,
            metrics.mean_absolute_percentage_error,
            *[metrics.skills[..., baseline] for baseline in range(_BASELINES)],
            metrics.interval_coverage,
        ],
        axis=-2,
    )


def regression_stats(sums: NDArray[np.float64], predictors: Predictors, *, components: int) -> RegressionStats:
    """Return the metrics of all channels together, from sums or means of loss columns, float64 ``(C, columns)``.

    Errors with a unit are means over the horizons; they are None for several components, because components may have
    different units. Skills and ratios are means over the channels in which they are defined. Shares are computed over
    all scored predictions. ``skill_error`` is None, because it cannot be computed from sums.
    """
    metrics, whole = regression_metrics(sums), regression_metrics(sums.sum(axis=0))
    best = metrics.mean_absolute_errors[:, 1 : 1 + _BASELINES].min(axis=1)
    alike = components == 1 and np.isfinite(whole.root_mean_squared_error)
    return RegressionStats(
        mean_absolute_errors=predictors.named(whole.mean_absolute_errors.tolist()) if alike else None,
        root_mean_squared_error=float(whole.root_mean_squared_error) if alike else None,
        mean_absolute_error_ratios=predictors.named([_mean(ratio) for ratio in metrics.mean_absolute_error_ratios.T]),
        mean_absolute_percentage_error=_mean(whole.mean_absolute_percentage_error),
        skill=_mean(_skill(metrics.mean_absolute_errors[:, 0], best)),
        skills=dict(zip(predictors.baselines, map(_mean, metrics.skills.T), strict=True)),
        interval_coverage=_mean(whole.interval_coverage),
    )


def _skills(means: NDArray[np.float64]) -> NDArray[np.float64]:
    return _skill(means[..., :1], means[..., 1 : 1 + _BASELINES])


def _skill(own: NDArray[np.float64], of_baseline: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        skill: NDArray[np.float64] = np.where(of_baseline > 0, 1 - own / of_baseline, np.nan)
    return skill


def _mean(figures: NDArray[np.float64]) -> float | None:
    known = figures[np.isfinite(figures)]
    return float(known.mean()) if known.size else None
