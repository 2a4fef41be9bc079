"""Scores by predictor: of the published prediction, of each baseline and of each expert.

Learners keep scores in arrays with a column for each predictor. Only this module knows the order of the columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

Score = TypeVar("Score")


class PredictorScores(NamedTuple, Generic[Score]):
    """One score of each predictor, by name (a tuple, because two are made for every event)."""

    published: Score
    baselines: Mapping[str, Score]
    experts: Mapping[str, Score]

    @property
    def columns(self) -> tuple[Score, ...]:
        """The scores in the order of their columns."""
        return (self.published, *self.baselines.values(), *self.experts.values())


NO_HITS: PredictorScores[int] = PredictorScores(0, {}, {})
"""The hits before the first scored event."""


@dataclass(frozen=True, slots=True)
class Predictors:
    """The names of baselines and experts, in the order of their columns; the published prediction has the first one."""

    baselines: tuple[str, ...]
    experts: tuple[str, ...]

    @property
    def count(self) -> int:
        """The number of columns."""
        return 1 + len(self.baselines) + len(self.experts)

    def named(self, columns: Sequence[Score]) -> PredictorScores[Score]:
        """Return the scores in ``count`` columns by name.

        >>> Predictors(("last_value",), ("lstm", "linear")).named([4, 3, 2, 1])
        PredictorScores(published=4, baselines={'last_value': 3}, experts={'lstm': 2, 'linear': 1})
        """
        first = 1 + len(self.baselines)
        return PredictorScores(
            columns[0],
            dict(zip(self.baselines, columns[1:first], strict=True)),
            dict(zip(self.experts, columns[first:], strict=True)),
        )


def total_hits(hits: Iterable[PredictorScores[int]]) -> PredictorScores[int]:
    """Return the sums over events by predictor.

    >>> total_hits([PredictorScores(1, {"last_value": 0}, {}), PredictorScores(1, {"last_value": 1}, {})])
    PredictorScores(published=2, baselines={'last_value': 1}, experts={})
    """
    published = 0
    baselines: dict[str, int] = {}
    experts: dict[str, int] = {}
    for one in hits:
        published += one.published
        for sums, counts in ((baselines, one.baselines), (experts, one.experts)):
            for name, count in counts.items():
                sums[name] = sums.get(name, 0) + count
    return PredictorScores(published, baselines, experts)
