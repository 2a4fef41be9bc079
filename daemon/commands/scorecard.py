"""What a learner scored over a finite input, from its output messages: as a table and as JSON."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from daemon.errors import InputFileError
from daemon.partition import Processed
from daemon.records import NumberVerdict, OutputRecord
from daemon.settings import Settings

EARLY = 500
"""How many values count as the time of learning."""

FEWEST_CHUNKS = 3
"""From so many chunks on, one in which a program was compiled does not move the median."""

MAX_BAD_LINES = 5
"""How many refused lines are shown."""


class Scorecard:
    """Scores of the values so far, all streams together in the order of the input."""

    def __init__(self, settings: Settings) -> None:
        self._numbers = settings.task == "number"
        self._baselines = settings.baselines
        self._experts = settings.experts
        self.events = 0
        self._streams: set[str | None] = set()
        self._scored: Counter[str] = Counter()  # "early" and "late"
        self._hits: Counter[str] = Counter()  # by the same, and by baseline
        self._surprise_bits = 0.0
        self._errors = [0.0] * (settings.first_expert + len(settings.experts))  # without sign, of each predictor
        self._root_of_squares, self._magnitudes = 0.0, 0.0
        self._last_miss: int | None = None
        self._event_seconds: list[float] = []  # of each chunk
        self._dead_letters: Counter[str] = Counter()
        self._bad_lines: list[dict[str, Any]] = []

    @property
    def lines(self) -> int:
        """How many values there were, with the refused ones."""
        return self.events + self._dead_letters.total()

    def require_events(self, name: str) -> None:
        """Refuse an input of which nothing was learned; ``name`` says which.

        Raises:
            InputFileError: There was no value, or every one was refused.
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

    def add(self, processed: Processed) -> None:
        """Score what came of some records."""
        tally = processed.tally
        if tally.events:
            self._event_seconds.append(tally.seconds / tally.events)
        self._hits.update({name: tally.hits[i] for i, name in enumerate(self._baselines, 1)})
        self._dead_letters.update(tally.dead_letters)
        for output in processed.outputs:
            if output.dead_letter:
                self._refuse(output)
            else:
                self._score(json.loads(output.value or b""))
        for outcome in processed.outcomes:
            if isinstance(outcome.verdict, NumberVerdict):
                self._measure(outcome.verdict)

    def _score(self, message: dict[str, Any]) -> None:
        self.events += 1
        self._streams.add(message["stream"])
        verdict = message["verdict"]
        if verdict is None:
            return
        when = "early" if self.events <= EARLY else "late"
        self._scored[when] += 1
        self._hits[when] += verdict["hit"]
        self._surprise_bits += verdict.get("surprise_bits", 0.0)
        if not verdict["hit"]:
            self._last_miss = self.events

    def _measure(self, verdict: NumberVerdict) -> None:
        self._errors = [sum(pair) for pair in zip(self._errors, verdict.absolute_errors, strict=True)]
        self._root_of_squares = math.hypot(self._root_of_squares, verdict.absolute_errors[0])
        self._magnitudes += verdict.magnitude

    def _refuse(self, output: OutputRecord) -> None:
        if len(self._bad_lines) < MAX_BAD_LINES:
            said = {name: content.decode() for name, content in output.headers if name.startswith("online_lstm_")}
            self._bad_lines.append(
                {
                    "line": int(said["online_lstm_offset"]) + 1,
                    "reason": said["online_lstm_reason"],
                    "error": said["online_lstm_error"],
                }
            )

    def to_json(self) -> dict[str, Any]:
        """Give all figures; rates, bits and errors are None where nothing was scored.

        ``last_miss`` counts the values that were learned from 1, a bad line's ``line`` the lines of the input.
        ``event_ms`` is the median over the chunks, so that compiling does not count; None where there were too few.
        """
        scored = self._scored.total()
        hit_rate = _share(self._hits["early"] + self._hits["late"], scored)
        baselines = {name: _share(self._hits[name], scored) for name in self._baselines}
        bits = {"log_loss_bits": _share(self._surprise_bits, scored)}
        losses = self._error_figures(scored) if self._numbers else bits
        return {
            "events": self.events,
            "streams": len(self._streams),
            "scored": scored,
            "hit_rate": hit_rate,
            f"hit_rate_first_{EARLY}": _share(self._hits["early"], self._scored["early"]),
            f"hit_rate_after_{EARLY}": _share(self._hits["late"], self._scored["late"]),
            "baseline_hit_rates": baselines,
            "lift": None if hit_rate is None else hit_rate - max(rate or 0.0 for rate in baselines.values()),
            **losses,
            "last_miss": self._last_miss,
            "event_ms": 1000 * median(self._event_seconds) if len(self._event_seconds) >= FEWEST_CHUNKS else None,
            "dead_letters": dict(sorted(self._dead_letters.items())),
            "bad_lines": self._bad_lines,
        }

    def _error_figures(self, scored: int) -> dict[str, Any]:
        """Give mean absolute errors, root mean squared error, relative error, and skill against the best baseline."""
        own, *others = (_share(error, scored) for error in self._errors)
        names = (*self._baselines, *self._experts)
        errors = dict(zip(names, others, strict=True))
        best = min((errors[name] or 0.0 for name in self._baselines), default=0.0)
        return {
            "mean_absolute_error": own,
            "baseline_mean_absolute_errors": {name: errors[name] for name in self._baselines},
            "expert_mean_absolute_errors": {name: errors[name] for name in self._experts},
            "root_mean_squared_error": self._root_of_squares / math.sqrt(scored) if scored else None,
            "mean_absolute_error_ratio": self._errors[0] / self._magnitudes if self._magnitudes else None,
            "skill": 1 - own / best if own is not None and best else None,
        }

    def print(self, console: Console, name: str, how: str = "each value predicted before it was learned") -> None:
        """Lay the figures out for a person; ``name`` says what was learned from, ``how`` what was predicted."""
        table = Table("what", Column("figure", justify="right"))
        for what, figure in self._rows(self.to_json()):
            table.add_row(Text(what), Text(figure))
        console.print(Text(f"{name}: {how}"), soft_wrap=True)
        console.print(table)
        for bad in self._bad_lines:
            console.print(Text(f"line {bad['line']}: {bad['error']}"), soft_wrap=True)

    @staticmethod
    def _rows(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield "events", f"{figures['events']:,}"
        yield "streams", f"{figures['streams']:,}"
        yield "hit rate", _shown(figures["hit_rate"])
        yield f"hit rate, first {EARLY} values", _shown(figures[f"hit_rate_first_{EARLY}"])
        yield f"hit rate, after value {EARLY}", _shown(figures[f"hit_rate_after_{EARLY}"])
        for name, rate in figures["baseline_hit_rates"].items():
            yield f"baseline {name.replace('_', ' ')}", _shown(rate)
        yield "lift over the best baseline", _shown(figures["lift"], "+.4f")
        if "log_loss_bits" in figures:
            yield "log loss", _shown(figures["log_loss_bits"], ".4f", " bits")
        else:
            yield "mean absolute error", _shown(figures["mean_absolute_error"], ".6g")
            for kind in ("baseline", "expert"):
                for name, error in figures[f"{kind}_mean_absolute_errors"].items():
                    yield f"mean absolute error, {kind} {name.replace('_', ' ')}", _shown(error, ".6g")
            yield "root mean squared error", _shown(figures["root_mean_squared_error"], ".6g")
            yield "mean absolute error by mean value", _shown(figures["mean_absolute_error_ratio"])
            yield "skill against the best baseline", _shown(figures["skill"], "+.4f")
        yield "last miss at value", _shown(figures["last_miss"], ",")
        yield "time per event, without compiling", _shown(figures["event_ms"], ".3f", " ms", none="too few to tell")
        yield "dead letters", f"{sum(figures['dead_letters'].values()):,}"
        for reason, count in figures["dead_letters"].items():
            yield f"dead letters, {reason.replace('_', ' ')}", f"{count:,}"


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _shown(figure: float | None, style: str = ".4f", unit: str = "", *, none: str = "none") -> str:
    return none if figure is None else f"{figure:{style}}{unit}"
