"""What a hit rate is worth beside those of simple rules, and what these are called where people read."""

import math
from collections.abc import Collection

REACHED = 0.95
"""With this share of a level, that of now or of the end, a hit rate has reached it."""


def kappa_temporal(hit_rate: float, last_value: float) -> float | None:
    """Say what a hit rate is worth where values often stay as they are: 1 all right, 0 as good as the last value.

    The kappa-temporal statistic of Zliobaite, Bifet, Read, Pfahringer and Holmes 2015, Evaluation methods and decision
    theory for classification of streaming data with temporal dependence, Machine Learning 98: (p - p_per) / (1 - p_per)
    with the hit rate p and that of the last value. None where the last value is always right.

    >>> kappa_temporal(0.75, 0.5), kappa_temporal(0.25, 0.25), kappa_temporal(1.0, 1.0)
    (0.5, 0.0, None)
    """
    return (hit_rate - last_value) / (1 - last_value) if last_value < 1 else None


def lift(hit_rate: float, baselines: Collection[float]) -> float:
    """Give a hit rate minus that of the best baseline.

    >>> lift(0.75, (0.25, 0.5))
    0.25
    """
    return hit_rate - max(baselines)


def paired_error(total: float, squares: float, events: int, predictions: int) -> float:
    """Give the standard error of the mean difference of two predictors of the same; NaN of sums that are infinite.

    Args:
        total: The sum of the differences d.
        squares: The sum of d^2, each that of an event. Of hits with one prediction an event this is b + c, where the
            total is b - c: who was right where the other one was not (McNemar 1947, Note on the sampling error of the
            difference between correlated proportions or percentages, Psychometrika 12).
        events: How many events had a difference; they are taken as independent of each other.
        predictions: How many predictions were judged at these, by which the total is divided to give the mean.

    >>> paired_error(total=0, squares=49, events=100, predictions=100)
    0.07
    """
    return math.sqrt(max(squares - total * total / events, 0.0)) / predictions


def words_of(name: str, task: str) -> str:
    """Give the words for the name of a baseline or an expert; of labels the last value is a label.

    >>> words_of("suffix_memory", "symbol"), words_of("last_value", "label")
    ('suffix memory', 'last label')
    """
    return "last label" if (task, name) == ("label", "last_value") else name.replace("_", " ")
