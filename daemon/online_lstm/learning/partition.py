"""The learners of one partition: input records in, output records out.

The outputs are a function of the settings and of the records so far; the outputs do not depend on how the records are
split into calls. The partition keeps the commit metadata by which a replay is verified. The partition must not know
Kafka or files.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.codec import Decoder, Encoder, extend_digest
from online_lstm.codec.schemas import SchemaSource
from online_lstm.errors import BadInputError
from online_lstm.events import (
    CommitMetadata,
    Evaluation,
    Event,
    EventResult,
    InputRecord,
    LabelEvent,
    LabelPrediction,
    LabelResult,
    NumberEvaluation,
    OutputRecord,
    Prediction,
    Tombstone,
    TopicPartition,
)
from online_lstm.learning.label.label_learner import LabelLearner
from online_lstm.learning.learner_factory import BatchResult, LearnerStats, PartitionLearner, make_learner
from online_lstm.learning.network import LearningSettings, Model
from online_lstm.learning.scoring import classification
from online_lstm.learning.scoring.regression import regression_stats, skill_error, squared_differences
from online_lstm.learning.setting_hints import Hints
from online_lstm.learning.state.packed import ArrayViews
from online_lstm.learning.state.schema import PartitionState
from online_lstm.learning.warm_start import WarmStart, require_shape
from online_lstm.predictor_scores import NO_HITS, PredictorScores, total_hits
from online_lstm.settings import Settings
from online_lstm.significance import kappa_temporal
from online_lstm.telemetry import Hint, PartitionStats, RegressionStats

NetworkFactory = Callable[[LearningSettings], Model]


def initial_metadata(partitions: int) -> CommitMetadata:
    """Return the commit metadata of untrained learners, for a topic with this many partitions."""
    return CommitMetadata(lineage="", records=0, digest=bytes(16), partitions=partitions)


def lineage_generation(lineage: str) -> int:
    """Return the number of lineages up to and including this one: 1 for the first lineage of a partition.

    >>> lineage_generation("1f3a9c20"), lineage_generation("8c0d3f11-2"), lineage_generation("")
    (1, 2, 0)
    """
    _, _, generation = lineage.partition("-")
    return int(generation or bool(lineage))


def learning_settings(settings: Settings) -> LearningSettings:
    """Return the learning settings among the settings."""
    return LearningSettings(**settings.of_kind("learning"))


def model_id(lineage: str, events: int, *, learn: bool) -> str:
    """Return the id of the model that has learned from this many events of a lineage.

    >>> model_id("1f3a9c20", 42, learn=False)
    '1f3a9c20@42 frozen'
    """
    return f"{lineage}@{events}{'' if learn else ' frozen'}"


def next_metadata(settings: Settings, source: TopicPartition, offset: int, before: CommitMetadata) -> CommitMetadata:
    """Return the commit metadata of the lineage that begins at this offset, after the lineage of ``before``.

    The name of the lineage follows from the shape settings, the partition, the offset and the lineage before, so that
    a start that is repeated after a crash has the same name.
    """
    origin = json.dumps([settings.shape_digest(), source.topic, source.partition, offset, before.lineage])
    name = hashlib.sha256(origin.encode()).hexdigest()[:8]
    generation = lineage_generation(before.lineage) + 1
    return replace(before, lineage=name if generation == 1 else f"{name}-{generation}", digest=bytes(16))


@dataclass(slots=True)
class BatchCounts:
    """Counts over some records."""

    events: int = 0
    scored: int = 0
    hits: PredictorScores[int] = NO_HITS
    fit_steps: int = 0
    skipped_steps: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    evicted_streams: int = 0
    unlabelled_sequences: int = 0
    drifts: int = 0
    seconds: float = 0.0

    def add(self, outcomes: Sequence[EventResult]) -> None:
        """Add the results of events."""
        self.events += len(outcomes)
        hits = [self.hits]
        for outcome in outcomes:
            self.fit_steps += outcome.fit_steps
            self.skipped_steps += outcome.skipped_steps
            for evaluation, of_predictors in _evaluations(outcome):
                self.scored += evaluation.scored
                self.drifts += evaluation.drift
                hits.append(of_predictors)
        self.hits = total_hits(hits)


def _evaluations(outcome: EventResult) -> Iterator[tuple[Evaluation, PredictorScores[int]]]:
    """Yield the evaluations made with an event, and their hits; the event's own evaluation is last."""
    if isinstance(outcome, LabelResult):
        yield from outcome.unpublished_evaluations
    if outcome.evaluation is not None and outcome.hits is not None:
        yield outcome.evaluation, outcome.hits


@dataclass(frozen=True, slots=True)
class ProcessedBatch:
    """The result of processing some records: the outputs, in order, the counts, and the result of each event.

    ``hints`` are the hints that hold after these records.
    """

    outputs: list[OutputRecord]
    tally: BatchCounts
    outcomes: Sequence[EventResult] = ()
    hints: tuple[Hint, ...] = ()


def _last_surprise(outcomes: Sequence[EventResult], before: float | None) -> float | None:
    """Return the surprise of the last evaluated value, ``before`` if there is none; numbers have no surprise."""
    for outcome in reversed(outcomes):
        for evaluation, _ in reversed([*_evaluations(outcome)]):
            return None if isinstance(evaluation, NumberEvaluation) else evaluation.surprise_bits
    return before


class Partition:
    """All learners of one partition.

    ``network_for`` returns the network for given learning settings; partitions may share a network, since it has no
    state. ``warm_start`` has the state that learners start from; without it, learners start untrained. ``schemas`` has
    the schemas of the registry, None if no format needs one.
    """

    def __init__(
        self,
        settings: Settings,
        source: TopicPartition,
        commit_metadata: CommitMetadata,
        network_for: NetworkFactory,
        warm_start: WarmStart | None = None,
        *,
        schemas: SchemaSource | None = None,
    ) -> None:
        self._settings = settings
        self._warm_start = warm_start
        self._network_for = network_for
        self._decoder, self._encoder = Decoder(settings, schemas), Encoder(settings)
        self.source = source
        self.commit_metadata = commit_metadata
        self._surprise_bits: float | None = None  # reported, but not part of the state
        self._hints = Hints(settings)  # not part of the state either
        self._begin(learning_settings(settings))

    def _begin(self, learning: LearningSettings) -> None:
        self.learning = learning
        in_force = self._settings.model_copy(update=asdict(learning))
        self._learners: PartitionLearner[Any] = make_learner(in_force, self._network_for(learning), self._warm_start)

    def learn(self, inputs: Sequence[Event | Tombstone]) -> BatchResult:
        """Learn from decoded records in their order, without outputs: the digest stays unchanged.

        A refused event changes nothing; it is not counted either.
        """
        learned = self._learners.learn(inputs)
        count = sum(not isinstance(result, BadInputError) for result in learned.results)
        self.commit_metadata = replace(self.commit_metadata, records=self.commit_metadata.records + count)
        return learned

    def stats(self) -> LearnerStats:
        """Return the statistics of the learners."""
        return self._learners.stats()

    def pending(self, stream: str | None) -> Prediction | None:
        """Return the pending prediction of a stream; None if there is none."""
        return self._learners.pending(stream)

    def prediction_after(self, event: LabelEvent) -> LabelPrediction:
        """Return the prediction for a sample, and change nothing; for the task ``label`` only."""
        assert isinstance(self._learners, LabelLearner)
        return self._learners.prediction_after(event)

    def process(self, records: Sequence[InputRecord]) -> ProcessedBatch:
        """Learn from records in their order, and return the output for each of them."""
        started = time.perf_counter()
        tally = BatchCounts()
        decoded = [one for record in records for one in self._decoder.decode(record)]
        learned = self._learners.learn([event for _, event, _ in decoded if event is not None])
        results = iter(learned.results)
        published: list[OutputRecord] = []
        outcomes: list[EventResult] = []
        events: list[Event] = []
        refused = -1
        for record, event, error in decoded:
            result = None if event is None else next(results)
            fault = result if isinstance(result, BadInputError) else error
            if fault is not None:
                tally.dead_letters[fault.reason] += 1
                if record.offset != refused:  # one dead letter for a record, whichever of its events are refused
                    published.append(self._encoder.dead_letter(record, fault))
                refused = record.offset
            elif isinstance(event, Event) and isinstance(result, EventResult):
                model = model_id(self.commit_metadata.lineage, result.event, learn=self.learning.learn)
                published.append(self._encoder.output(event, result, model))
                events.append(event)
                outcomes.append(result)
        tally.add(outcomes)
        digest = self.commit_metadata.digest
        for output in published:
            digest = extend_digest(digest, output)
        self.commit_metadata = replace(
            self.commit_metadata, records=self.commit_metadata.records + len(records), digest=digest
        )
        tally.evicted_streams, tally.unlabelled_sequences = learned.evicted, learned.unlabelled
        self._surprise_bits = _last_surprise(outcomes, self._surprise_bits)
        self._hints.add(events, outcomes, published)
        tally.seconds = time.perf_counter() - started
        return ProcessedBatch(published, tally, outcomes, self._hints.standing())

    def report(self, checkpoint_offset: int | None) -> PartitionStats:
        """Return the statistics of the learners, over all streams together."""
        standing = self.stats()
        rates, losses = classification.summary(standing.scores, self._settings.predictors)
        numbers = self._settings.task == "number"
        return PartitionStats(
            source=self.source,
            streams=standing.streams,
            vocabulary=standing.symbols,
            waiting_sequences=standing.waiting,
            scored=classification.scored(standing.scores),
            lift_errors=classification.lift_errors(standing.scores, self._settings.predictors),
            hit_rates=rates,
            log_loss_bits=None if losses is None or numbers else float(losses[0]),
            numbers=self._numbers(standing.scores, losses) if numbers and losses is not None else None,
            checkpoint_offset=checkpoint_offset,
            kappa_temporal=kappa_temporal(rates) if rates and not numbers else None,
            surprise_bits=self._surprise_bits,
        )

    def _numbers(self, rows: ArrayViews, losses: NDArray[np.float64]) -> RegressionStats:
        """Compute the errors of number predictions, from the scores of all streams and the mean losses of an event."""
        error = skill_error(classification.scored(rows) * losses, squared_differences(rows["scores_losses"]))
        stats = regression_stats(losses, self._settings.predictors, components=self._settings.features)
        return replace(stats, skill_error=error)

    def begin_lineage(self, offset: int) -> None:
        """Begin a new lineage at this offset, with its own digest."""
        self.commit_metadata = next_metadata(self._settings, self.source, offset, self.commit_metadata)

    def prepare(self) -> None:
        """Compile the programs that will be used, so that the next record does not wait for the compiler."""
        self._learners.prepare()

    def break_sequences(self) -> None:
        """Start a new sequence in each stream: the next record does not continue the last one."""
        self._learners.break_sequences()

    def learn_with(self, learning: LearningSettings) -> None:
        """Learn with these learning settings from now on."""
        if learning != self.learning:
            self.restore(replace(self.state(), learning=asdict(learning)))

    def state(self) -> PartitionState:
        """Copy everything that was learned."""
        return PartitionState(
            self.commit_metadata, self._settings.of_kind("shape"), asdict(self.learning), self._learners.state()
        )

    def restore(self, state: PartitionState) -> None:
        """Restore a state that ``state`` returned.

        Raises:
            StateMismatchError: The state has other shape settings, or another structure than ``state`` returns.
        """
        require_shape(self._settings, state.shape, f"the state of {self.source}")
        self._begin(LearningSettings(**state.learning))
        self._learners.restore(state.learned)
        self.commit_metadata = state.commit_metadata
