"""One sentence that says whether a learner is better than doing nothing clever."""

import math
from collections.abc import Mapping
from typing import Any

from daemon.indicators import words_of

FEWEST = 100
"""Of fewer predictions nothing is concluded."""
DEVIATIONS = 2.0
"""A lift within so many standard deviations of chance is none."""
SLIGHT = 0.01
"""A skill within this is none."""


def headline(figures: Mapping[str, Any]) -> tuple[str, str]:
    """Give a word for how it did (``good``, ``even``, ``bad`` or ``none``), and a sentence that says it."""
    scored = figures["scored"]
    if not scored:
        return "none", "Nothing was scored, so there is nothing to tell."
    if scored < FEWEST:
        return "none", f"Too little to tell: only {scored:,} prediction{'s were' if scored > 1 else ' was'} scored."
    if "skill" in figures:
        return _of_numbers(figures)
    rate, baselines = figures["hit_rate"], figures["baseline_hit_rates"]
    best = max(baselines, key=lambda name: baselines[name])
    chance = math.sqrt((rate * (1 - rate) + baselines[best] * (1 - baselines[best])) / scored)
    kind = _kind(figures["lift"], DEVIATIONS * chance)
    return kind, (
        f"{_BEGINNINGS[kind]}: {_percent(rate)} of {scored:,} predictions were right; "
        f"the best baseline, {words_of(best, figures['task'])}, had {_percent(baselines[best])}."
    )


def _of_numbers(figures: Mapping[str, Any]) -> tuple[str, str]:
    skill = figures["skill"]
    if skill is None:
        return "none", "Nothing to compare with: the baselines made no error."
    kind = _kind(skill, SLIGHT)
    own, baselines = figures["mean_absolute_error"], figures["baseline_mean_absolute_errors"]
    if own is None:
        how = f"{_percent(abs(skill))} {'less' if skill >= 0 else 'more'} than that of the best baseline of each"
        return kind, f"{_BEGINNINGS[kind]}: over components and horizons the mean absolute error is {how}."
    best = min(baselines, key=lambda name: math.inf if baselines[name] is None else baselines[name])
    return kind, (
        f"{_BEGINNINGS[kind]}: the mean absolute error of {figures['scored']:,} predictions is {own:.4g}; "
        f"that of the best baseline, {words_of(best, figures['task'])}, is {baselines[best]:.4g}."
    )


_BEGINNINGS = {
    "good": "Better than doing nothing clever",
    "even": "No better than doing nothing clever",
    "bad": "Worse than doing nothing clever",
}


def _kind(lift: float, noise: float) -> str:
    return "good" if lift > noise else "bad" if lift < -noise else "even"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
