"""How far off predictions of numbers were: what adds up over events, and the figures that follow from the sums.

A channel is one component at one horizon. What is added up of an event is, for each channel, a column for each of

    1 if it was scored | |e| of the published prediction, each baseline and each expert | e^2, and in a column of its
    own (e / 1e150)^2 where |e| is above 1e150 | |y| | |e| / |y| and 1 where y is not 0 | 1 if there was an interval,
    and 1 if the value was within it

with e the value y minus the published prediction. With m(x) the sum of x by the number of those that it is the sum of,

    mean absolute error m(|e|)                    root mean squared error sqrt(m(e^2))
    mean absolute percentage error m(|e| / |y|)   mean absolute error ratio sum |e| / sum |y|
    skill against a baseline 1 - m(|e|) / m(|e| of the baseline)

Shares are no percents: 0.05 is 5 %. Each is NaN where it is divided by nothing.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import BASELINES
from online_lstm.significance import paired_error
from online_lstm.telemetry import RegressionStats

MAX_ERROR = 1e300
"""A larger error counts as this one, so that the mean of some is finite."""
LARGE = 1e150
"""The square of a larger error may be no number, so it is taken in this unit."""

_AFTER = 7  # columns after the absolute errors
_SIZE = -5  # the column of |y|
_BASELINES = len(BASELINES["number"])


class RegressionMetrics(NamedTuple):
    """The figures of channels, float64 ``(...)`` each; with a last axis over predictors or baselines where said."""

    mean_absolute_errors: NDArray[np.float64]  # (..., P)
    root_mean_squared_error: NDArray[np.float64]
    mean_absolute_percentage_error: NDArray[np.float64]
    mean_absolute_error_ratios: NDArray[np.float64]  # (..., P)
    skills: NDArray[np.float64]  # (..., B)
    interval_coverage: NDArray[np.float64]


def columns(predictors: int) -> int:
    """Count the columns that add up."""
    return 1 + predictors + _AFTER


def losses_of(
    values: NDArray[np.float64], predictions: NDArray[np.float64], covered: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give what adds up of C channels that may have been scored.

    Args:
        values: NaN where missing, float64 ``(..., C)``.
        predictions: Those of P predictors, the published one first; NaN where there was none, float64 ``(..., C, P)``.
        covered: 1 if the value was within its interval, 0 if not, NaN where there was none, float64 ``(..., C)``.

    Returns:
        Float64 ``(..., C, columns)``; zeros where a channel was not scored.
    """
    scored = np.isfinite(values) & np.isfinite(predictions[..., 0])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        errors = np.abs(values[..., None] - predictions)
        # an expert that says nothing finite is as far off as can be
        errors = np.minimum(np.where(np.isfinite(errors), errors, MAX_ERROR), MAX_ERROR)
        own, size = errors[..., 0], np.minimum(np.abs(values), MAX_ERROR)
        some = size > 0
        shares = np.minimum(np.where(some, own / size, 0), MAX_ERROR)
    bounded = np.isfinite(covered)
    large = own > LARGE
    squares = [np.where(large, 0, own) ** 2, (np.where(large, own, 0) / LARGE) ** 2]
    after = [*squares, size, shares, some, bounded, np.where(bounded, covered, 0)]
    line = np.concatenate([np.ones((*values.shape, 1)), errors, np.stack(after, axis=-1)], axis=-1)
    found: NDArray[np.float64] = np.where(scored[..., None], line, 0)
    return found


def absolute_errors(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the absolute errors of what ``losses_of`` gave, float64 ``(..., C, P)``; read where scored."""
    return losses[..., 1:-_AFTER]


def squared_differences(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the squares of the published prediction's absolute error minus that of each baseline, of what was scored.

    Of what ``losses_of`` gave for events, float64 ``(N..., C, columns)``, the sums over the events, ``(C, B)``.
    """
    errors, axes = absolute_errors(losses), tuple(range(losses.ndim - 2))
    with np.errstate(over="ignore"):
        columns = [np.square(errors[..., 0] - errors[..., 1 + b]).sum(axis=axes) for b in range(_BASELINES)]
    return np.stack(columns, axis=-1)


def skill_error(sums: NDArray[np.float64], squares: NDArray[np.float64]) -> float | None:
    """Return the standard error of the skill of ``regression_stats``; None if unknown or the errors are too large.

    That of a channel is the standard error of the mean difference of the absolute errors of published prediction and
    best baseline, by the mean of the latter; that of several is the mean of theirs, which is most: what it is where
    all of them err together.

    Args:
        sums: Of what ``losses_of`` gave, float64 ``(C, columns)``.
        squares: Of the same events, as ``squared_differences`` gives them, ``(C, B)``.
    """
    own, *baselines = absolute_errors(sums)[:, : 1 + _BASELINES].T.tolist()
    found = []
    for channel, scored in enumerate(np.rint(sums[:, 0]).astype(int).tolist()):
        place, best = min(enumerate(line[channel] for line in baselines), key=lambda pair: pair[1])
        if scored and best > 0:
            error = paired_error(own[channel] - best, float(squares[channel, place]), scored, scored)
            found.append(error / (best / scored))
    return _mean(np.array(found)) if np.isfinite(found).all() else None


def mean_sizes(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the mean |y| of channels, float64 ``(...)``, from sums of what ``losses_of`` gave; NaN where nothing was."""
    with np.errstate(invalid="ignore", divide="ignore"):
        sizes: NDArray[np.float64] = sums[..., _SIZE] / sums[..., 0]
    return sizes


def regression_metrics(sums: NDArray[np.float64]) -> RegressionMetrics:
    """Give the figures of channels, from sums or means of what ``losses_of`` gave, float64 ``(..., columns)``."""
    scored, squares, large_squares, size, shares, some, bounded, covered = (
        sums[..., place] for place in (0, *range(-_AFTER, 0))
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
    """Give what evaluations tell of channels, in the order of ``NUMBER_SCORES``, float64 ``(S, ..., C)``."""
    found = regression_metrics(sums)
    means = found.mean_absolute_errors
    skills = np.moveaxis(found.skills, -1, 0)
    return np.stack(
        [
            means[..., 0],
            means[..., 1 : 1 + _BASELINES].min(axis=-1),
            found.root_mean_squared_error,
            found.mean_absolute_percentage_error,
            *skills,
            found.interval_coverage,
        ]
    )


def regression_stats(sums: NDArray[np.float64], components: int) -> RegressionStats:
    """Give the figures of all channels together, from their sums or means, float64 ``(C, columns)``.

    Errors that have a unit are means over the horizons, and None where there are several components, as these may have
    several units. Skills and ratios are means over the channels that have one; shares are of all scored predictions.
    ``skill_error`` is None: it takes more than sums.
    """
    found, whole = regression_metrics(sums), regression_metrics(sums.sum(axis=0))
    best = found.mean_absolute_errors[:, 1 : 1 + _BASELINES].min(axis=1)
    alike = components == 1 and np.isfinite(whole.root_mean_squared_error)
    return RegressionStats(
        mean_absolute_errors=tuple(whole.mean_absolute_errors.tolist()) if alike else None,
        root_mean_squared_error=float(whole.root_mean_squared_error) if alike else None,
        mean_absolute_error_ratios=tuple(_mean(ratio) for ratio in found.mean_absolute_error_ratios.T),
        mean_absolute_percentage_error=_mean(whole.mean_absolute_percentage_error),
        skill=_mean(_skill(found.mean_absolute_errors[:, 0], best)),
        skills=tuple(_mean(skill) for skill in found.skills.T),
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
