"""Notations of numbers in text: the decimal mark and the thousands separator."""

import re
from dataclasses import dataclass
from functools import cached_property

from online_lstm.codec.cell_text import parse_boolean, parse_number, quote_for_error
from online_lstm.errors import BadInputError
from online_lstm.settings import Settings


@dataclass(frozen=True)
class Notation:
    """A notation of numbers: the decimal mark and the thousands separator."""

    decimal: str = "."
    thousands: str = ""

    @cached_property
    def _form(self) -> re.Pattern[str]:
        decimals = f"(?:{re.escape(self.decimal)}[0-9]*)?"
        grouped = f"|[1-9][0-9]{{0,2}}(?:{re.escape(self.thousands)}[0-9]{{3}})+{decimals}" if self.thousands else ""
        return re.compile(f"[+-]?(?:(?:[0-9]+{decimals}|{re.escape(self.decimal)}[0-9]+)(?:[eE][+-]?[0-9]+)?{grouped})")

    def number(self, cell: str) -> tuple[int | float, str] | None:
        """Return the number in a cell and its JSON text; None without a finite number.

        >>> Notation(",", ".").number("1.234,5"), Notation(thousands=",").number("1,23")
        ((1234.5, '1234.5'), None)
        """
        text = _one_space(cell)
        if (boolean := parse_boolean(text)) is not None:
            return int(boolean), str(int(boolean))
        if self != PLAIN:
            if not self._form.fullmatch(text):
                return None
            text = text.replace(self.thousands, "") if self.thousands else text
            text = text.replace(self.decimal, ".")
        try:
            return parse_number(text)
        except BadInputError:
            return None

    def __str__(self) -> str:
        thousands = f", thousands {self.thousands!r}" if self.thousands else ""
        return f"decimal {self.decimal!r}{thousands}"


PLAIN = Notation()


def notation_of(settings: Settings) -> Notation:
    """Return the notation that the settings define for numbers in texts."""
    notation = Notation(settings.decimal, {"none": "", "space": " "}.get(settings.thousands, settings.thousands))
    return PLAIN if notation == PLAIN else notation


def other_notation(text: str, notation: Notation) -> BadInputError:
    """Return the error for a text with a number in another notation."""
    return BadInputError(
        "not_a_number",
        f"received {quote_for_error(text)}, expected a number with {notation}: the settings decimal and thousands",
    )


def _one_space(cell: str) -> str:
    """Strip a cell, and replace the no-break spaces within numbers by plain spaces."""
    return cell.strip().replace("\u00a0", " ").replace("\u202f", " ")
