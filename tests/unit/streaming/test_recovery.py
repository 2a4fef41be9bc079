"""What a group may go on from, what is refused, and what ``continue`` makes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from online_lstm.errors import (
    CheckpointsUnavailableError,
    InputGoneError,
    RecoveryRefusedError,
    ReplayDivergedError,
    StateMismatchError,
)
from online_lstm.events import Committed, OutputRecord, TopicPartition
from online_lstm.telemetry import CheckpointFinished, LineageStarted
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
    traffic,
)
from support.recovery import (
    CHECKPOINT,
    CRASH,
    DAMAGE,
    EXPIRE,
    FIRST,
    LOSE,
    REFUSE,
    STOP,
    Outcome,
    ScriptedGroup,
    lineage_of,
)

pytestmark = pytest.mark.usefixtures("toys")


@pytest.fixture
def group(tmp_path: Path) -> ScriptedGroup:
    return ScriptedGroup(tmp_path / "group")


@pytest.fixture
def expected(tmp_path: Path) -> ScriptedGroup:
    """A group to which nothing happens."""
    return ScriptedGroup(tmp_path / "expected")


# what happens to a group, between which values


def test_each_value_has_one_output(group: ScriptedGroup) -> None:
    """Values are learned and answered in order, and the committed offset follows them."""
    group.run([4, 4, 8])
    assert [4, 4, 8] == group.values
    assert [1, 2, 3] == group.events
    assert 3 == group.kafka.offsets[FIRST].offset


def test_crash(group: ScriptedGroup, expected: ScriptedGroup) -> None:
    """The next process learns again what the last one knew, and publishes none of it again."""
    group.run([4, 4, CRASH, 8])
    assert [4, 4, 8] == group.values
    assert expected.run([4, 4, 8]).outcome == group.outcome


def test_crash_after_crash(group: ScriptedGroup, expected: ScriptedGroup) -> None:
    """A process that ends before it has learned anything changes nothing."""
    group.run([CRASH, 4, CRASH, CRASH, 4, 8, CRASH])
    assert [4, 4, 8] == group.values
    assert expected.run([4, 4, 8]).outcome == group.outcome


def test_crash_after_a_checkpoint(group: ScriptedGroup, expected: ScriptedGroup) -> None:
    """The next process goes on from the checkpoint: it needs no record before it."""
    group.run([4, 4, CHECKPOINT, 8, CRASH])
    group.kafka.starts[FIRST] = 2
    group.run([4])
    assert [4, 4, 8, 4] == group.values
    assert expected.run([4, 4, 8, 4]).outcome == group.outcome


def test_stop(group: ScriptedGroup, expected: ScriptedGroup) -> None:
    """An orderly stop leaves nothing to replay: the next process needs no record at all."""
    group.run([4, 4, STOP])
    group.kafka.starts[FIRST] = 2
    group.run([8])
    assert [4, 4, 8] == group.values
    assert expected.run([4, 4, 8]).outcome == group.outcome


def test_damaged_checkpoint(group: ScriptedGroup, expected: ScriptedGroup) -> None:
    """The checkpoint before it is used, and what came after that one is replayed."""
    group.run([4, CHECKPOINT, 4, STOP, DAMAGE, 8])
    assert [4, 4, 8] == group.values
    assert expected.run([4, 4, 8]).outcome == group.outcome


@pytest.mark.parametrize("failure", [REFUSE, LOSE])
def test_commit_without_success(
    group: ScriptedGroup, expected: ScriptedGroup, failure: Callable[[ScriptedGroup], None]
) -> None:
    """Whether the broker refused the commit or its answer was lost: each value is published once."""
    group.run([4, failure, 4, 8])
    assert [4, 4, 8] == group.values
    assert expected.run([4, 4, 8]).outcome == group.outcome


def test_tombstone(group: ScriptedGroup, expected: ScriptedGroup) -> None:
    """The stream of the key begins again at its first event, also when it is replayed."""
    group.run([4, 4, None, 8, CRASH, 4])
    assert [1, 2, 1, 2] == group.events
    assert expected.run([4, 4, None, 8, 4]).outcome == group.outcome


def test_expired_offsets(group: ScriptedGroup) -> None:
    """Without its offset a group would learn everything twice: refused; told to continue, it resumes."""
    with pytest.raises(RecoveryRefusedError, match="has no committed offset: it expired, or was deleted"):
        group.run([4, 4, STOP, EXPIRE, 8])
    group.run([8], on_gap="continue")
    assert [4, 4, 8, 8] == group.values


def test_changed_input(group: ScriptedGroup) -> None:
    """A replay of another value than the published one is refused, and nothing is published."""
    group.run([4, 4, 8, CRASH])
    group.kafka.logs[FIRST][1] = record(1, b"8", b"k")
    with pytest.raises(ReplayDivergedError, match="replaying to the committed offset 3 gave"):
        group.run([4])
    assert [4, 4, 8] == group.values


def test_changed_shape(group: ScriptedGroup) -> None:
    """A group that learned with one window does not go on with another; told to continue, it begins again."""
    group.run([4, 4, STOP])
    with pytest.raises(StateMismatchError, match=r"window 8 \(the settings say 9\).* set on_shape_change to continue"):
        group.run([8], window=9)
    group.run([4], window=9, on_shape_change="continue")
    assert [1, 2, 1, 2] == group.events


def said(outputs: list[OutputRecord]) -> list[dict[str, Any]]:
    """What is said about each value, without the lineage that says it."""
    bodies = [json.loads(output.value or b"") for output in outputs if not output.dead_letter]
    return [{name: value for name, value in body.items() if name != "model"} for body in bodies]


def begun(daemon: FakeDaemon, source: TopicPartition = FIRST) -> list[tuple[str, int]]:
    """Why lineages began, and how many records were lost by it."""
    return [(r.reason, r.lost_records) for r in daemon.reports if isinstance(r, LineageStarted) and r.source == source]


def stopped(kafka: FakeKafka, folder: Path, count: int) -> FakeDaemon:
    daemon = learned_until(kafka, folder, count, checkpoint_interval_s=2)
    daemon.stop()
    return daemon


# beginning


def test_a_group_that_another_program_set_begins_there(kafka: FakeKafka, tmp_path: Path) -> None:
    """A committed offset without metadata and without checkpoints is where a new group is meant to begin."""
    start = LOGS[FIRST][10].offset
    kafka.offsets[FIRST] = Committed(start)
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES).run()
    first = json.loads(kafka.published[FIRST][0].value or b"")
    assert (start, 1) == (first["offset"], first["event"])
    assert [("beginning", 0)] == begun(daemon)


def test_a_beginning_that_was_cut_short_is_bound_to_its_shape(kafka: FakeKafka, tmp_path: Path) -> None:
    """A group that only committed where it begins, and has no checkpoint yet, refuses another shape as well."""
    kafka.on_step = crash_at(0, "before checkpoint")
    with pytest.raises(Crash):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()
    with pytest.raises(StateMismatchError, match="began with other shape settings"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES, suffix_contexts=32).run()
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES, suffix_contexts=32, on_shape_change="continue").run()
    assert [("shape", 0)] == begun(daemon)


@pytest.mark.parametrize("metadata", ["somebody", "{}", "[]", '{"lineage": "a", "records": 1, "digest": "x"}'])
def test_metadata_of_another_program_is_refused(kafka: FakeKafka, tmp_path: Path, metadata: str) -> None:
    """Whoever else commits in this group would be overwritten."""
    kafka.offsets[FIRST] = Committed(0, metadata)
    with pytest.raises(RecoveryRefusedError, match="which this daemon did not write"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()


def test_offset_before_the_topic_is_refused(kafka: FakeKafka, tmp_path: Path) -> None:
    """Records that somebody wanted learned are gone; told to continue, the group begins with the first there is."""
    kafka.offsets[FIRST] = Committed(0)
    kafka.starts[FIRST] = 7
    with pytest.raises(RecoveryRefusedError, match=r"numbers/0: .* at offset 0, .* begins at 7 .* set on_gap to"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES, on_gap="continue").run()
    assert [("gap", 7)] == begun(daemon)


# checkpoints that are gone


def test_missing_checkpoints_are_refused(kafka: FakeKafka, tmp_path: Path) -> None:
    """What was learned is gone: going on with nothing would not be what the offsets promise."""
    learned_until(kafka, tmp_path / "here", 30).die()
    with pytest.raises(RecoveryRefusedError, match=r"no readable checkpoint of lineage .* another group_id"):
        FakeDaemon(kafka, tmp_path / "elsewhere", sizes=SIZES).run()


def test_without_checkpoints_learning_may_restart(kafka: FakeKafka, tmp_path: Path) -> None:
    """Told to continue, nothing is published twice or left out, by a learner that has to learn again."""
    stopped(kafka, tmp_path / "here", 30)
    before = {source: list(outputs) for source, outputs in kafka.published.items()}
    committed = kafka.offsets[FIRST].offset
    daemon = FakeDaemon(kafka, tmp_path / "elsewhere", sizes=SIZES, on_gap="continue").run()
    assert before[FIRST] == kafka.published[FIRST][: len(before[FIRST])]
    following = [body for body in said(kafka.published[FIRST]) if body["offset"] >= committed]
    assert [r.offset for r in LOGS[FIRST] if r.offset >= committed and r.value not in {None, b"?"}] == [
        body["offset"] for body in following
    ]
    assert 1 == following[0]["event"]
    assert [("gap", 0)] == begun(daemon)
    assert lineage_of(kafka).endswith("-2")


def test_only_newer_checkpoints_are_refused(kafka: FakeKafka, tmp_path: Path) -> None:
    """A group whose offset went back behind its checkpoints is told where they begin."""
    daemon = stopped(kafka, tmp_path, 30)
    mark = kafka.offsets[FIRST]
    for path in tmp_path.rglob(f"{0:020d}.h5"):
        path.unlink()
    oldest = daemon.store.offsets(FIRST, lineage_of(kafka))[-1]
    kafka.offsets[FIRST] = Committed(1, mark.metadata)
    with pytest.raises(RecoveryRefusedError, match=rf"the committed offset 1 .*, the oldest is of {oldest}"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()


def test_checkpoints_that_cannot_be_asked_are_waited_for(
    kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome
) -> None:
    """A store that is away is not an empty one: the daemon is not ready, says why, and goes on once it is back."""
    learned_until(kafka, tmp_path, 30).die()
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES)

    def away(*_: object) -> list[int]:
        raise CheckpointsUnavailableError("the store does not answer")

    there, daemon.store.offsets = daemon.store.offsets, away  # type: ignore[assignment, method-assign]
    for _ in range(3):
        daemon.step()
    assert "the store does not answer" == daemon.health.waiting_for
    daemon.store.offsets = there  # type: ignore[method-assign]
    daemon.run()
    assert "" == daemon.health.waiting_for
    assert undisturbed.published == kafka.published


def test_unwritable_first_checkpoint_is_retried(kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome) -> None:
    """Nothing is published before there is a checkpoint to come back to."""

    def full(step: str) -> None:
        if step == "before checkpoint":
            raise OSError(28, "No space left on device")

    kafka.on_step = full
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES)
    for _ in range(3):
        daemon.step()
    assert "No space left on device" in daemon.health.waiting_for
    assert {source: [] for source in SOURCES} == kafka.published
    kafka.on_step = lambda _: None
    daemon.run()
    assert undisturbed.published == kafka.published


# offsets that are gone or were set


def test_expired_offsets_of_an_idle_group_are_resumed(kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome) -> None:
    """Told to continue after an orderly stop, it publishes what it would have, nothing of it twice."""
    stopped(kafka, tmp_path, 30)
    kafka.offsets.clear()
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES, on_gap="continue").run()
    assert [("reset", 0)] == begun(daemon)
    for source in SOURCES:
        assert said(undisturbed.published[source]) == said(kafka.published[source])


def test_expired_offsets_after_a_crash_repeat_outputs(kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome) -> None:
    """The same predictions come again, for the same offsets: a reader can tell by ``ce_id``."""
    learned_until(kafka, tmp_path, 50, checkpoint_interval_s=1000).die()
    kafka.offsets.clear()
    before = len(said(kafka.published[FIRST]))
    FakeDaemon(kafka, tmp_path, sizes=SIZES, on_gap="continue").run()
    assert said(undisturbed.published[FIRST]) == said(kafka.published[FIRST])[before:]


def test_offsets_that_were_set_are_refused(kafka: FakeKafka, tmp_path: Path) -> None:
    """A reset group is told apart from a new one, also where a checkpoint would fit."""
    learned_until(kafka, tmp_path, 30).die()
    kafka.offsets[FIRST] = Committed(4)
    with pytest.raises(RecoveryRefusedError, match="committed offset 4 was set by another program, while the newest"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()


@pytest.mark.parametrize("index", [5, 20, 33])
def test_a_group_that_was_set_back_says_again_what_it_had_said(
    kafka: FakeKafka, tmp_path: Path, undisturbed: Outcome, index: int
) -> None:
    """Told to continue, it goes on from any offset with just what was learned before it."""
    daemon = learned_until(kafka, tmp_path, 60, checkpoint_interval_s=1)
    daemon.stop()
    offset = LOGS[FIRST][index].offset
    kafka.offsets[FIRST] = Committed(offset)
    before = len(said(kafka.published[FIRST]))
    again = FakeDaemon(kafka, tmp_path, sizes=SIZES, on_gap="continue").run()
    assert [("reset", 0)] == begun(again)
    assert [b for b in said(undisturbed.published[FIRST]) if b["offset"] >= offset] == said(kafka.published[FIRST])[
        before:
    ]


def test_the_youngest_lineage_counts_not_the_farthest(kafka: FakeKafka, tmp_path: Path) -> None:
    """Where the offsets are gone, the state of the last lineage is gone on from, though an older one came farther."""
    FakeDaemon(kafka, tmp_path, sizes=SIZES).run().stop()
    offset = LOGS[FIRST][10].offset
    kafka.offsets[FIRST] = Committed(offset)
    again = FakeDaemon(kafka, tmp_path, sizes=(3,), on_gap="continue")
    while kafka.offsets[FIRST].offset < LOGS[FIRST][20].offset:
        again.step()
    again.stop()
    stopped_at = kafka.offsets[FIRST].offset
    del kafka.offsets[FIRST]
    before = len(said(kafka.published[FIRST]))
    FakeDaemon(kafka, tmp_path, sizes=SIZES, on_gap="continue").run()
    following = said(kafka.published[FIRST])[before:]
    assert [r.offset for r in LOGS[FIRST] if r.offset >= stopped_at and r.value not in {None, b"?"}] == [
        body["offset"] for body in following
    ]
    assert lineage_of(kafka).endswith("-3")


def test_offsets_are_not_guessed_where_no_checkpoint_can_be_read(kafka: FakeKafka, tmp_path: Path) -> None:
    """Damaged checkpoints say that there was a history, though not which one."""
    stopped(kafka, tmp_path, 30)
    kafka.offsets.clear()
    for path in tmp_path.rglob("*.h5"):
        path.write_bytes(b"")
    with pytest.raises(RecoveryRefusedError, match=r"none of its checkpoints in .* can be read"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()


# records that are gone


def test_input_that_fell_off_retention_is_refused(kafka: FakeKafka, tmp_path: Path) -> None:
    """Records between the checkpoint and the oldest one that the topic has are gone; both offsets are named."""
    learned_until(kafka, tmp_path, 50, checkpoint_interval_s=1000).die()
    kafka.starts[FIRST] = 7
    with pytest.raises(RecoveryRefusedError, match=r"numbers/0: .* at offset 0, .* the topic begins at 7"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()


@pytest.mark.parametrize("beyond_committed", [False, True])
def test_over_a_gap_windows_begin_anew_and_weights_stay(
    kafka: FakeKafka, tmp_path: Path, beyond_committed: bool
) -> None:
    """Told to continue, the learners keep what they learned but do not join what is on both sides of the gap."""
    daemon = FakeDaemon(kafka, tmp_path, sizes=(3,), checkpoint_interval_s=3, max_streams=4)
    while sum(map(len, kafka.published.values())) < 30:
        daemon.step()
    daemon.die()
    committed = kafka.offsets[FIRST].offset
    newest = max(int(path.stem) for path in tmp_path.rglob(f"{lineage_of(kafka)}/*.h5"))
    first = committed + 5 if beyond_committed else newest + 1
    assert first <= committed or beyond_committed
    kafka.starts[FIRST] = first
    before = len(said(kafka.published[FIRST]))
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES, on_gap="continue", max_streams=4).run()
    assert [("gap", 5 if beyond_committed else 0)] == begun(daemon)
    following = said(kafka.published[FIRST])[before:]
    assert max(first, committed) <= following[0]["offset"]
    firsts = {body["stream"]: body for body in reversed(following)}
    assert any(body["event"] > 1 for body in firsts.values())
    if beyond_committed:
        assert {None} == {body["evaluation"] for body in firsts.values()}


def test_input_that_falls_off_retention_while_it_is_read(kafka: FakeKafka, tmp_path: Path) -> None:
    """The daemon ends with what is gone, or goes on after it if it was told to."""
    for way_out in ("refuse", "continue"):
        lagging, folder = FakeKafka(LOGS), tmp_path / way_out
        daemon = learned_until(lagging, folder, 20, on_gap=way_out)
        lagging.starts |= {source: offset.offset + 3 for source, offset in lagging.offsets.items()}
        if way_out == "refuse":
            with pytest.raises(InputGoneError):
                daemon.run()
        else:
            assert [("gap", 3)] == begun(daemon.run())[1:]


def test_a_topic_that_was_created_anew_is_refused(kafka: FakeKafka, tmp_path: Path) -> None:
    """Its offsets begin again; told to continue, it is learned from its beginning with what was learned before."""
    stopped(kafka, tmp_path, 60)
    anew = FakeKafka({source: traffic(5, seed=9, source=source) for source in SOURCES})
    anew.offsets = dict(kafka.offsets)
    with pytest.raises(RecoveryRefusedError, match="it was created again"):
        FakeDaemon(anew, tmp_path, sizes=SIZES).run()
    daemon = FakeDaemon(anew, tmp_path, sizes=SIZES, on_gap="continue").run()
    assert [("gap", 0)] == begun(daemon)
    assert len([r for r in anew.logs[FIRST] if not is_tombstone(r)]) == len(anew.published[FIRST])


# replays that diverge


def test_a_replay_that_diverges_may_be_gone_on_from(kafka: FakeKafka, tmp_path: Path) -> None:
    """What was published stays; the state of the replay goes on under another name, and says so in the output."""
    learned_until(kafka, tmp_path, 30, checkpoint_interval_s=1000).die()
    before = {source: list(outputs) for source, outputs in kafka.published.items()}
    old = lineage_of(kafka)
    kafka.logs[FIRST][5] = record(kafka.logs[FIRST][5].offset, b"77")
    with pytest.raises(ReplayDivergedError, match="set on_divergence to continue"):
        FakeDaemon(kafka, tmp_path, sizes=SIZES).run()
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES, on_divergence="continue").run()
    assert [("divergence", 0)] == begun(daemon)
    assert [] == begun(daemon, SOURCES[1])
    outputs = kafka.published[FIRST]
    assert before[FIRST] == outputs[: len(before[FIRST])]
    models = [json.loads(o.value or b"")["model"].partition("@")[0] for o in outputs if not o.dead_letter]
    assert list(dict.fromkeys(models)) == [old, lineage_of(kafka)]
    assert lineage_of(kafka).endswith("-2")


# settings and partitions that changed


def test_another_shape_may_begin_with_nothing_learned(kafka: FakeKafka, tmp_path: Path) -> None:
    """Told to continue, it begins at the committed offset; the old lineage stays on the disk."""
    stopped(kafka, tmp_path, 30)
    committed = kafka.offsets[FIRST].offset
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES, suffix_contexts=32, on_shape_change="continue").run()
    assert [("shape", 0)] == begun(daemon)
    following = [body for body in said(kafka.published[FIRST]) if body["offset"] >= committed]
    assert 1 == following[0]["event"]
    assert 2 == len(daemon.store.lineages(FIRST))


def test_partitions_that_were_added_are_refused(tmp_path: Path) -> None:
    """Keys may have moved to them; told to continue, they are learned from their beginning."""
    kafka = FakeKafka({FIRST: LOGS[FIRST]})
    FakeDaemon(kafka, tmp_path, sizes=SIZES).run().stop()
    grown = FakeKafka(LOGS)
    grown.offsets = dict(kafka.offsets)
    with pytest.raises(RecoveryRefusedError, match="had 1 partitions when the group began and has 2 now"):
        FakeDaemon(grown, tmp_path, sizes=SIZES).run()
    daemon = FakeDaemon(grown, tmp_path, sizes=SIZES, on_partition_growth="continue").run()
    assert [("beginning", 0)] == begun(daemon, SOURCES[1])
    assert [] == grown.published[FIRST]
    assert len([r for r in LOGS[SOURCES[1]] if not is_tombstone(r)]) == len(grown.published[SOURCES[1]])


# continuing


@pytest.mark.parametrize("step", ["before checkpoint", "after checkpoint", "before commit", "after commit"])
def test_a_crash_while_a_lineage_begins_changes_nothing(tmp_path: Path, step: str) -> None:
    """The beginning that is repeated is the same one."""
    outcomes = []
    for crashes in (0, 1, 2):
        kafka, folder = FakeKafka(LOGS), tmp_path / str(crashes)
        learned_until(kafka, folder, 30, checkpoint_interval_s=1000).die()
        kafka.starts[FIRST] = 2
        for number in range(crashes):
            kafka.on_step = crash_at(number, step)
            with pytest.raises(Crash):
                FakeDaemon(kafka, folder, sizes=SIZES, on_gap="continue").run()
        kafka.on_step = lambda _: None
        daemon = FakeDaemon(kafka, folder, sizes=SIZES, on_gap="continue").run()
        outcomes.append((kafka.published, kafka.offsets, daemon.digests()))
    assert [outcomes[0]] * 2 == outcomes[1:]


def test_a_way_out_that_stays_set_is_taken_once(kafka: FakeKafka, tmp_path: Path) -> None:
    """A restart after what was continued goes on in the same lineage."""
    stopped(kafka, tmp_path, 30)
    kafka.offsets[FIRST] = Committed(4)
    ways_out = dict.fromkeys(("on_gap", "on_divergence", "on_shape_change", "on_partition_growth"), "continue")
    daemon = FakeDaemon(kafka, tmp_path, sizes=(3,), **ways_out)
    for _ in range(4):
        daemon.step()
    daemon.die()
    lineage = lineage_of(kafka)
    again = FakeDaemon(kafka, tmp_path, sizes=SIZES, **ways_out).run()
    assert [] == begun(again)
    assert lineage == lineage_of(kafka)


def test_damaged_checkpoints_are_told(kafka: FakeKafka, tmp_path: Path) -> None:
    """Each one that is passed over is reported, also where none is left."""
    stopped(kafka, tmp_path, 30)
    for path in tmp_path.rglob("*.h5"):
        path.write_bytes(path.read_bytes()[:-1])
    daemon = FakeDaemon(kafka, tmp_path, sizes=SIZES)
    with pytest.raises(RecoveryRefusedError, match="no readable checkpoint"):
        daemon.run()
    assert {"damaged"} == {r.result for r in daemon.reports if isinstance(r, CheckpointFinished)}
