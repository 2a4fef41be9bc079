"""The live view of ``online-lstm watch``: curves of the hit rates, their assessment, recent values, predictions."""

import json
import threading
from collections import deque
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from online_lstm.terminal.message_lines import STYLES, format_message, format_outcome, has_changed, literal, printable

CURVE = 60
"""Maximum width of the curves: one character per message or group of messages."""
VALUES = 40
LINES = 8
_BARS = "▁▂▃▄▅▆▇█"


def sparkline(rates: list[float]) -> str:
    """Draw rates from 0 to 1 with one character each.

    >>> sparkline([0.0, 0.5, 1.0])
    '▁▅█'
    """
    return "".join(_BARS[min(int(rate * len(_BARS)), len(_BARS) - 1)] for rate in rates)


class _Column(NamedTuple):
    """One character of the curves: the hit rates, and whether a drift occurred since the previous character."""

    own: float
    best: float
    changed: bool


class LiveView:
    """The state of the view; any thread may render it while another thread adds records."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._lock = threading.Lock()
        self._seen = 0
        self._columns: list[_Column] = []
        self._changes, self._last_change, self._unmarked = 0, 0, False
        self._surprise: float | None = None
        self._stride = 1
        self._values: deque[Text] = deque(maxlen=VALUES)
        self._lines: deque[Text] = deque(maxlen=LINES)
        self._last: dict[str, Any] | None = None

    def add(self, record: Any) -> None:
        """Add a record of the output topic."""
        line = format_message(record.value, f"{record.topic}/{record.partition}/{record.offset}")
        try:
            message = json.loads(record.value or b"")
            rates = (message["hit_rate"], message["baseline_hit_rate"])
            value = Text(printable(json.dumps(message["value"], ensure_ascii=False)), STYLES[format_outcome(message)])
            changed, surprise = has_changed(message), (message["evaluation"] or {}).get("surprise_bits")
        except (ValueError, KeyError, TypeError, AttributeError):
            message, rates, value = None, (None, None), Text("?", "yellow")
            changed, surprise = False, None
        with self._lock:
            self._seen += 1
            self._lines.append(line)
            self._values.append(value)
            self._last = message or self._last
            self._surprise = self._surprise if surprise is None else surprise
            if changed:
                self._changes, self._last_change, self._unmarked = self._changes + 1, self._seen, True
            if None not in rates and self._seen % self._stride == 0:
                self._columns.append(_Column(*rates, self._unmarked))
                self._unmarked = False
                if len(self._columns) > CURVE:
                    self._thin()

    def _thin(self) -> None:
        """Remove every second column, and keep the marks of all drifts."""
        pairs = zip(self._columns[::2], self._columns[1::2], strict=False)
        last = self._columns[-1]
        self._unmarked, self._stride = len(self._columns) % 2 == 1 and last.changed, 2 * self._stride
        self._columns = [after._replace(changed=before.changed or after.changed) for before, after in pairs]

    def render(self) -> RenderableType:
        """Return the current view."""
        with self._lock:
            columns, values, lines, last, seen = (
                [*self._columns],
                [*self._values],
                [*self._lines],
                self._last,
                self._seen,
            )
            changes, since, surprise = self._changes, self._seen - self._last_change, self._surprise
        if last is None:
            return Text(f"{self._topic}: nothing yet (Ctrl-C ends)", "dim")
        own, best = [column.own for column in columns], [column.best for column in columns]
        return Group(
            Rule(Text.assemble((self._topic, "bold"), f"  {seen:,} predictions seen"), align="left"),
            Text.assemble("hit rate       ", (sparkline(own), "green"), f" {_percent(own)}"),
            Text.assemble("best baseline  ", (sparkline(best), "dim"), f" {_percent(best)}"),
            *_changed(columns, changes, since),
            *_worth(last, surprise),
            Text.assemble("last values    ", Text(" ").join(values)),
            Text.assemble("next           ", *_next(last)),
            Rule(style="dim"),
            *lines,
        )


def _changed(columns: list[_Column], changes: int, since: int) -> list[Text]:
    """Return a line below the curves that marks the drifts; empty without a drift."""
    if not changes:
        return []
    marks = "".join("▲" if column.changed else " " for column in columns)
    text = f" {changes:,}, the last one {since:,} predictions ago"
    return [Text.assemble("changes        ", (marks, "yellow"), text)]


def _worth(message: dict[str, Any], surprise: float | None) -> list[Text]:
    """Return the assessment of the hit rate, or of the error if a single number is predicted."""
    kappa, evaluation = message.get("kappa_temporal"), message["evaluation"] or {}
    parts = [] if kappa is None else [f"kappa-temporal {kappa:.3f}"]
    if surprise is not None:
        parts.append(f"surprise of the last value {surprise:.1f} bits")
    errors = evaluation.get("mean_absolute_error"), evaluation.get("baseline_mean_absolute_error")
    if all(isinstance(error, int | float) for error in errors):
        parts.append(f"off by {errors[0]:.6g} on average, the best baseline by {errors[1]:.6g}")
    return [Text(f"worth          {', '.join(parts)}")] if parts else []


def _next(message: dict[str, Any]) -> list[str | tuple[str, str]]:
    stream = "" if message["stream"] is None else f"  of {printable(message['stream'])}"
    if message["prediction"] is None:
        return [f"nothing is known yet{stream}"]
    listed = message.get("probabilities") or message.get("top")
    if listed:
        forecast = ", ".join(f"{literal(name)} {100 * probability:.1f} %" for name, probability in listed[:3])
        return [(forecast, "bold"), stream]
    interval = f" in {literal(message['interval'])}" if message.get("interval") else ""
    return [(literal(message["prediction"]), "bold"), f"{interval}{stream}"]


def _percent(rates: list[float]) -> str:
    return f"{100 * rates[-1]:.1f} %" if rates else "nothing scored yet"
