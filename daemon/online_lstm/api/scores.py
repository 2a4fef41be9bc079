"""The scores of a learner by name, as in the JSON report of a backtest."""

from typing import Any

from online_lstm.learning.learner_protocol import LearnerStats
from online_lstm.learning.scoring import classification
from online_lstm.learning.scoring.named_figures import score_figures
from online_lstm.settings import Settings


def scores_of(settings: Settings, stats: LearnerStats) -> dict[str, Any]:
    """Return the figures over the score windows of all streams together; rates and errors are None at the beginning."""
    figures = score_figures(settings, stats.scores)
    best = max(figures["baseline_hit_rates"].values(), default=None) if figures["hit_rate"] is not None else None
    return {
        "task": settings.task,
        "streams": stats.streams,
        "scored": classification.scored(stats.scores),
        **figures,
        "lift": None if best is None else figures["hit_rate"] - best,
        "lift_errors": classification.lift_errors(stats.scores, settings.predictors),
    }
