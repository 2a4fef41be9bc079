"""Several passes over a file: what is learned, what is held out, and which pass is kept."""

import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from online_lstm.backtest import epochs as training_command
from online_lstm.backtest.epochs import Training, split, train
from online_lstm.backtest.input_files import Line
from online_lstm.checkpoint import warm_start_file
from online_lstm.cli import main
from online_lstm.devtools.sample_data import demo_stream
from online_lstm.errors import ExitCode, InputFileError
from online_lstm.learning.network import LearningSettings
from support.fakes import SMALL, small_network, small_settings

pytestmark = pytest.mark.long

LINES = [Line(number, value) for number, value in enumerate(demo_stream(200))]


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[LearningSettings, Any] = {}
    monkeypatch.setattr(
        warm_start_file, "model_factory", lambda _: lambda how: known.setdefault(how, small_network(how))
    )


@pytest.fixture(scope="module")
def trained() -> Training:
    return train(small_settings(), "values", LINES, epochs=4, held_out=0.25)


def run(*arguments: object) -> int:
    assignments = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    return main.main(["backtest", *assignments, *map(str, arguments)])


def test_the_pass_that_predicts_best_what_is_held_out_is_kept(trained: Training) -> None:
    """Of equally good ones the first; its state and messages are those that are given."""
    losses = [epoch.held_out_loss for epoch in trained.epochs]
    assert [1, 2, 3, 4] == [epoch.epoch for epoch in trained.epochs]
    assert None not in losses
    assert losses.index(min(filter(None, losses))) + 1 == trained.best.epoch
    messages = [json.loads(message) for message in trained.messages]
    assert list(range(150, 200)) == [message["offset"] for message in messages]
    assert all(message["model"].endswith(" frozen") for message in messages)
    hits = [message["evaluation"]["hit"] for message in messages if message["evaluation"]]
    assert trained.best.held_out_hit_rate == pytest.approx(sum(hits) / len(hits))
    assert [150 * trained.best.epoch] == trained.state.learned.arrays["events"].ravel().tolist()


def test_each_pass_learns_from_the_one_before(trained: Training) -> None:
    """Nothing is drawn at random; the losses fall."""
    again = train(small_settings(), "values", LINES, epochs=4, held_out=0.25)
    assert (trained.epochs, trained.messages) == (again.epochs, again.messages)
    first, last = trained.epochs[0], trained.epochs[-1]
    assert first.loss is not None
    assert last.loss is not None
    assert last.loss < 0.8 * first.loss


def test_whole_streams_are_held_out() -> None:
    """Those that begin last, with all of their lines."""
    lines = [Line(number, b"1", key=key) for number, key in enumerate([b"a", b"b", b"a", b"c", b"b", b"d"])]
    learned, held_out = split(lines, 0.5, whole_streams=True)
    assert [0, 1, 2, 4] == [line.number for line in learned]
    assert [3, 5] == [line.number for line in held_out]


@pytest.mark.parametrize(("count", "share"), [(0, 0.2), (1, 0.2), (5, 0.01), (5, 0.99)])
def test_too_few_lines_are_refused(count: int, share: float) -> None:
    """There has to be something to learn, and something to judge by."""
    with pytest.raises(InputFileError, match="expected at least one to learn from and one to hold out"):
        split(LINES[:count], share, whole_streams=False)


@pytest.mark.no_cover  # see pyproject.toml
def test_memory_does_not_grow_with_the_passes() -> None:
    """The question of the fourth document: repeated training keeps nothing but the history's line of each pass."""
    train(small_settings(), "values", LINES[:100], epochs=3, held_out=0.25)
    held = []
    for epochs in (60, 180):
        tracemalloc.start()
        result = train(small_settings(), "values", LINES[:100], epochs=epochs, held_out=0.25)
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert epochs == len(result.epochs)
    assert held[1] - held[0] < 120 * 800  # a line of the history is five numbers


def test_the_command_writes_history_plot_and_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The checkpoint is one to begin from; the plot is a picture."""
    file = tmp_path / "values.txt"
    file.write_bytes(b"".join(line.value + b"\n" for line in LINES))
    results = {name: tmp_path / f"result.{name}" for name in ("json", "h5", "svg")}
    options = ("--json", results["json"], "--checkpoint", results["h5"], "--plot", results["svg"])
    assert ExitCode.OK == run(file, "--epochs", 3, *options)
    report = json.loads(results["json"].read_text())
    assert [1, 2, 3] == [epoch["epoch"] for epoch in report["epochs"]]
    assert "<svg" in results["svg"].read_text()
    shown = capsys.readouterr().out
    assert f"{report['best_epoch']} best" in shown
    assert "held out, predicted after the best epoch and not learned" in shown
    assert ExitCode.OK == run(file, "--set", f"warm_start={results['h5']}")


@pytest.mark.parametrize("name", ["loss.nothing", "none/loss.png"])
def test_unwritable_plot_is_refused_before_learning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """And not after hours of it."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(training_command, "train", never)
    file = tmp_path / "values.txt"
    file.write_bytes(b"1\n2\n")
    assert ExitCode.USAGE == run(file, "--epochs", 2, "--plot", tmp_path / name)
    assert f"{tmp_path / name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--epochs", 0), "epochs: received 0, expected at least 1"),
        (("--held-out", 0.5), "expected --epochs N"),
        (("--plot", "x.png"), "expected --epochs N"),
        (("--epochs", 2, "--held-out", 1), "held-out: received 1, expected a share between 0 and 1"),
        (("--epochs", 2, "--plot", "loss.nothing"), "plot: received loss.nothing, expected a file that ends in"),
    ],
)
def test_wrong_options_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], words: str
) -> None:
    """What was received, and what is expected."""
    file = tmp_path / "values.txt"
    file.write_bytes(b"".join(line.value + b"\n" for line in LINES[:40]))
    assert ExitCode.USAGE == run(file, *options)
    assert words in capsys.readouterr().err
