"""What replay says again, and what it refuses, on Kafka in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from online_lstm.audit import offline_replay
from online_lstm.audit.offline_replay import ReplayPlan, plan_replay, replay, source_of
from online_lstm.checkpoint import CheckpointStore
from online_lstm.errors import MissingTopicError, RecoveryRefusedError, ReplayDivergedError, SettingsError
from online_lstm.events import Committed, InputRecord, OutputRecord, TopicPartition
from online_lstm.learning.partition import lineage_generation
from online_lstm.testing import MemoryReader
from support.fakes import LOGS, SOURCES, FakeDaemon, FakeKafka, learned_until, record, small_network
from support.fakes import small_settings as settings_with

pytestmark = pytest.mark.long

FIRST = SOURCES[0]
SETTINGS = settings_with()


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeKafka, Path]:
    """A group that learned half of it in one way, half in another, with many checkpoints."""
    folder = tmp_path_factory.mktemp("learned")
    kafka = FakeKafka(LOGS)
    learned_until(kafka, folder, 30, checkpoint_interval_s=1).stop()
    FakeDaemon(kafka, folder, sizes=(3,), checkpoint_interval_s=1, learning_rate=0.1).run().stop()
    return kafka, folder


@pytest.fixture
def kafka(learned: tuple[FakeKafka, Path]) -> FakeKafka:
    """The topic and its group, for a test of its own."""
    kafka, _ = learned
    copied = FakeKafka({source: kafka.logs[source] for source in SOURCES})
    copied.offsets, copied.published = dict(kafka.offsets), kafka.published
    return copied


@pytest.fixture
def store(learned: tuple[FakeKafka, Path]) -> CheckpointStore:
    return CheckpointStore(str(learned[1]), "online-lstm")


def plan_of(kafka: FakeKafka, store: CheckpointStore, first: int, until: int, lineage: str | None = None) -> ReplayPlan:
    topic = MemoryReader(kafka, SETTINGS)
    return plan_replay(SETTINGS, topic, store, source=FIRST, wanted=range(first, until), lineage=lineage)


def say(plan: ReplayPlan, log: Sequence[InputRecord] = LOGS[FIRST]) -> list[OutputRecord]:
    stored = {**plan.state.shape, **plan.state.learning}
    records = [r for r in log if plan.start <= r.offset < plan.wanted.stop]
    return list(replay(plan, settings_with(**stored), records, small_network))


def offset_of(output: OutputRecord) -> int:
    headers = dict(output.headers)
    return int(headers["online_lstm_offset"] if output.dead_letter else headers["ce_id"].rpartition(b"/")[2])


def lineages(store: CheckpointStore) -> list[str]:
    return sorted(store.lineages(FIRST), key=lineage_generation)


def ends(kafka: FakeKafka, store: CheckpointStore) -> tuple[int, int]:
    """Where the second lineage began, and where it has come to."""
    return store.offsets(FIRST, lineages(store)[1])[-1], kafka.offsets[FIRST].offset


@pytest.mark.parametrize("length", [1, 5, 1000])
def test_any_offsets_are_said_again(kafka: FakeKafka, store: CheckpointStore, length: int) -> None:
    """The same records as live, dead letters too, in either lineage and from whatever offset on."""
    begin, end = ends(kafka, store)
    for name, span in zip(lineages(store), (range(begin), range(begin, end)), strict=True):
        for first in span[::3]:
            until = min(first + length, span.stop)
            expected = [r for r in kafka.published[FIRST] if first <= offset_of(r) < until]
            assert expected == say(plan_of(kafka, store, first, until, name))


def test_it_starts_at_the_newest_checkpoint_that_can_be_read(
    learned: tuple[FakeKafka, Path], tmp_path: Path, kafka: FakeKafka, caplog: pytest.LogCaptureFixture
) -> None:
    """At or below the first offset; what is damaged is passed over, and told."""
    begin, end = ends(kafka, CheckpointStore(str(learned[1]), "online-lstm"))
    copied = CheckpointStore(str(tmp_path), "online-lstm")
    original = CheckpointStore(str(learned[1]), "online-lstm")
    name = lineages(original)[1]
    for offset in original.offsets(FIRST, name):
        copied.write(FIRST, offset, original.read(FIRST, name, offset))
    newest, before, *_ = copied.offsets(FIRST, name)
    assert (end, end - 1) == (newest, plan_of(kafka, copied, end - 1, end).wanted.start)
    path = copied.path(FIRST, name, before)
    assert before == plan_of(kafka, copied, before, end).start
    path.write_bytes(path.read_bytes()[:-1])
    plan = plan_of(kafka, copied, before, end)
    assert begin <= plan.start < before
    assert "checkpoint skipped" in caplog.text
    assert [r for r in kafka.published[FIRST] if before <= offset_of(r)] == say(plan)


def test_every_mark_on_the_way_is_compared(kafka: FakeKafka, store: CheckpointStore) -> None:
    """Those of checkpoints and the committed one; another input is told with the offsets between."""
    begin, end = ends(kafka, store)
    name = lineages(store)[1]
    marks = {*store.offsets(FIRST, name), end} - {begin}
    plan = plan_of(kafka, store, begin, end)
    assert marks == set(plan.marks)
    say(plan)
    for changed in (r for r in LOGS[FIRST] if r.offset >= begin and r.value is not None):
        log = [record(r.offset, b"77", r.key) if r is changed else r for r in LOGS[FIRST]]
        agreed = max(offset for offset in (begin, *marks) if offset <= changed.offset)
        noticed = min(offset for offset in marks if offset > changed.offset)
        with pytest.raises(ReplayDivergedError, match=f"replaying offsets {agreed} to {noticed} gave") as raised:
            say(plan, log)
        assert f"from offset {agreed} on, the output may differ" in str(raised.value)


def test_a_mark_that_is_not_reached_is_not_compared(kafka: FakeKafka, store: CheckpointStore) -> None:
    """What comes after the last offset that is wanted does not matter."""
    begin, end = ends(kafka, store)
    assert end not in plan_of(kafka, store, begin, end - 1).marks
    assert {} == plan_of(kafka, store, begin, begin + 1).marks


def test_records_are_learned_in_pieces(
    kafka: FakeKafka, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large they are, the outputs are the same; no more than a piece is taken in before they are given."""
    begin, end = ends(kafka, store)
    plan = plan_of(kafka, store, begin, end)
    expected = say(plan)
    for size in (1, 4):
        monkeypatch.setattr(offline_replay, "CHUNK", size)
        assert expected == say(plan)


# what is refused


def test_offsets_outside_of_the_lineage_are_refused(kafka: FakeKafka, store: CheckpointStore) -> None:
    """Before its beginning, and beyond where it has come to; the nearest offset is named."""
    begin, end = ends(kafka, store)
    first, second = lineages(store)
    with pytest.raises(SettingsError, match=f"from: received {begin - 1}, expected {begin} or more.* lineage {second}"):
        plan_of(kafka, store, begin - 1, end)
    with pytest.raises(SettingsError, match=f"until: received {end + 1}, expected at most {end}: lineage {second}"):
        plan_of(kafka, store, begin, end + 1)
    with pytest.raises(SettingsError, match=f"until: received {begin + 1}, expected at most {begin}: lineage {first}"):
        plan_of(kafka, store, 0, begin + 1, first)


def test_input_that_is_gone_is_refused(kafka: FakeKafka, store: CheckpointStore) -> None:
    """With the first offset that is possible, if there is one."""
    begin, end = ends(kafka, store)
    offsets = sorted(store.offsets(FIRST, lineages(store)[1]))
    kafka.starts[FIRST] = begin + 1
    with pytest.raises(RecoveryRefusedError, match=f"topic begins at {begin + 1}; --from {offsets[1]} or later is"):
        plan_of(kafka, store, begin, end)
    kafka.starts[FIRST] = end + 1
    with pytest.raises(RecoveryRefusedError, match="no checkpoint is at that offset or later"):
        plan_of(kafka, store, begin, end)


def test_a_topic_that_was_created_anew_is_refused(kafka: FakeKafka, store: CheckpointStore) -> None:
    """It ends before what was committed."""
    begin, end = ends(kafka, store)
    kafka.ends[FIRST] = end - 1
    with pytest.raises(RecoveryRefusedError, match=f"--until {end}, but the topic ends at {end - 1}: it was created"):
        plan_of(kafka, store, begin, end)


def test_a_lineage_is_named_where_the_group_has_none(kafka: FakeKafka, store: CheckpointStore) -> None:
    """All that have checkpoints are listed; any of them can be replayed without the group's offset."""
    begin, end = ends(kafka, store)
    first, second = lineages(store)
    kafka.offsets.clear()
    with pytest.raises(RecoveryRefusedError, match=f"one of {first}, {second}"):
        plan_of(kafka, store, begin, end)
    with pytest.raises(SettingsError, match="lineage: received 'other', expected one of"):
        plan_of(kafka, store, begin, end, "other")
    expected = [r for r in kafka.published[FIRST] if begin <= offset_of(r) < end]
    assert expected == say(plan_of(kafka, store, begin, end, second))
    kafka.offsets[FIRST] = Committed(end, "mine")
    with pytest.raises(RecoveryRefusedError, match="which this daemon did not write"):
        plan_of(kafka, store, begin, end)


def test_checkpoints_that_cannot_be_read_are_refused(kafka: FakeKafka, store: CheckpointStore, tmp_path: Path) -> None:
    """There is nothing to start from."""
    copied = CheckpointStore(str(tmp_path), "online-lstm")
    name = lineages(store)[1]
    path = copied.path(FIRST, name, 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    with pytest.raises(RecoveryRefusedError, match=f"no checkpoint of lineage {name} can be read"):
        plan_of(kafka, copied, 0, 5)


@pytest.mark.parametrize(
    ("given", "asked", "said"),
    [
        ({"input_topics": "a,b"}, {}, "topic: received none, expected one of a, b"),
        ({}, {}, "partition: received none, expected 0 to 1"),
        ({}, {"partition": 2}, "partition: received 2, expected 0 to 1"),
    ],
)
def test_the_partition_has_to_be_said_where_there_are_several(
    kafka: FakeKafka, given: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    """And to exist; where there is one, it is meant."""
    topic = MemoryReader(kafka, SETTINGS)
    with pytest.raises(SettingsError, match=said):
        source_of(settings_with(**given), topic, topic_name=None, partition=asked.get("partition"))
    assert TopicPartition("numbers", 1) == source_of(SETTINGS, topic, topic_name="numbers", partition=1)
    alone = MemoryReader(FakeKafka({FIRST: LOGS[FIRST]}), SETTINGS)
    assert FIRST == source_of(SETTINGS, alone, topic_name=None, partition=None)
    with pytest.raises(MissingTopicError, match="topic elsewhere does not exist"):
        source_of(SETTINGS, topic, topic_name="elsewhere", partition=None)
