"""What a learner scored over a finite input, from its output messages: as a table and as JSON."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from daemon.commands.figures import channel_table, number_figures, number_rows
from daemon.errors import InputFileError
from daemon.indicators import kappa_temporal, words_of
from daemon.partition import Processed
from daemon.records import LabelVerdict, NumberVerdict, OutputRecord, Verdict
from daemon.settings import Settings

EARLY = 500
"""How many values count as the time of learning."""

FEWEST_CHUNKS = 3
"""From so many chunks on, one in which a program was compiled does not move the median."""

MAX_BAD_LINES = 5
"""How many refused lines are shown."""


MOST_DRIFTS = 100
"""Of so many drifts the JSON says when they were, and the table of as many as have room."""
_DRIFTS_SHOWN = 5


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
        self._settings = settings
        self._losses: NDArray[np.float64] | None = None  # of channels, what adds up
        self._sequences, self._samples, self._settled = 0, 0, 0  # of labels
        self._last_miss: int | None = None
        self._drifts = 0
        self._drift_events: list[int] = []  # the first ones
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
                self._streams.add(json.loads(output.value or b"")["stream"])
        for outcome in processed.outcomes:
            self.events += 1
            self._score(outcome.verdict, outcome.hits, scored=outcome.scored)
            for verdict, hits in outcome.unpublished:
                self._score(verdict, hits)

    def _score(
        self,
        verdict: Verdict | None,
        hits: tuple[int, ...] | None,
        *,
        scored: int = 1,
    ) -> None:
        if hits is None:
            return
        when = "early" if self.events <= EARLY else "late"
        self._scored[when] += scored
        self._hits[when] += hits[0]
        if isinstance(verdict, NumberVerdict):
            self._losses = verdict.losses if self._losses is None else self._losses + verdict.losses
        elif verdict is not None:
            self._surprise_bits += verdict.surprise_bits
            if isinstance(verdict, LabelVerdict):
                self._sequences += 1
                self._samples += verdict.samples
                self._settled += verdict.settled
        if hits[0] < scored:
            self._last_miss = self.events
        if verdict is not None and verdict.drift:
            self._drifts += 1
            if len(self._drift_events) < MOST_DRIFTS:
                self._drift_events.append(self.events)

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

        ``last_miss`` and the first of the ``drift_events`` count the values that were learned from 1, a bad line's
        ``line`` the lines of the input.
        ``event_ms`` is the median over the chunks, so that compiling does not count; None where there were too few.
        """
        scored = self._scored.total()
        hit_rate = _share(self._hits["early"] + self._hits["late"], scored)
        baselines = {name: _share(self._hits[name], scored) for name in self._baselines}
        last_value = baselines["last_value"]
        kappa = None if hit_rate is None or last_value is None else kappa_temporal(hit_rate, last_value)
        bits = {"kappa_temporal": kappa, "log_loss_bits": _share(self._surprise_bits, scored)}
        losses = number_figures(self._settings, self._losses) if self._numbers else bits
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
            **(self._sequence_figures() if self._sequences else {}),
            "last_miss": self._last_miss,
            "drifts": self._drifts,
            "drift_events": self._drift_events,
            "event_ms": 1000 * median(self._event_seconds) if len(self._event_seconds) >= FEWEST_CHUNKS else None,
            "dead_letters": dict(sorted(self._dead_letters.items())),
            "bad_lines": self._bad_lines,
        }

    def _sequence_figures(self) -> dict[str, Any]:
        """Give means over the sequences: how many samples they had, and from which one on the prediction stayed."""
        return {
            "samples_a_sequence": self._samples / self._sequences,
            "settled_at_sample": self._settled / self._sequences,
        }

    def print(self, console: Console, name: str, how: str | None = None) -> None:
        """Lay the figures out for a person; ``name`` says what was learned from, ``how`` what was predicted."""
        table = Table("what", Column("figure", justify="right"))
        figures = self.to_json()
        for what, figure in self._rows(figures):
            table.add_row(Text(what), Text(figure))
        learned = "each value predicted before it was learned" if self._settings.learn else "predicted and not learned"
        console.print(Text(f"{name}: {how or learned}"), soft_wrap=True)
        console.print(table)
        if "channels" in figures:
            console.print(channel_table(figures))
        if not figures["scored"]:
            console.print(Text(f"nothing was scored: {self._unscored()}"), soft_wrap=True)
        for bad in self._bad_lines:
            console.print(Text(f"line {bad['line']}: {bad['error']}"), soft_wrap=True)

    def _unscored(self) -> str:
        """Say what is likely to be missing where no prediction was judged."""
        if not self._settings.learn and self._settings.warm_start is None:
            return "learn is false, and no warm_start says what was learned"
        if self._settings.task == "label":
            return "no sequence ended with a label after one was learned; label_path or --label-column says where"
        return "too few values came"

    def _rows(self, figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield "events", f"{figures['events']:,}"
        yield "streams", f"{figures['streams']:,}"
        yield "hit rate", _shown(figures["hit_rate"])
        yield f"hit rate, first {EARLY} values", _shown(figures[f"hit_rate_first_{EARLY}"])
        yield f"hit rate, after value {EARLY}", _shown(figures[f"hit_rate_after_{EARLY}"])
        for name, rate in figures["baseline_hit_rates"].items():
            yield f"baseline {words_of(name, self._settings.task)}", _shown(rate)
        yield "lift over the best baseline", _shown(figures["lift"], "+.4f")
        if "log_loss_bits" in figures:
            yield "kappa-temporal", _shown(figures["kappa_temporal"])
            yield "log loss", _shown(figures["log_loss_bits"], ".4f", " bits")
        else:
            for title, figure, style in number_rows(figures):
                yield title, _shown(figure, style)
        if "settled_at_sample" in figures:
            yield "samples a sequence", _shown(figures["samples_a_sequence"], ".1f")
            yield "prediction settled at sample", _shown(figures["settled_at_sample"], ".1f")
        yield "last miss at value", _shown(figures["last_miss"], ",")
        yield "drifts", _when(figures["drifts"], figures["drift_events"])
        yield "time per event, without compiling", _shown(figures["event_ms"], ".3f", " ms", none="too few to tell")
        yield "dead letters", f"{sum(figures['dead_letters'].values()):,}"
        for reason, count in figures["dead_letters"].items():
            yield f"dead letters, {reason.replace('_', ' ')}", f"{count:,}"


def _when(drifts: int, events: Sequence[int]) -> str:
    """Say how many there were, and at which values the first of them."""
    if not drifts:
        return "none"
    shown = ", ".join(f"{event:,}" for event in events[:_DRIFTS_SHOWN])
    return f"{drifts:,} (at {shown}{', …' if drifts > _DRIFTS_SHOWN else ''})"


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _shown(figure: float | None, style: str = ".4f", unit: str = "", *, none: str = "none") -> str:
    return none if figure is None else f"{figure:{style}}{unit}"
