"""Statistics over seeds with published and expected figures, as tables, Markdown and JSON."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from online_lstm.errors import SettingsError
from online_lstm.evaluation.benchmarks import BenchmarkMetric, BenchmarkProtocol

PREDICTION = "prediction"
"""The name of the published prediction among the predictors."""
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->"
"""The markers around the figures in a Markdown file."""


@dataclass(frozen=True, slots=True)
class SeedStatistics:
    """One metric of one predictor, with one value per seed; None for a seed without a value."""

    values: tuple[float | None, ...]

    @property
    def given(self) -> list[float]:
        """The values that are not None."""
        return [value for value in self.values if value is not None]

    @property
    def mean(self) -> float | None:
        """The mean of the values that are not None."""
        return sum(self.given) / len(self.given) if self.given else None

    @property
    def complete(self) -> bool:
        """Whether every seed has a value."""
        return None not in self.values

    def to_json(self) -> dict[str, Any]:
        """Return all values and their summary."""
        summed_up = {"mean": self.mean, "min": min(self.given, default=None), "max": max(self.given, default=None)}
        return summed_up | {"values": list(self.values)}

    def parts(self, measure: BenchmarkMetric) -> list[str]:
        """Format the mean, the range if values differ, and the number of seeds without a value."""
        if self.mean is None:
            return [measure.none]
        low, high = _shown(min(self.given), measure.digits), _shown(max(self.given), measure.digits)
        parts = [_shown(self.mean, measure.digits)]
        if low != high:
            parts.append(f"{low} to {high}")
        if not self.complete:
            parts.append(f"{len(self.values) - len(self.given)} of {len(self.values)} {measure.none}")
        return parts


@dataclass(frozen=True, slots=True)
class Target:
    """The expected mean of a metric, and whether it was reached over all seeds."""

    predictor: str
    measure: str
    expected: str
    reached: str
    met: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The figures of one protocol: ``results[predictor][measure]``, the published prediction first."""

    protocol: BenchmarkProtocol
    events: int
    seeds: range
    results: Mapping[str, Mapping[str, SeedStatistics]]

    @property
    def title(self) -> str:
        """The title: protocol, elements and seeds."""
        first, last = self.seeds[0], self.seeds[-1]
        seeds = f"seed {first}" if first == last else f"seeds {first} to {last}"
        return f"{self.protocol.name}: {self.events:,} elements, {seeds}"

    def targets(self) -> list[Target]:
        """Return the comparison of the figures with the expected ones."""
        targets = []
        for measure in self.protocol.measures:
            for predictor, expected in measure.targets.items():
                if predictor in self.results:
                    sign = "at least" if measure.higher_is_better else "at most"
                    targets.append(
                        self._target(measure, predictor, f"{sign} {_shown(expected, measure.digits)}", expected)
                    )
            if measure.leads:
                others = [
                    by_measure[measure.name].mean
                    for predictor, by_measure in self.results.items()
                    if predictor != PREDICTION
                ]
                means = [mean for mean in others if mean is not None]
                if means:
                    best = max(means) if measure.higher_is_better else min(means)
                    text = f"as good as every other, {_shown(best, measure.digits)}"
                    targets.append(self._target(measure, PREDICTION, text, best))
        return targets

    def _target(self, measure: BenchmarkMetric, predictor: str, text: str, expected: float) -> Target:
        result = self.results[predictor][measure.name]
        met = result.complete and result.mean is not None and measure.as_good(result.mean, expected)
        return Target(predictor, measure.name, text, ", ".join(result.parts(measure)), met)

    def header(self) -> list[str]:
        """Return the names of the columns."""
        return ["predictor", *(measure.name for measure in self.protocol.measures)]

    def rows(self, separator: str) -> list[list[str]]:
        """Return a row for each predictor and then for each published result, in the columns of ``header``.

        The parts of a figure are joined by ``separator``.
        """
        measures = self.protocol.measures
        ours = [
            [_in_words(predictor), *(separator.join(by_measure[measure.name].parts(measure)) for measure in measures)]
            for predictor, by_measure in self.results.items()
        ]
        theirs = [
            [
                f"published: {reference.method}",
                *(_shown(reference.figures.get(measure.name), measure.digits) for measure in measures),
            ]
            for reference in self.protocol.published
        ]
        return ours + theirs

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "protocol": self.protocol.name,
            "events": self.events,
            "seeds": list(self.seeds),
            "found": {
                predictor: {name: result.to_json() for name, result in by_measure.items()}
                for predictor, by_measure in self.results.items()
            },
            "targets": [
                {
                    "predictor": target.predictor,
                    "measure": target.measure,
                    "expected": target.expected,
                    "reached": target.reached,
                    "met": target.met,
                }
                for target in self.targets()
            ],
            "published": {reference.method: dict(reference.figures) for reference in self.protocol.published},
            "source": self.protocol.source or None,
        }

    def print(self, console: Console) -> None:
        """Print the figures as tables."""
        first, *others = self.header()
        table = Table(Column(first, no_wrap=True), *(Column(name, justify="right") for name in others))
        for row in self.rows("\n"):
            table.add_row(*map(Text, row))
        console.print(Text(self.title), soft_wrap=True)
        console.print(table)
        for target in self.targets():
            console.print(Text(_sentence(target)), soft_wrap=True)
        if self.protocol.source:
            console.print(Text(f"published: {self.protocol.source}"), soft_wrap=True)
        console.print()

    def markdown(self) -> str:
        """Format the figures as a section of a Markdown document."""
        lines = [f"### {self.title}", "", self.protocol.about, ""]
        lines += _markdown_table(self.header(), self.rows(", "))
        if targets := self.targets():
            lines += ["", *(f"- {_sentence(target)}" for target in targets)]
        if self.protocol.source:
            lines += ["", f"Published figures: {self.protocol.source}."]
        return "\n".join(lines) + "\n"


def insert_figures(figures: str, document: str, name: str) -> str:
    """Return the document with the figures between its markers.

    Raises:
        SettingsError: The document lacks the markers.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(document):
        raise SettingsError(
            f"markdown: {name} has no section for the figures; expected a new file, or one with the lines "
            f"{BEGIN.strip()} and {END}"
        )
    return pattern.sub(lambda _: f"{BEGIN}{figures}{END}", document, count=1)


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rules = ["---", *(["---:"] * (len(header) - 1))]
    return [f"| {' | '.join(row)} |" for row in (header, rules, *rows)]


def _sentence(target: Target) -> str:
    reached = "reached" if target.met else "not reached"
    name = _in_words(target.predictor)
    return f"{reached}: {name}, {target.measure}, expected {target.expected}: {target.reached or 'none'}"


def _in_words(name: str) -> str:
    return name.replace("_", " ")


def _shown(figure: float | None, digits: int) -> str:
    return "" if figure is None else f"{figure:,.{digits}f}"
