"""Streams of symbols in files: cases of processes, and logs."""

from pathlib import Path

import pytest
from online_lstm.devtools.sample_data import Element
from online_lstm.devtools.symbol_streams import cases_of, logs_of
from online_lstm.errors import InputFileError


def test_cases_are_streams_without_their_first_activity(tmp_path: Path) -> None:
    """Activities are numbered as they come; the first one of a case is not scored."""
    path = tmp_path / "p.csv"
    path.write_text("case,activity,time\n7,check,2011-10-01\n8,pay,2011-10-02\n7,pay,2011-10-03\n")
    expected = [Element(0, scored=False, key="7"), Element(1, scored=False, key="8"), Element(1, key="7")]
    assert expected == list(cases_of(str(path)))


def test_each_log_is_a_stream_with_numbers_of_its_own(tmp_path: Path) -> None:
    """Files without the column are left out; templates are numbered for each log, and its first line is not scored."""
    (tmp_path / "b.csv").write_text('LineId,Content,EventId\n1,"a, b",E3\n2,c,E3\n3,d,E1\n')
    (tmp_path / "a.csv").write_text("EventId,LineId\nE9,1\n")
    (tmp_path / "c.csv").write_text("x,y\n1,2\n")
    expected = [
        Element(0, scored=False, key="a.csv"),
        Element(0, scored=False, key="b.csv"),
        Element(0, key="b.csv"),
        Element(1, key="b.csv"),
    ]
    assert expected == list(logs_of(str(tmp_path)))


def test_a_folder_without_logs_is_refused(tmp_path: Path) -> None:
    """The message names the folder and the column."""
    with pytest.raises(InputFileError, match="received no CSV file with the column EventId"):
        list(logs_of(str(tmp_path)))
