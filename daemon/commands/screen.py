"""The live view of ``online-lstm watch``: hit rates as a curve, the last values, and what comes next."""

import json
import threading
from collections import deque
from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from daemon.commands.lines import STYLES, line_of, outcome_of, printable

CURVE = 60
"""The curves have one character for each of so many of the latest messages, or groups of them."""
VALUES = 40
LINES = 8
_BARS = "▁▂▃▄▅▆▇█"


def sparkline(rates: list[float]) -> str:
    """Draw rates from 0 to 1, a character each.

    >>> sparkline([0.0, 0.5, 1.0])
    '▁▅█'
    """
    return "".join(_BARS[min(int(rate * len(_BARS)), len(_BARS) - 1)] for rate in rates)


class Screen:
    """What has been followed so far; any thread may render it while another one adds."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._lock = threading.Lock()
        self._seen = 0
        self._rates: list[tuple[float, float]] = []
        self._stride = 1
        self._values: deque[Text] = deque(maxlen=VALUES)
        self._lines: deque[Text] = deque(maxlen=LINES)
        self._last: dict[str, Any] | None = None

    def add(self, record: Any) -> None:
        """Take note of a record of the output topic."""
        line = line_of(record.value, f"{record.topic}/{record.partition}/{record.offset}")
        try:
            message = json.loads(record.value or b"")
            rates = (message["hit_rate"], message["baseline_hit_rate"])
            value = Text(printable(json.dumps(message["value"], ensure_ascii=False)), STYLES[outcome_of(message)])
        except (ValueError, KeyError, TypeError, AttributeError):
            message, rates, value = None, (None, None), Text("?", "yellow")
        with self._lock:
            self._seen += 1
            self._lines.append(line)
            self._values.append(value)
            self._last = message or self._last
            if None not in rates and self._seen % self._stride == 0:
                self._rates.append(rates)
                if len(self._rates) > CURVE:
                    self._rates, self._stride = self._rates[1::2], 2 * self._stride

    def render(self) -> RenderableType:
        """Give the view as it is now."""
        with self._lock:
            rates, values, lines, last, seen = [*self._rates], [*self._values], [*self._lines], self._last, self._seen
        if last is None:
            return Text(f"{self._topic}: nothing yet (Ctrl-C ends)", "dim")
        own, best = ([rate[place] for rate in rates] for place in (0, 1))
        return Group(
            Rule(Text.assemble((self._topic, "bold"), f"  {seen:,} predictions seen"), align="left"),
            Text.assemble("hit rate       ", (sparkline(own), "green"), f" {_percent(own)}"),
            Text.assemble("best baseline  ", (sparkline(best), "dim"), f" {_percent(best)}"),
            Text.assemble("last values    ", Text(" ").join(values)),
            Text.assemble("next           ", *_next(last)),
            Rule(style="dim"),
            *lines,
        )


def _next(message: dict[str, Any]) -> list[str | tuple[str, str]]:
    stream = "" if message["stream"] is None else f"  of {printable(message['stream'])}"
    if message["prediction"] is None:
        return [f"nothing is known yet{stream}"]
    listed = message.get("probabilities") or message.get("top")
    if listed:
        told = ", ".join(f"{_literal(name)} {100 * probability:.1f} %" for name, probability in listed[:3])
        return [(told, "bold"), stream]
    interval = f" in {_literal(message['interval'])}" if message.get("interval") else ""
    return [(_literal(message["prediction"]), "bold"), f"{interval}{stream}"]


def _literal(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))


def _percent(rates: list[float]) -> str:
    return f"{100 * rates[-1]:.1f} %" if rates else "nothing scored yet"
