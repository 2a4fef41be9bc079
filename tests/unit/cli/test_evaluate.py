"""Evaluations: what is measured, on whom, and how it is told."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from online_lstm.cli import main
from online_lstm.cli.evaluate import compare, learn
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.evaluation.protocols import (
    LAST,
    LATE,
    MOVING,
    PROTOCOLS,
    BenchmarkMetric,
    Trace,
    hit_rate,
    last_bits,
    last_hits,
    last_hits_before_switch,
    last_listed,
    learned,
    mean_bits,
    misses_later,
    relearned,
    share_of_first,
)
from online_lstm.evaluation.seed_statistics import BEGIN, END, Comparison, SeedStatistics, place_figures
from online_lstm.events import BASELINES as BASELINES_OF
from online_lstm.events import EXPERTS as EXPERTS_OF
from online_lstm.learning import model_factory
from support.fakes import SMALL, small_network, small_settings

pytestmark = pytest.mark.long

BASELINES, EXPERTS = BASELINES_OF["symbol"], EXPERTS_OF["symbol"]


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_factory, "model_factory", lambda _: small_network)


def run(*arguments: object) -> int:
    assignments = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    return main.main(["evaluate", *map(str, arguments), *assignments])


def track(hits: str, scored: str | None = None) -> Trace:
    """Read hits and scored elements: ``x`` is one."""
    return Trace([mark == "x" for mark in scored or "x" * len(hits)], [mark == "x" for mark in hits])


def comparison(name: str, *, prediction: float | None, lstm: float, seeds: int = 2) -> Comparison:
    """Make a comparison whose predictors have one figure for all measures."""
    protocol = PROTOCOLS[name]
    found = {"prediction": SeedStatistics((prediction, 1.0)[:seeds]), "lstm": SeedStatistics((lstm,) * seeds)}
    by_measure = {who: dict.fromkeys((m.name for m in protocol.measures), of) for who, of in found.items()}
    return Comparison(protocol, 3000, range(1000, 1000 + seeds), by_measure)


def test_rates_are_of_the_elements_that_they_say() -> None:
    """The first 500, all, or the last scored ones; what was not predicted is a miss."""
    hits = track("." * 250 + "x" * 250 + "x" * LATE + ".")
    assert 0.5 == share_of_first(hits)
    assert 1 == misses_later(hits)
    assert 0.5 == hit_rate(track("x."))
    ending = track("." * 10 + "x." * LAST, "x" * 10 + "x." * LAST)
    assert 1.0 == last_hits(ending)
    halves = track("x.x." + "x.x.", "x.x." + ".x.x")
    assert (1.0, 0.5) == (last_hits_before_switch(halves), last_hits(halves))


def test_surprise_and_lists_are_those_of_who_has_them() -> None:
    """Others have no figure; an element without a prediction has no surprise."""
    told = Trace([True, False, True], [False] * 3, [None, 4.0, 2.0], [True, False, False])
    assert (3.0, 2.0, 0.5) == (mean_bits(told), last_bits(told), last_listed(told))
    silent = track("x")
    assert (None, None, None) == (mean_bits(silent), last_bits(silent), last_listed(silent))


def test_figures_of_too_short_a_stream_are_none() -> None:
    """There is no mean of nothing."""
    assert (None, None) == (misses_later(track("x")), hit_rate(track("")))


def test_it_has_learned_when_95_of_the_last_100_are_right() -> None:
    """Of those that are scored; the first ones that are missing count as misses, and the count is in elements."""
    assert 95 == learned(track("x" * 400))
    assert 2 * 95 - 1 == learned(track("x." * 400, "x." * 400))
    assert 105 == learned(track("." * 10 + "x" * 390))
    assert learned(track("x" * 94 + "." * 306)) is None
    late = "x" * 90 + "." * 10
    assert learned(track(late * 8)) is None


def test_relearning_counts_from_the_switch() -> None:
    """What was right before it does not count, and what comes after it does not count for learning."""
    whole = track("." * MOVING + "x" * 100 + "." * 20 + "x" * 180)
    assert (195, 115) == (learned(whole), relearned(whole))
    assert learned(track("." * 200 + "x" * 200)) is None


def test_targets_are_held_against_the_mean() -> None:
    """Lower is better where it says so; a seed without a figure does not reach anything."""
    met = {(t.who, t.measure): t.met for t in comparison("counting-loop", prediction=0.99, lstm=0.0).targets()}
    assert {
        ("prediction", "first 500"): True,
        ("lstm", "first 500"): False,
        ("prediction", "misses after 1,000"): False,
        ("lstm", "misses after 1,000"): True,
    } == met
    assert not any(t.met for t in comparison("counting-loop", prediction=None, lstm=0.5).targets())


def test_the_prediction_has_to_be_as_good_as_every_other() -> None:
    """In hits at least the best of them, in bits at most."""
    better = comparison("noise", prediction=1.0, lstm=0.5).targets()
    assert [("hits", True), ("bits", False)] == [(t.measure, t.met) for t in better]
    worse = comparison("noise", prediction=0.0, lstm=0.75).targets()
    assert [("hits", False), ("bits", True)] == [(t.measure, t.met) for t in worse]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.5, 1.0), ["0.75", "0.50 to 1.00"]),
        ((7.0, 7.0), ["7.00"]),
        ((3.0, None), ["3.00", "1 of 2 never"]),
        ((None, None), ["never"]),
    ],
)
def test_a_figure_is_mean_and_range(values: tuple[float | None, ...], expected: list[str]) -> None:
    """The seeds that gave none are told, not left out."""
    assert expected == SeedStatistics(values).parts(BenchmarkMetric("any", hit_rate, digits=2, none="never"))


def test_published_rows_stand_beside_ours() -> None:
    """With their source; every published figure is of a measure that we have."""
    found = comparison("high-order", prediction=1.0, lstm=0.5)
    assert ["published: LSTM-online", "0.895", "0.879", "4,540", "3,275"] in found.rows(", ")
    assert "doi:10.1162/NECO_a_00893" in found.markdown()
    for protocol in PROTOCOLS.values():
        names = {measure.name for measure in protocol.measures}
        assert all(set(them.figures) <= names for them in protocol.published)
        assert bool(protocol.published) == bool(protocol.source)


@pytest.mark.parametrize("name", [name for name, protocol in PROTOCOLS.items() if not protocol.file])
def test_every_protocol_gives_figures_of_every_predictor(name: str) -> None:
    """On a short stream; the published prediction comes first and has all of them that a short stream can give."""
    chosen = small_settings(**PROTOCOLS[name].settings)
    found = compare(chosen, PROTOCOLS[name], seeds=range(1), events=LATE + 50).found
    assert "prediction" == next(iter(found))
    assert {*BASELINES, *EXPERTS} < set(found)
    assert all(found[who]["bits"].complete for who in EXPERTS if "bits" in found[who])
    assert all(of[m.name].complete for of in [found["prediction"]] for m in PROTOCOLS[name].measures if not m.none)


def test_evaluation_independent_of_chunk_size() -> None:
    """Tracks are the same for any chunk."""
    tracks = [learn(small_settings(), PROTOCOLS["noise"], 3, 150, chunk=chunk) for chunk in (1, 7, 500)]
    assert [tracks[0]] * 3 == tracks


def test_a_listed_element_was_among_the_likeliest_before_it_came() -> None:
    """At least wherever it was a hit, and never before anything was predicted."""
    found = learn(small_settings(top_k=4), PROTOCOLS["high-order-multiple-4"], 0, 600)["prediction"]
    assert all(listed for listed, hit in zip(found.listed, found.hits, strict=True) if hit)
    assert sum(found.listed) > sum(found.hits) > 0
    assert not found.listed[0]


def test_seeds_are_of_stream_and_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each seed begins with other weights, also on a stream that knows no seed."""
    seeds = []
    monkeypatch.setattr(model_factory, "model_factory", lambda given: seeds.append(given.seed) or small_network)
    compare(small_settings(), PROTOCOLS["counting-loop"], seeds=range(4, 6), events=5)
    assert [4, 5] == seeds


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
    assert text == place_figures(text[text.index(BEGIN) + len(BEGIN) : text.index(END)], text, "new.md")


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
        (["--markdown", "{folder}/plain.md"], "{folder}/plain.md has no place for figures"),
        (["--json", "-", "--markdown", "-"], "markdown: received -, which is where --json goes"),
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


def test_values_that_the_settings_do_not_read_are_refused() -> None:
    """A figure without them would be of another stream."""
    with pytest.raises(SettingsError, match="refused"):
        learn(small_settings(value_path="a.b"), PROTOCOLS["noise"], 0, 5)


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
    assert {"prediction", *BASELINES_OF["number"], *EXPERTS_OF["number"]} == set(found)
    assert found["prediction"] < found["last_value"]
    assert found["prediction"] < 0.05


def test_a_protocol_that_needs_a_file_asks_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for by its name; without a name it is left out."""
    assert ExitCode.USAGE == run("taxi")
    assert "--taxi CSV" in capsys.readouterr().err


def test_missing_file_is_refused_before_learning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not after the other protocols."""
    assert ExitCode.USAGE == run("switch", "taxi", "--taxi", tmp_path / "none.csv", "--seeds", 1)
    told = capsys.readouterr()
    assert "none.csv" in told.err
    assert "switch" not in told.out
