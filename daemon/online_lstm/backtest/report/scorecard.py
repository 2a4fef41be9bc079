"""The scores of a learner over a finite input, from its output messages, as a table and as JSON."""

import hashlib
import json
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from online_lstm.backtest.report.learning_curve import LearningCurve, ScoredEvent
from online_lstm.backtest.report.score_tables import EARLY, channel_tables, score_rows
from online_lstm.errors import InputFileError
from online_lstm.events import InputRecord, LabelEvaluation, LabelResult, NumberEvaluation, OutputRecord
from online_lstm.learning.partition import ProcessedBatch
from online_lstm.learning.scoring import regression
from online_lstm.learning.scoring.named_figures import number_figures
from online_lstm.predictor_scores import NO_HITS, total_hits
from online_lstm.settings import Settings
from online_lstm.significance import kappa_temporal, lift, paired_error
from online_lstm.telemetry import Hint

MAX_CHUNKS = 1000
"""Number of recent chunks from which the time per event is computed."""
MIN_CHUNKS = 3
"""Minimum number of chunks for a time per event: then a compilation in one chunk does not move the median."""

MAX_BAD_LINES = 5
"""Maximum number of refused lines shown."""


class Scorecard:
    """Scores of the values so far, of all streams in the order of the input."""

    def __init__(self, settings: Settings) -> None:
        self._numbers = settings.task == "number"
        self._baselines = settings.baselines
        self._experts = settings.experts
        self.events = 0
        self.last_line = 0
        self.interrupted = False
        self._digest = hashlib.blake2b(digest_size=8)
        self._hints: tuple[Hint, ...] = ()
        self._streams = 0
        self._last_streams: OrderedDict[str | None, None] = (
            OrderedDict()
        )  # the most recently active stream is at the end
        self._scored: Counter[str] = Counter()  # "early" and "late"
        self._early_hits = 0
        self._hits = NO_HITS
        self._evaluated = 0  # events with an evaluation
        self._hit_squares: Counter[str] = (
            Counter()
        )  # sums of squared differences of the hits, own minus each baseline's
        self._surprise_bits = 0.0
        self._settings = settings
        self._losses: NDArray[np.float64] | None = None  # sums by channel
        self._error_squares: NDArray[np.float64] | None = None  # from squared_differences
        self._sequences, self._samples, self._stable_since = 0, 0, 0  # of labelled sequences
        self._last_miss: int | None = None
        self.course = LearningCurve(settings)
        self._event_seconds: deque[float] = deque(maxlen=MAX_CHUNKS)  # of each chunk
        self._dead_letters: Counter[str] = Counter()
        self._bad_lines: list[dict[str, Any]] = []

    @property
    def lines(self) -> int:
        """Number of values, including refused ones."""
        return self.events + self._dead_letters.total()

    def require_events(self, name: str) -> None:
        """Raise if nothing was learned from the input ``name``.

        Raises:
            InputFileError: There was no value, or all values were refused.
        """
        if not self.lines:
            raise InputFileError(f"{name}: received no values, expected at least one line that is not blank")
        if not self.events:
            first = self._bad_lines[0]
            counts = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self._dead_letters.items()))
            raise InputFileError(
                f"{name}: nothing was learned, all {self.lines:,} values were refused ({counts}); the first one, in "
                f"line {first['line']}: {first['error']}"
            )

    def read(self, records: Sequence[InputRecord]) -> None:
        """Update the last line and the digest of the input."""
        self.last_line = records[-1].offset + 1
        for record in records:
            self._digest.update(repr((record.key, record.timestamp_ms, record.value)).encode())

    def add(self, processed: ProcessedBatch) -> None:
        """Add the scores of a processed batch."""
        tally, self._hints = processed.tally, processed.hints
        if tally.events:
            self._event_seconds.append(tally.seconds / tally.events)
        self._hits = total_hits([self._hits, tally.hits])
        self._dead_letters.update(tally.dead_letters)
        messages: list[dict[str, Any]] = []
        for output in processed.outputs:
            if output.dead_letter:
                self._refuse(output)
            else:
                messages.append(json.loads(output.value or b""))
        for message, outcome in zip(messages, processed.outcomes, strict=True):
            self.events += 1
            self._count_stream(message["stream"])
            line, value = message["offset"] + 1, message["value"]
            if outcome.evaluation is not None and outcome.hits is not None:
                scored_event = ScoredEvent(
                    self.events, line, message["stream"], value, outcome.evaluation, outcome.hits
                )
                self._score(scored_event)
            if isinstance(outcome, LabelResult):
                for evaluation, hits in outcome.unpublished_evaluations:
                    self._score(ScoredEvent(self.events, line, None, None, evaluation, hits))

    def _count_stream(self, stream: str | None) -> None:
        if stream not in self._last_streams:
            self._streams += 1
            self._last_streams[stream] = None
            if len(self._last_streams) > self._settings.max_streams:
                self._last_streams.popitem(last=False)
        self._last_streams.move_to_end(stream)

    def _score(self, scored_event: ScoredEvent) -> None:
        evaluation, hits = scored_event.evaluation, scored_event.hits
        self.course.add(scored_event)
        when = "early" if self.events <= EARLY else "late"
        self._scored[when] += evaluation.scored
        self._early_hits += hits.published if when == "early" else 0
        self._evaluated += 1
        for name, other in hits.baselines.items():
            self._hit_squares[name] += (hits.published - other) ** 2
        if isinstance(evaluation, NumberEvaluation):
            squares = regression.squared_differences(evaluation.losses)
            self._losses = evaluation.losses if self._losses is None else self._losses + evaluation.losses
            self._error_squares = squares if self._error_squares is None else self._error_squares + squares
        else:
            self._surprise_bits += evaluation.surprise_bits
            if isinstance(evaluation, LabelEvaluation):
                self._sequences += 1
                self._samples += evaluation.samples
                self._stable_since += evaluation.stable_since_sample
        if hits.published < evaluation.scored:
            self._last_miss = self.events

    def _refuse(self, output: OutputRecord) -> None:
        if len(self._bad_lines) < MAX_BAD_LINES:
            headers = {name: content.decode() for name, content in output.headers if name.startswith("online_lstm_")}
            self._bad_lines.append(
                {
                    "line": int(headers["online_lstm_offset"]) + 1,
                    "reason": headers["online_lstm_reason"],
                    "error": headers["online_lstm_error"],
                }
            )

    def to_json(self) -> dict[str, Any]:
        """Return all figures; rates, bits and errors are None if nothing was scored.

        ``last_miss`` and the first of the ``drift_events`` are numbers of learned values, from 1; the ``line`` of a bad
        line is a line number of the input.
        ``event_ms`` is the median over the last chunks, so that compilation does not count; None with too few chunks.
        ``streams`` counts a stream again if ``max_streams`` others were active in between, because the learner has
        evicted it.
        """
        scored, predictors = self._scored.total(), self._settings.predictors
        rates = predictors.named([hits / scored for hits in self._hits.columns]) if scored else None
        bits = {
            "kappa_temporal": kappa_temporal(rates) if rates else None,
            "log_loss_bits": _share(self._surprise_bits, scored),
        }
        losses = self._number_figures() if self._numbers else bits
        return {
            "task": self._settings.task,
            "input_digest": self._digest.hexdigest(),
            "interrupted_at_line": self.last_line if self.interrupted else None,
            "events": self.events,
            "streams": self._streams,
            "scored": scored,
            "nothing_scored": None if scored else self._unscored(),
            "hints": {hint.name: hint.text for hint in self._hints},
            "hit_rate": rates and rates.published,
            f"hit_rate_first_{EARLY}": _share(self._early_hits, self._scored["early"]),
            f"hit_rate_after_{EARLY}": _share(self._hits.published - self._early_hits, self._scored["late"]),
            "baseline_hit_rates": rates.baselines if rates else dict.fromkeys(self._baselines),
            "lift": lift(rates) if rates else None,
            "lift_errors": {name: self._lift_error(name) for name in self._baselines},
            **losses,
            **(self._sequence_figures() if self._sequences else {}),
            **self.course.to_json(),
            "last_miss": self._last_miss,
            "event_ms": 1000 * median(self._event_seconds) if len(self._event_seconds) >= MIN_CHUNKS else None,
            "dead_letters": dict(sorted(self._dead_letters.items())),
            "bad_lines": self._bad_lines,
        }

    def _lift_error(self, name: str) -> float | None:
        """Return the standard error of the hit rate minus the hit rate of a baseline."""
        if not self._evaluated:
            return None
        total = self._hits.published - self._hits.baselines[name]
        return paired_error(total, self._hit_squares[name], self._evaluated, self._scored.total())

    def _number_figures(self) -> dict[str, Any]:
        figures, error = number_figures(self._settings, self._losses), None
        if self._losses is not None and self._error_squares is not None:
            error = regression.skill_error(self._losses, self._error_squares)
        return {**figures, "skill_error": error}

    def _sequence_figures(self) -> dict[str, Any]:
        """Return means over the sequences: number of samples, and sample from which the prediction stayed the same."""
        return {
            "samples_a_sequence": self._samples / self._sequences,
            "stable_since_sample": self._stable_since / self._sequences,
        }

    def print(self, console: Console, name: str, how: str | None = None) -> None:
        """Print the figures; ``name`` is the input, ``how`` describes the predictions."""
        table = Table("what", Column("figure", justify="right"))
        figures = self.to_json()
        for title, figure in score_rows(figures):
            table.add_row(Text(title), Text(figure))
        learned = "each value predicted before it was learned" if self._settings.learn else "predicted and not learned"
        console.print(Text(f"{name}: {how or learned}"), soft_wrap=True)
        console.print(table)
        for channels in channel_tables(figures, console.width) if "channels" in figures else ():
            console.print(channels)
        if figures["nothing_scored"]:
            console.print(Text(f"nothing was scored: {figures['nothing_scored']}"), soft_wrap=True)
        for bad in self._bad_lines:
            console.print(Text(f"line {bad['line']}: {bad['error']}"), soft_wrap=True)
        if more := self._dead_letters.total() - len(self._bad_lines):
            console.print(Text(f"and {more:,} more"), soft_wrap=True)
        for text in figures["hints"].values():
            if text != figures["nothing_scored"]:
                console.print(Text(f"hint: {text}"), soft_wrap=True)
        if self.interrupted:
            console.print(Text(f"interrupted at line {self.last_line:,}: these are the figures so far"), soft_wrap=True)

    def _unscored(self) -> str:
        """Return the probable reason why no prediction was scored."""
        if not self._settings.learn and self._settings.warm_start is None:
            return "learn is false, and no warm_start says what was learned"
        if self._settings.task == "label":
            return "no sequence ended with a label after one was learned; label_path or --label-column says where"
        return self._hints[0].text if self._hints else "too few values came"


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
