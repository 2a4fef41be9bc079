"""What an event costs with the models for river, beside models of river and deep-river, and how well each predicts.

All models of a stream predict and learn it event by event, by turns in one run: hourly visitors of a shop, 24 hours
ahead; pictures of seven kinds, by 18 features; and the next state of a machine. deep-river brings PyTorch, and is left
out where it is not installed; for a run with it:

    uv run --with deep-river --with-editable '.[river]' benchmarks/river_models.py
"""

import argparse
import csv
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from math import log2
from pathlib import Path
from statistics import fmean, median
from typing import Any

from online_lstm.devtools.sample_data import demo_stream
from online_lstm.river import LabelClassifier, NumberForecaster, SymbolClassifier
from rich.console import Console
from rich.table import Column, Table
from river import datasets, dummy, forest, linear_model, optim, preprocessing, time_series, tree
from river.base import Classifier

VISITORS = Path(__file__).parents[1] / "docs/examples/visitors.csv"
DAY = 24
LAGS = 8
"""Number of states before the next one that trees have as features."""
LEAST = 1e-6
"""Least probability of a label, so that its loss is finite."""

Steps = Iterator[tuple[float, float | None]]
"""For each event, the seconds that it took, and the error of its prediction, None for none."""


def forecasts(model: time_series.base.Forecaster, values: Iterable[float]) -> Steps:
    """Forecast a day after each value; the error of a value is the mean absolute one of the forecasts made for it."""
    made: list[list[float]] = []
    for index, value in enumerate(values):
        errors = [abs(forecast[ahead] - value) for ahead, forecast in enumerate(reversed(made[-DAY:]))]
        started = time.perf_counter()
        model.learn_one(value)
        # Holt-Winters needs two seasons before it can forecast
        made += [model.forecast(DAY)] if index > 2 * DAY else []
        yield time.perf_counter() - started, fmean(errors) if len(errors) == DAY else None


def labels(model: Classifier, samples: Iterable[tuple[dict[Any, Any], Any]]) -> Steps:
    """Predict the label of each sample before it is learned; the error is the surprise, in bits."""
    for x, y in samples:
        started = time.perf_counter()
        probabilities = model.predict_proba_one(x)
        model.learn_one(x, y)
        yield time.perf_counter() - started, -log2(max(probabilities.get(y, 0.0), LEAST))


def visitors() -> list[float]:
    with VISITORS.open(encoding="utf-8") as file:
        return [float(row["visitors"]) for row in csv.DictReader(file)]


def states(count: int) -> list[tuple[dict[Any, Any], int]]:
    values = [*map(int, demo_stream(count))]
    return [
        (
            {
                f"{back} back": str(value)
                for back, value in enumerate(reversed(values[max(index - LAGS, 0) : index]), 1)
            },
            one,
        )
        for index, one in enumerate(values)
    ]


def streams(count: int) -> Iterator[tuple[str, str, dict[str, Steps]]]:
    """Yield the name of each stream, the name of its error, and its models; the first model is the reference."""
    regression = preprocessing.StandardScaler() | linear_model.LinearRegression(optimizer=optim.SGD(0.01))
    series = visitors()[:count]
    yield (
        "visitors, 24 hours ahead",
        "mean absolute error",
        {
            "NumberForecaster": forecasts(NumberForecaster(horizon=DAY), series),
            "river SNARIMAX": forecasts(time_series.SNARIMAX(p=4, d=0, q=0, m=DAY, sp=2, regressor=regression), series),
            "river HoltWinters": forecasts(
                time_series.HoltWinters(alpha=0.3, beta=0.01, gamma=0.3, seasonality=DAY), series
            ),
        },
    )
    samples = [*datasets.ImageSegments().take(count)]
    classifiers: dict[str, Any] = {
        "LabelClassifier": LabelClassifier(classes=7),
        "river HoeffdingTree": tree.HoeffdingTreeClassifier(),
        "river ARF": forest.ARFClassifier(seed=1),
        "river SoftmaxRegression": preprocessing.StandardScaler() | linear_model.SoftmaxRegression(optim.Adam(0.01)),
    }
    if find_spec("deep_river"):
        from deep_river.classification import zoo  # noqa: PLC0415 - it may be missing

        network = zoo.MultiLayerPerceptron(
            n_features=18, n_init_classes=7, n_width=32, n_layers=2, optimizer_fn="adam", lr=0.01
        )
        classifiers["deep-river MultiLayerPerceptron"] = preprocessing.StandardScaler() | network
    yield "pictures of seven kinds", "surprise, bits", {name: labels(m, samples) for name, m in classifiers.items()}
    sequence = states(count)
    yield (
        "states of a machine",
        "surprise, bits",
        {
            "SymbolClassifier": labels(SymbolClassifier(), sequence),
            f"river ARF, {LAGS} states back": labels(forest.ARFClassifier(seed=1), sequence),
            "river PriorClassifier": labels(dummy.PriorClassifier(), sequence),
        },
    )


def measured(models: Mapping[str, Steps]) -> dict[str, tuple[float, float]]:
    """Return the median seconds of an event of each model, and the mean error over the second half."""
    steps = [*zip(*models.values(), strict=True)]
    later = steps[len(steps) // 2 :]
    figures = zip(*later, strict=True)
    return {
        name: (median(seconds for seconds, _ in one), fmean(error for _, error in one if error is not None))
        for name, one in zip(models, figures, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1680, help="events of each stream [default: 1680]")
    for name, error, models in streams(parser.parse_args().events):
        table = Table(name, *(Column(head, justify="right") for head in ("ratio of the cost", error)))
        figures = measured(models)
        reference = next(iter(figures.values()))[0]
        for model, (seconds, loss) in figures.items():
            table.add_row(model, f"{seconds / reference:.3f}", f"{loss:.2f}")
        Console().print(table)


if __name__ == "__main__":
    main()
