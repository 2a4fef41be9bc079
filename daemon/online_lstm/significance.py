"""Kappa-temporal, lift and standard errors of scores, and the display names of baselines and experts."""

import math

from online_lstm.predictor_scores import PredictorScores

REACHED = 0.95
"""Share of a level, current or final, from which a score counts as having reached the level."""


def kappa_temporal(rates: PredictorScores[float]) -> float | None:
    """Return the kappa-temporal statistic of the hit rate: 1 is perfect, 0 is as good as the last-value baseline.

    Zliobaite, Bifet, Read, Pfahringer and Holmes 2015, Evaluation methods and decision theory for classification of
    streaming data with temporal dependence, Machine Learning 98: (p - p_per) / (1 - p_per) with the hit rate p and the
    hit rate p_per of the last-value baseline. None if the last-value baseline is always right.

    >>> kappa_temporal(PredictorScores(0.75, {"last_value": 0.5}, {}))
    0.5
    >>> kappa_temporal(PredictorScores(1.0, {"last_value": 1.0}, {})) is None
    True
    """
    last_value = rates.baselines["last_value"]
    return (rates.published - last_value) / (1 - last_value) if last_value < 1 else None


def lift(rates: PredictorScores[float]) -> float:
    """Return the published hit rate minus the hit rate of the best baseline.

    >>> lift(PredictorScores(0.75, {"last_value": 0.25, "most_frequent": 0.5}, {}))
    0.25
    """
    return rates.published - max(rates.baselines.values())


def paired_error(total: float, squares: float, events: int, predictions: int) -> float:
    """Return the standard error of the mean difference of two predictors of the same events; NaN for infinite sums.

    Args:
        total: The sum of the differences d.
        squares: The sum of d^2, with one d for each event. For hits with one prediction an event, this is b + c and the
            total is b - c, with b and c the numbers of events at which only the first or only the second predictor was
            right (McNemar 1947, Note on the sampling error of the difference between correlated proportions or
            percentages, Psychometrika 12).
        events: Number of events with a difference; they are assumed to be independent.
        predictions: Number of scored predictions at these events; the mean is the total divided by this number.

    >>> paired_error(total=0, squares=49, events=100, predictions=100)
    0.07
    """
    return math.sqrt(max(squares - total * total / events, 0.0)) / predictions


def words_of(name: str, task: str) -> str:
    """Return the display name of a baseline or an expert; for labels, ``last_value`` is "last label".

    >>> words_of("suffix_memory", "symbol"), words_of("last_value", "label")
    ('suffix memory', 'last label')
    """
    return "last label" if (task, name) == ("label", "last_value") else name.replace("_", " ")
