"""The command evaluate: reports, documents, and what it refuses."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from online_lstm.cli import main
from online_lstm.errors import ExitCode
from online_lstm.evaluation import benchmark_runner
from online_lstm.evaluation.seed_statistics import BEGIN, END, insert_figures
from online_lstm.events import BASELINES, EXPERTS
from support.fakes import SMALL, small_network

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_runner, "model_factory", lambda _: small_network)


def run(*arguments: object) -> int:
    assignments = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    return main.main(["evaluate", *map(str, arguments), *assignments])


def test_report_and_document_tell_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a document says around its figures stays; the report has all values, settings and versions."""
    document = tmp_path / "learning.md"
    document.write_text(f"# Learning\n\nbefore\n{BEGIN}old\n{END}\nafter\n")
    options = ["--seeds", 2, "--first-seed", 7, "--events", 300]
    for _ in range(2):
        assert ExitCode.OK == run("noise", *options, "--json", tmp_path / "r.json", "--markdown", document)
    report = json.loads((tmp_path / "r.json").read_text())
    (noise,) = report["protocols"]
    assert ("noise", 300, [7, 8]) == (noise["protocol"], noise["events"], noise["seeds"])
    hits = noise["found"]["prediction"]["hits"]
    assert 2 == len(hits["values"])
    assert hits["mean"] == pytest.approx(sum(hits["values"]) / 2)
    assert ["lstm 4"] == report["settings"]["network"]
    assert {"online-lstm", "tensorflow"} < set(report["versions"])
    text = document.read_text()
    assert text.startswith(f"# Learning\n\nbefore\n{BEGIN}### noise: 300 elements, seeds 7 to 8")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "`network = ['lstm 4']`" in text
    for place in (text, capsys.readouterr().out):
        assert f"{hits['mean']:.3f}" in place


def test_a_document_that_is_not_there_is_made(tmp_path: Path) -> None:
    """With a title and the lines that the next figures go between."""
    assert ExitCode.OK == run("counting-loop", "--seeds", 1, "--events", 50, "--markdown", tmp_path / "new.md")
    text = (tmp_path / "new.md").read_text()
    assert BEGIN in text
    assert text == insert_figures(text[text.index(BEGIN) + len(BEGIN) : text.index(END)], text, "new.md")


def test_processes_and_logs_are_read_from_files(tmp_path: Path) -> None:
    """The scored events of the file, beside an n-gram table and the published figure."""
    (tmp_path / "p.csv").write_text("case,activity\n" + "".join(f"{n // 3},{n % 3}\n" for n in range(60)))
    (tmp_path / "log.csv").write_text("EventId\n" + "E1\nE2\n" * 20)
    options = ["--processes", tmp_path / "p.csv", "--logs", tmp_path, "--json", tmp_path / "r.json"]
    assert ExitCode.OK == run("processes", "logs", *options)
    processes, logs = json.loads((tmp_path / "r.json").read_text())["protocols"]
    assert (60, 40) == (processes["events"], logs["events"])
    assert 38 / 40 == processes["found"]["n-gram table"]["hits"]["mean"]
    assert processes["found"]["prediction"]["hits"]["mean"] > 0.8
    assert 0.7123 in [figures["hits"] for figures in processes["published"].values()]
    assert 38 / 39 >= logs["found"]["prediction"]["hits"]["mean"] > 0.8


def test_figures_on_standard_output_stand_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """The tables go where they do not disturb the next program of the pipe."""
    assert ExitCode.OK == run("counting-loop", "--seeds", 1, "--events", 50, "--json", "-")
    captured = capfd.readouterr()
    assert ["counting-loop"] == [protocol["protocol"] for protocol in json.loads(captured.out)["protocols"]]
    assert "counting-loop: 50 elements, seed 1000" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["taxis"], "no protocol 'taxis'; expected some of counting-loop, high-order"),
        (["--seeds", "0"], "seeds: received 0, expected 1 or more"),
        (["--first-seed", "-1"], "first_seed: received -1, expected 0 or more"),
        (["--events", "0"], "events: received 0, expected 1 or more"),
        (["--set", "windw=8"], "windw: there is no such setting; window is one"),
        (["--set", "seed=8"], "seed: received 8 with --set; expected --first-seed"),
        (["--markdown", "{folder}/plain.md"], "{folder}/plain.md has no section for the figures"),
        (["--json", "-", "--markdown", "-"], "markdown: received -, which --json writes to"),
        (["counting-loop", "--set", "value_format=long"], "counting-loop: its values were refused (wrong_length)"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is written."""
    plain = tmp_path / "plain.md"
    plain.write_text("as it was")
    assert ExitCode.USAGE == run(*[argument.format(folder=tmp_path) for argument in arguments])
    assert message.format(folder=tmp_path) in capsys.readouterr().err
    assert ("as it was", [plain]) == (plain.read_text(), list(tmp_path.iterdir()))


def test_a_protocol_that_needs_settings_has_them(tmp_path: Path) -> None:
    """Whatever was set: as many values are listed as there are endings."""
    listed = {}
    for top in (1, 4):
        options = ["--seeds", 1, "--events", 600, "--json", tmp_path / "r.json"]
        assert ExitCode.OK == run("high-order-multiple-4", *options, "--set", f"top_k={top}")
        (protocol,) = json.loads((tmp_path / "r.json").read_text())["protocols"]
        listed[top] = protocol["found"]["prediction"]["listed"]["mean"]
    assert listed[1] == listed[4] > 0


TAXI_ROWS = 900


@pytest.fixture
def taxi_file(tmp_path: Path) -> Path:
    """A file of the same make: three rows of header, and a day's season."""
    rows = ["timestamp,passenger_count,timeofday,dayofweek", "datetime,int,int,int", "T,,,"]
    start = datetime(2014, 7, 1, tzinfo=UTC)
    for place in range(TAXI_ROWS):
        count = 10_000 + 5_000 * math.sin(place / 48 * 2 * math.pi) + 997 * place % 301
        rows.append(f"{start + place * timedelta(minutes=30):%Y-%m-%d %H:%M:%S},{count:.0f},0,0")
    path = tmp_path / "taxi.csv"
    path.write_text("\n".join(rows))
    return path


@pytest.mark.parametrize("name", ["taxi", "taxi-calendar"])
def test_numbers_are_measured_by_their_errors(
    name: str, taxi_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the task and the horizon of the protocol; each predictor has its figure, and knowing more is better."""
    monkeypatch.undo()  # a network of numbers
    monkeypatch.setattr("online_lstm.devtools.sample_data.TAXI_FIRST", 400)
    report = tmp_path / "r.json"
    assert ExitCode.OK == run(name, "--taxi", taxi_file, "--seeds", 1, "--json", report)
    (protocol,) = json.loads(report.read_text())["protocols"]
    found = {who: of["MAPE"]["mean"] for who, of in protocol["found"].items()}
    assert {"prediction", *BASELINES["number"], *EXPERTS["number"]} == set(found)
    assert found["prediction"] < found["last_value"]
    assert found["prediction"] < 0.05


def test_the_series_of_a_folder_are_streams(
    taxi_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has its own last value; the published prediction is compared with the baselines by the age of a stream."""
    monkeypatch.undo()  # a network of numbers
    counts = [row.split(",")[1] for row in taxi_file.read_text().splitlines()[3:200]]
    for name in ("one", "other"):
        rows = [f"{index},{count}" for index, count in enumerate(counts)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["time,passengers", *rows]))
    report = tmp_path / "r.json"
    assert ExitCode.OK == run("ordinary", "--data", tmp_path, "--json", report)
    assert "ordinary: 394 elements, seed 1000" in capsys.readouterr().out
    (protocol,) = json.loads(report.read_text())["protocols"]
    found = protocol["found"]
    assert 1.0 == found["last_value"]["51 to 128"]["mean"] > found["prediction"]["51 to 128"]["mean"]
    assert [None] == found["prediction"]["501 on"]["values"]
    assert [0] == found["prediction"]["worse by MSE"]["values"]


@pytest.mark.parametrize(("name", "option"), [("taxi", "--taxi CSV"), ("ordinary", "--data FOLDER")])
def test_a_protocol_that_needs_a_file_asks_for_it(name: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for by its name; without a name it is left out."""
    assert ExitCode.USAGE == run(name)
    assert f"expected {option}" in capsys.readouterr().err


def test_missing_file_is_refused_before_learning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not after the other protocols."""
    assert ExitCode.USAGE == run("switch", "taxi", "--taxi", tmp_path / "none.csv", "--seeds", 1)
    told = capsys.readouterr()
    assert "none.csv" in told.err
    assert "switch" not in told.out
