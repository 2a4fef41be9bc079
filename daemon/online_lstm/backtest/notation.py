"""Detection of the notation of numbers and times, from all cells of a file before any cell is read."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import permutations
from typing import Generic, TypeVar

from online_lstm.codec.cell_text import parse_boolean, quote_for_error
from online_lstm.codec.number_notation import PLAIN, Notation
from online_lstm.timestamps import EPOCH_UNITS, ISO, milliseconds_in, unit_of

W = TypeVar("W", bound=Hashable)
TRIED_CELLS = 200
"""Number of cells after which a notation that matched no cell is dropped."""


NOTATIONS = (
    *(PLAIN, Notation(","), Notation(thousands=","), Notation(",", ".")),
    *(Notation(decimal, thousands) for thousands in (" ", "'") for decimal in (".", ",")),
)

TIME_FORMS = (
    ISO,
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m", "%d.%m.%Y", "%d.%m.%y"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y"),
    *("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
    *("%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"),
    *EPOCH_UNITS,
)
_NAMES = {ISO: "ISO 8601", **{unit: f"epoch {unit}" for unit in EPOCH_UNITS}}
_DIGITS = {"%Y%m%d": 8, "%Y%m%d%H": 10, "%Y%m%d%H%M": 12, "%Y%m%d%H%M%S": 14}


class Votes(Generic[W]):
    """Counts of the cells that can be read in each of several notations.

    Args:
        ways: The notations, in order of preference if several match equally.
        read: Returns the content of a cell in a notation, None if it does not match.
        name: Returns the name of a notation.
        alike: Returns whether a cell reads the same in every notation, which saves reading it in each of them.
    """

    def __init__(
        self,
        ways: Sequence[W],
        read: Callable[[str, W], object],
        name: Callable[[W], str],
        alike: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._read, self._name, self._alike = read, name, alike
        self._of_any = 0
        self._ways = list(ways)
        self.cells = 0
        self._counts: Counter[W] = Counter()
        self._failures: dict[W, tuple[int, str]] = {}
        self._clashes: dict[tuple[W, W], str] = {}

    def add(self, cell: str, line: int) -> None:
        """Count one cell; ``line`` is its line number."""
        self.cells += 1
        if self._alike(cell):
            self._of_any += 1
            return
        values = {}
        for way in self._ways:
            values[way] = self._read(cell, way)
            if values[way] is None:
                self._failures.setdefault(way, (line, cell))
            else:
                self._counts[way] += 1
        if len({value for value in values.values() if value is not None}) > 1:
            self._note_clashes(cell, {way: value for way, value in values.items() if value is not None})
        if self.cells - self._of_any == TRIED_CELLS and self._counts:
            self._ways = [way for way in self._ways if self._counts[way]]

    def _note_clashes(self, cell: str, values: dict[W, object]) -> None:
        for (one, its), (other, others) in permutations(values.items(), 2):
            if its != others:
                self._clashes.setdefault((one, other), cell)

    @property
    def best(self) -> W:
        """The notation that matches most cells, the first one of equals."""
        return max(self._ways, key=lambda way: self._counts[way])

    @property
    def unread(self) -> int:
        """Number of cells that do not match the best notation."""
        return self.cells - self._of_any - self._counts[self.best]

    @property
    def failure(self) -> str:
        """The first unreadable cell and its line, as text."""
        line, cell = self._failures[self.best]
        return f"the first in line {line}: {quote_for_error(cell)}"

    @property
    def rival(self) -> str | None:
        """An ambiguous cell with two notations that match equally many cells, as text; None if unambiguous."""
        best = self.best
        for other in self._ways:
            if (cell := self._clashes.get((best, other))) and self._counts[other] == self._counts[best]:
                return f"{quote_for_error(cell)}: {self._name(best)}, or {self._name(other)}"
        return None


def number_votes(separator: str, decimal: str | None, thousands: str | None) -> Votes[Notation]:
    """Return the votes on the notation of numbers, restricted by the given marks.

    In files separated by commas, a comma more often separates thousands than decimals.
    """
    order = sorted(NOTATIONS, key=lambda way: separator == "," and way.decimal == ",")
    ways = [way for way in order if decimal in {None, way.decimal} and thousands in {None, way.thousands}]
    ways = ways or [Notation(decimal or ".", thousands or "")]
    return Votes(ways, lambda cell, way: number[0] if (number := way.number(cell)) else None, str, _is_whole)


def _is_whole(cell: str) -> bool:
    return (cell.isascii() and cell.isdigit()) or parse_boolean(cell) is not None


def time_votes(time_format: str | None) -> Votes[str]:
    """Return the votes on the format of times; a given format is the only candidate."""
    if time_format is not None:
        return Votes([time_format], since_1970, name_of_form)
    return Votes(TIME_FORMS, _plausible, name_of_form)


def since_1970(cell: str, form: str) -> int | None:
    """Return the time in a cell in milliseconds since 1970, None for another format or an earlier time."""
    milliseconds = milliseconds_in(cell, form)
    return None if milliseconds is None or milliseconds < 0 else milliseconds


def name_of_form(form: str) -> str:
    """Return the name of a time format.

    >>> name_of_form("ms"), name_of_form("%d/%m/%Y")
    ('epoch ms', '%d/%m/%Y')
    """
    return _NAMES.get(form, form)


def _plausible(cell: str, form: str) -> int | None:
    """Return the time in a cell if it is plausible in this format, else None; used to detect the format."""
    text = cell.strip()
    digits = len(text) - len(text.lstrip("0123456789"))
    if form in _DIGITS and (digits != _DIGITS[form] or not "1900" <= text[:4] < "2100"):
        return None
    if form == ISO and digits == len(text):
        return None
    milliseconds = since_1970(cell, form)
    return None if form in EPOCH_UNITS and unit_of(text) != form else milliseconds
