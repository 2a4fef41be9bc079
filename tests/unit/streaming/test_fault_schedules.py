"""Schedules of faults over the loop with a Kafka in memory, thousands in `make search`: all end the same way."""

import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

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
from online_lstm.errors import BrokerUnavailableError, NotCommittedError
from online_lstm.events import Committed, OutputRecord, TopicPartition
from support.budget import budget
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
            service._checkpoints.begin_round()
            service.flush()

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


@pytest.mark.long
@pytest.mark.search
@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("schedule", "examples"),
    [(Schedule, 1000), (SharedSchedule, 250), (LabelSchedule, 150), (NumberSchedule, 100)],
)
def test_no_schedule_shows(schedule: type[Schedule], examples: int) -> None:
    """Crashes, expulsions, lost answers, damage, members that come and go: nobody sees a difference."""
    chosen = settings(max_examples=budget(examples), stateful_step_count=20, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(schedule, settings=chosen)
