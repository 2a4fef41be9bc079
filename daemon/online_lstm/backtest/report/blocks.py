"""Sums over the course of an input in bounded memory: rows are added up in blocks that grow with their number."""

import numpy as np
from numpy.typing import NDArray

MAX_BLOCKS = 400
"""When there are so many, each two neighbours become one, and new ones take twice as many rows."""


class Blocks:
    """Sums of rows of ``width`` float64, one block after another.

    Between half of ``MAX_BLOCKS`` and all of them are kept once there were as many rows; each has as many rows as all
    others but the last, which may be short.
    """

    def __init__(self, width: int) -> None:
        self._size = 1  # rows of a block
        self._rows = 1  # of the last block: it is full
        self._count = 0
        self._sums = np.zeros((MAX_BLOCKS, width))
        self._events = np.zeros(MAX_BLOCKS, np.int64)

    def add(self, event: int, row: NDArray[np.float64]) -> None:
        """Add a row that belongs to an event; events do not fall."""
        if self._rows == self._size:
            if self._count == MAX_BLOCKS:
                self._halve()
            self._count, self._rows = self._count + 1, 0
        last = self._count - 1
        self._sums[last] += row
        self._events[last] = event
        self._rows += 1

    def _halve(self) -> None:
        half = MAX_BLOCKS // 2
        self._sums[:half] = self._sums[::2] + self._sums[1::2]
        self._sums[half:] = 0
        self._events[:half] = self._events[1::2]
        self._count, self._size = half, 2 * self._size

    def total(self) -> NDArray[np.float64]:
        """Give the sums of all rows, float64 ``(width,)``."""
        total: NDArray[np.float64] = self._sums[: self._count].sum(axis=0)
        return total

    def rounded_up(self, rows: int) -> int:
        """Give the rows of as many whole blocks as it takes for so many."""
        return -(-rows // self._size) * self._size

    def rolling(self, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Give the sums over the last rows at the end of each block.

        Args:
            rows: How many, taken as ``rounded_up`` gives them; at the beginning as many as there are.

        Returns:
            The last event of each block, int64 ``(B,)``, and the sums, float64 ``(B, width)``.
        """
        sums, blocks = self._sums[: self._count], self.rounded_up(rows) // self._size
        # added anew for each, so that nothing is left of what is large and gone
        rolled = [sums[max(0, end - blocks) : end].sum(axis=0) for end in range(1, self._count + 1)]
        return self._events[: self._count].copy(), np.array(rolled).reshape(self._count, self._sums.shape[1])
