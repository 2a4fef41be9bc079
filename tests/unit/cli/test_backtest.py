"""Backtests: the daemon's learner over a file, and what is said about it."""

import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from online_lstm.backtest import file_values, runner
from online_lstm.backtest.input_files import Line
from online_lstm.backtest.report.score_tables import ABBREVIATIONS, channel_tables
from online_lstm.backtest.runner import backtest
from online_lstm.checkpoint import warm_start_file
from online_lstm.checkpoint.checkpoint_files import read_file
from online_lstm.cli import main
from online_lstm.devtools.sample_data import demo_stream
from online_lstm.errors import ExitCode
from online_lstm.learning.partition import Partition
from online_lstm.shutdown import Shutdown
from rich.console import Console
from support.fakes import SMALL, small_network, small_settings


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_start_file, "model_factory", lambda _: small_network)


def run(*arguments: object) -> int:
    assignments = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    return main.main(["backtest", *assignments, *map(str, arguments)])


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def read_messages(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_report_and_messages_tell_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures are those of the messages, which are what the daemon would have published."""
    file = write(tmp_path / "values.txt", *demo_stream(600))
    assert ExitCode.OK == run(file, "--json", tmp_path / "report.json", "--predictions", tmp_path / "out.jsonl")
    report, messages = json.loads((tmp_path / "report.json").read_text()), read_messages(tmp_path / "out.jsonl")
    hits = [message["evaluation"]["hit"] for message in messages if message["evaluation"]]
    assert list(range(600)) == [message["offset"] for message in messages]
    assert {("values.txt", 0, None)} == {(m["topic"], m["partition"], m["stream"]) for m in messages}
    assert 600 == report["events"]
    assert (len(hits), sum(hits) / len(hits)) == (report["scored"], report["hit_rate"])
    assert report["hit_rate"] == pytest.approx(report["lift"] + max(report["baseline_hit_rates"].values()))
    assert (8, ["lstm 4"]) == (report["settings"]["window"], report["settings"]["network"])
    assert {"online-lstm", "tensorflow", "numpy"} < set(report["versions"])
    shown = capsys.readouterr().out
    assert f"{report['hit_rate']:.4f}" in shown
    assert "values.txt: each value predicted before it was learned" in shown


def test_messages_independent_of_chunk_size() -> None:
    """One by one, in chunks, or all: the same bytes."""
    lines = [Line(number, value, key=b"ab"[number % 2 :][:1]) for number, value in enumerate(demo_stream(150))]
    outputs = []
    for chunk in (1, 7, 500):
        predictions = io.BytesIO()
        backtest(small_settings(), "numbers", lines, predictions=predictions, chunk=chunk)
        outputs.append(predictions.getvalue())
    assert 150 == outputs[0].count(b"\n")
    assert [outputs[0]] * 3 == outputs


def test_bad_lines_are_told_by_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are counted by reason, blank lines are not there at all, and the offsets stay those of the file."""
    file = write(tmp_path / "values.txt", b"4", b"", b"word", b" ", b"\xff", b"8", b"nan")
    assert ExitCode.OK == run(file, "--json", tmp_path / "report.json", "--predictions", tmp_path / "out.jsonl")
    report = json.loads((tmp_path / "report.json").read_text())
    assert {"not_a_value": 1, "not_finite": 1, "not_utf8": 1} == report["dead_letters"]
    assert [3, 5, 7] == [bad["line"] for bad in report["bad_lines"]]
    assert [0, 5] == [message["offset"] for message in read_messages(tmp_path / "out.jsonl")]
    assert "line 3: received 'word', expected a number or JSON" in capsys.readouterr().out


def test_keys_of_csv_name_the_streams(tmp_path: Path) -> None:
    """Every stream counts its own events."""
    file = write(tmp_path / "pumps.csv", b"pump,state,note", b"a,4,x", b"b,4,x", b"a,8,x")
    arguments = ["--column", "state", "--key-column", "pump", "--predictions", tmp_path / "out.jsonl"]
    assert ExitCode.OK == run(file, *arguments)
    messages = read_messages(tmp_path / "out.jsonl")
    assert [("a", 1, 4), ("b", 1, 4), ("a", 2, 8)] == [(m["stream"], m["event"], m["value"]) for m in messages]
    assert [1, 2, 3] == [message["offset"] for message in messages]


def test_json_lines_are_read_like_messages_of_the_input_topic(tmp_path: Path) -> None:
    """``value_path`` finds the value in other people's JSON."""
    file = write(tmp_path / "log.jsonl", b'{"state": {"now": "on"}}', b'{"state": {"now": "off"}}')
    assert ExitCode.OK == run(file, "--set", "value_path=state.now", "--predictions", tmp_path / "out.jsonl")
    assert ["on", "off"] == [message["value"] for message in read_messages(tmp_path / "out.jsonl")]


def test_paths_of_the_settings_name_columns_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One settings file reads a topic of flat objects, and a file of cells with the same names."""
    cells = write(tmp_path / "cells.csv", b"id,ts,temp,hum", b"a,1760000000,21.5,40", b"b,1760000060,22,NA")
    lines = write(
        tmp_path / "lines.jsonl",
        b'{"id": "a", "ts": 1760000000, "temp": 21.5, "hum": 40}',
        b'{"id": "b", "ts": 1760000060, "temp": 22, "hum": "NA"}',
    )
    config = tmp_path / "s.toml"
    config.write_text('value_path = ["temp", "hum"]\nkey_path = "id"\ntime_path = "ts"\ncalendar = true\n')
    told = []
    for file in (cells, lines):
        options = ("--config", config, "--predictions", tmp_path / "out.jsonl")
        assert ExitCode.OK == number_run(monkeypatch, file, *options)
        told.append([(m["stream"], m["value"], m["components"]) for m in read_messages(tmp_path / "out.jsonl")])
    assert told[0] == told[1] == [("a", [21.5, 40], ["temp", "hum"]), ("b", [22, None], ["temp", "hum"])]


def test_report_on_standard_output_stands_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The table goes where it does not disturb the next program of the pipe."""
    assert ExitCode.OK == run(write(tmp_path / "values.txt", b"4", b"8"), "--json", "-")
    captured = capfd.readouterr()
    assert 2 == json.loads(captured.out)["events"]
    assert "values.txt: each value predicted" in captured.err


@pytest.mark.parametrize("content", [[], [b"", b"  "]])
def test_a_file_without_values_is_refused(
    tmp_path: Path, content: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of nothing would hide a wrong file."""
    assert ExitCode.USAGE == run(write(tmp_path / "values.txt", *content))
    assert "values.txt: received no values, expected at least one line" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--column", "state"], "values.txt is read as text, expected --format csv"),
        (["--set", "value_format=long"], "value_format: received long, expected auto or string"),
        (["--time-format", "hours"], "time_format: received 'hours', expected auto, s, ms, us, ns, iso, or a pattern"),
        (["--set", "windw=8"], "windw: there is no such setting; window is one"),
        (["--json", "{folder}"], "json: cannot write {folder}: Is a directory"),
        (["--json", "/dev/full"], "json: cannot write /dev/full: No space left on device"),
        (["--json", "{folder}/none/r.json"], "json: cannot write {folder}/none/r.json: No such file or directory"),
        (["--predictions", "{folder}/values.txt"], "predictions: received {folder}/values.txt, which is the input"),
        (["--json", "{folder}/../{name}/r", "--predictions", "{folder}/r"], "{folder}/r, which --json writes to"),
        (["--json", "-", "--predictions", "-"], "predictions: received -, which --json writes to"),
        (["--report", "{folder}/values.txt"], "report: received {folder}/values.txt, which is the input"),
        (["--report", "/dev/full"], "report: cannot write /dev/full: No space left on device"),
        (["--json", "{folder}/r", "--report", "{folder}/r"], "report: received {folder}/r, which --json writes to"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is learned or written; the input stays as it is."""
    file = write(tmp_path / "values.txt", b"4")
    assert ExitCode.USAGE == run(
        file, *[argument.format(folder=tmp_path, name=tmp_path.name) for argument in arguments]
    )
    assert message.format(folder=tmp_path) in capsys.readouterr().err
    assert b"4\n" == file.read_bytes()
    assert [file] == list(tmp_path.iterdir())


def test_where_every_line_is_refused_it_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the first example; the results of before stay as they were."""
    file, report = write(tmp_path / "values.txt", b"word", b"other"), write(tmp_path / "report.json", b"before")
    assert ExitCode.USAGE == run(file, "--json", report, "--predictions", tmp_path / "out.jsonl")
    said = capsys.readouterr().err
    assert "nothing was learned, all 2 values were refused (not_a_value 2); the first one, in line 1: received" in said
    assert b"before\n" == report.read_bytes()
    assert {file, report} == set(tmp_path.iterdir())


def test_an_interruption_leaves_no_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there is whole: the one of before, until the new one is finished."""
    file, out = write(tmp_path / "values.txt", *[b"4"] * 20), write(tmp_path / "out.jsonl", b"before")

    def interrupted(*_: object, predictions: BinaryIO, **__: object) -> None:
        predictions.write(b"half a line")
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "backtest", interrupted)
    assert 130 == run(file, "--predictions", out)
    assert b"before\n" == out.read_bytes()
    assert {file, out} == set(tmp_path.iterdir())


def test_ctrl_c_ends_with_what_was_learned_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chunk at hand is learned; scores, messages, report and checkpoint are those of what was learned."""
    file = write(tmp_path / "values.txt", *demo_stream(1200))
    process = Partition.process

    def interrupted(partition: Partition, records: Any) -> Any:
        if records[0].offset == 500:
            signal.raise_signal(signal.SIGINT)
        return process(partition, records)

    monkeypatch.setattr(Partition, "process", interrupted)
    out = {name: tmp_path / f"out.{name}" for name in ("json", "report", "predictions", "checkpoint")}
    assert 130 == run(file, *[part for name, path in out.items() for part in (f"--{name}", path)])
    report = json.loads(out["json"].read_text())
    assert (1000, 1000) == (report["events"], report["interrupted_at_line"])
    assert 1000 == len(read_messages(out["predictions"]))
    assert "Interrupted at line 1,000" in out["report"].read_text()
    state = read_file(str(out["checkpoint"])).state
    assert state is not None
    assert 1000 == state.commit_metadata.records
    shown = capsys.readouterr().out
    assert "1,000" in shown
    assert "interrupted at line 1,000: these are the figures so far" in shown


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there are no results, or those of before."""
    file, out = write(tmp_path / "values.txt", *demo_stream(20)), write(tmp_path / "out.json", b"before")

    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Partition, "process", interrupted)
    assert 130 == run(file, "--json", out)
    assert b"before\n" == out.read_bytes()
    assert {file, out} == set(tmp_path.iterdir())


def test_what_was_read_before_ctrl_c_is_learned() -> None:
    """Whoever waits for a line that does not come is not made to wait for a whole chunk."""

    def lines() -> Iterator[Line]:
        for number, value in enumerate(demo_stream(60)):
            yield Line(number, value)
        signal.raise_signal(signal.SIGINT)

    with Shutdown() as shutdown:
        scorecard = backtest(small_settings(), "values", lines(), shutdown=shutdown)
    assert (60, 60) == (scorecard.events, scorecard.last_line)
    assert scorecard.interrupted


def test_ctrl_c_before_anything_was_learned_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No table of nothing, and no complaint about a file without values."""

    def lines(*_: object) -> Iterator[Line]:
        signal.raise_signal(signal.SIGINT)
        yield Line(0, b"1")

    monkeypatch.setattr(file_values, "read_lines", lines)
    file = write(tmp_path / "values.txt", b"4")
    assert 130 == run(file, "--json", tmp_path / "out.json")
    assert [file] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "options", "hinted"),
    [
        ([b"%.2f" % (20 + (event * 7 % 90) / 7) for event in range(100)], (), True),
        ([b"%d" % event for event in range(100)], (), True),
        ([b"%.2f" % event for event in range(100)], ("--task", "symbol"), False),
        ([b"%.2f" % event for event in range(100)], ("--set", "task=symbol"), False),
        ([b"0.5", b"1.5"] * 60, (), False),
        ([b"4", b"8"] * 60, (), False),
        ([b'"%d"' % event for event in range(100)], (), True),
    ],
)
def test_numbers_that_are_learned_as_symbols_are_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    values: list[bytes],
    options: tuple[str, ...],
    hinted: bool,
) -> None:
    """Once, in quotes or not, unless the task was given; levels and states that come again are symbols."""
    assert ExitCode.OK == run(write(tmp_path / "values.txt", *values), *options)
    assert hinted == capsys.readouterr().out.count("hint: these look like numbers; for errors and intervals set task")


def test_keys_that_never_return_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason why nothing was scored names the setting, and with that there are scores."""
    rows = [b"key,value", *(b"row-%d,%d" % (number, number % 3) for number in range(120))]
    file, columns = write(tmp_path / "rows.csv", *rows), ("--column", "value", "--key-column", "key")
    assert ExitCode.OK == run(file, *columns, "--json", tmp_path / "out.json")
    report = json.loads((tmp_path / "out.json").read_bytes())
    assert ["keys_never_return"] == list(report["hints"])
    assert report["hints"]["keys_never_return"] == report["nothing_scored"]
    assert "no key came twice" in report["nothing_scored"]
    assert 1 == capsys.readouterr().out.count("set stream_by to partition")
    assert ExitCode.OK == run(file, *columns, "--set", "stream_by=partition", "--json", tmp_path / "out.json")
    report = json.loads((tmp_path / "out.json").read_bytes())
    assert (119, 1, {}) == (report["scored"], report["streams"], report["hints"])


@pytest.mark.parametrize("value", [b"abc", b'"abc"', b'{"value": "abc"}', b'[1, "abc"]'])
@pytest.mark.parametrize("task", ["number", "label"])
def test_words_among_numbers_are_told_without_wrong_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: bytes, task: str
) -> None:
    """Quotes and value_format would not make a number of a word."""
    monkeypatch.undo()
    assert ExitCode.USAGE == run(write(tmp_path / "values.txt", value), "--task", task)
    said = capsys.readouterr().err
    assert "expected a number" in said or "expected numbers, or null" in said
    assert "abc" in said
    assert "quotes" not in said


def test_the_report_may_go_to_standard_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As other results may; the table then goes to standard error."""
    assert ExitCode.OK == run(write(tmp_path / "values.txt", b"4", b"8"), "--report", "-")
    captured = capfd.readouterr()
    assert captured.out.startswith("<!doctype html>")
    assert captured.out.rstrip().endswith("</html>")
    assert "values.txt: each value predicted" in captured.err


def test_what_is_in_the_page_is_in_the_json(tmp_path: Path) -> None:
    """Times, curve, calibration, confusion, surprise; the settings that are not the default are named."""
    file = write(tmp_path / "values.txt", *demo_stream(600))
    assert ExitCode.OK == run(file, "--json", tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    names = {"time_to_learn", "recoveries", "curve", "blocks", "calibration", "confusion", "most_surprising"}
    assert names <= set(report)
    assert report["scored"] == sum(one["count"] for one in report["calibration"]["bins"])
    assert report["scored"] == sum(map(sum, report["confusion"]["counts"]))
    right = sum(counts[place] for place, counts in enumerate(report["confusion"]["counts"]))
    assert report["hit_rate"] == right / report["scored"]
    assert (report["scored"], right) == tuple(sum(report["blocks"][name]) for name in ("predictions", "hits"))
    assert set(SMALL) - {"checkpoint_interval_s"} == set(report["changed_settings"])


def test_figures_independent_of_chunk_size() -> None:
    """Nor do those of the course."""
    lines = [Line(number, value, key=b"ab"[number % 2 :][:1]) for number, value in enumerate(demo_stream(150))]
    figures = [backtest(small_settings(), "n", lines, chunk=chunk).to_json() | {"event_ms": 0} for chunk in (1, 7, 500)]
    assert [figures[0]] * 3 == figures


def test_results_follow_links_and_replace_what_was_there(tmp_path: Path) -> None:
    """A link stays a link to the new content."""
    file, report = write(tmp_path / "values.txt", b"4", b"8"), write(tmp_path / "report.json", b"before")
    (tmp_path / "link").symlink_to(report)
    assert ExitCode.OK == run(file, "--json", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert 2 == json.loads(report.read_text())["events"]


def number_run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.undo()  # a network of numbers
    return run("--set", "task=number", "--set", "lookback=256", *arguments)


@pytest.mark.long
def test_errors_of_numbers_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the published prediction, of experts and baselines; however large they are, all figures are finite."""
    values = [b"%d" % (100 + event % 12) for event in range(400)]
    values[300] = b"1e200"
    file = write(tmp_path / "values.txt", *values)
    assert ExitCode.OK == number_run(monkeypatch, file, "--json", tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    assert {"last_value", "seasonal_naive"} == set(report["baseline_mean_absolute_errors"])
    assert {"lstm", "linear", "neighbours"} == set(report["expert_mean_absolute_errors"])
    assert 1e197 < report["mean_absolute_error"] < 1e198 < report["root_mean_squared_error"] < 1e199
    assert "skill against the best baseline" in capsys.readouterr().out


@pytest.mark.long
def test_a_calendar_needs_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a column of them it is refused, with one it is learned from."""
    rows = [b"2026-01-%02d %02d:00:00,%d" % (1 + event // 24, event % 24, event % 24) for event in range(240)]
    file = write(tmp_path / "values.csv", b"time,value", *rows)
    calendar = ("--set", "calendar=true")
    assert ExitCode.USAGE == number_run(monkeypatch, file, "--column", "value", *calendar)
    assert "--time-column" in capsys.readouterr().err
    assert ExitCode.OK == run("--set", "task=number", "--set", "lookback=256", file, "--time-column", "time", *calendar)


@pytest.mark.long
def test_several_columns_are_vectors_and_each_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors in several units have no mean, but each component and horizon has its figures; empty cells are missing."""
    rows = [b"%d,%d,x" % (100 + event % 12, event % 7) if event % 5 else b",%d,x" % (event % 7) for event in range(300)]
    file = write(tmp_path / "values.csv", b"a,b,note", *rows)
    out, report = tmp_path / "out.jsonl", tmp_path / "r.json"
    options = ("--column", "b", "--column", "a", "--set", "horizons=1,2")
    assert ExitCode.OK == number_run(monkeypatch, file, *options, "--json", report, "--predictions", out)
    told = json.loads(report.read_text(), parse_constant=pytest.fail)
    assert told["mean_absolute_error"] is None
    assert told["root_mean_squared_error"] is None
    places = [(channel["component"], channel["horizon"]) for channel in told["channels"]]
    assert [("b", 1), ("a", 1), ("b", 2), ("a", 2)] == places
    messages = read_messages(out)
    assert ["b", "a"] == messages[0]["components"]
    assert [0, None] == messages[0]["value"]
    judged = [m["evaluation"] for m in messages if m["evaluation"]]
    errors = [evaluation["error"][1][1] for evaluation in judged if evaluation["error"][1][1] is not None]
    assert told["channels"][3]["mean_absolute_error"] == pytest.approx(sum(map(abs, errors)) / len(errors))
    hits = [hit for evaluation in judged for line in evaluation["hit"] for hit in line if hit is not None]
    assert (len(hits), sum(hits) / len(hits)) == (told["scored"], told["hit_rate"])
    shown = capsys.readouterr().out
    assert "┃ component ┃ horizon ┃" in shown  # whole, in a pipe
    for width in (60, 80, 100):  # and on a terminal in as many tables as it takes
        console = Console(file=io.StringIO(), width=width)
        for table in channel_tables(told, width):
            console.print(table)
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        assert width >= max(map(len, lines))
        heads = [line for line in lines if "┃ component ┃ horizon ┃" in line]
        assert 4 * len(heads) == sum(line.startswith("│") for line in lines)  # none is broken in two
        assert [any(f" {name} " in head for head in heads) for name in ABBREVIATIONS.values()] == [True] * 7
    assert "RMSE" in shown
    assert "root mean squared error" not in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "learn=false"), "learn is false, and no warm_start"),
        (("--task", "label"), "no sequence ended with a label"),
        ((), "too few values came"),
    ],
)
def test_why_nothing_was_scored_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: str,
) -> None:
    """A table of nothing but none says nothing."""
    if "label" in options:
        monkeypatch.undo()  # a network of labels
    assert ExitCode.OK == run(write(tmp_path / "values.txt", b"1"), *options)
    shown = capsys.readouterr().out
    assert f"nothing was scored: {words}" in shown
    assert ("predicted and not learned" in shown) == ("learn=false" in options)


def test_how_a_file_is_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, where it is no disturbance; options say otherwise, and a marker of a missing number is a setting."""
    rows = [b"%d.3.2026;%d,5;x" % (1 + event % 28, event % 7) for event in range(60)]
    rows[10], rows[20], rows[30] = b"11.3.2026;-200;x", b"21.3.2026;oops;x", b"31.3.2026;?"
    file = write(tmp_path / "values.csv", b"time;value;note", *rows)
    out = tmp_path / "out.jsonl"
    options = ("--column", "value", "--time-column", "time", "--set", "calendar=true", "--predictions", out)
    markers = ("--set", "missing_values=-200")
    assert ExitCode.OK == number_run(monkeypatch, file, *options, *markers)
    told = capsys.readouterr().err.splitlines()
    assert f"{file}: read as: separator ';', numbers with decimal ',', times as %d.%m.%Y" == told[0]
    assert f"{file}: of 60 rows 1 of another length than the header" in told[1]
    assert "1 without value; 1 whose value is no number, taken as missing (the first in line 22: 'oops')" in told[1]
    messages = read_messages(out)
    assert [None] * 3 == [messages[place]["value"] and messages[place]["value"][0] for place in (10, 20, 30)]
    assert (60, 6.5) == (len(messages), messages[6]["value"])
    assert ExitCode.USAGE == run(file, "--task", "number", *options[:4], "--time-format", "%m/%d/%Y")
    assert "most times are not read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--encoding", "none", "expected an encoding like utf-8"),
        ("--separator", "ab", "expected one mark, or tab, space or none"),
        ("--decimal", "5", "expected one mark"),
    ],
)
def test_ways_of_writing_that_there_are_not_are_refused(
    tmp_path: Path, option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is expected instead."""
    with pytest.raises(SystemExit) as ended:
        run(write(tmp_path / "values.csv", b"value", b"4"), option, value)
    assert ExitCode.USAGE == ended.value.code
    assert message in capsys.readouterr().err


def test_blank_lines_between_numbers_are_missing_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They keep their place; those at the end are none, and a line that was cut in half is refused by itself."""
    file = write(tmp_path / "values.jsonl", b'{"value": 4}', b"", b'{"value": 5}', b'{"val', b'{"value": 6}', b"", b"")
    out = tmp_path / "out.jsonl"
    assert ExitCode.OK == number_run(monkeypatch, file, "--predictions", out)
    assert [(1, 4), (2, None), (3, 5), (5, 6)] == [(m["event"], m["value"]) for m in read_messages(out)]


@pytest.mark.long
def test_missing_numbers_cost_no_more_in_any_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A season is kept when some of its values are missing, whatever stands in their place."""
    values = [b"%d" % (100 + event % 24 * 3) for event in range(600)]
    outputs = []
    for marker in (b"", b"NA", b"NaN", b"?", b"Unknown"):
        rows = [marker if event % 31 == 30 else value for event, value in enumerate(values)]
        file = write(tmp_path / "values.csv", b"value,x", *[row + b",1" for row in rows])
        assert ExitCode.OK == number_run(monkeypatch, file, "--column", "value", "--predictions", tmp_path / "o")
        outputs.append((tmp_path / "o").read_bytes())
    assert [outputs[0]] * 5 == outputs


def test_a_dump_of_a_topic_is_read_like_the_topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, time and payload of ``kcat -J`` are those of the records; a tombstone forgets its stream."""
    base = {"topic": "t", "partition": 0, "tstype": "create", "key": "k"}
    dump = [
        json.dumps({**base, "offset": place, "ts": 1_760_000_000_123 + place, "payload": payload}).encode()
        for place, payload in enumerate(['{"value": 4}', '{"value": 5}', None, '{"value": 6}'])
    ]
    out = tmp_path / "out.jsonl"
    file = write(tmp_path / "dump.jsonl", *dump)
    assert ExitCode.OK == number_run(monkeypatch, file, "--predictions", out, "--set", "calendar=true")
    assert [("k", 1, 4), ("k", 2, 5), ("k", 1, 6)] == [
        (m["stream"], m["event"], m["value"]) for m in read_messages(out)
    ]


def test_booleans_in_cells_are_numbers_or_symbols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 and 1 for numbers, true and false for symbols."""
    file = write(tmp_path / "values.csv", b"on", b"TRUE", b"FALSE", b"TRUE")
    out = tmp_path / "out.jsonl"
    assert ExitCode.OK == number_run(monkeypatch, file, "--predictions", out)
    assert [1, 0, 1] == [message["value"] for message in read_messages(out)]
    assert ExitCode.OK == run(file, "--predictions", out)
    assert [True, False, True] == [message["value"] for message in read_messages(out)]
