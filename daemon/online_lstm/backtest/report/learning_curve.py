"""The course of a backtest over its input: curves, times to learn and to recover, calibration, surprises.

Memory is bounded for inputs of any length. The HTML report and the JSON share these figures.
"""

import json
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.backtest.report.block_sums import Blocks
from online_lstm.backtest.report.calibration import ReliabilityBins
from online_lstm.backtest.report.confusion import Confusion
from online_lstm.backtest.report.time_to_learn import DriftRecoveries, TimeToLearn
from online_lstm.backtest.report.top_surprises import TopSurprises
from online_lstm.events import Evaluation, LabelEvaluation, NumberEvaluation
from online_lstm.learning.scoring import regression
from online_lstm.predictor_scores import PredictorScores
from online_lstm.settings import Settings

MIN_ROLLING = 50
ROLLING_SHARE = 50
"""A curve is a rolling mean over a fiftieth of the predictions, but at least ``MIN_ROLLING``."""
MIN_SCORED = 20
"""Number of predictions after which a curve starts."""
DIGITS = 6
MAX_SCALED = 1e12
"""Upper limit of a scaled error; a larger error counts as this limit."""


class ScoredEvent(NamedTuple):
    """An evaluation with its position: number of values so far, line (from 1), stream, and the actual value."""

    event: int
    line: int
    stream: str | None
    value: Any
    evaluation: Evaluation
    hits: PredictorScores[int]


_read = lru_cache(1024)(json.loads)
"""A cached JSON parser, because the same literals occur again and again."""


class LearningCurve:
    """Statistics of the evaluations so far, of all streams in the order of the input."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._numbers = settings.task == "number"
        predictors, channels = settings.predictors.count, settings.channels
        self._shape = (channels, regression.columns(predictors))  # of the losses of an event
        self._width = math.prod(self._shape) if self._numbers else predictors
        self._blocks = Blocks(self._width + 3)  # surprise, number of surprises, number of rows
        self._count = 0
        self._naive = np.zeros((2, channels))  # sums of errors of the last value, and their numbers
        self._to_learn = TimeToLearn(higher_is_better=not self._numbers)
        self._recoveries = DriftRecoveries(higher_is_better=not self._numbers, max_streams=settings.max_streams)
        self._reliability, self._confusion = ReliabilityBins(), Confusion()
        self._surprising = TopSurprises()

    def add(self, scored_event: ScoredEvent) -> None:
        """Add a scored event."""
        evaluation, self._count = scored_event.evaluation, self._count + 1
        if isinstance(evaluation, NumberEvaluation):
            surprise = worth = self._scaled_error(evaluation.losses)
            row = np.append(evaluation.losses, (surprise or 0.0, surprise is not None, 1.0))
            if self._settings.features == 1:
                own, scored = regression.absolute_errors(evaluation.losses)[:, 0].sum(), evaluation.losses[:, 0].sum()
                worth = float(own / scored)
        else:
            surprise = evaluation.surprise_bits
            row, worth = np.array((*scored_event.hits.columns, surprise, 1.0, 1.0)), float(scored_event.hits.published)
            self._reliability.add(evaluation.confidence, hit=evaluation.hit)
            came = _read(evaluation.label) if isinstance(evaluation, LabelEvaluation) else scored_event.value
            predicted = _read(evaluation.predicted)
            # a number may be written in several ways; the prediction uses the first one that occurred
            self._confusion.add(predicted if evaluation.hit else came, predicted)
        self._blocks.add(scored_event.event, row)
        # one label learner serves all sequences
        stream = None if isinstance(evaluation, LabelEvaluation) else scored_event.stream
        self._recoveries.add(scored_event.event, scored_event.line, stream, worth, drift=evaluation.drift)
        if surprise is not None and self._surprising.wants(surprise):
            self._note(scored_event, surprise)
        if worth is not None and self._to_learn.add(scored_event.event, worth):
            self._surprising.begin_part(scored_event.event)

    def _scaled_error(self, losses: NDArray[np.float64]) -> float | None:
        """Return the mean over the channels of |e| divided by the mean |e| of the last-value baseline so far.

        This is the mean absolute scaled error of Hyndman and Koehler, "Another look at measures of forecast accuracy"
        (2006), of one event. It is undefined, and None, while the last value has had no error.
        """
        errors = regression.absolute_errors(losses)
        self._naive += np.stack([errors[:, 1], losses[:, 0]])
        sums, counts = self._naive
        known = (losses[:, 0] > 0) & (sums > 0)
        if not known.any():
            return None
        with np.errstate(over="ignore"):
            scaled = np.minimum(errors[known, 0] / (sums[known] / counts[known]), MAX_SCALED)
        return float(scaled.mean())

    def _note(self, scored_event: ScoredEvent, surprise: float) -> None:
        evaluation = scored_event.evaluation
        predicted: Any
        if isinstance(evaluation, NumberEvaluation):
            predicted = self._settings.nested([_finite(number) for number in evaluation.predicted])
        else:
            predicted = _read(evaluation.predicted)
        value = _read(evaluation.label) if isinstance(evaluation, LabelEvaluation) else scored_event.value
        moment = {
            "event": scored_event.event,
            "line": scored_event.line,
            "stream": scored_event.stream,
            "value": value,
            "predicted": predicted,
            "scaled_error" if self._numbers else "surprise_bits": surprise,
        }
        self._surprising.add(surprise, moment)

    def to_json(self) -> dict[str, Any]:
        """Return the figures under their names in the JSON."""
        to_learn = self._to_learn.to_json()
        figures: dict[str, Any] = {
            "time_to_learn": to_learn,
            "drifts": self._recoveries.count,
            "drift_events": [recovery.event for recovery in self._recoveries.recorded],
            "recoveries": self._recoveries.to_json(),
            "curve": self._curve(),
            "blocks": self._blocks_to_json(),
            "most_surprising": self._surprising.top(after=to_learn["events"] or 0),
        }
        if self._numbers:
            return figures
        return {**figures, "calibration": self._reliability.to_json(), "confusion": self._confusion.to_json()}

    def _curve(self) -> dict[str, Any]:
        """Return rolling means over the course of the input, each a list with one element per entry of ``events``.

        The means are of hits, or of errors: in the unit of the values, or with several components, divided by the mean
        absolute value of each component.
        """
        settings = self._settings
        requested = min(settings.score_window, max(MIN_ROLLING, self._count // ROLLING_SHARE))
        window = self._blocks.rounded_up(requested)
        events, sums = self._blocks.rolling(window)
        rows = sums[:, -1]
        begun = rows >= min(MIN_SCORED, self._count)
        events, sums, rows = events[begun], sums[begun], rows[begun]
        curve: dict[str, Any] = {"events": events.tolist(), "window": window}
        if self._numbers:
            losses = sums[:, : self._width].reshape(len(sums), *self._shape)
            curve["measure"] = "mean_absolute_error" if settings.features == 1 else "mean_absolute_error_ratio"
            curve |= self._by_predictor(self._errors(losses).T)
            curve["interval_coverage"] = _listed(regression.regression_metrics(losses.sum(axis=1)).interval_coverage)
        else:
            curve["measure"] = "hit_rate"
            curve |= self._by_predictor((sums[:, : self._width] / rows[:, None]).T)
        with np.errstate(invalid="ignore"):
            surprise = sums[:, -3] / sums[:, -2]
        return curve | {"scaled_error" if self._numbers else "surprise_bits": _listed(surprise)}

    def _by_predictor(self, series: NDArray[np.float64]) -> dict[str, list[float | None]]:
        """Return the line of each predictor by its name in the JSON."""
        lists = self._settings.predictors.named([_listed(line) for line in series])
        experts = {f"expert_{name}": line for name, line in lists.experts.items()}
        return {"prediction": lists.published, **lists.baselines, **experts}

    def _blocks_to_json(self) -> dict[str, list[Any]]:
        """Return hits, or mean absolute errors as in the curve, of non-overlapping parts of the input.

        Each part ends at an entry of ``events`` and has a number of ``predictions``. Comparisons of reports use them.
        """
        events, sums = self._blocks.rolling(1)
        blocks = {"events": events.tolist()}
        if not self._numbers:
            return {**blocks, "predictions": _counts(sums[:, -1]), "hits": _counts(sums[:, 0])}
        losses = sums[:, : self._width].reshape(len(sums), *self._shape)
        errors = _listed(self._errors(losses)[:, 0])
        return {**blocks, "predictions": _counts(losses[..., 0].sum(axis=1)), "errors": errors}

    def _errors(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean absolute errors of each predictor, ``(B, P)``, from sums ``(B, C, columns)``."""
        if self._settings.features == 1:
            return regression.regression_metrics(losses.sum(axis=1)).mean_absolute_errors
        # the size of a component is its mean over the whole input, so that it does not distort the curve
        sizes = regression.mean_sizes(self._blocks.total()[: self._width].reshape(self._shape))  # (C,)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            ratios = regression.absolute_errors(losses) / losses[..., :1] / sizes[..., None]
        known = np.isfinite(ratios)
        with np.errstate(invalid="ignore", divide="ignore"):
            means: NDArray[np.float64] = np.where(known, ratios, 0).sum(axis=1) / known.sum(axis=1)
        return means


def _listed(line: NDArray[np.float64]) -> list[float | None]:
    return list(_rounded(line.tolist()))


def _counts(line: NDArray[np.float64]) -> list[int]:
    return [round(count) for count in line.tolist()]


def _rounded(numbers: Sequence[float]) -> Iterator[float | None]:
    for number in numbers:
        yield float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
