"""A partition's learners: records in, records to publish out, and nothing else.

What it gives is a function of its settings and of the records so far, whatever calls they came in. It owns the
packed arrays of all streams, decides which stream leaves when there are too many, and keeps the mark that lets a
replay be verified. It knows neither Kafka nor files.
"""

import hashlib
import json
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from daemon import scores
from daemon.codec import Decoder, Encoder, chain
from daemon.errors import BadInputError
from daemon.learners import AnyNetwork, Learner, NetworkRows, learner_class
from daemon.network import Learning
from daemon.records import Event, Forget, InputRecord, Mark, Outcome, OutputRecord, TopicPartition
from daemon.reports import PartitionReport
from daemon.rows import Rows, require_same
from daemon.settings import Settings
from daemon.vocabulary import pack, unpack
from daemon.warm_start import WarmStart, require_shape

NetworkFactory = Callable[[Learning], AnyNetwork]


def unnamed(partitions: int) -> Mark:
    """Give the mark of learners that have learned nothing, in a topic of so many partitions."""
    return Mark(lineage="", records=0, digest=bytes(16), partitions=partitions)


def generation_of(lineage: str) -> int:
    """Count a lineage and all before it: 1 for the first one of a partition.

    >>> generation_of("1f3a9c20"), generation_of("8c0d3f11-2"), generation_of("")
    (1, 2, 0)
    """
    _, _, generation = lineage.partition("-")
    return int(generation or bool(lineage))


def learning_of(settings: Settings) -> Learning:
    """Pick the settings of how it is learned."""
    return Learning(**settings.of_kind("learning"))


def next_mark(settings: Settings, source: TopicPartition, offset: int, before: Mark) -> Mark:
    """Name the lineage that begins at this offset after another one.

    The name follows from the settings, the place and the lineage before, so that a beginning that is repeated after
    a crash is the same one.
    """
    origin = json.dumps([settings.shape_digest(), source.topic, source.partition, offset, before.lineage])
    name = hashlib.sha256(origin.encode()).hexdigest()[:8]
    generation = generation_of(before.lineage) + 1
    return replace(before, lineage=name if generation == 1 else f"{name}-{generation}", digest=bytes(16))


def mark_of(state: dict[str, Any]) -> Mark:
    """Read the mark of what ``Partition.state`` gave."""
    return Mark(
        state["lineage"], int(state["records"]), bytes.fromhex(state["digest"]), partitions=int(state["partitions"])
    )


@dataclass(slots=True)
class Tally:
    """Counts over some records."""

    events: int = 0
    scored: int = 0
    hits: Counter[int] = field(default_factory=Counter)
    fit_steps: int = 0
    skipped_steps: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    evicted_streams: int = 0
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one event."""
        self.events += 1
        self.fit_steps += outcome.fit_steps
        self.skipped_steps += outcome.skipped_steps
        if outcome.hits is not None:
            self.scored += 1
            self.hits.update(i for i, hit in enumerate(outcome.hits) if hit)


@dataclass(frozen=True, slots=True)
class Processed:
    """What came of some records: what to publish, in order, the counts, and what was said after each event."""

    outputs: list[OutputRecord]
    tally: Tally
    outcomes: Sequence[Outcome] = ()


class Partition:
    """All learners of one partition.

    ``network_for`` gives the network for given learning settings; partitions may share it, since it has no state.
    ``warm_start`` is what streams begin as, where they do not begin with nothing learned.
    """

    def __init__(
        self,
        settings: Settings,
        source: TopicPartition,
        mark: Mark,
        network_for: NetworkFactory,
        warm_start: WarmStart | None = None,
    ) -> None:
        self._settings = settings
        self._warm_start = warm_start
        self._network_for = network_for
        self._decoder, self._encoder = Decoder(settings), Encoder(settings)
        self.source = source
        self.mark = mark
        self._begin(learning_of(settings))

    def _begin(self, learning: Learning) -> None:
        self.learning = learning
        self._in_force = self._settings.model_copy(update=asdict(learning))
        self._network = self._network_for(learning)
        learner = learner_class(self._settings)
        self._streams = Rows(learner.stream_fields(self._settings))
        self._networks = NetworkRows(learner, self._network)
        self._learners: OrderedDict[str | None, Learner] = OrderedDict()  # least recently seen first

    def process(self, records: Sequence[InputRecord]) -> Processed:
        """Learn from records in their order and say what to publish for each."""
        started = time.perf_counter()
        batch = _Batch(len(records))
        for position, record in enumerate(records):
            try:
                decoded = self._decoder.decode(record)
            except BadInputError as error:
                batch.outputs[position] = self._encoder.dead_letter(record, error)
                batch.tally.dead_letters[error.reason] += 1
                continue
            if isinstance(decoded, Forget):
                self._forget(batch, decoded.stream)
            else:
                self._learner_of(batch, decoded.stream)
                batch.waiting.setdefault(decoded.stream, []).append((position, decoded))
        for stream in list(batch.waiting):
            self._learn(batch, stream)
        outputs = [output for output in batch.outputs if output is not None]
        digest = self.mark.digest
        for output in outputs:
            digest = chain(digest, output)
        self.mark = replace(self.mark, records=self.mark.records + len(records), digest=digest)
        batch.tally.seconds = time.perf_counter() - started
        return Processed(outputs, batch.tally, [outcome for outcome in batch.outcomes if outcome is not None])

    def _learner_of(self, batch: "_Batch", stream: str | None) -> Learner:
        learner = self._learners.get(stream)
        if learner is None:
            if len(self._learners) >= self._settings.max_streams:
                self._forget(batch, next(iter(self._learners)))
                batch.tally.evicted_streams += 1
            learner = self._add_learner(stream)
            self._warm_up(learner, stream)
        self._learners.move_to_end(stream)
        return learner

    def _add_learner(self, stream: str | None) -> Learner:
        learner = learner_class(self._settings)(
            self._in_force, self._network, streams=self._streams, networks=self._networks
        )
        self._learners[stream] = learner
        return learner

    def _warm_up(self, learner: Learner, stream: str | None) -> None:
        begins = self._warm_start and self._warm_start.of(stream)
        if not begins:
            return
        learner.resume(begins.classes, begins.vocabulary)
        self._streams.put([learner.row], {name: array[None] for name, array in begins.stream.items()})
        rows = self._networks[begins.classes]
        rows.put([learner.network_row], {name: array[None] for name, array in begins.network.items()})
        learner.recall()
        learner.break_sequence()

    def _forget(self, batch: "_Batch", stream: str | None) -> None:
        """Let a stream go, after what it still has to learn in this batch."""
        self._learn(batch, stream)
        learner = self._learners.pop(stream, None)
        if learner is not None:
            learner.close()

    def _learn(self, batch: "_Batch", stream: str | None) -> None:
        waiting = batch.waiting.pop(stream, [])
        if not waiting:
            return
        outcomes = self._learners[stream].learn([event for _, event in waiting])
        for (position, event), outcome in zip(waiting, outcomes, strict=True):
            model = f"{self.mark.lineage}@{outcome.event}{'' if self.learning.learn else ' frozen'}"
            batch.outputs[position] = self._encoder.output(event, outcome, model)
            batch.outcomes[position] = outcome
            batch.tally.add(outcome)

    def report(self, checkpoint_offset: int | None) -> PartitionReport:
        """Say how the learners stand, all streams together."""
        learners = self._learners.values()
        summary = scores.summary(self._streams.take([learner.row for learner in learners], scores.NAMES))
        rates, losses = summary or (None, None)
        first, numbers = self._settings.first_expert, self._settings.task == "number"
        return PartitionReport(
            source=self.source,
            streams=len(learners),
            vocabulary=max((learner.symbols for learner in learners), default=0),
            hit_rate=None if rates is None else rates[0],
            baseline_hit_rates=None if rates is None else rates[1:first],
            expert_hit_rates=None if rates is None else rates[first:],
            log_loss_bits=None if losses is None or numbers else losses[0],
            mean_absolute_errors=losses[:-1] if losses and numbers else None,
            mean_magnitude=losses[-1] if losses and numbers else None,
            checkpoint_offset=checkpoint_offset,
        )

    def begin_lineage(self, offset: int) -> None:
        """Go on under another name from this offset on, with a digest of its own."""
        self.mark = next_mark(self._settings, self.source, offset, self.mark)

    def break_sequences(self) -> None:
        """Begin the sequences of all streams anew: what comes next does not follow on what came last."""
        for learner in self._learners.values():
            learner.break_sequence()

    def learn_with(self, learning: Learning) -> None:
        """Learn with other learning settings from now on."""
        if learning != self.learning:
            state = self.state()
            state["learning"] = json.dumps(asdict(learning), sort_keys=True)
            self.restore(state)

    def state(self) -> dict[str, Any]:
        """Copy everything that was learned, as nested plain data; streams are in the order they were last seen."""
        learners = list(self._learners.values())
        by_classes: dict[int, list[int]] = {}
        for learner in learners:
            by_classes.setdefault(learner.classes, []).append(learner.network_row)
        return {
            "lineage": self.mark.lineage,
            "records": np.int64(self.mark.records),
            "digest": self.mark.digest.hex(),
            "partitions": np.int64(self.mark.partitions),
            "shape": json.dumps(self._settings.of_kind("shape"), sort_keys=True),
            "learning": json.dumps(asdict(self.learning), sort_keys=True),
            "streams": {
                "keys": [json.dumps(stream) for stream in self._learners],
                "classes": np.array([learner.classes for learner in learners], np.int32),
                "arrays": self._streams.take([learner.row for learner in learners]),
                "vocabularies": pack([learner.vocabulary() for learner in learners]),
            },
            "networks": {
                str(classes): self._networks[classes].take(rows) for classes, rows in sorted(by_classes.items())
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` gave.

        Raises:
            StateMismatchError: It was made with other shape settings, or is not what ``state`` gives.
        """
        require_shape(self._settings, json.loads(state["shape"]), f"the state of {self.source}")
        self._begin(Learning(**json.loads(state["learning"])))
        streams = state["streams"]
        by_classes: dict[int, list[int]] = {}
        vocabularies = unpack(streams["vocabularies"])
        for key, classes, vocabulary in zip(streams["keys"], streams["classes"].tolist(), vocabularies, strict=True):
            learner = self._add_learner(json.loads(key))
            learner.resume(classes, vocabulary)
            by_classes.setdefault(classes, []).append(learner.network_row)
        self._streams.put([learner.row for learner in self._learners.values()], streams["arrays"])
        require_same("class counts", sorted(state["networks"]), sorted(str(classes) for classes in by_classes))
        for classes, rows in by_classes.items():
            self._networks[classes].put(rows, state["networks"][str(classes)])
        for learner in self._learners.values():
            learner.recall()
        self.mark = mark_of(state)


@dataclass(slots=True)
class _Batch:
    """The work on one call: what waits to be learned by stream, outputs and outcomes by position."""

    records: int
    waiting: dict[str | None, list[tuple[int, Event]]] = field(default_factory=dict)
    outputs: list[OutputRecord | None] = field(init=False)
    outcomes: list[Outcome | None] = field(init=False)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.outputs = [None] * self.records
        self.outcomes = [None] * self.records
