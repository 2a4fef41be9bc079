"""The learner on the streams of benchmark protocols: one run per seed, and the statistics over the seeds."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from online_lstm.devtools.sample_data import Element
from online_lstm.errors import SettingsError
from online_lstm.evaluation.benchmarks import BenchmarkProtocol, Trace
from online_lstm.evaluation.seed_statistics import PREDICTION, Comparison, SeedStatistics
from online_lstm.events import (
    EventResult,
    InputRecord,
    NumberEvaluation,
    SymbolEvaluation,
    SymbolPrediction,
    TopicPartition,
)
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import Partition, initial_metadata, next_metadata
from online_lstm.learning.scoring.regression import absolute_errors
from online_lstm.predictor_scores import PredictorScores
from online_lstm.settings import Settings

CHUNK = 500
"""Number of elements processed at once; the results do not depend on it."""


def compare(
    settings: Settings,
    protocol: BenchmarkProtocol,
    *,
    seeds: range,
    events: int,
    show: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Run a protocol on several seeds, with streams of at most ``events`` elements.

    ``show`` is called with the number of processed elements of all seeds.
    """
    figures: dict[str, dict[str, list[float | None]]] = {}
    for index, seed in enumerate(seeds):
        tracks = learn(settings, protocol, seed, events, partial(_show_after, show, index * events))
        for predictor, track in tracks.items():
            by_measure = figures.setdefault(predictor, {})
            for measure in protocol.measures:
                by_measure.setdefault(measure.name, []).append(measure.of(track))
    return Comparison(
        protocol,
        len(tracks[PREDICTION].hits),
        seeds,
        {
            predictor: {name: SeedStatistics(tuple(v)) for name, v in by_measure.items()}
            for predictor, by_measure in figures.items()
        },
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
    further = {name: hits(elements) for name, hits in protocol.predictors.items()}
    scored = [element.scored for element in elements]
    tracks = _tracks(elements, outcomes, settings)
    return tracks | {name: Trace(scored, hits) for name, hits in further.items()}


def _chunks(elements: Iterable[Element], source: TopicPartition, chunk: int) -> Iterator[list[InputRecord]]:
    """Yield the elements as records of a topic, in chunks."""
    records = (
        InputRecord(
            source.topic,
            source.partition,
            index,
            element.timestamp_ms,
            None if element.key is None else element.key.encode(),
            b"null" if math.isnan(element.value) else str(element.value).encode(),
        )
        for index, element in enumerate(elements)
    )
    while batch := list(islice(records, chunk)):
        yield batch


def _tracks(elements: list[Element], outcomes: list[EventResult], settings: Settings) -> dict[str, Trace]:
    """Return a trace for the published prediction, each expert and each baseline; one trace if a name is both."""
    scored = [element.scored for element in elements]
    predictors = settings.predictors
    names = dict.fromkeys((PREDICTION, *settings.experts, *settings.baselines))
    no_hits = predictors.named([0] * predictors.count)
    hits = _by_predictor([outcome.hits or no_hits for outcome in outcomes])
    evaluations = [outcome.evaluation for outcome in outcomes]
    if settings.task == "number":
        unknown = predictors.named([None] * predictors.count)
        errors = _by_predictor(
            [
                predictors.named(absolute_errors(v.losses[0]).tolist()) if isinstance(v, NumberEvaluation) else unknown
                for v in evaluations
            ]
        )
        values = [float(element.value) for element in elements]
        baselines = {name: errors[name] for name in settings.baselines}
        keys = [element.key for element in elements]
        return {
            name: Trace(scored, hits[name], errors=errors[name], values=values, baseline_errors=baselines, keys=keys)
            for name in names
        }
    bits = _by_predictor(
        [
            PredictorScores(v.surprise_bits, {}, dict(zip(settings.experts, v.expert_bits, strict=True)))
            if isinstance(v, SymbolEvaluation)
            else PredictorScores(None, {}, dict.fromkeys(settings.experts))
            for v in evaluations
        ]
    )
    pending = [None, *(outcome.prediction for outcome in outcomes[:-1])]
    listed = [
        isinstance(prediction, SymbolPrediction) and str(element.value) in {literal for literal, _ in prediction.top}
        for prediction, element in zip(pending, elements, strict=True)
    ]
    return {name: Trace(scored, hits[name], bits.get(name, ()), listed if name == PREDICTION else ()) for name in names}


def _by_predictor(scores: Sequence[PredictorScores[Any]]) -> dict[str, tuple[Any, ...]]:
    """Return the scores of each predictor, one for each event; an expert replaces a baseline of the same name."""
    rows = [{PREDICTION: one.published, **one.baselines, **one.experts} for one in scores]
    return {name: tuple(row[name] for row in rows) for name in rows[0]}
