"""How a learner fared over the course of an input: curves, times to learn and to recover, calibration, surprise.

Whatever the length of the input, memory is bounded; the figures are those of the report and of the JSON.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.backtest.report.blocks import Blocks
from online_lstm.backtest.report.calibration import ReliabilityBins
from online_lstm.backtest.report.confusion import Confusion
from online_lstm.backtest.report.time_to_learn import DriftRecoveries, TimeToLearn
from online_lstm.backtest.report.top_surprises import TopSurprises
from online_lstm.events import Evaluation, LabelEvaluation, NumberEvaluation
from online_lstm.learning.scoring import regression
from online_lstm.settings import Settings

MIN_ROLLING = 50
ROLLING_SHARE = 50
"""A curve is a mean over a fiftieth of the predictions, but no fewer than ``MIN_ROLLING``."""
MIN_SCORED = 20
"""A curve begins where it is a mean of so many predictions."""
DIGITS = 6
MAX_SCALED = 1e12
"""A larger scaled error counts as this one."""


class ScoredEvent(NamedTuple):
    """A evaluation, and where it was: after how many values, in which line (from 1), in which stream; what came."""

    event: int
    line: int
    stream: str | None
    value: Any
    evaluation: Evaluation
    hits: tuple[int, ...]


_read = lru_cache(1024)(json.loads)
"""Literals of values that come again and again."""


class LearningCurve:
    """What is kept of the evaluations so far, all streams together in the order of the input."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._numbers = settings.task == "number"
        predictors, channels = settings.first_expert + len(settings.experts), settings.channels
        self._shape = (channels, regression.columns(predictors))  # of the losses of an event
        self._width = math.prod(self._shape) if self._numbers else predictors
        self._blocks = Blocks(self._width + 3)  # surprise, how many of it, and how many rows
        self._count = 0
        self._naive = np.zeros((2, channels))  # errors of the last value, and how many
        self._to_learn = TimeToLearn(higher_is_better=not self._numbers)
        self._recoveries = DriftRecoveries(higher_is_better=not self._numbers, most_streams=settings.max_streams)
        self._reliability, self._confusion = ReliabilityBins(), Confusion()
        self._surprising = TopSurprises()

    def add(self, judged: ScoredEvent) -> None:
        """Take the evaluation of an event that was scored."""
        evaluation, self._count = judged.evaluation, self._count + 1
        if isinstance(evaluation, NumberEvaluation):
            surprise = worth = self._scaled_error(evaluation.losses)
            row = np.append(evaluation.losses, (surprise or 0.0, surprise is not None, 1.0))
            if self._settings.features == 1:
                own, scored = regression.absolute_errors(evaluation.losses)[:, 0].sum(), evaluation.losses[:, 0].sum()
                worth = float(own / scored)
        else:
            surprise = evaluation.surprise_bits
            row, worth = np.array((*judged.hits, surprise, 1.0, 1.0)), float(judged.hits[0])
            self._reliability.add(evaluation.confidence, hit=evaluation.hit)
            came = _read(evaluation.label) if isinstance(evaluation, LabelEvaluation) else judged.value
            predicted = _read(evaluation.predicted)
            # a number may be written in several ways, of which the prediction has the one that came first
            self._confusion.add(predicted if evaluation.hit else came, predicted)
        self._blocks.add(judged.event, row)
        # the learner of labels is one for all sequences
        stream = None if isinstance(evaluation, LabelEvaluation) else judged.stream
        self._recoveries.add(judged.event, judged.line, stream, worth, drift=evaluation.drift)
        if surprise is not None and self._surprising.wants(surprise):
            self._note(judged, surprise)
        if worth is not None and self._to_learn.add(judged.event, worth):
            self._surprising.begin_part(judged.event)

    def _scaled_error(self, losses: NDArray[np.float64]) -> float | None:
        """Give the mean over the channels of |e| by the mean |e| of the last value so far.

        The mean absolute scaled error of Hyndman and Koehler, "Another look at measures of forecast accuracy" (2006),
        of one event. It is not defined, and None, while the last value has never erred.
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

    def _note(self, judged: ScoredEvent, surprise: float) -> None:
        evaluation = judged.evaluation
        predicted: Any
        if isinstance(evaluation, NumberEvaluation):
            predicted = self._settings.nested([_finite(number) for number in evaluation.predicted])
        else:
            predicted = _read(evaluation.predicted)
        value = _read(evaluation.label) if isinstance(evaluation, LabelEvaluation) else judged.value
        moment = {
            "event": judged.event,
            "line": judged.line,
            "stream": judged.stream,
            "value": value,
            "predicted": predicted,
            "scaled_error" if self._numbers else "surprise_bits": surprise,
        }
        self._surprising.add(surprise, moment)

    def to_json(self) -> dict[str, Any]:
        """Give the figures under their names in the JSON."""
        to_learn = self._to_learn.to_json()
        figures: dict[str, Any] = {
            "time_to_learn": to_learn,
            "drifts": self._recoveries.count,
            "drift_events": [recovery.event for recovery in self._recoveries.told],
            "recoveries": self._recoveries.to_json(),
            "curve": self._curve(),
            "blocks": self._told_blocks(),
            "most_surprising": self._surprising.told(after=to_learn["events"] or 0),
        }
        if self._numbers:
            return figures
        return {**figures, "calibration": self._reliability.to_json(), "confusion": self._confusion.to_json()}

    def _curve(self) -> dict[str, Any]:
        """Give rolling means over the course of the input, each a list with an element for each of ``events``.

        Of hits, or of errors: in the unit of the values, or where there are several components, each by the mean value
        of its component without sign.
        """
        settings = self._settings
        asked = min(settings.score_window, max(MIN_ROLLING, self._count // ROLLING_SHARE))
        window = self._blocks.rounded_up(asked)
        events, sums = self._blocks.rolling(window)
        rows = sums[:, -1]
        begun = rows >= min(MIN_SCORED, self._count)
        events, sums, rows = events[begun], sums[begun], rows[begun]
        names = ("prediction", *settings.baselines, *(f"expert_{name}" for name in settings.experts))
        curve: dict[str, Any] = {"events": events.tolist(), "window": window}
        if self._numbers:
            losses = sums[:, : self._width].reshape(len(sums), *self._shape)
            curve["measure"] = "mean_absolute_error" if settings.features == 1 else "mean_absolute_error_ratio"
            curve |= _named(names, self._errors(losses).T)
            curve["interval_coverage"] = _listed(regression.regression_metrics(losses.sum(axis=1)).interval_coverage)
        else:
            curve["measure"] = "hit_rate"
            curve |= _named(names, (sums[:, : self._width] / rows[:, None]).T)
        with np.errstate(invalid="ignore"):
            surprise = sums[:, -3] / sums[:, -2]
        return curve | {"scaled_error" if self._numbers else "surprise_bits": _listed(surprise)}

    def _told_blocks(self) -> dict[str, list[Any]]:
        """Give hits, or mean absolute errors as the curve has them, of parts of the input that do not overlap.

        Each ends at one of ``events`` and is worth so many ``predictions``: what two reports are compared by.
        """
        events, sums = self._blocks.rolling(1)
        told = {"events": events.tolist()}
        if not self._numbers:
            return {**told, "predictions": _counts(sums[:, -1]), "hits": _counts(sums[:, 0])}
        losses = sums[:, : self._width].reshape(len(sums), *self._shape)
        errors = _listed(self._errors(losses)[:, 0])
        return {**told, "predictions": _counts(losses[..., 0].sum(axis=1)), "errors": errors}

    def _errors(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the mean absolute errors of each predictor, ``(B, P)``, from sums ``(B, C, columns)``."""
        if self._settings.features == 1:
            return regression.regression_metrics(losses.sum(axis=1)).mean_absolute_errors
        # the size of a component is its mean over all of the input, so that a curve is not bent by it
        sizes = regression.mean_sizes(self._blocks.total()[: self._width].reshape(self._shape))  # (C,)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            ratios = regression.absolute_errors(losses) / losses[..., :1] / sizes[..., None]
        known = np.isfinite(ratios)
        with np.errstate(invalid="ignore", divide="ignore"):
            found: NDArray[np.float64] = np.where(known, ratios, 0).sum(axis=1) / known.sum(axis=1)
        return found


def _named(names: Sequence[str], lines: NDArray[np.float64]) -> Mapping[str, list[float | None]]:
    return {name: _listed(line) for name, line in zip(names, lines, strict=True)}


def _listed(line: NDArray[np.float64]) -> list[float | None]:
    return list(_rounded(line.tolist()))


def _counts(line: NDArray[np.float64]) -> list[int]:
    return [round(count) for count in line.tolist()]


def _rounded(numbers: Sequence[float]) -> Iterator[float | None]:
    for number in numbers:
        yield float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
