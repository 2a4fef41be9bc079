"""A Kafka in memory that fails where a test wants it to, and a daemon on it that can die anywhere; small networks."""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from online_lstm.checkpoint import CheckpointStore, digest_of
from online_lstm.checkpoint.warm_start_file import read_warm_start
from online_lstm.codec.output_forms import Forms, TopicLimits
from online_lstm.events import Committed, InputRecord, Membership, OutputRecord, PollResult, TopicPartition
from online_lstm.learning.network import LabelModel, LearningSettings, ModelShape, NumberModel, SymbolModel
from online_lstm.learning.number.number_learner import number_ensemble_from
from online_lstm.learning.state.schema import PartitionState
from online_lstm.predictor_scores import PredictorScores
from online_lstm.settings import Settings, read_settings
from online_lstm.streaming.schema_registry import registry_of
from online_lstm.streaming.service import Service
from online_lstm.telemetry import RegressionStats, TelemetryEvent
from online_lstm.testing import MemoryConsumer, MemoryKafka, MemoryProducer
from online_lstm.testing.memory_kafka import Published

NOW_MS = 2_000_000
"""When topics are asked whether they take a timestamp; those of ``record`` are before it."""
SOURCES = (TopicPartition("numbers", 0), TopicPartition("numbers", 1))
SMALL = {
    "network": "lstm 4",
    "window": 8,
    "replay_buffer_size": 40,
    "max_streams": 3,
    "max_vocabulary": 9,
    "suffix_contexts": 16,
    "score_window": 20,
    "checkpoint_interval_s": 5,
}
LABELS: dict[str, Any] = {
    "task": "label",
    "features": 2,
    "classes": 3,
    "max_sequence_length": 6,
    "label_timeout_events": 20,
    "top_k": 2,
}
"""Beside ``SMALL``, for ``label_traffic``."""
NUMBERS = {"task": "number", "features": 2, "horizons": "1,3", "lookback": 256}
"""Beside ``SMALL``, for ``number_traffic``."""
NUMBER_REPORT = RegressionStats(
    mean_absolute_errors=PredictorScores(2.0, {"last_value": 4.0, "most_frequent": 8.0}, {"lstm": 3.0}),
    root_mean_squared_error=2.5,
    mean_absolute_error_ratios=PredictorScores(0.1, {"last_value": 0.2, "most_frequent": 0.4}, {"lstm": 0.15}),
    mean_absolute_percentage_error=0.2,
    skill=0.5,
    skills={"last_value": 0.5, "seasonal_naive": 0.75},
    interval_coverage=0.9,
    skill_error=0.03,
)


class Crash(BaseException):
    """The process is gone: what comes after the place where this is raised never happens."""


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def small_settings(**given: Any) -> Settings:
    return read_settings({**SMALL, **given})


@cache
def small_network(learning: LearningSettings) -> SymbolModel:
    """Give the network of ``small_settings``; compiled once, whoever asks."""
    return SymbolModel(ModelShape(layers=("lstm 4",), window=8, stateful=True, seed=0, replay_buffer_size=40), learning)


@cache
def small_classifier(learning: LearningSettings) -> LabelModel:
    """Give the network of ``small_settings(**LABELS)``; compiled once, too."""
    shape = ModelShape(layers=("lstm 4",), window=8, stateful=True, seed=0)
    return LabelModel(shape, learning, features=2, classes=3, position_weights="all")


@cache
def small_regression(learning: LearningSettings) -> NumberModel:
    """Give the network of ``small_settings(**NUMBERS)``; compiled once, too."""
    chosen = small_settings(**NUMBERS)
    return NumberModel(
        ModelShape(layers=("lstm 4",), window=8, stateful=True, seed=0, replay_buffer_size=40),
        learning,
        features=number_ensemble_from(chosen).features,
        horizons=chosen.horizons * chosen.features,
    )


def record(
    offset: int, value: bytes | None, key: bytes | None = None, source: TopicPartition = SOURCES[0]
) -> InputRecord:
    return InputRecord(source.topic, source.partition, offset, 1_000_000 + offset, key, value)


def is_tombstone(given: InputRecord) -> bool:
    """Say whether a record has its stream forgotten, and so no output; a null without a key has one."""
    return given.value is None and given.key is not None


def traffic(count: int, *, seed: int = 0, source: TopicPartition = SOURCES[0], gaps: bool = False) -> list[InputRecord]:
    """Make records of four keys with patterns over growing alphabets, and all that can come between.

    There are bad values, tombstones, ends of sequences; with ``gaps`` offsets skip, as transaction markers make them.
    """
    chance = random.Random(seed)
    records, offset, seen = [], 0, Counter[bytes | None]()
    for _ in range(count):
        key = chance.choices((None, b"a", b"\xff", b"d"), (4, 3, 2, 1))[0]
        seen[key] += 1
        number = seen[key] % (3 + seen[key] // 12)
        ways = (b"%d" % number, b"%d.0" % number, b'"%d"' % number, b'{"value": %d, "end": true}' % number, b"?", None)
        records.append(record(offset, chance.choices(ways, (30, 5, 5, 1, 1, 0.6))[0], key, source))
        offset += chance.choice((1, 1, 2, 4)) if gaps else 1
    return records


def label_traffic(
    count: int, *, seed: int = 0, source: TopicPartition = SOURCES[0], gaps: bool = False
) -> list[InputRecord]:
    """Make records of sequences of two numbers under four keys, and all that can come between, as ``traffic`` does.

    Labels come with any sample, at the end, alone, late, never, or are one too many; for ``LABELS``.
    """
    chance = random.Random(f"labels {seed}")
    return _drawn(chance, _label_ways(chance, count), source, gaps=gaps)


def _label_ways(chance: random.Random, count: int) -> Iterator[tuple[bytes | None, dict[str, float]]]:
    for _ in range(count):
        key = chance.choices((None, b"a", b"\xff", b"d"), (4, 3, 2, 1))[0]
        label = chance.choices(("0", "1", '"two"', "3"), (10, 8, 6, 1))[0]
        sample = f"[{chance.gauss(0, 1):.2f}, {chance.choice(('1', '5', 'null'))}]"
        ways = {
            f'{{"value": {sample}}}': 20,
            sample: 20,
            f'{{"value": {sample}, "label": {label}}}': 4,
            f'{{"value": {sample}, "end": true, "label": {label}}}': 6,
            f'{{"value": {sample}, "end": true}}': 3,
            f'{{"label": {label}}}': 4,
            f'{{"label": {label}, "end": true}}': 2,
            "[1, 2, 3]": 1,
            "??": 1,
            "": 0.5,
        }
        yield key, ways


def number_traffic(
    count: int, *, seed: int = 0, source: TopicPartition = SOURCES[0], gaps: bool = False
) -> list[InputRecord]:
    """Make records of vectors of two numbers, some of them missing, and all that can come between; for ``NUMBERS``."""
    chance = random.Random(f"numbers {seed}")
    return _drawn(chance, _number_ways(chance, count), source, gaps=gaps)


def _number_ways(chance: random.Random, count: int) -> Iterator[tuple[bytes | None, dict[str, float]]]:
    for place in range(count):
        key = chance.choices((None, b"a", b"\xff", b"d"), (4, 3, 2, 1))[0]
        vector = f"[{10 + place % 5 + chance.gauss(0, 1):.2f}, {1000 * chance.gauss(0, 1):.1f}]"
        ways = {
            vector: 20,
            f"[null, {place}]": 3,
            "[1e3, null]": 3,
            "[null, null]": 2,
            f'{{"value": {vector}, "end": true}}': 1,
            "[1, 2, 3]": 1,
            "??": 1,
            "": 0.5,
        }
        yield key, ways


def _drawn(
    chance: random.Random,
    drawn: Iterable[tuple[bytes | None, dict[str, float]]],
    source: TopicPartition,
    *,
    gaps: bool,
) -> list[InputRecord]:
    """Make a record of each key with one of the values that it may have, by their weights."""
    records, offset = [], 0
    for key, ways in drawn:
        (value,) = chance.choices(list(ways), list(ways.values()))
        records.append(record(offset, value.encode() or None, key, source))
        offset += chance.choice((1, 1, 2, 4)) if gaps else 1
    return records


LOGS = {source: traffic(36, seed=source.partition, source=source, gaps=True) for source in SOURCES}
SIZES = (7, 12, 2, 17)


class FakeKafka(MemoryKafka):
    """A Kafka in memory with one input topic, at which a test can make everything fail.

    ``published`` has what was published in committed transactions, by input partition. ``limits`` has what the topics
    ``predictions`` and ``numbers.dlq`` accept, ``refuses`` says which records they refuse all the same.

    ``on_step`` is called with the name of every step that a daemon takes, before or after it as the name says, and
    may raise what it likes there.
    """

    def __init__(self, logs: Mapping[TopicPartition, Sequence[InputRecord]]) -> None:
        super().__init__({topic: len(logs) for topic in ("numbers", "predictions", "numbers.dlq")})
        for source, records in logs.items():
            self.logs[source] = list(records)
            self.ends[source] = records[-1].offset + 3  # ends in markers
        self.published: dict[TopicPartition, list[OutputRecord]] = {source: [] for source in logs}
        self.open_transactions: set[TopicPartition] = set()
        self.on_step: Callable[[str], None] = lambda _: None
        self.limits: dict[str, TopicLimits] = {}
        self.refuses: Callable[[str, OutputRecord], bool] = lambda _topic, _record: False
        self.refusals = 0

    @property
    def finished(self) -> bool:
        """Whether everything is committed."""
        return self.caught_up(["numbers"])

    def join(self, member: str, topics: Iterable[str] = ("numbers",)) -> None:
        super().join(member, topics)

    def last_stable_offset(self, source: TopicPartition) -> int:
        return self.starts[source] if source in self.open_transactions else super().last_stable_offset(source)

    def commit(self, records: Published, offsets: Mapping[TopicPartition, Committed], membership: Membership) -> None:
        super().commit(records, offsets, membership)
        for source, formed in records.items():
            self.published[source] += [record for _, record in formed]


class FakeConsumer(MemoryConsumer):
    """A member that tells its steps; ``sizes`` are the numbers of records that its polls return at most."""

    def __init__(self, kafka: FakeKafka, settings: Settings, *, member: str, sizes: Iterable[int]) -> None:
        super().__init__(kafka, settings, member=member)
        self._fake, self._sizes = kafka, iter(sizes)

    def poll(self, timeout_s: float, max_records: int) -> PollResult:
        self._fake.on_step("before poll")
        polled = super().poll(timeout_s, max_records)
        if not polled.lost:
            self._fake.on_step("after poll")
        return polled

    def _fetch(self, max_records: int) -> dict[TopicPartition, list[InputRecord]]:
        return super()._fetch(min(max_records, next(self._sizes)))


class FakeProducer(MemoryProducer):
    """A producer that tells its steps, whose topics may refuse records."""

    def __init__(self, kafka: FakeKafka, settings: Settings, *, transactional_id: str) -> None:
        super().__init__(kafka, settings, transactional_id=transactional_id)
        self._fake = kafka

    def commit(
        self,
        outputs: Mapping[TopicPartition, Sequence[OutputRecord]],
        offsets: Mapping[TopicPartition, Committed],
        membership: Membership,
        waiting: Callable[[float], None],
    ) -> None:
        self._fake.on_step("before commit")
        super().commit(self._accepted(outputs), offsets, membership, waiting)
        self._fake.on_step("after commit")

    def _accepted(
        self, outputs: Mapping[TopicPartition, Sequence[OutputRecord]]
    ) -> dict[TopicPartition, list[OutputRecord]]:
        """Return the records in forms that no topic refuses."""
        forms = Forms(outputs, lambda _, dead_letter: "numbers.dlq" if dead_letter else "predictions")
        while True:
            formed = forms.records(self._fake.limits, now_ms=NOW_MS)
            refused = [
                (source, index)
                for source, records in formed.items()
                for index, record in enumerate(records)
                if self._fake.refuses(*record)
            ]
            if not refused:
                return {source: [record for _, record in records] for source, records in formed.items()}
            self._fake.refusals += 1
            forms.refuse(refused, "refused")

    def reconnect(self, waiting: Callable[[float], None]) -> None:
        self._fake.on_step("before rebuild")
        super().reconnect(waiting)


class FakeStore(CheckpointStore):
    """Checkpoints in a real directory, written between two steps that may be the last ones."""

    def __init__(self, kafka: FakeKafka, folder: Path) -> None:
        super().__init__(str(folder), "online-lstm")
        self._kafka = kafka

    def write(self, source: TopicPartition, offset: int, state: PartitionState) -> int:
        self._kafka.on_step("before checkpoint")
        size = super().write(source, offset, state)
        self._kafka.on_step("after checkpoint")
        return size


class FakeHealth:
    """Keeps what it heard."""

    def __init__(self) -> None:
        self.beats = 0
        self.waiting_for = ""
        self.reasons: list[tuple[str, ...]] = []

    def beat(self, waiting_for: str = "") -> None:
        self.beats += 1
        self.waiting_for = waiting_for

    def ready(self) -> None:
        self.reasons.append(())

    def not_ready(self, *reasons: str) -> None:
        self.reasons.append(reasons)


class FakeDaemon:
    """One process of the daemon, stepped by the test; a step takes a second by its clock.

    Checkpoints are waited for after each step, so that what a test sees does not depend on how threads run.
    """

    def __init__(
        self, kafka: FakeKafka, folder: Path, *, member: str = "m", sizes: Iterable[int] = (5,), **given: Any
    ) -> None:
        self.kafka = kafka
        self.now_s = 0.0
        self.reports: list[TelemetryEvent] = []
        self.health = FakeHealth()
        self.store = FakeStore(kafka, folder)
        chosen = small_settings(**given)
        self.source = FakeConsumer(kafka, chosen, member=member, sizes=itertools.cycle(sizes))
        self.service = Service(
            chosen,
            source=self.source,
            sink=FakeProducer(kafka, chosen, transactional_id=member),
            store=self.store,
            network_for={"symbol": small_network, "number": small_regression, "label": small_classifier}[chosen.task],
            observer=self.reports.append,
            health=self.health,
            warm_start=read_warm_start(chosen),
            schemas=registry_of(chosen),
            clock=lambda: self.now_s,
        )
        self.service.start()

    def step(self, seconds: float = 1.0) -> None:
        """Take a step; one that raises ends the process, and the group notices."""
        self.now_s += seconds
        try:
            self.service.step()
            self.service.flush()
        except BaseException:
            self.die()
            raise

    def die(self) -> None:
        self.service._checkpoints.close()
        self.kafka.leave(self.source.member)

    def run(self) -> "FakeDaemon":
        """Step until all is committed and no replay is left."""
        for _ in range(1000):
            self.step()
            if self.kafka.finished and self.health.reasons[-1] == ():
                return self
        raise AssertionError(f"not finished: {self.kafka.offsets}, {self.health.reasons[-1]}")

    def stop(self) -> None:
        """End as a signal does: after the batch at hand, with a checkpoint."""
        self.service.stop()
        self.service.run()

    def digests(self) -> dict[TopicPartition, str]:
        """Fingerprint what was learned, by partition."""
        return {source: digest_of(state.to_arrays()) for source, state in self.service.states().items()}


def crash_at(number: int, name: str) -> Callable[[str], None]:
    """Make a hook that ends the process at the n-th step of a name, from 0."""
    steps: Iterator[int] = itertools.count()

    def hook(step: str) -> None:
        if step == name and next(steps) == number:
            raise Crash(f"{name}, number {number}")

    return hook


def learned_until(kafka: FakeKafka, folder: Path, count: int, **given: Any) -> FakeDaemon:
    """Take a daemon so far that this many outputs are published."""
    daemon = FakeDaemon(kafka, folder, sizes=SIZES, **given)
    while sum(map(len, kafka.published.values())) < count:
        daemon.step()
    return daemon
