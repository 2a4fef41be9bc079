"""Hints: warnings about settings that are probably wrong although nothing fails.

A hint is a sentence that names the cause and the setting. Hints are a function of the records since the process began,
of the results of these records, and of the settings; hints are not part of any state. Most rules count the latest
records that look wrong in a row, backwards from the last record, and give a hint from ``IN_A_ROW`` records on. On a
healthy input, this count stops at the last record. The other rules look at all values, or at the first
``MAX_LOOKED_AT`` values.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from online_lstm.codec.cell_text import is_numeral, quote_for_error
from online_lstm.events import Event, EventResult, OutputRecord, Symbol, SymbolEvent
from online_lstm.settings import Settings
from online_lstm.telemetry import HINTS, Hint

IN_A_ROW = 100
"""A hint needs this many records in a row that all look wrong."""
MAX_LOOKED_AT = 1000
"""Number of values, from the start, that are checked for being quantities."""
MIN_DIFFERENT = 20
"""Numbers with at most this many different values may be symbols."""
T = TypeVar("T")


class Hints:
    """Detector of settings that are probably wrong; ``standing`` returns the hints that hold now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rows = dict.fromkeys(HINTS, 0)
        self._first: dict[str, Any] = {}
        self._changing: set[str] = set()
        self._numerals = NumeralDetector()
        self._error = ""

    def add(self, events: Sequence[Event], outcomes: Sequence[EventResult], outputs: Sequence[OutputRecord]) -> None:
        """Check some records: the learned events, the result of each event, and all outputs."""
        self._count("nothing_readable", outputs, lambda output: output.dead_letter)
        if outputs and outputs[-1].dead_letter:
            self._error = dict(outputs[-1].headers)["online_lstm_error"].decode(errors="replace")
        if not events:
            return
        if self._settings.task != "label":  # for labels, one learner serves all streams
            self._count("keys_never_return", outcomes, lambda outcome: outcome.event == 1)
        self._count("json_in_strings", events, _holds_json)
        self._count("all_missing", events, _is_missing)
        for event in events[: MAX_LOOKED_AT - self._numerals.values]:
            if isinstance(event, SymbolEvent):
                self._numerals.add(event.symbol)
        self._count_equal("value_never_changes", [event.literal for event in events])
        if self._settings.calendar:
            self._count_equal("timestamps_stand", [event.record.timestamp_ms for event in events])

    def standing(self) -> tuple[Hint, ...]:
        """Return the hints that hold now, in the order of ``HINTS``."""
        names = {name for name, row in self._rows.items() if row >= IN_A_ROW}
        if "all_missing" in names:
            names.discard("value_never_changes")
        looked_at = "task" not in self._settings.model_fields_set and self._numerals.values >= IN_A_ROW
        if looked_at and self._numerals.are_quantities:
            names.add("look_like_numbers")
        return tuple(Hint(name, self._text(name)) for name in HINTS if name in names)

    def _count(self, name: str, records: Sequence[T], looks_wrong: Callable[[T], bool]) -> None:
        """Count how many of the latest records look wrong in a row."""
        row = next((row for row, record in enumerate(reversed(records)) if not looks_wrong(record)), None)
        self._rows[name] = self._rows[name] + len(records) if row is None else row

    def _count_equal(self, name: str, values: Sequence[Any]) -> None:
        """Count values as long as all values since the start are equal."""
        if name in self._changing:
            return
        first = self._first.setdefault(name, values[0])
        if all(value == first for value in values):
            self._rows[name] += len(values)
        else:
            self._changing.add(name)
            self._rows[name] = 0

    def _text(self, name: str) -> str:
        row, first = self._rows[name], self._first.get(name)
        path, max_streams = ", ".join(self._settings.value_path) or "value", self._settings.max_streams
        texts = {
            "keys_never_return": f"nothing is predicted, as no key came twice: each of the last {row:,} values began a "
            "stream; set stream_by to partition to make one stream of all keys"
            + (f", or raise max_streams ({max_streams:,}) if there are more keys" if row > max_streams else ""),
            "nothing_readable": f"nothing is learned: each of the last {row:,} records is a dead letter: {self._error}",
            "all_missing": f"each of the last {row:,} values is missing: the setting value_path ({path}) says which "
            "field is the value",
            "value_never_changes": f"all {row:,} values are {quote_for_error(str(first))}, so there is nothing to "
            f"learn: the setting value_path ({path}) says which field is the value",
            "timestamps_stand": f"all {row:,} records have "
            + ("no timestamp" if first == -1 else f"the timestamp {first}")
            + ", but calendar is true: give each record its time, or unset it",
            "look_like_numbers": "these look like numbers; for errors and intervals set task to number",
            "json_in_strings": f"each of the last {row:,} values is a string with JSON in it, and is learned as a "
            "word: have the producer encode it once, or set task to number or label, which read what is in strings",
        }
        return texts[name]


class NumeralDetector:
    """Counts over the first values of an input; a number in quotes counts as a number."""

    def __init__(self) -> None:
        self.values, self._fractions = 0, 0
        self._numbers: set[float] = set()

    def add(self, value: Symbol) -> None:
        """Count a value."""
        self.values += 1
        number = float(value) if isinstance(value, str) and is_numeral(value) else value
        if not isinstance(number, str) and math.isfinite(number):
            self._numbers.add(number)
            self._fractions += number != int(number)

    @property
    def are_quantities(self) -> bool:
        """Whether most values have digits after the decimal point, or are numbers that did not occur before.

        There must be more than ``MIN_DIFFERENT`` different numbers.

        >>> measured, levels, counter = NumeralDetector(), NumeralDetector(), NumeralDetector()
        >>> for place in range(100):
        ...     measured.add(f"{20 + place % 30 / 7}")
        ...     levels.add((0.5, 1.5, 2.5)[place % 3])
        ...     counter.add(place)
        >>> measured.are_quantities, levels.are_quantities, counter.are_quantities
        (True, False, True)
        """
        different = len(self._numbers)
        return different > MIN_DIFFERENT and 2 * max(self._fractions, different) > self.values


def _holds_json(event: Event) -> bool:
    symbol = event.symbol if isinstance(event, SymbolEvent) else None
    return isinstance(symbol, str) and symbol.lstrip()[:1] in {"{", "["} and symbol.rstrip()[-1:] in {"}", "]"}


def _is_missing(event: Event) -> bool:
    vector = () if isinstance(event, SymbolEvent) else event.vector
    return bool(vector) and all(number is None for number in vector)
