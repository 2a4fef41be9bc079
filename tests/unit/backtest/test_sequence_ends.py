"""Files of sequences with labels: columns that become messages, and what is learned from them."""

import json
from pathlib import Path
from typing import Any

import pytest
from online_lstm.backtest.input_files import Line
from online_lstm.backtest.sequence_ends import ended
from online_lstm.cli import main
from online_lstm.errors import ExitCode
from support.fakes import LABELS, SMALL


def run(path: Path, *arguments: str, **settings: object) -> int:
    given = {**SMALL, **LABELS, **settings}
    del given["task"]
    assignments = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
    return main.main(["backtest", str(path), "--task", "label", *assignments, *arguments])


def messages_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_last_row_of_a_key_ends_its_sequence() -> None:
    """Whatever rows of other keys are between; an empty cell is no label, and text that is no JSON a string."""
    rows = [
        Line(1, b"1.5", b"a", 7, label="up"),
        Line(2, b"[1, null]", b"b", label=""),
        Line(3, b"2", b"a", label="3"),
        Line(4, b"x", b"c", label='"4"'),
    ]
    expected = [
        Line(1, b'{"value": 1.5, "label": "up"}', b"a", 7, label="up"),
        Line(2, b'{"value": [1, null], "end": true}', b"b", label=""),
        Line(3, b'{"value": 2, "label": 3, "end": true}', b"a", label="3"),
        Line(4, rb'{"value": "x", "label": "\"4\"", "end": true}', b"c", label='"4"'),
    ]
    assert expected == list(ended(rows))


@pytest.mark.long
def test_a_column_of_labels_is_learned_from(tmp_path: Path) -> None:
    """Each key is a sequence; its label is judged with its last row."""
    path = tmp_path / "runs.csv"
    rows = [f'{run},"[{run % 2}, {place}]",{"odd" if run % 2 else "even"}' for run in range(60) for place in range(3)]
    path.write_text("\n".join(["run,sample,kind", *rows]))
    columns = ("--key-column", "run", "--column", "sample", "--label-column", "kind")
    assert ExitCode.OK == run(path, *columns, "--json", str(tmp_path / "o.json"), "--predictions", str(tmp_path / "o"))
    messages, report = messages_in(tmp_path / "o"), json.loads((tmp_path / "o.json").read_text())
    assert [1, 2, 3] * 60 == [message["sample"] for message in messages]
    evaluations = [message["evaluation"] for message in messages]
    assert all((evaluation is None) == (place % 3 != 2) for place, evaluation in enumerate(evaluations) if place > 3)
    assert ["odd", "even"] == [evaluation["label"] for evaluation in evaluations[5::3][:2]]
    assert evaluations[-1]["hit"]
    assert (180, 60, 59) == (report["events"], report["streams"], report["scored"])
    assert report["hit_rate"] > 0.8


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("--label-column", "kind"), {}, "expected --key-column as well"),
        (("--key-column", "run"), {"label_path": "a.b"}, "no column 'a.b'; expected one of run, sample, kind"),
        (("--label-column", "none", "--key-column", "run"), {}, "no column 'none'; expected one of run, sample, kind"),
    ],
)
def test_columns_of_labels_that_do_not_fit_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    settings: dict[str, object],
    message: str,
) -> None:
    """With the option, and what is expected instead."""
    path = tmp_path / "runs.csv"
    path.write_text("run,sample,kind\n1,2,3\n")
    assert ExitCode.USAGE == run(path, *arguments, **settings)
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_labels_are_for_their_task_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of other tasks a column of labels is refused, and so is one that is in no CSV."""
    path = tmp_path / "runs.csv"
    path.write_text("run,sample,kind\n1,2,3\n")
    assert ExitCode.USAGE == main.main(["backtest", str(path), "--label-column", "kind", "--key-column", "run"])
    assert ExitCode.USAGE == run(path, "--label-column", "kind", "--format", "jsonl")
    assert ExitCode.USAGE == main.main(["backtest", str(path), "--task", "labels"])
    said = capsys.readouterr().err.replace("\n", " ")
    assert "label_column: expected --task label, received task symbol" in said
    assert "is read as jsonl, expected --format csv" in said
    assert "task: received 'labels', expected 'symbol', 'number' or 'label'" in said


@pytest.mark.long
@pytest.mark.parametrize("last", ["3,NaN", "3,", "NA,NaN", "x,up", "3", "?,?"])
def test_a_sequence_ends_with_its_last_row_whatever_is_in_it(tmp_path: Path, last: str) -> None:
    """A label or a value that cannot be read loses neither the end nor the label that came before."""
    path = tmp_path / "runs.csv"
    path.write_text("run,value,kind\n" + f"a,2,up\na,{last}\nb,4,down\nb,.5,down\nc,1,up\nc,2,up\n")
    columns = ("--key-column", "run", "--column", "value", "--label-column", "kind")
    assert ExitCode.OK == run(path, *columns, "--predictions", str(tmp_path / "o"), features=1)
    messages = messages_in(tmp_path / "o")
    assert [1, 2] * 3 == [message["sample"] for message in messages]
    assert ["down", "up"] == [message["evaluation"]["label"] for message in messages if message["evaluation"]]
    assert [None, "a", "b"] == [None, messages[1]["stream"], messages[2]["stream"]]
    assert ("down", True) == (messages[3]["evaluation"]["label"], messages[3]["evaluation"]["predicted"] == "up")
