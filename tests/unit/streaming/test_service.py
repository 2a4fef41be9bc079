import dataclasses
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from online_lstm.checkpoint import KEEP
from online_lstm.errors import (
    BrokerUnavailableError,
    CheckpointsUnavailableError,
    FencedError,
    NotCommittedError,
    ReplayDivergedError,
)
from online_lstm.events import Membership, PollResult, TopicPartition
from online_lstm.learning.partition import Partition
from online_lstm.streaming.checkpoint_schedule import CHECKPOINT_SHARE
from online_lstm.streaming.commit_metadata import read_metadata
from online_lstm.streaming.readiness import WAITING_S
from online_lstm.telemetry import BatchCommitted, CheckpointFinished, TransactionEnded
from support.fakes import (
    LOGS,
    SIZES,
    SOURCES,
    Crash,
    FakeDaemon,
    FakeKafka,
    crash_at,
    is_tombstone,
    learned_until,
    record,
)
from support.recovery import Outcome, outcome_of
from support.states import streams_learned

pytestmark = pytest.mark.long

STEPS = ("before poll", "after poll", "before commit", "after commit", "before checkpoint", "after checkpoint")


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.h5"))


# what is published


def test_every_record_is_learned_and_answered_once(undisturbed: Outcome) -> None:
    """There is one output or dead letter for each record but tombstones, in order, and all offsets are committed."""
    for source, log in LOGS.items():
        assert len([r for r in log if not is_tombstone(r)]) == len(undisturbed.published[source])
        assert [r.offset for r in log if r.value not in {None, b"?"}] == [
            json.loads(output.value or b"")["offset"]
            for output in undisturbed.published[source]
            if not output.dead_letter
        ]
        assert log[-1].offset + 1 == undisturbed.offsets[source].offset
        assert len(log) == read_metadata(undisturbed.offsets[source].metadata, source).records


@pytest.mark.parametrize("sizes", [(1,), (100,), (3, 1, 50)])
def test_the_sizes_of_polls_do_not_show(
    kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome, sizes: tuple[int, ...]
) -> None:
    """Outputs, committed marks and learned states are the same however the records are polled."""
    assert undisturbed == outcome_of(kafka, FakeDaemon(kafka, tmp_path, sizes=sizes).run())


# crashes


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_anywhere_changes_nothing_that_a_reader_sees(tmp_path: Path, undisturbed: Outcome, step: str) -> None:
    """At every occurrence of every step of the protocol the process may end; the next one makes up for it."""
    for number in itertools.count():
        kafka, folder = FakeKafka(LOGS), tmp_path / str(number)
        kafka.on_step = crash_at(number, step)
        daemon = FakeDaemon(kafka, folder, sizes=SIZES)
        try:
            daemon.run()
        except Crash:
            daemon = FakeDaemon(kafka, folder, sizes=SIZES).run()
            assert undisturbed == outcome_of(kafka, daemon), number
        else:
            break
    assert number > 3


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_crashes_again_and_again_gets_there(
    kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome, step: str
) -> None:
    """Each process dies at the third step of one kind; also where a start itself is cut short nothing is lost."""
    for lives in itertools.count():
        kafka.on_step = crash_at(3 + lives % 5, step)
        daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES)
        try:
            daemon.run()
        except Crash:
            continue
        break
    assert undisturbed == outcome_of(kafka, daemon)


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("second", ["after commit", "before checkpoint"])
def test_a_start_that_is_cut_short_can_be_repeated(
    kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome, first: str, second: str
) -> None:
    """Two crashes early in the life of a group leave it as it would be without."""
    for number, step in ((0, first), (1, second)):
        kafka.on_step = crash_at(number, step)
        with pytest.raises(Crash):
            FakeDaemon(kafka, tmp_path, sizes=SIZES).run()
    assert undisturbed == outcome_of(kafka, FakeDaemon(kafka, tmp_path, sizes=SIZES).run())


Fault = tuple[str, int]
faults = st.lists(
    st.tuples(st.sampled_from((*STEPS, "lose commit", "refuse commit", "expel", "other member")), st.integers(0, 6)),
    max_size=8,
)


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.usefixtures("toys")
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    faults=faults,
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    interval_s=st.sampled_from((0.5, 3, 1000)),
)
def test_no_schedule_of_faults_shows(
    tmp_path_factory: pytest.TempPathFactory,
    undisturbed: Outcome,
    faults: list[Fault],
    sizes: list[int],
    interval_s: float,
) -> None:
    """Crashes, lost and refused commits, expulsions, rebalances, poll sizes and checkpoint times: all the same."""
    kafka, folder = FakeKafka(LOGS), tmp_path_factory.mktemp("faults")
    start: Callable[[], FakeDaemon] = lambda: FakeDaemon(  # noqa: E731
        kafka, folder, sizes=sizes, checkpoint_interval_s=interval_s
    )
    daemon = start()
    for fault, number in faults:
        kafka.on_step = hook_of(fault, number, kafka)
        for _ in range(number + 1):
            try:
                daemon.step()
            except Crash:
                daemon = start()
        kafka.on_step = lambda _: None
        if "other" in kafka.members:
            kafka.leave("other")
    assert undisturbed == outcome_of(kafka, daemon.run())


def hook_of(fault: str, number: int, kafka: FakeKafka) -> Callable[[str], None]:
    """Make what happens at the n-th commit, or crash at the n-th step of a name."""
    commits = itertools.count()

    def hook(step: str) -> None:
        due = step == ("after commit" if fault == "lose commit" else "before commit") and next(commits) == number
        if due and fault in {"lose commit", "refuse commit"}:
            raise NotCommittedError(fault)
        if due and fault == "expel":
            kafka.leave("m")
        if due and fault == "other member" and "m" in kafka.members:
            kafka.join("other")

    return crash_at(number // 2, fault) if fault in STEPS else hook


# going back


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("step", ["before commit", "after commit"])
def test_a_failed_commit_goes_back_and_gives_the_same(tmp_path: Path, undisturbed: Outcome, step: str) -> None:
    """Whether the broker had committed or not when the client gave up: the next outputs are the right ones."""
    for number in range(0, 20, 3):
        kafka, folder = FakeKafka(LOGS), tmp_path / str(number)
        steps = itertools.count()

        def fail(name: str, steps: itertools.count = steps, number: int = number) -> None:  # type: ignore[type-arg]
            if name == step and next(steps) == number:
                raise NotCommittedError("the transaction failed")

        kafka.on_step = fail
        daemon = FakeDaemon(kafka, folder, sizes=SIZES).run()
        assert undisturbed == outcome_of(kafka, daemon), number
        assert ("going back to the committed offsets, which the broker has to tell",) in daemon.health.reasons


def test_a_failed_sink_is_made_new_before_anything_else(kafka: FakeKafka, tmp_path: Path) -> None:
    """While no broker answers the loop goes on living, is not ready, and says why."""
    daemon = learned_until(kafka, tmp_path, 20)
    away = True

    def unreachable(step: str) -> None:
        if step == "before commit":
            raise NotCommittedError("the broker is away")
        if step == "before rebuild" and away:
            raise BrokerUnavailableError("no broker answered at localhost:9092")

    kafka.on_step = unreachable
    beats = daemon.health.beats
    for _ in range(5):
        daemon.step()
    assert beats + 5 <= daemon.health.beats
    assert "no broker answered at localhost:9092" == daemon.health.waiting_for
    assert () != daemon.health.reasons[-1]
    kafka.on_step = lambda _: None
    daemon.step()
    assert "" == daemon.health.waiting_for


def test_a_commit_without_an_answer_is_given_up(kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome) -> None:
    """After the transaction timeout the broker has forgotten it, so the daemon begins again; meanwhile it is alive."""
    daemon = learned_until(kafka, tmp_path, 20)
    commit, waited = daemon.service._sink.commit, list[float]()

    def silent(*_: Any) -> None:
        for seconds in itertools.count(1.0):
            waited.append(seconds)
            daemon.service._wait_for_commit(seconds)

    daemon.service._sink.commit = silent  # type: ignore[assignment, method-assign]
    beats = daemon.health.beats
    daemon.step()
    assert "the broker has not answered" in daemon.health.waiting_for or () != daemon.health.reasons[-1]
    assert 10 + WAITING_S + 1 == len(waited) <= daemon.health.beats - beats
    daemon.service._sink.commit = commit  # type: ignore[method-assign]
    assert undisturbed == outcome_of(kafka, daemon.run())


def test_an_expelled_member_publishes_nothing(kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome) -> None:
    """A batch that took too long is not committed, since another member may have gone on from there."""
    slow = learned_until(kafka, tmp_path, 30)
    other: list[FakeDaemon] = []

    def stall(step: str) -> None:
        if step == "after poll" and not other:
            other.append(FakeDaemon(kafka, tmp_path, member="other", sizes=SIZES))
            kafka.leave("m")
            for _ in range(4):
                other[0].step()

    kafka.on_step = stall
    slow.step()
    published = sum(map(len, kafka.published.values()))
    slow.step()
    assert {} == slow.digests()
    assert published == sum(map(len, kafka.published.values()))
    for _ in range(100):
        slow.step()
        other[0].step()
    assert undisturbed == outcome_of(kafka, slow, other[0])
    assert {1} == {len(daemon.digests()) for daemon in (slow, other[0])}


@pytest.mark.parametrize("membership", [Membership(-1, "m", None), Membership(3, "", None)])
def test_what_the_broker_would_take_from_a_zombie_is_never_sent(
    kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome, membership: Membership
) -> None:
    """A generation of -1 or an empty member id is not a membership, though the broker does not mind."""
    daemon = learned_until(kafka, tmp_path, 30)
    poll, sent = daemon.source.poll, list[str]()
    kafka.on_step = sent.append

    def expelled(timeout_s: float, max_records: int) -> PollResult:
        polled = poll(timeout_s, max_records)
        return dataclasses.replace(polled, membership=membership) if polled.records else polled

    daemon.source.poll = expelled  # type: ignore[method-assign]
    for _ in range(3):
        daemon.step()
    assert "before commit" not in sent
    daemon.source.poll = poll  # type: ignore[method-assign]
    assert undisturbed == outcome_of(kafka, daemon.run())


def test_a_batch_of_a_partition_that_left_meanwhile_is_not_sent(
    kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome
) -> None:
    """The assignment is looked at once more, right before the transaction."""
    daemon = learned_until(kafka, tmp_path, 30)
    before = dict(kafka.offsets)
    assignment = daemon.source.assignment
    daemon.source.assignment = lambda: assignment() - {SOURCES[1]}  # type: ignore[method-assign]
    for _ in range(3):
        daemon.step()
    assert before[SOURCES[1]] == kafka.offsets[SOURCES[1]]
    daemon.source.assignment = assignment  # type: ignore[method-assign]
    assert undisturbed == outcome_of(kafka, daemon.run())


def test_members_share_the_partitions_and_hand_them_over(
    kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome
) -> None:
    """One member begins, another one joins and takes a partition over, the first one goes: no output is missed."""
    first = learned_until(kafka, tmp_path, 20)
    second = FakeDaemon(kafka, tmp_path, member="second", sizes=SIZES)
    for _ in range(5):
        first.step()
        second.step()
    assert [{SOURCES[0]}, {SOURCES[1]}] == [set(daemon.digests()) for daemon in (first, second)]
    first.stop()
    assert undisturbed == outcome_of(kafka, second.run())


def test_two_processes_of_one_name_do_not_both_publish(kafka: FakeKafka, tmp_path: Path) -> None:
    """The younger one fences the older, which ends with an error that says so."""
    older = learned_until(kafka, tmp_path, 20)
    FakeDaemon(kafka, tmp_path, sizes=SIZES)
    with pytest.raises(FencedError):
        older.run()


@pytest.mark.parametrize(("learned", "told"), [(False, 2), (True, 0)])
def test_who_may_not_learn_and_never_did_says_so(
    kafka: FakeKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, learned: bool, told: int
) -> None:
    """Once for each partition; not where there is something to predict from."""
    if learned:
        learned_until(kafka, tmp_path, 20).stop()
    caplog.clear()
    FakeDaemon(kafka, tmp_path, sizes=SIZES, learn=False).run()
    assert told == sum("nothing was ever learned" in message for message in caplog.messages)


# replay


def test_replay_publishes_and_counts_nothing(kafka: FakeKafka, tmp_path: Path) -> None:
    """What is learned again is not told again: no transaction, no batch, no output."""
    daemon = learned_until(kafka, tmp_path, 50, checkpoint_interval_s=1000)
    daemon.die()
    before, offsets = {s: list(outputs) for s, outputs in kafka.published.items()}, dict(kafka.offsets)
    again = FakeDaemon(kafka, tmp_path, sizes=(2,), checkpoint_interval_s=1000)
    again.step()
    assert [
        tuple(f"{source} replays to offset {offsets[source].offset}" for source in SOURCES)
    ] == again.health.reasons[-1:]
    while again.health.reasons[-1] != ():
        again.step()
    told = [report for report in again.reports if isinstance(report, TransactionEnded | BatchCommitted)]
    ahead = sum(offset.offset - offsets[source].offset for source, offset in kafka.offsets.items())
    assert sum(isinstance(report, TransactionEnded) for report in told) <= ahead
    for source, outputs in before.items():
        assert outputs == kafka.published[source][: len(outputs)]


def test_no_checkpoint_is_taken_of_a_replay(kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome) -> None:
    """While it replays a partition is behind its committed offset; a file under that name would be wrong."""
    learned_until(kafka, tmp_path, 50, checkpoint_interval_s=1000).die()
    again = FakeDaemon(kafka, tmp_path, sizes=(2,), checkpoint_interval_s=1)
    for _ in range(5):
        again.step()
    assert len(again.health.reasons[-1]) == len(SOURCES)
    assert not [report for report in again.reports if isinstance(report, CheckpointFinished)]
    again.die()
    assert undisturbed == outcome_of(kafka, FakeDaemon(kafka, tmp_path, sizes=SIZES).run())


def test_a_replay_ends_where_the_log_ends_in_markers(kafka: FakeKafka, tmp_path: Path) -> None:
    """A committed offset may have no record at or after it; the position tells that the replay is done."""
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES, checkpoint_interval_s=1000).run()
    daemon.die()
    again = FakeDaemon(kafka, tmp_path, sizes=SIZES, checkpoint_interval_s=1000).run()
    assert daemon.digests() == again.digests()


def test_an_input_that_changed_is_noticed(kafka: FakeKafka, tmp_path: Path) -> None:
    """A record that is another one than was learned from gives other outputs: refused, and nothing published."""
    learned_until(kafka, tmp_path, 50, checkpoint_interval_s=1000).die()
    before = {source: list(outputs) for source, outputs in kafka.published.items()}
    kafka.logs[SOURCES[0]][5] = record(kafka.logs[SOURCES[0]][5].offset, b"77")
    with pytest.raises(ReplayDivergedError, match=r"numbers/0: replaying to the committed offset \d+ gave"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()
    assert before[SOURCES[0]] == kafka.published[SOURCES[0]]


def test_a_record_that_was_compacted_away_is_noticed(kafka: FakeKafka, tmp_path: Path) -> None:
    """Fewer records than were learned from cannot give the same state."""
    learned_until(kafka, tmp_path, 50, checkpoint_interval_s=1000).die()
    del kafka.logs[SOURCES[1]][3]
    with pytest.raises(ReplayDivergedError, match="numbers/1"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()


def test_a_weight_that_changed_is_noticed(kafka: FakeKafka, tmp_path: Path) -> None:
    """Weights other than the ones that were learned give other probabilities."""
    daemon = learned_until(kafka, tmp_path, 50, checkpoint_interval_s=1)
    daemon.die()
    lineage = read_metadata(kafka.offsets[SOURCES[0]].metadata, SOURCES[0]).lineage
    *newer, offset, _beginning = daemon.store.offsets(SOURCES[0], lineage)
    for other in newer:
        daemon.store.path(SOURCES[0], lineage, other).unlink()
    state = daemon.store.read(SOURCES[0], lineage, offset)
    for arrays in streams_learned(state).networks.values():
        arrays["network"][:, 0] += 0.5
    daemon.store.write(SOURCES[0], offset, state)
    with pytest.raises(ReplayDivergedError, match="numbers/0"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()


def test_a_checkpoint_of_another_history_is_noticed(kafka: FakeKafka, tmp_path: Path) -> None:
    """Also without anything to replay: a checkpoint at the committed offset has to carry the committed mark."""
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES).run()
    daemon.stop()
    lineage = read_metadata(kafka.offsets[SOURCES[0]].metadata, SOURCES[0]).lineage
    offset = daemon.store.offsets(SOURCES[0], lineage)[0]
    state = daemon.store.read(SOURCES[0], lineage, offset)
    assert kafka.offsets[SOURCES[0]].offset == offset
    daemon.store.write(
        SOURCES[0], offset, replace(state, commit_metadata=replace(state.commit_metadata, digest=bytes(16)))
    )
    with pytest.raises(ReplayDivergedError, match="numbers/0"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()


def test_a_damaged_checkpoint_is_passed_over(kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome) -> None:
    """The one before it is used, and the replay is longer."""
    learned_until(kafka, tmp_path, 60, checkpoint_interval_s=2).die()
    for lineage in {path.parent for path in files_of(tmp_path)}:
        newest = files_of(lineage)[-1]
        newest.write_bytes(newest.read_bytes()[:-9])
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES).run()
    assert undisturbed == outcome_of(kafka, daemon)
    reports = [report for report in daemon.reports if isinstance(report, CheckpointFinished)]
    assert set(SOURCES) == {report.source for report in reports if report.result == "damaged"}


# learning settings


@pytest.mark.parametrize("learning", [{"learning_rate": 0.001}, {"learn": False}], ids=str)
@pytest.mark.parametrize("crash", [None, *STEPS])
def test_learning_settings_hold_from_committed_offset(
    tmp_path: Path, undisturbed: Outcome, crash: str | None, learning: dict[str, object]
) -> None:
    """Replay learns as it was learned; then the new settings hold, also when a crash follows at once."""
    outcomes = []
    for disturbed in (False, True):
        kafka, folder = FakeKafka(LOGS), tmp_path / str(disturbed)
        learned_until(kafka, folder, 50, checkpoint_interval_s=1000).die()
        published = {source: list(outputs) for source, outputs in kafka.published.items()}
        changed: dict[str, Any] = {"sizes": SIZES, "checkpoint_interval_s": 1000, **learning}
        if disturbed and crash is not None:
            kafka.on_step = crash_at(1, crash)
            with pytest.raises(Crash):
                FakeDaemon(kafka, folder, **changed).run()
        outcomes.append(outcome_of(kafka, FakeDaemon(kafka, folder, **changed).run()))
    assert outcomes[0] == outcomes[1]
    assert undisturbed.published != outcomes[0].published
    for source, outputs in published.items():
        assert undisturbed.published[source][: len(outputs)] == outcomes[0].published[source][: len(outputs)]


# checkpoints


def test_a_stop_leaves_a_checkpoint_at_the_committed_offset(
    kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome
) -> None:
    """The next start has nothing to replay, and the members' share is free at once."""
    daemon = learned_until(kafka, tmp_path, 50, checkpoint_interval_s=1000)
    daemon.stop()
    written = {r.source: r.offset for r in daemon.reports if isinstance(r, CheckpointFinished)}
    assert {source: offset.offset for source, offset in kafka.offsets.items()} == written
    assert [] == kafka.members
    again = FakeDaemon(kafka, tmp_path, sizes=SIZES)
    again.step()
    assert () == again.health.reasons[-1]
    assert undisturbed == outcome_of(kafka, again.run())


def test_checkpoints_follow_interval_and_few_are_kept(kafka: FakeKafka, tmp_path: Path) -> None:
    """A partition that did not move is not written again."""
    daemon = FakeDaemon(kafka, tmp_path, sizes=(3,), checkpoint_interval_s=2).run()
    offsets = [r.offset for r in daemon.reports if isinstance(r, CheckpointFinished) and r.source == SOURCES[0]]
    assert len(offsets) > KEEP
    assert sorted(set(offsets)) == offsets
    assert {KEEP + 1} == {len(files_of(folder)) for folder in {path.parent for path in files_of(tmp_path)}}
    for _ in range(3):
        daemon.step(100)
    written = sum(isinstance(report, CheckpointFinished) for report in daemon.reports)
    for _ in range(3):
        daemon.step(100)
    assert written == sum(isinstance(report, CheckpointFinished) for report in daemon.reports)


def test_writing_takes_its_share_of_the_time_at_most(
    kafka: FakeKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where writing the files of all partitions takes long, the interval stretches by all of them."""
    daemon = learned_until(kafka, tmp_path, 20, checkpoint_interval_s=10)
    report = CheckpointFinished(SOURCES[0], 1, "written", seconds=2.0, size_bytes=1)
    schedule, reports = daemon.service._checkpoints, [report, dataclasses.replace(report, source=SOURCES[1])]
    monkeypatch.setattr(schedule._writer, "finished", lambda: iter(reports))
    schedule.collect()
    assert daemon.now_s + 4.0 / CHECKPOINT_SHARE == pytest.approx(schedule.due_at_s)


def test_full_disk_costs_only_a_longer_replay(kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome) -> None:
    """A checkpoint that cannot be written is reported, and learning goes on."""
    daemon = learned_until(kafka, tmp_path, 20, checkpoint_interval_s=1)

    def full(step: str) -> None:
        if step == "before checkpoint":
            raise OSError(28, "No space left on device")

    kafka.on_step = full
    for _ in range(5):
        daemon.step()
    assert "failed" == [r for r in daemon.reports if isinstance(r, CheckpointFinished)][-1].result
    daemon.die()
    kafka.on_step = lambda _: None
    assert undisturbed == outcome_of(kafka, FakeDaemon(kafka, tmp_path, sizes=SIZES).run())


# health


def test_what_is_polled_while_a_partition_waits_is_read_again(
    kafka: FakeKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Outcome
) -> None:
    """One partition is restored and polled while the checkpoints of another cannot be listed: nothing is skipped."""
    daemon = FakeDaemon(kafka, tmp_path / "waits", sizes=SIZES)
    lineages = daemon.store.lineages

    def refuse(source: TopicPartition) -> list[str]:
        if source.partition == 1:
            raise CheckpointsUnavailableError("the store is away")
        return lineages(source)

    with monkeypatch.context() as patch:
        patch.setattr(daemon.store, "lineages", refuse)
        for _ in range(5):
            daemon.step()
        assert "the store is away" == daemon.health.waiting_for
    assert undisturbed == outcome_of(kafka, daemon.run())


def test_health_says_what_is_waited_for(kafka: FakeKafka, tmp_path: Path) -> None:
    """Without partitions, going back, replaying, ready: each has its words."""
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES)
    kafka.members = ["other", "third", "m"]  # more members than partitions, this one last
    daemon.service._report_readiness()
    assert [("no partition is assigned yet",)] == daemon.health.reasons[-1:]
    daemon.step()
    assert [("no partition is assigned yet",)] == daemon.health.reasons[-1:]
    kafka.leave("other")
    kafka.leave("third")
    daemon.step()
    assert [()] == daemon.health.reasons[-1:]
    kafka.on_step = hook_of("refuse commit", 0, kafka)
    daemon.step()
    assert [("going back to the committed offsets, which the broker has to tell",)] == daemon.health.reasons[-1:]
    daemon.run()
    assert [()] == daemon.health.reasons[-1:]


def test_a_fault_that_nobody_expects_ends_the_loop(
    kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not swallowed, nothing half learned is checkpointed, and the next start gives the right outputs."""
    daemon = learned_until(kafka, tmp_path, 30)
    process = Partition.process

    def half(self: Partition, records: list[Any]) -> Any:
        process(self, records[: len(records) // 2])
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(Partition, "process", half)
        with pytest.raises(ZeroDivisionError):
            daemon.service.run()
    assert undisturbed == outcome_of(kafka, FakeDaemon(kafka, tmp_path, sizes=SIZES).run())
