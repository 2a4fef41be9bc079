"""Training in several passes over a file: the pass that predicts the held-out part best is kept.

The held-out part is predicted and not learned. The figures of a pass itself are prequential within the pass, but from
the second pass on its values have been seen before: only the figures of the held-out part measure the predictions.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from online_lstm.backtest.input_files import Line
from online_lstm.backtest.report.scorecard import Scorecard
from online_lstm.backtest.runner import learn
from online_lstm.checkpoint.checkpoint_files import pack_state
from online_lstm.checkpoint.warm_start_file import beginning
from online_lstm.errors import InputFileError, SettingsError
from online_lstm.learning.state.schema import PartitionState
from online_lstm.settings import Settings
from online_lstm.shutdown import Shutdown


@dataclass(frozen=True, slots=True)
class Epoch:
    """The figures of one pass: mean losses (surprise in bits, or errors divided by the mean size) and hit rates."""

    epoch: int
    loss: float | None
    held_out_loss: float | None
    hit_rate: float | None
    held_out_hit_rate: float | None


@dataclass(frozen=True, slots=True)
class Training:
    """All passes, and the results of the best one: state, and scores and messages of the held-out part."""

    epochs: list[Epoch]
    best: Epoch
    state: PartitionState
    scorecard: Scorecard
    messages: list[bytes]
    interrupted_in: int | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the training was interrupted before the last pass ended."""
        return self.interrupted_in is not None

    def to_json(self) -> dict[str, Any]:
        """Return the history, and the figures of the held-out part after the best pass."""
        history = {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best_epoch": self.best.epoch,
            "interrupted_in_epoch": self.interrupted_in,
        }
        return {**history, **self.scorecard.to_json()}

    def print(self, console: Console, name: str) -> None:
        """Print the history and the figures as tables."""
        heads = ("loss", "held-out loss", "hit rate", "held-out hit rate")
        table = Table(Column("epoch", justify="right"), *(Column(head, justify="right") for head in heads))
        for epoch in self.epochs:
            figures = (epoch.loss, epoch.held_out_loss, epoch.hit_rate, epoch.held_out_hit_rate)
            shown = ["none" if figure is None else f"{figure:.4f}" for figure in figures]
            table.add_row(f"{epoch.epoch}{' best' if epoch is self.best else ''}", *shown)
        console.print(table)
        self.scorecard.print(console, name, "held out, predicted after the best epoch and not learned")
        if self.interrupted:
            console.print(Text(f"interrupted in epoch {self.interrupted_in}: the best one before it counts"))

    def write(self, *, predictions: BinaryIO | None, checkpoint: BinaryIO | None) -> None:
        """Write the messages of the held-out part, one per line, and the learned state of the best pass."""
        if predictions is not None:
            predictions.writelines(message + b"\n" for message in self.messages)
        if checkpoint is not None:
            checkpoint.write(pack_state(self.state))


def train(
    settings: Settings,
    name: str,
    lines: Sequence[Line],
    *,
    epochs: int,
    held_out: float,
    show: Callable[[int], None] = lambda _: None,
    shutdown: Shutdown | None = None,
) -> Training:
    """Learn from lines in several passes.

    Args:
        settings: Settings for decoding and learning.
        name: Topic name in the messages.
        lines: The values.
        epochs: Number of passes.
        held_out: Share of the values that is predicted and not learned.
        show: Called with the number of learned lines.
        shutdown: A stop request ends the training; then the completed passes count.

    Raises:
        KeyboardInterrupt: The training was interrupted before the first pass ended.
        InputFileError: One of the two parts has nothing that could be learned or scored.
    """
    learned, kept = split(lines, held_out, whole_streams=settings.task == "label")
    begin = beginning(settings, name)
    partition = begin()
    completed: list[Epoch] = []
    best: Training | None = None
    for epoch in range(1, epochs + 1):
        partition.break_sequences()
        own = Scorecard(settings)
        for _ in learn(partition, learned, own, shutdown=shutdown):
            show((epoch - 1) * len(learned) + own.lines)
        if own.interrupted:
            break
        own.require_events(name)
        state = partition.state()
        evaluator = begin()
        evaluator.restore(state)
        evaluator.learn_with(replace(evaluator.learning, learn=False))
        scorecard = Scorecard(settings)
        messages = [message for chunk in learn(evaluator, kept, scorecard, shutdown=shutdown) for message in chunk]
        if scorecard.interrupted:
            break
        scorecard.require_events(f"{name}, what is held out of it")
        (loss, hit_rate), (held_out_loss, held_out_hit_rate) = _figures(own), _figures(scorecard)
        completed.append(Epoch(epoch, loss, held_out_loss, hit_rate, held_out_hit_rate))
        if best is None or _or_infinite(held_out_loss) < _or_infinite(best.best.held_out_loss):
            best = Training(completed, completed[-1], state, scorecard, messages)
    if best is None:
        raise KeyboardInterrupt
    return replace(best, interrupted_in=epoch if epoch > len(completed) else None)


def split(lines: Sequence[Line], held_out: float, *, whole_streams: bool) -> tuple[list[Line], list[Line]]:
    """Return the part to learn and the held-out part: the last lines, or all lines of the last streams to appear.

    >>> a, b, c = (Line(place, b"1", key=key) for place, key in enumerate((b"s", b"t", b"s")))
    >>> split([a, b, c], 0.5, whole_streams=True) == ([a, c], [b])
    True

    Raises:
        InputFileError: One of the two parts is empty.
    """
    if whole_streams:
        keys = list(dict.fromkeys(line.key for line in lines))
        last = set(keys[len(keys) - round(held_out * len(keys)) :])
        parts = [line for line in lines if line.key not in last], [line for line in lines if line.key in last]
    else:
        cut = len(lines) - round(held_out * len(lines))
        parts = list(lines[:cut]), list(lines[cut:])
    if not all(parts):
        unit = "streams" if whole_streams else "lines"
        raise InputFileError(
            f"held out: received {len(lines):,} lines of which {len(parts[1]):,} are held out, expected at least one "
            f"to learn from and one to hold out: change --held-out, or give more {unit}"
        )
    return parts


def require_plot(path: Path) -> None:
    """Raise if ``plot`` could not write the file, before hours of learning and not after.

    Raises:
        SettingsError: The suffix matches no format, or the directory does not exist.
    """
    from matplotlib.figure import Figure

    formats = Figure().canvas.get_supported_filetypes()
    suffix = path.suffix.removeprefix(".").lower()
    if suffix and suffix not in formats:  # without a suffix, matplotlib writes a .png
        raise SettingsError(f"plot: received {path}, expected a file that ends in .png, .svg or .pdf")
    if not path.parent.is_dir() or path.is_dir():
        raise SettingsError(f"plot: cannot write {path}; expected a new file's path in a directory that exists")


def plot(training: Training, path: Path) -> None:
    """Plot the losses by epoch into a file, in the format of its suffix.

    Raises:
        SettingsError: The format does not exist, or the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    epochs = [epoch.epoch for epoch in training.epochs]
    axes.plot(epochs, [_or_gap(epoch.loss) for epoch in training.epochs], marker=".", label="learned")
    axes.plot(epochs, [_or_gap(epoch.held_out_loss) for epoch in training.epochs], marker=".", label="held out")
    axes.axvline(training.best.epoch, color="gray", linestyle=":", label=f"best, epoch {training.best.epoch}")
    axes.set(xlabel="epoch", ylabel="mean loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"plot: cannot write {path}: {error}") from error


def _figures(scorecard: Scorecard) -> tuple[float | None, float | None]:
    figures = scorecard.to_json()
    return figures.get("log_loss_bits", figures.get("mean_absolute_error_ratio")), figures["hit_rate"]


def _or_infinite(loss: float | None) -> float:
    return math.inf if loss is None else loss


def _or_gap(loss: float | None) -> float:
    return math.nan if loss is None else loss
