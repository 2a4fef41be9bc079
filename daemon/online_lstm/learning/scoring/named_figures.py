"""The figures of scores by name, as in the report of a backtest.

Number predictions have figures over all channels, and figures of each component and horizon.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import NUMBER_SCORES
from online_lstm.learning.scoring import classification, regression
from online_lstm.learning.state.packed import ArrayViews
from online_lstm.predictor_scores import PredictorScores
from online_lstm.settings import Settings
from online_lstm.significance import kappa_temporal


def score_figures(settings: Settings, rows: ArrayViews) -> dict[str, Any]:
    """Return the figures over the score windows of streams, all None before the first scored event.

    ``rows`` are packed arrays of ``classification.fields``, with a leading axis over the streams.
    """
    rates, losses = classification.summary(rows, settings.predictors)
    figures: dict[str, Any] = {
        "hit_rate": rates and rates.published,
        "baseline_hit_rates": rates and rates.baselines,
        "expert_hit_rates": rates and rates.experts,
    }
    if settings.task == "number":
        return {**figures, **number_figures(settings, losses)}
    figures["kappa_temporal"] = kappa_temporal(rates) if rates else None
    return {**figures, "log_loss_bits": None if losses is None else float(losses[0])}


def number_figures(settings: Settings, sums: NDArray[np.float64] | None) -> dict[str, Any]:
    """Return named figures from sums or means, float64 ``(C, columns)``; all None if nothing was scored.

    Errors over several components are None, because the components may have different units. With more than one
    channel, ``channels`` has the figures of each channel.
    """
    predictors = settings.predictors
    if sums is None:
        sums = np.zeros((settings.channels, regression.columns(predictors.count)))
    report = regression.regression_stats(sums, predictors, components=settings.features)
    errors: PredictorScores[float] | PredictorScores[None]
    errors = report.mean_absolute_errors or predictors.named([None] * predictors.count)
    figures: dict[str, Any] = {
        "mean_absolute_error": errors.published,
        "baseline_mean_absolute_errors": errors.baselines,
        "expert_mean_absolute_errors": errors.experts,
        "root_mean_squared_error": report.root_mean_squared_error,
        "mean_absolute_percentage_error": report.mean_absolute_percentage_error,
        "mean_absolute_error_ratio": report.mean_absolute_error_ratios.published,
        "skill": report.skill,
        **{f"skill_{name}": skill for name, skill in report.skills.items()},
        "interval_coverage": report.interval_coverage,
    }
    return figures if settings.channels == 1 else {**figures, "channels": list(_channels(settings, sums))}


def _channels(settings: Settings, sums: NDArray[np.float64]) -> Iterator[dict[str, Any]]:
    scores = np.where(np.isfinite(metrics := regression.scores_of(sums)), metrics, np.nan).T.tolist()
    components = settings.component_names or range(settings.features)
    channels = [(component, horizon) for horizon in settings.horizons for component in components]
    for (component, horizon), row in zip(channels, scores, strict=True):
        figures = {name: None if figure != figure else figure for name, figure in zip(NUMBER_SCORES, row, strict=True)}  # noqa: PLR0124 - NaN is not
        yield {"component": component, "horizon": horizon, **figures}
