"""``online-lstm evaluate``: run the learner on public benchmark protocols and compare it with published figures.

Every value is predicted before it is learned. Seeds below 1,000 serve to choose settings; the published figures are
measured from seed 1,000 on, and no setting was chosen on these seeds.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console

from online_lstm.cli.options import add_assignments
from online_lstm.devtools.sample_data import Element, taxi
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.evaluation.protocols import PROTOCOLS, BenchmarkProtocol, Trace
from online_lstm.evaluation.seed_statistics import BEGIN, END, PREDICTION, Comparison, SeedStatistics, place_figures
from online_lstm.events import (
    EventResult,
    InputRecord,
    NumberEvaluation,
    SymbolEvaluation,
    SymbolPrediction,
    TopicPartition,
)
from online_lstm.predictor_scores import PredictorScores
from online_lstm.settings import Settings, parse_assignments, read_settings
from online_lstm.terminal.output_file import STANDARD_OUTPUT, create_output
from online_lstm.terminal.progress import progress_bar

HELP = "measure accuracy on benchmarks with published figures"
FIRST_SEED = 1000
CHUNK = 500
"""Number of elements processed at once; the results do not depend on it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the protocols, and options for seeds, data and reports."""
    parser.add_argument(
        "protocols", nargs="*", metavar="PROTOCOL", help=f"{', '.join(PROTOCOLS)} [default: all with available data]"
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="number of seeds per protocol [default: 5; high-order 10]"
    )
    parser.add_argument(
        "--first-seed",
        type=int,
        default=FIRST_SEED,
        metavar="N",
        help=f"first seed; seeds below {FIRST_SEED} serve to choose settings [default: {FIRST_SEED}]",
    )
    parser.add_argument("--taxi", metavar="CSV", help="file nyc_taxi.csv, for the protocols taxi and taxi-calendar")
    parser.add_argument(
        "--events", type=int, metavar="N", help="number of elements per stream [default: the protocol's]"
    )
    add_assignments(parser)
    parser.add_argument("--json", metavar="REPORT", help="write the figures as JSON; -: standard output")
    parser.add_argument(
        "--markdown",
        metavar="FILE",
        help=f"write the figures as Markdown, between the lines {BEGIN.strip()} and {END} of the file; "
        "-: standard output",
    )


def main(arguments: argparse.Namespace) -> ExitCode:
    """Run the protocols and print the results."""
    protocols = _protocols(arguments)
    settings = [_settings(arguments, protocol.settings) for protocol in protocols]
    document = _document(arguments.markdown)
    console = Console(stderr=STANDARD_OUTPUT in {arguments.json, arguments.markdown}, highlight=False)
    comparisons: list[Comparison] = []
    with ExitStack() as stack:
        report = _create(stack, "json", arguments.json)
        markdown = _create(stack, "markdown", arguments.markdown)
        for protocol, chosen in zip(protocols, settings, strict=True):
            seeds = range(arguments.first_seed, arguments.first_seed + (arguments.seeds or protocol.seeds))
            comparisons.append(compare(chosen, protocol, seeds=seeds, events=arguments.events or protocol.events))
            comparisons[-1].print(console)
        if report is not None:
            report.write(_report(_settings(arguments, {}), comparisons))
        if markdown is not None:
            figures = "\n".join(
                [*(comparison.markdown() for comparison in comparisons), _origin(_settings(arguments, {}))]
            )
            markdown.write(place_figures(figures, document, arguments.markdown).encode())
    return ExitCode.OK


def compare(settings: Settings, protocol: BenchmarkProtocol, *, seeds: range, events: int) -> Comparison:
    """Run a protocol on several seeds, with streams of at most ``events`` elements."""
    found: dict[str, dict[str, list[float | None]]] = {}
    with progress_bar(protocol.name, len(seeds) * events, unit="events") as show:
        for seed in seeds:
            before = (seed - seeds.start) * events
            tracks = learn(settings, protocol, seed, events, partial(_show_after, show, before))
            for who, track in tracks.items():
                by_measure = found.setdefault(who, {})
                for measure in protocol.measures:
                    by_measure.setdefault(measure.name, []).append(measure.of(track))
    return Comparison(
        protocol,
        len(tracks[PREDICTION].hits),
        seeds,
        {who: {name: SeedStatistics(tuple(v)) for name, v in by_measure.items()} for who, by_measure in found.items()},
    )


def _show_after(show: Callable[[int], None], before: int, done: int) -> None:
    show(before + done)


def learn(
    settings: Settings,
    protocol: BenchmarkProtocol,
    seed: int,
    events: int,
    show: Callable[[int], None] = lambda _: None,
    *,
    chunk: int = CHUNK,
) -> dict[str, Trace]:
    """Learn the stream of one seed, with initial weights of the same seed; return a trace for each predictor.

    Args:
        settings: Settings of the learner, including those that the protocol's measures need.
        protocol: The protocol, which defines the stream.
        seed: Seed of stream and weights.
        events: Number of elements.
        show: Called with the number of processed elements.
        chunk: Number of elements processed at once.

    Raises:
        SettingsError: The values of the stream cannot be decoded with these settings.
    """
    from online_lstm.learning.model_factory import model_factory
    from online_lstm.learning.partition import Partition, initial_metadata, next_metadata

    settings = settings.model_copy(update={"seed": seed})
    source = TopicPartition(protocol.name, 0)
    mark = next_metadata(settings, source, 0, initial_metadata(partitions=1))
    partition = Partition(settings, source, mark, model_factory(settings))
    elements = list(protocol.stream(seed, events))
    outcomes: list[EventResult] = []
    for records in _chunks(elements, source, chunk):
        processed = partition.process(records)
        if processed.tally.dead_letters:
            reasons = ", ".join(sorted(processed.tally.dead_letters))
            raise SettingsError(
                f"{protocol.name}: its values were refused ({reasons}); expected settings that accept the value 4"
            )
        outcomes += processed.outcomes
        show(len(outcomes))
    return _tracks(elements, outcomes, settings)


def _chunks(elements: Iterable[Element], source: TopicPartition, chunk: int) -> Iterator[list[InputRecord]]:
    """Yield the elements as records of a topic, in chunks."""
    records = (
        InputRecord(source.topic, source.partition, place, element.timestamp_ms, None, str(element.value).encode())
        for place, element in enumerate(elements)
    )
    while batch := list(islice(records, chunk)):
        yield batch


def _tracks(elements: list[Element], outcomes: list[EventResult], settings: Settings) -> dict[str, Trace]:
    """Return a trace for the published prediction, each expert and each baseline; one trace if a name is both."""
    scored = [element.scored for element in elements]
    predictors = settings.predictors
    names = dict.fromkeys((PREDICTION, *settings.experts, *settings.baselines))
    hits = [_by_name(outcome.hits) if outcome.hits else {} for outcome in outcomes]
    evaluations = [outcome.evaluation for outcome in outcomes]
    if settings.task == "number":
        from online_lstm.learning.scoring.regression import absolute_errors

        errors = [
            _by_name(predictors.named(absolute_errors(v.losses[0]).tolist())) if isinstance(v, NumberEvaluation) else {}
            for v in evaluations
        ]
        values = [float(element.value) for element in elements]
        return {
            name: Trace(scored, _line(hits, name, False), errors=_line(errors, name), values=values) for name in names
        }
    bits = [
        {PREDICTION: v.surprise_bits, **dict(zip(settings.experts, v.expert_bits, strict=True))}
        if isinstance(v, SymbolEvaluation)
        else {}
        for v in evaluations
    ]
    pending = [None, *(outcome.prediction for outcome in outcomes[:-1])]
    listed = [
        isinstance(prediction, SymbolPrediction) and str(element.value) in {literal for literal, _ in prediction.top}
        for prediction, element in zip(pending, elements, strict=True)
    ]
    return {
        name: Trace(
            scored,
            _line(hits, name, False),
            _line(bits, name) if name in {PREDICTION, *settings.experts} else (),
            listed if name == PREDICTION else (),
        )
        for name in names
    }


def _by_name(scores: PredictorScores[Any]) -> dict[str, Any]:
    """Return the scores by name; an expert with the name of a baseline has its place."""
    return {PREDICTION: scores.published, **scores.baselines, **scores.experts}


def _line(lines: Sequence[Mapping[str, Any]], name: str, missing: Any = None) -> tuple[Any, ...]:
    return tuple(line.get(name, missing) for line in lines)


def _protocols(arguments: argparse.Namespace) -> list[BenchmarkProtocol]:
    for option, least in (("seeds", 1), ("first_seed", 0), ("events", 1)):
        received = getattr(arguments, option)
        if received is not None and received < least:
            raise SettingsError(f"{option}: received {received}, expected {least} or more")
    unknown = [name for name in arguments.protocols if name not in PROTOCOLS]
    if unknown:
        raise SettingsError(f"no protocol {unknown[0]!r}; expected some of {', '.join(PROTOCOLS)}")
    chosen = [PROTOCOLS[name] for name in dict.fromkeys(arguments.protocols or PROTOCOLS)]
    if arguments.taxi is None and arguments.protocols and any(protocol.file for protocol in chosen):
        raise SettingsError("taxi: expected --taxi CSV: the file nyc_taxi.csv of the public repository htmresearch")
    from_file = [protocol for protocol in chosen if protocol.file and arguments.taxi]
    rows = list(taxi(arguments.taxi)) if from_file else []  # an invalid file is reported before anything is learned
    return [
        *(protocol for protocol in chosen if not protocol.file),
        *(replace(protocol, stream=lambda _, events: islice(rows, events)) for protocol in from_file),
    ]


def _settings(arguments: argparse.Namespace, needed: Mapping[str, Any]) -> Settings:
    given = parse_assignments(arguments.set)
    if "seed" in given:
        raise SettingsError(f"seed: received {given['seed']} with --set; expected --first-seed")
    if STANDARD_OUTPUT == arguments.json == arguments.markdown:
        raise SettingsError("markdown: received -, which --json writes to; expected another file")
    return read_settings({**given, **needed}, config=arguments.config)


def _document(path: str | None) -> str:
    """Return the Markdown document for the figures; read before anything is learned."""
    empty = f"# How well it learns\n\n{BEGIN}{END}\n"
    if path is None or not Path(path).is_file():
        return empty
    document = Path(path).read_text(encoding="utf-8")
    place_figures("", document, path)
    return document


def _create(stack: ExitStack, option: str, path: str | None) -> BinaryIO | None:
    return None if path is None else stack.enter_context(create_output(option, path))


def _report(settings: Settings, comparisons: list[Comparison]) -> bytes:
    from online_lstm.learning.model_factory import versions

    report = {
        "protocols": [comparison.to_json() for comparison in comparisons],
        "settings": settings.of_kind("shape") | settings.of_kind("learning"),
        "versions": versions(),
    }
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _origin(settings: Settings) -> str:
    """Format the origin of the figures: versions, and settings that differ from the defaults."""
    from online_lstm.learning.model_factory import versions

    defaults = Settings.model_construct()
    changed = [
        f"`{name} = {value}`"
        for kind in ("shape", "learning")
        for (name, value), (_, default) in zip(
            settings.of_kind(kind).items(), defaults.of_kind(kind).items(), strict=True
        )
        if value != default
    ]
    with_settings = ", ".join(changed) if changed else "default settings"
    return f"Made with {', '.join(f'{name} {version}' for name, version in versions().items())}; {with_settings}.\n"
