"""Sums in blocks: what they give, and how many there are."""

import numpy as np
import pytest
from online_lstm.backtest.report.block_sums import MAX_BLOCKS, Blocks


def filled(rows: np.ndarray) -> Blocks:
    blocks = Blocks(rows.shape[1])
    for place, row in enumerate(rows):
        blocks.add(3 * place + 1, row)
    return blocks


@pytest.mark.parametrize("count", [1, 7, MAX_BLOCKS, MAX_BLOCKS + 1, 2 * MAX_BLOCKS + 1, 5000])
def test_rolling_sums_are_those_of_the_rows(count: int) -> None:
    """At the end of each block, over the rows of the last blocks; what a block is grows with the input."""
    rows = np.random.default_rng(count).integers(0, 9, (count, 2)).astype(float)
    events, sums = filled(rows).rolling(1)
    assert len(events) <= MAX_BLOCKS
    assert len(events) >= min(count, MAX_BLOCKS // 2)
    ends = (events - 1) // 3 + 1  # rows up to the end of each block
    assert count == ends[-1]
    size = ends[0]
    assert [size] * (len(ends) - 2) == np.diff(ends)[:-1].tolist()
    np.testing.assert_array_equal(sums, [rows[max(0, end - 1) // size * size : end].sum(axis=0) for end in ends])
    _, rolled = filled(rows).rolling(3 * size)
    expected = [rows[max(0, ((end - 1) // size - 2) * size) : end].sum(axis=0) for end in ends]
    np.testing.assert_array_equal(rolled, expected)
    np.testing.assert_array_equal(filled(rows).total(), rows.sum(axis=0))


def test_nothing_is_left_of_what_is_large_and_gone() -> None:
    """A rolling sum is added anew, so that one error of 1e300 does not make those after it none."""
    rows = np.ones((100, 1))
    rows[10] = 1e300
    _, sums = filled(rows).rolling(5)
    assert 5.0 == sums[-1, 0]


def test_without_rows_there_is_nothing() -> None:
    """And no error."""
    events, sums = Blocks(2).rolling(10)
    assert (0, 0) == (len(events), len(sums))
