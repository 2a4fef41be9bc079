"""The figures of predicted numbers by their names, for reports: of all together, and of each component and horizon."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from daemon import accuracy
from daemon.commands.tables import table_of
from daemon.records import NUMBER_SCORES
from daemon.settings import Settings

TITLES = {
    "mean_absolute_error": "mean absolute error",
    "root_mean_squared_error": "root mean squared error",
    "mean_absolute_percentage_error": "mean absolute percentage error, as a share",
    "mean_absolute_error_ratio": "mean absolute error by mean value",
    "skill": "skill against the best baseline",
    "skill_last_value": "skill against last value",
    "skill_seasonal_naive": "skill against seasonal naive",
    "interval_coverage": "share within the interval",
}
ABBREVIATIONS = {
    "mean_absolute_error": "MAE",
    "baseline_mean_absolute_error": "baseline's",
    "root_mean_squared_error": "RMSE",
    "mean_absolute_percentage_error": "MAPE",
    "skill_last_value": "skill, last",
    "skill_seasonal_naive": "skill, season",
    "interval_coverage": "covered",
}


def number_figures(settings: Settings, sums: NDArray[np.float64] | None) -> dict[str, Any]:
    """Name the figures of sums or means of what adds up, float64 ``(C, columns)``; all None where nothing was scored.

    Errors of several components together are None, as they may have several units. Where there is more than one
    channel, ``channels`` has the figures of each.
    """
    names, predictors = (*settings.baselines, *settings.experts), settings.first_expert + len(settings.experts)
    if sums is None:
        sums = np.zeros((settings.channels, accuracy.columns(predictors)))
    report = accuracy.report_of(sums, settings.features)
    errors = report.mean_absolute_errors or (None,) * predictors
    by_name = dict(zip(names, errors[1:], strict=True))
    figures: dict[str, Any] = {
        "mean_absolute_error": errors[0],
        "baseline_mean_absolute_errors": {name: by_name[name] for name in settings.baselines},
        "expert_mean_absolute_errors": {name: by_name[name] for name in settings.experts},
        "root_mean_squared_error": report.root_mean_squared_error,
        "mean_absolute_percentage_error": report.mean_absolute_percentage_error,
        "mean_absolute_error_ratio": report.mean_absolute_error_ratio,
        "skill": report.skill,
        **{f"skill_{name}": skill for name, skill in zip(settings.baselines, report.skills, strict=True)},
        "interval_coverage": report.interval_coverage,
    }
    return figures if settings.channels == 1 else {**figures, "channels": list(_channels(settings, sums))}


def number_rows(figures: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Give what the figures are called, the figures, and how they are written."""
    for name, title in TITLES.items():
        style = "+.4f" if name.startswith("skill") else ".6g" if name.endswith("_error") else ".4f"
        if name == "mean_absolute_percentage_error":
            style = ".4f"
        if figures[name] is not None or "channels" not in figures:  # else it has no unit
            yield title, figures[name], style
        if name == "mean_absolute_error" and "channels" not in figures:
            for kind in ("baseline", "expert"):
                for who, error in figures[f"{kind}_mean_absolute_errors"].items():
                    yield f"mean absolute error, {kind} {who.replace('_', ' ')}", error, ".6g"


def channel_table(figures: dict[str, Any]) -> Table:
    """Lay out the figures of each component and horizon, with the usual abbreviations."""
    table = table_of("component >", "horizon >", *(f"{ABBREVIATIONS[name]} >" for name in NUMBER_SCORES))
    for channel in figures["channels"]:
        told = [channel[name] for name in NUMBER_SCORES]
        places = (str(channel["component"]), str(channel["horizon"]))
        table.add_row(*map(Text, (*places, *("-" if figure is None else f"{figure:.4g}" for figure in told))))
    return table


def _channels(settings: Settings, sums: NDArray[np.float64]) -> Iterator[dict[str, Any]]:
    scores = np.where(np.isfinite(found := accuracy.scores_of(sums)), found, np.nan).T.tolist()
    places = [(component, horizon) for horizon in settings.horizons for component in range(settings.features)]
    for (component, horizon), line in zip(places, scores, strict=True):
        told = {name: None if figure != figure else figure for name, figure in zip(NUMBER_SCORES, line, strict=True)}  # noqa: PLR0124 - NaN is not
        yield {"component": component, "horizon": horizon, **told}
