"""What a value costs in the Python API, as ratios measured by turns in one run, and how well each model predicts.

All contenders learn the same stream, a daily load: the partition of a daemon from JSON records, ``Learner.learn_many``,
``Learner.learn_one``, two forecasters of river, and the LSTM of deep-river with as many cells and as long a window.
deep-river brings PyTorch, and is left out where it is not installed; for a run with it:

    uv run --with deep-river,pytest --with-editable . benchmarks/python_api.py
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import isfinite, nan
from statistics import fmean, median

from online_lstm import Learner
from online_lstm.checkpoint.warm_start_file import beginning
from online_lstm.devtools.sample_data import DAY, daily_load
from online_lstm.events import InputRecord, NumberEvaluation
from rich.console import Console
from rich.table import Column, Table
from river import linear_model, optim, preprocessing, time_series

BLOCK = 512
"""Number of values in a turn."""
WARM_UP = 2
"""Number of first turns, in which programs are compiled, that are not counted."""
REFERENCE = "Partition.process"

Turn = Callable[[Sequence[bytes]], Sequence[float]]
"""Learns some values, and returns the prediction that was made of each, NaN for none."""


@dataclass(slots=True)
class Contender:
    """A model, the seconds of each of its turns, and its predictions so far."""

    name: str
    turn: Turn
    seconds: list[float] = field(default_factory=list)
    predictions: list[float] = field(default_factory=list)

    def take(self, values: Sequence[bytes]) -> None:
        started = time.perf_counter()
        self.predictions += self.turn(values)
        self.seconds.append(time.perf_counter() - started)


def partition(batch: int = BLOCK) -> Turn:
    """Return the turns of a daemon's partition, from JSON records to messages, with this many records a batch."""
    made = beginning(Learner(task="number").settings, "load")()

    def turn(values: Sequence[bytes]) -> list[float]:
        records = [InputRecord("load", 0, 0, -1, None, value) for value in values]
        batches = [made.process(records[first : first + batch]) for first in range(0, len(records), batch)]
        evaluations = [outcome.evaluation for processed in batches for outcome in processed.outcomes]
        return [one.predicted[0] if isinstance(one, NumberEvaluation) else nan for one in evaluations]

    return turn


def many() -> Turn:
    learner = Learner(task="number")

    def turn(values: Sequence[bytes]) -> list[float]:
        numbers = [*map(float, values)]
        errors = learner.learn_many(numbers)["error"].tolist()
        return [number - error for number, error in zip(numbers, errors, strict=True)]

    return turn


def one_by_one() -> Turn:
    learner = Learner(task="number")

    def turn(values: Sequence[bytes]) -> list[float]:
        evaluations = [learner.learn_one(float(value)).evaluation for value in values]
        return [nan if one is None else one.predicted for one in evaluations]

    return turn


def forecaster(model: time_series.base.Forecaster) -> Turn:
    seen = [0]

    def turn(values: Sequence[bytes]) -> list[float]:
        predictions = []
        for value in values:
            # some forecasters need a season before they can forecast
            predictions.append(model.forecast(horizon=1)[0] if seen[0] > 2 * DAY else nan)
            model.learn_one(float(value))
            seen[0] += 1
        return predictions

    return turn


def deep_river() -> Turn:
    from deep_river.regression.zoo import LSTMRegressor  # noqa: PLC0415 - it may be missing

    lstm = LSTMRegressor(n_features=1, hidden_size=32, window_size=64, optimizer_fn="adam", lr=1e-3)
    model = preprocessing.TargetStandardScaler(regressor=preprocessing.StandardScaler() | lstm)
    before = [0.0]

    def turn(values: Sequence[bytes]) -> list[float]:
        predictions = []
        for value in map(float, values):
            features = {"before": before[0]}
            predictions.append(model.predict_one(features))
            model.learn_one(features, value)
            before[0] = value
        return predictions

    return turn


def contenders() -> Iterator[Contender]:
    """Yield the models that are installed; the first one is the reference."""
    yield Contender(REFERENCE, partition())
    yield Contender("Learner.learn_many", many())
    yield Contender("Partition.process, one record each", partition(batch=1))
    yield Contender("Learner.learn_one", one_by_one())
    regression = preprocessing.StandardScaler() | linear_model.LinearRegression(optimizer=optim.SGD(0.01))
    snarimax = time_series.SNARIMAX(p=4, d=0, q=0, m=DAY, sp=2, regressor=regression)
    yield Contender("river SNARIMAX", forecaster(snarimax))
    winters = time_series.HoltWinters(alpha=0.3, beta=0.01, gamma=0.3, seasonality=DAY)
    yield Contender("river HoltWinters", forecaster(winters))
    if find_spec("deep_river"):
        yield Contender("deep-river LSTM", deep_river())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20, help="turns of each model [default: 20]")
    turns = parser.parse_args().turns
    values = [*daily_load(turns * BLOCK)]
    models = [*contenders()]
    for number in range(turns):
        for model in models:
            model.take(values[number * BLOCK : (number + 1) * BLOCK])
    table = Table(
        "model", *(Column(head, justify="right") for head in ("microseconds", "ratio", "mean absolute error"))
    )
    costs = {model.name: median(model.seconds[WARM_UP:]) / BLOCK for model in models}
    half = len(values) // 2
    for model in models:
        pairs = zip(map(float, values[half:]), model.predictions[half:], strict=True)
        error = fmean(abs(value - prediction) for value, prediction in pairs if isfinite(prediction))
        cost = costs[model.name]
        table.add_row(model.name, f"{1e6 * cost:,.0f}", f"{cost / costs[REFERENCE]:.2f}", f"{error:.2f}")
    Console().print(f"{len(values):,} values by turns of {BLOCK}: median cost of a value, error over the second half")
    Console().print(table)


if __name__ == "__main__":
    main()
