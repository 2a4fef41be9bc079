"""Thousands of schedules of faults over the loop with a Kafka in memory: every one has to end the same way."""

import hashlib
import pickle
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from online_lstm.checkpoint import store
from online_lstm.errors import BrokerUnavailableError, CheckpointDamagedError, NotCommittedError
from online_lstm.events import Committed, OutputRecord, TopicPartition
from online_lstm.learning.network import LearningSettings, ModelShape, SymbolModel, SymbolRun
from support import fakes
from support.fakes import (
    LABELS,
    NUMBERS,
    SOURCES,
    Crash,
    FakeDaemon,
    FakeKafka,
    crash_at,
    label_traffic,
    number_traffic,
    traffic,
)

LOGS = {source: traffic(12, seed=5 + source.partition, source=source, gaps=True) for source in SOURCES}
LABEL_LOGS = {source: label_traffic(24, seed=source.partition, source=source, gaps=True) for source in SOURCES}
NUMBER_LOGS = {source: number_traffic(16, seed=source.partition, source=source, gaps=True) for source in SOURCES}
STEPS = (
    *("before poll", "after poll", "before commit", "after commit"),
    *("before rebuild", "before checkpoint", "after checkpoint"),
)
MAX_MEMBERS = 3


class Undisturbed(NamedTuple):
    """What every schedule has to come to: outputs, what is committed at each offset, and what was learned."""

    published: dict[TopicPartition, list[OutputRecord]]
    committed: dict[TopicPartition, set[Committed]]
    offsets: dict[TopicPartition, Committed]
    digests: dict[TopicPartition, str]


class ToyNetwork(SymbolModel):
    """Its state is a number that depends on every event and on their order; so do its predictions."""

    def run(self, state: Any, codes: Any, known: Any, past: Any) -> SymbolRun:  # noqa: ARG002
        count, classes = len(known) - 1, self._layout_of(state).classes
        number, probabilities = int(state[0]), np.zeros((count + 1, classes), np.float32)
        for k, code in enumerate([*codes[len(codes) - count :], None]):
            probabilities[k, : known[k]] = 0.5 / known[k]
            probabilities[k, number % known[k]] += 0.5
            if code is not None:
                number = (31 * number + int(code) + 1) % 65_521  # a float32 holds it
        after = state.copy()
        after[0] = number
        return SymbolRun(
            state=after,
            probabilities=probabilities,
            fit_steps=np.ones(count, np.int32),
            skipped_steps=np.zeros(count, np.int32),
            losses=np.zeros(count),
            windows=np.zeros((count, 9), np.int32),
            edges=np.zeros((count, 8), np.float32),
        )


@cache
def toy_network(learning: LearningSettings) -> SymbolModel:
    return ToyNetwork(ModelShape(layers=("lstm 4",), window=8, carried=True, seed=0), learning)


def pack(state: Mapping[str, Any], _: Mapping[str, str]) -> bytes:
    content = pickle.dumps(state)
    return hashlib.sha256(content).digest() + content


def unpack(data: bytes, name: str) -> dict[str, Any]:
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        raise CheckpointDamagedError(name)
    state: dict[str, Any] = pickle.loads(data[32:])
    return state


@cache
def undisturbed(schedule: "type[Schedule]") -> Undisturbed:
    """Learn record by record, so that there is a commit at every offset."""
    kafka = FakeKafka(schedule.logs)
    committed: dict[TopicPartition, set[Committed]] = {source: set() for source in SOURCES}
    with tempfile.TemporaryDirectory() as folder:
        daemon = FakeDaemon(kafka, Path(folder), sizes=(1,), **schedule.given)
        while not kafka.finished:
            daemon.step()
            for source, offset in kafka.offsets.items():
                committed[source].add(offset)
        daemon.die()
        return Undisturbed(kafka.published, committed, kafka.offsets, daemon.digests())


class Schedule(RuleBasedStateMachine):
    """Members of one group, to which everything happens that can."""

    logs = LOGS
    given: ClassVar[Mapping[str, Any]] = {}
    members = st.integers(0, MAX_MEMBERS - 1)

    @initialize(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4), interval_s=st.sampled_from((1, 3, 1000)))
    def begin(self, sizes: list[int], interval_s: float) -> None:
        self._sizes, self._interval_s = sizes, interval_s
        self._folder = tempfile.TemporaryDirectory()
        self._kafka = FakeKafka(self.logs)
        self._daemons: dict[str, FakeDaemon] = {}
        self._damaged: set[Path] = set()
        self.start()

    # what happens

    @rule()
    def start(self) -> None:
        """One more process, under the first name that is free."""
        free = [name for name in map(str, range(MAX_MEMBERS)) if name not in self._daemons]
        if free:
            self._daemons[free[0]] = FakeDaemon(
                self._kafka,
                Path(self._folder.name),
                member=free[0],
                sizes=self._sizes,
                checkpoint_interval_s=self._interval_s,
                **self.given,
            )

    @rule(member=members, times=st.integers(1, 4))
    def step(self, member: int, times: int) -> None:
        """A member takes some steps."""
        for _ in range(times):
            self._step(member, lambda _: None)

    @rule(member=members, step=st.sampled_from(STEPS))
    def crash(self, member: int, step: str) -> None:
        """A process ends at a step of the protocol, if it comes to it."""
        self._step(member, crash_at(0, step))

    @rule(member=members, step=st.sampled_from(("before commit", "after commit")))
    def fail_commit(self, member: int, step: str) -> None:
        """A commit is refused, or its answer is lost."""
        self._step(member, self._fails(step, NotCommittedError("no answer")))

    @rule(member=members)
    def lose_broker(self, member: int) -> None:
        """No broker answers when the sink is made new."""
        self._step(member, self._fails("before rebuild", BrokerUnavailableError("no broker answers")))

    @rule(member=members)
    def expel(self, member: int) -> None:
        """The group takes a member for dead, which does not know it yet."""
        if name := self._name(member):
            self._kafka.leave(name)

    @rule(member=members)
    def expel_within_a_batch(self, member: int) -> None:
        """The group takes a member for dead between its poll and its commit."""
        self._step(member, lambda step: self._kafka.leave(self._name(member)) if step == "after poll" else None)

    @rule(member=members)
    def stop(self, member: int) -> None:
        """A process is stopped in order."""
        if name := self._name(member):
            self._daemons.pop(name).stop()

    @rule(member=members)
    def checkpoint(self, member: int) -> None:
        """A checkpoint is due now."""
        if name := self._name(member):
            service = self._daemons[name].service
            service._checkpoint()
            service._writer.drain()
            service._collect_finished_checkpoints()

    @rule(source=st.sampled_from(SOURCES), cut=st.booleans())
    def damage(self, source: TopicPartition, cut: bool) -> None:
        """The newest checkpoint is damaged, where there is a good one before it."""
        files = sorted(Path(self._folder.name).glob(f"*/{source.topic}/{source.partition}/*/*.h5"))
        if len([path for path in files if path not in self._damaged]) > 1 and files[-1] not in self._damaged:
            content = bytearray(files[-1].read_bytes())
            content[len(content) // 2] ^= 1
            files[-1].write_bytes(content[: len(content) // 2] if cut else content)
            self._damaged.add(files[-1])

    # what may not be seen

    @invariant()
    def nobody_sees_a_difference(self) -> None:
        """Published is the beginning of what is published undisturbed, and so are offsets and marks."""
        expected = undisturbed(type(self))
        for source, published in self._kafka.published.items():
            assert expected.published[source][: len(published)] == published
        for source, committed in self._kafka.offsets.items():
            assert committed in expected.committed[source]

    def teardown(self) -> None:
        """Whatever happened, in the end all is learned, once."""
        if not hasattr(self, "_folder"):
            return
        with self._folder:
            if not self._daemons:
                self.start()
            for _ in range(200):
                for member in range(len(self._daemons)):
                    self._step(member, lambda _: None)
                if self._finished():
                    break
            digests = [daemon.digests() for daemon in self._daemons.values()]
            for daemon in self._daemons.values():
                daemon.die()
            expected = undisturbed(type(self))
            assert expected.published == self._kafka.published
            assert expected.offsets == self._kafka.offsets
            assert [*expected.digests.items()] == sorted(item for found in digests for item in found.items())

    # how it is done

    def _name(self, member: int) -> str:
        """Name a running member by a number, or nobody if none runs."""
        names = sorted(self._daemons)
        return names[member % len(names)] if names else ""

    def _step(self, member: int, hook: Callable[[str], None]) -> None:
        name = self._name(member)
        if not name:
            return
        self._kafka.on_step = hook
        try:
            self._daemons[name].step()
        except Crash:
            del self._daemons[name]
        finally:
            self._kafka.on_step = lambda _: None

    @staticmethod
    def _fails(step: str, error: Exception) -> Callable[[str], None]:
        def hook(name: str) -> None:
            if name == step:
                raise error

        return hook

    def _finished(self) -> bool:
        live = [daemon for daemon in self._daemons.values() if daemon.health.reasons[-1] == ()]
        return self._kafka.finished and len(SOURCES) == sum(len(daemon.digests()) for daemon in live)


class SharedSchedule(Schedule):
    """The same with a network that the streams of a partition share."""

    given: ClassVar[Mapping[str, Any]] = {"model_scope": "partition"}


class LabelSchedule(Schedule):
    """The same with labels, whose learner all streams of a partition share."""

    logs = LABEL_LOGS
    given: ClassVar[Mapping[str, Any]] = LABELS


class NumberSchedule(Schedule):
    """The same with vectors of numbers, some of them missing, at two horizons."""

    logs = NUMBER_LOGS
    given: ClassVar[Mapping[str, Any]] = NUMBERS


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network, settings, files and a disk that take no time: what is tested is how they are used."""
    monkeypatch.setattr(fakes, "small_network", toy_network)
    monkeypatch.setattr(fakes, "small_settings", cache(fakes.small_settings))
    monkeypatch.setattr(store, "pack", pack)
    monkeypatch.setattr(store, "unpack", unpack)
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.mark.long
@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("schedule", "examples"),
    [(Schedule, 1000), (SharedSchedule, 250), (LabelSchedule, 150), (NumberSchedule, 100)],
)
def test_no_schedule_shows(schedule: type[Schedule], examples: int) -> None:
    """Crashes, expulsions, lost answers, damage, members that come and go: nobody sees a difference."""
    run_state_machine_as_test(
        schedule,
        settings=settings(max_examples=examples, stateful_step_count=20, suppress_health_check=list(HealthCheck)),
    )
