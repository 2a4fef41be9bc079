"""``backtest --compare A B``: two reports, figure by figure."""

import json
from pathlib import Path
from typing import Any

import pytest
from online_lstm.backtest.report.compare_reports import comparison_rows, require_comparable
from online_lstm.checkpoint import warm_start_file
from online_lstm.cli import main
from online_lstm.devtools.sample_data import demo_stream
from online_lstm.errors import ExitCode, InputFileError
from support.fakes import SMALL, small_network


def run(*arguments: object) -> int:
    return main.main(["backtest", *map(str, arguments)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the reports of two backtests of one file, and of one of another."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "values.txt").write_bytes(b"".join(value + b"\n" for value in demo_stream(400)))
    (folder / "other.txt").write_bytes(b"1\n2\n" * 60)
    assignments = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warm_start_file, "model_factory", lambda _: small_network)
        for name, file, more in (("a", "values", ()), ("b", "values", ("--set", "experts=lstm")), ("c", "other", ())):
            file_options = (folder / f"{file}.txt", "--json", folder / f"{name}.json")
            assert ExitCode.OK == run(*file_options, *assignments, *more)
    return folder


def read(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


@pytest.mark.long
def test_it_says_which_is_better_and_what_differs(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figure by figure; in the table, as JSON and as a page."""
    results = ("--json", tmp_path / "out.json", "--report", tmp_path / "out.html")
    assert ExitCode.OK == run("--compare", made / "a.json", made / "b.json", *results)
    shown, told = capsys.readouterr().out, read(tmp_path / "out.json")
    a, b = read(made / "a.json"), read(made / "b.json")
    figures = {line["figure"]: line for line in told["figures"]}
    rate = figures["hit rate"]
    assert (a["hit_rate"], b["hit_rate"]) == (rate["a"], rate["b"])
    assert b["hit_rate"] - a["hit_rate"] == rate["difference"]
    better = None if not rate["difference"] else "B" if rate["difference"] > 0 else "A"
    assert better == rate["better"]
    bits = figures["log loss, bits"]
    assert ("A" if bits["a"] < bits["b"] else "B") == bits["better"]
    assert figures["scored predictions"]["better"] is None
    assert ["experts"] == [line["name"] for line in told["differing"]]
    assert f"A: {made / 'a.json'}" in shown
    assert f"{rate['difference']:+.4g}" in shown
    assert '["lstm"]' in shown
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "values.txt: two backtests" in page
    assert f"{rate['difference']:+.4g}" in page
    assert page.count("<svg") == 2
    evaluation = told["evaluation"]
    assert shown.startswith(evaluation["text"])
    assert evaluation["text"] in page
    assert evaluation["paired"]
    assert rate["difference"] == pytest.approx(evaluation["difference"])


@pytest.mark.long
def test_a_report_is_as_good_as_itself(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No difference, and no better one."""
    a = read(made / "a.json")
    assert {""} == {row.better for row in comparison_rows(a, a)}
    assert {0, None} >= {row.difference for row in comparison_rows(a, a)}
    assert ExitCode.OK == run("--compare", made / "a.json", made / "a.json")
    shown = capsys.readouterr().out
    assert shown.startswith("Neither was clearly better: ")
    assert "There is no difference." in shown
    assert "settings and versions are the same" in shown


def test_intervals_near_their_target_are_better() -> None:
    """More is no merit of its own; errors are better where they are smaller, skills where they are larger."""
    usual = {"scored": 9, "hit_rate": 0.5, "time_to_learn": {"events": None}, "settings": {"interval_level": 0.9}}
    a = usual | {"interval_coverage": 0.99, "skill": 0.2, "mean_absolute_error": 2.0}
    b = usual | {"interval_coverage": 0.88, "skill": 0.1, "mean_absolute_error": 1.0}
    better = {row.name: row.better for row in comparison_rows(a, b)}
    assert ("B", "A", "B") == tuple(
        better[name] for name in ("share within the interval", "skill against the best baseline", "mean absolute error")
    )


def test_what_a_report_says_does_nothing_to_a_terminal(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be somebody else's: control characters are shown as such."""
    a, other = read(made / "a.json"), tmp_path / "other.json"
    other.write_text(json.dumps(a | {"settings": a["settings"] | {"value_path": "\x1b[2J"}}), encoding="utf-8")
    assert ExitCode.OK == run("--compare", made / "a.json", other)
    shown = capsys.readouterr().out
    assert "\\x1b[2J" in shown
    assert "\x1b" not in shown


def test_reports_of_other_tasks_are_refused(made: Path) -> None:
    """Bits and errors cannot be compared."""
    a = read(made / "a.json")
    with pytest.raises(InputFileError, match=r"a\.json is of task symbol, b\.json of task number; expected the same"):
        require_comparable(a, a | {"task": "number"}, "a.json", "b.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "received neither FILE nor --compare A B, expected one of them"),
        (
            ("{made}/values.txt", "--compare", "{made}/a.json", "{made}/b.json"),
            "values.txt with --compare, expected one of them",
        ),
        (
            ("--compare", "{made}/a.json", "{made}/c.json"),
            "values.txt (400 values), {made}/c.json about other.txt (120",
        ),
        (("--compare", "{made}/a.json", "{made}/values.txt"), "values.txt: received no JSON ("),
        (("--compare", "{made}/a.json", "{made}/none.json"), "none.json: No such file or directory; expected a report"),
        (("--compare", "{made}/a.json", "{made}/damaged.json"), "received JSON without scored as `backtest --json`"),
        (("--compare", "{made}/a.json", "{made}/curve.json"), "received JSON without curve as `backtest --json`"),
        (("--compare", "{made}/a.json", "{made}/blocks.json"), "received JSON without blocks as `backtest --json`"),
        (("--compare", "{made}/a.json", "{made}/list.json"), "received JSON without file, task, "),
        (("--compare", "{made}/a.json", "{made}/b.json", "--task", "number"), "received --task with --compare"),
        (("--compare", "{made}/a.json", "{made}/b.json", "--epochs", "2"), "received --epochs with --compare"),
        (("--compare", "{made}/a.json", "{made}/b.json", "--json", "{made}/a.json"), "a.json, which is compared"),
        (("--compare", "{made}/a.json", "{made}/b.json", "--json", "-", "--report", "-"), "-, which --json writes"),
    ],
)
def test_what_cannot_be_compared_is_told(
    made: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """What was received, what is expected; the reports stay as they are."""
    before = (made / "a.json").read_bytes()
    (made / "damaged.json").write_text(json.dumps(read(made / "a.json") | {"scored": "many"}), encoding="utf-8")
    (made / "curve.json").write_text(json.dumps(read(made / "a.json") | {"curve": {}}), encoding="utf-8")
    blocks = {"blocks": read(made / "a.json")["blocks"] | {"predictions": [0]}}
    (made / "blocks.json").write_text(json.dumps(read(made / "a.json") | blocks), encoding="utf-8")
    (made / "list.json").write_text("[]", encoding="utf-8")
    assert ExitCode.USAGE == run(*[argument.format(made=made) for argument in arguments])
    assert message.format(made=made) in capsys.readouterr().err
    assert before == (made / "a.json").read_bytes()
