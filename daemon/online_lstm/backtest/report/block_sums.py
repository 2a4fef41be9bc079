"""Sums over the course of an input in bounded memory: rows are summed in blocks that grow with the input."""

import numpy as np
from numpy.typing import NDArray

MAX_BLOCKS = 400
"""At this number of blocks, neighbours are merged in pairs, and new blocks take twice as many rows."""


class Blocks:
    """Sums of rows of ``width`` float64, block by block.

    Once ``MAX_BLOCKS`` rows were added, from half of ``MAX_BLOCKS`` to ``MAX_BLOCKS`` blocks are kept. All blocks have
    the same number of rows, except the last one, which may be shorter.
    """

    def __init__(self, width: int) -> None:
        self._size = 1  # rows of a block
        self._rows = 1  # of the last block, which is full
        self._count = 0
        self._sums = np.zeros((MAX_BLOCKS, width))
        self._events = np.zeros(MAX_BLOCKS, np.int64)

    def add(self, event: int, row: NDArray[np.float64]) -> None:
        """Add the row of an event; event numbers must not decrease."""
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
        """Return the sums of all rows, float64 ``(width,)``."""
        total: NDArray[np.float64] = self._sums[: self._count].sum(axis=0)
        return total

    def rounded_up(self, rows: int) -> int:
        """Return a number of rows, rounded up to whole blocks."""
        return -(-rows // self._size) * self._size

    def rolling(self, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the sums over the last rows at the end of each block.

        Args:
            rows: Number of rows, rounded up to whole blocks; fewer at the beginning.

        Returns:
            The last event of each block, int64 ``(B,)``, and the sums, float64 ``(B, width)``.
        """
        sums, blocks = self._sums[: self._count], self.rounded_up(rows) // self._size
        # summed again for each block, so that no rounding error of large earlier values remains
        rolled = [sums[max(0, end - blocks) : end].sum(axis=0) for end in range(1, self._count + 1)]
        return self._events[: self._count].copy(), np.array(rolled).reshape(self._count, self._sums.shape[1])
