"""Streams of numbers for benchmarks: pure functions of their seed, and the files of a folder."""

import math
from itertools import groupby
from pathlib import Path

import pytest
from online_lstm.devtools.number_streams import EVENTS, new_streams, series_of
from online_lstm.errors import InputFileError


def test_new_streams_follow_from_the_seed() -> None:
    """Another seed has other values; fewer elements are the beginning of more."""
    elements = list(new_streams(3, 2 * EVENTS))
    assert elements == list(new_streams(3, 2 * EVENTS))
    assert elements[:250] == list(new_streams(3, 250))
    assert elements[:EVENTS] != list(new_streams(4, EVENTS))


def test_new_streams_are_of_ten_kinds() -> None:
    """One after another with keys of their own: among them counts, a constant, a step and a trend."""
    elements = list(new_streams(1, 20 * EVENTS))
    streams = {key: [element.value for element in rows] for key, rows in groupby(elements, lambda one: one.key)}
    assert [f"stream-{number}" for number in range(20)] == list(streams)
    assert {EVENTS} == {len(values) for values in streams.values()}
    assert all(math.isfinite(value) for values in streams.values() for value in values)
    _, _, _, _, counts, step, constant, trend, _, rounded = list(streams.values())[:10]
    assert min(counts) >= 0
    assert [*map(int, counts)] == counts
    assert len(set(constant)) == 1
    assert max(step[150:]) != max(step[:20])
    assert min(trend[100:]) > max(trend[:20])
    assert [*map(int, rounded)] == rounded


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    """Each with two columns is a stream; a cell without a number is missing; other files are left out."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b/one.csv").write_text("timestamp,value\n2026-01-01,1.5\n2026-01-02,NA\n")
    (tmp_path / "a.csv").write_text("month;passengers\n1949-01;112\n1949-02;118\n")
    (tmp_path / "wide.csv").write_text("a,b,c\n1,2,3\n")
    (tmp_path / "notes.txt").write_text("none")
    elements = list(series_of(str(tmp_path)))
    assert ["a.csv", "a.csv", "b/one.csv", "b/one.csv"] == [element.key for element in elements]
    assert [112, 118, 1.5] == [element.value for element in elements[:3]]
    assert math.isnan(elements[3].value)


def test_a_folder_without_series_is_refused(tmp_path: Path) -> None:
    """Nothing can be measured on it."""
    with pytest.raises(InputFileError, match="received no CSV file with two columns, expected a time and a number"):
        list(series_of(str(tmp_path)))
