"""Whether values look like quantities rather than like symbols that come again."""

from typing import Any

FIRST = 1000
"""So many values are looked at."""
FEWEST = 20
"""Of so few different ones any may be symbols."""


class Numerals:
    """Counts over the first values of an input."""

    def __init__(self) -> None:
        self._values, self._fractions = 0, 0
        self._numbers: set[float] = set()

    def add(self, value: Any) -> None:
        """Look at a value as JSON has it."""
        self._values += 1
        if isinstance(value, int | float):
            self._numbers.add(value)
            self._fractions += value != int(value)

    @property
    def are_quantities(self) -> bool:
        """Whether most have digits after the point, or are numbers that had not been there before.

        >>> measured, levels, counter = Numerals(), Numerals(), Numerals()
        >>> for place in range(100):
        ...     measured.add(20 + place % 30 / 7)
        ...     levels.add((0.5, 1.5, 2.5)[place % 3])
        ...     counter.add(place)
        >>> measured.are_quantities, levels.are_quantities, counter.are_quantities
        (True, False, True)
        """
        different = len(self._numbers)
        return different > FEWEST and 2 * max(self._fractions, different) > self._values
