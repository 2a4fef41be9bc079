"""What verify finds out from offsets, checkpoints and outputs, on Kafka in memory."""

import json
import shutil
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from online_lstm.audit import partition_audit
from online_lstm.audit.audit_report import print_findings, to_json
from online_lstm.audit.consistency import ConsistencyReport, OutputLog, check_consistency
from online_lstm.audit.partition_audit import PartitionAudit, audit_partition
from online_lstm.checkpoint import CheckpointStore
from online_lstm.errors import MissingTopicError
from online_lstm.events import Committed, InputRecord, OutputRecord, TopicPartition
from online_lstm.testing import MemoryReader
from rich.console import Console
from support import fakes
from support.fakes import SIZES, SOURCES, FakeDaemon, FakeKafka, learned_until, small_settings
from support.toys import toy_network

FIRST, SECOND = SOURCES
LOGS = {
    source: [replace(r, value=b"?") if number % 7 == 5 else r for number, r in enumerate(records)]
    for source, records in fakes.LOGS.items()
}
SETTINGS = small_settings()


class Topics(MemoryReader):
    """What the fake has published, as the two topics; tests may change them, and cut them off at a position."""

    def __init__(self, kafka: FakeKafka, *, stamped_by_broker: bool = False) -> None:
        super().__init__(kafka, SETTINGS)
        published = [(source.partition, r) for source, records in kafka.published.items() for r in records]
        self.logs: dict[tuple[str, int], list[OutputRecord]] = {
            (topic, number): [r for p, r in published if p == number and r.dead_letter == (topic != "predictions")]
            for topic in ("predictions", "numbers.dlq")
            for number in range(kafka.partitions("numbers"))
        }
        self.cut: dict[tuple[str, int], int] = {}
        self.compact: set[str] = set()
        self._stamped = stamped_by_broker

    def predictions(self, source: TopicPartition = FIRST) -> list[OutputRecord]:
        return self.logs["predictions", source.partition]

    def letters(self, source: TopicPartition = FIRST) -> list[OutputRecord]:
        return self.logs["numbers.dlq", source.partition]

    def offset_range(self, source: TopicPartition) -> range:
        place = (source.topic, source.partition)
        if place not in self.logs:
            return super().offset_range(source)
        return range(self.cut.get(place, 0), len(self.logs[place]))

    def compacted(self, topic: str) -> bool:
        return topic in self.compact

    def records(self, source: TopicPartition, offsets: range) -> Iterator[InputRecord]:
        log = self.logs[source.topic, source.partition]
        for position in offsets:
            r = log[position]
            stamp = 5 if self._stamped or r.timestamp_ms < 0 else r.timestamp_ms
            yield InputRecord(source.topic, source.partition, position, stamp, r.key, r.value, r.headers, self._stamped)


@pytest.fixture(scope="module", autouse=True)
def toy_networks() -> Iterator[None]:
    """Replace the networks, in the daemons and in the audit: audited is how they are used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fakes, "small_network", toy_network)
        patch.setattr(partition_audit, "model_factory", lambda _: toy_network)
        yield


def learn(folder: Path, *ways: dict[str, Any], logs: dict[TopicPartition, list[InputRecord]] = LOGS) -> FakeKafka:
    """Learn a part with each of some settings, the rest with the last ones; stop in order after each."""
    kafka = FakeKafka(logs)
    for number, way in enumerate(ways[:-1], 1):
        learned_until(kafka, folder, 10 * number, checkpoint_interval_s=1, **way).stop()
    FakeDaemon(kafka, folder, sizes=SIZES, checkpoint_interval_s=1, **ways[-1]).run().stop()
    return kafka


def look(topics: Topics, folder: Path, source: TopicPartition = FIRST, **given: Any) -> PartitionAudit:
    store = CheckpointStore(str(folder), "online-lstm")
    settings = small_settings(**given).model_copy(update={"window": 64})  # nobody has to repeat the shape
    return audit_partition(settings, source, store, topics=topics, letters=topics)


def proof_of(found: PartitionAudit) -> ConsistencyReport:
    assert found.proof is not None
    return found.proof


def lineage_of(kafka: FakeKafka, source: TopicPartition = FIRST) -> str:
    return str(json.loads(kafka.offsets[source].metadata)["lineage"])


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeKafka, Path]:
    """A group that has learned all of it in one lineage."""
    folder = tmp_path_factory.mktemp("learned")
    return learn(folder, {}), folder


@pytest.fixture
def kafka(learned: tuple[FakeKafka, Path], tmp_path: Path) -> FakeKafka:
    """That group, for a test of its own."""
    kafka, folder = learned
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return deepcopy(kafka)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("ways", [({},), ({}, {"learning_rate": 0.1}), ({}, {"learning_rate": 0.1}, {})])
def test_what_was_published_agrees(tmp_path: Path, source: TopicPartition, ways: tuple[dict[str, Any], ...]) -> None:
    """In one lineage or the last one of several, from its beginning on."""
    kafka = learn(tmp_path, *ways)
    found = look(Topics(kafka), tmp_path, source)
    begin = CheckpointStore(str(tmp_path), "online-lstm").offsets(source, lineage_of(kafka, source))[-1]
    assert ("agree", [], begin) == (found.evaluation, found.faults, proof_of(found).proven_from)
    assert kafka.offsets[source].offset == found.replay_from
    assert len(ways) - 1 == len(found.other_lineages)
    assert len(Topics(kafka).predictions(source)) == proof_of(found).predictions + proof_of(found).earlier


def test_after_a_crash_it_is_told_what_would_be_replayed(tmp_path: Path) -> None:
    """From the newest checkpoint on; the outputs agree up to the committed offset."""
    kafka = FakeKafka(LOGS)
    learned_until(kafka, tmp_path, 60, checkpoint_interval_s=1000).die()
    found = look(Topics(kafka), tmp_path)
    assert ("agree", 0, 0) == (found.evaluation, found.replay_from, proof_of(found).proven_from)


def test_records_without_a_time_stamp_agree_as_well(tmp_path: Path) -> None:
    """Publishing gives them one, and predictions and dead letters say that they had none."""
    logs = {source: [replace(r, timestamp_ms=-1) for r in records] for source, records in LOGS.items()}
    kafka = learn(tmp_path, {}, logs=logs)
    found = look(Topics(kafka), tmp_path)
    assert ("agree", 0) == (found.evaluation, proof_of(found).proven_from)
    assert proof_of(found).dead_letters > 0


def test_time_stamps_that_the_broker_replaced_are_no_fault(tmp_path: Path) -> None:
    """Predictions say theirs in a header; where there are dead letters, it cannot be judged."""
    without = {source: [r for r in records if r.value != b"?"] for source, records in LOGS.items()}
    folders = tmp_path / "without", tmp_path / "with"
    for folder, logs, evaluation in zip(folders, (without, LOGS), ("agree", "not proven"), strict=True):
        kafka = learn(folder, {}, logs=logs)
        found = look(Topics(kafka, stamped_by_broker=True), folder)
        assert (evaluation, []) == (found.evaluation, found.faults)
    assert "LogAppendTime" in found.notes[0]


@pytest.mark.parametrize("kind", ["predictions", "letters"])
@pytest.mark.parametrize("change", ["gone", "other", "twice", "swapped"])
def test_whatever_is_not_as_it_was_published_is_found(kafka: FakeKafka, tmp_path: Path, kind: str, change: str) -> None:
    """Records that are gone, changed, repeated or in another order, in the one topic or the other."""
    topics = Topics(kafka)
    log = getattr(topics, kind)()
    assert len(log) > 1
    if change == "gone":
        del log[-1]
    elif change == "other":
        log[-1] = replace(log[-1], key=b"other")
    elif change == "twice":
        log.insert(1, log[0])
    else:
        log[:2] = [log[1], log[0]]
    found = look(topics, tmp_path)
    said = {"twice": "there twice or out of order", "swapped": "there twice or out of order"}
    assert "wrong" == found.evaluation
    assert any(said.get(change, "not those that were committed") in fault for fault in found.faults)
    assert "agree" == look(topics, tmp_path, SECOND).evaluation


def test_damage_is_narrowed_down_between_checkpoints(kafka: FakeKafka, tmp_path: Path) -> None:
    """What is before and after agrees."""
    topics = Topics(kafka)
    topics.predictions()[-1] = replace(topics.predictions()[-1], key=b"other")
    found = look(topics, tmp_path)
    at = json.loads(topics.predictions()[-1].value or b"")["offset"]
    wrong = [stretch for stretch in proof_of(found).stretches if stretch.evaluation == "differs"]
    assert 1 == len(wrong) < len(proof_of(found).stretches)
    assert wrong[0].first <= at < wrong[0].stop
    assert [f"the outputs for offsets {wrong[0].first} to {wrong[0].stop} are not those that were committed"] == (
        found.faults
    )


def test_what_somebody_else_published_is_found(kafka: FakeKafka, tmp_path: Path) -> None:
    """With a ``ce_id`` of the group: no prediction, of another lineage, or for an offset that is not committed."""
    topics = Topics(kafka)
    log = topics.predictions()
    last = log[-1]
    lineage = lineage_of(kafka).encode()
    beyond = (("ce_id", b"numbers/0/9999"), *last.headers[1:])
    log += [replace(last, value=b"4"), replace(last, value=(last.value or b"").replace(lineage, b"00000000"))]
    log += [replace(last, headers=beyond)]
    log += [replace(last, headers=(("ce_id", id_),)) for id_ in (b"", b"other/0/1", b"numbers/9/1", b"numbers/0/x")]
    said = "\n".join(look(topics, tmp_path).faults)
    assert f"not by this daemon, though it says so: predictions/0 at {len(log) - 7}, for input offset" in said
    assert f"of another lineage, after {lineage.decode()} had begun: predictions/0 at {len(log) - 6}" in said
    assert f"for offset 9999, but the committed offset is {kafka.offsets[FIRST].offset}" in said
    assert 3 == len(said.splitlines())


def test_only_some_of_many_wrong_records_are_told(kafka: FakeKafka, tmp_path: Path) -> None:
    """The rest is counted."""
    topics = Topics(kafka)
    topics.predictions().extend([topics.predictions()[0]] * 10)
    (fault,) = look(topics, tmp_path).faults
    assert 3 == fault.count("for input offset 0")
    assert fault.endswith("and 7 more")


def test_a_daemon_may_be_at_work_meanwhile(tmp_path: Path) -> None:
    """Outputs that were committed after the offset was asked are no fault."""
    kafka = FakeKafka(LOGS)
    daemon = learned_until(kafka, tmp_path, 30, checkpoint_interval_s=1)
    before = kafka.offsets[FIRST]
    daemon.run().stop()
    topics = Topics(kafka)
    answers = iter([before, before])
    topics.committed = lambda source: next(answers, kafka.offsets[source])  # type: ignore[method-assign]
    for path in tmp_path.rglob("*.h5"):
        if int(path.stem) > before.offset:
            path.unlink()
    found = look(topics, tmp_path)
    assert ("agree", []) == (found.evaluation, found.faults)
    assert (proof_of(found).beyond or 0) > before.offset


def test_repeats_are_as_at_least_once_allows(kafka: FakeKafka, tmp_path: Path) -> None:
    """A batch that is there twice is told of, and the rest agrees."""
    topics = Topics(kafka)
    topics.predictions()[9:9] = topics.predictions()[4:9]
    found = look(topics, tmp_path, delivery="at_least_once")
    assert ("agree", ["5 outputs are there more than once, as at_least_once allows"]) == (found.evaluation, found.notes)


@pytest.mark.parametrize("kind", ["predictions", "numbers.dlq"])
def test_what_retention_took_is_no_fault(kafka: FakeKafka, tmp_path: Path, kind: str) -> None:
    """It is proven from the next checkpoint on; where all are gone, it is not proven."""
    topics = Topics(kafka)
    topics.cut[kind, 0] = 2
    found = look(topics, tmp_path)
    assert ("agree", []) == (found.evaluation, found.faults)
    assert 0 < (proof_of(found).proven_from or 0) < (found.committed or 0)
    assert "by its retention" in found.notes[0]
    topics.cut[kind, 0] = len(topics.logs[kind, 0])
    found = look(topics, tmp_path)
    assert [] == found.faults
    assert "not proven" == found.evaluation or kind == "numbers.dlq"


def test_a_compacted_output_topic_cannot_be_judged(kafka: FakeKafka, tmp_path: Path) -> None:
    """What is missing is no fault then; a compacted input is told of."""
    topics = Topics(kafka)
    topics.compact |= {"predictions", "numbers"}
    del topics.predictions()[-1]
    found = look(topics, tmp_path)
    assert ("not proven", []) == (found.evaluation, found.faults)
    assert any("topic predictions is compacted" in note for note in found.notes)
    assert any("the input topic is compacted" in note for note in found.notes)


def test_a_group_that_was_set_back_and_continued_agrees(tmp_path: Path) -> None:
    """The lineage that began then says some of it again, dead letters too."""
    kafka = learn(tmp_path, {})
    offset = next(r.offset for r in LOGS[FIRST] if r.value == b"?")
    kafka.offsets[FIRST] = Committed(offset)
    FakeDaemon(kafka, tmp_path, sizes=SIZES, on_gap="continue", checkpoint_interval_s=1).run().stop()
    topics = Topics(kafka)
    found = look(topics, tmp_path)
    assert ("agree", [], offset) == (found.evaluation, found.faults, proof_of(found).proven_from)
    letters = [int(dict(r.headers)["online_lstm_offset"]) for r in topics.letters()]
    assert sum(letter >= offset for letter in set(letters)) == proof_of(found).dead_letters < len(letters)
    del topics.letters()[-1]
    assert "wrong" == look(topics, tmp_path).evaluation


# checkpoints and offsets


def test_damaged_checkpoints_are_found(kafka: FakeKafka, tmp_path: Path) -> None:
    """Each by its file; what the others prove is proven still."""
    store = CheckpointStore(str(tmp_path), "online-lstm")
    first = store.path(FIRST, lineage_of(kafka), store.offsets(FIRST, lineage_of(kafka))[-1])
    first.write_bytes(first.read_bytes()[:-1])
    found = look(Topics(kafka), tmp_path)
    assert [f"a checkpoint is damaged: {first}: damaged: the content does not match its digest"] == found.faults
    assert 0 < (proof_of(found).proven_from or 0)


def test_without_checkpoints_a_restart_is_refused(kafka: FakeKafka, tmp_path: Path) -> None:
    """And nothing can be judged."""
    shutil.rmtree(tmp_path / "online-lstm")
    found = look(Topics(kafka), tmp_path, checkpoint_url=tmp_path.as_uri())
    assert "wrong" == found.evaluation
    assert "a restart would be refused: numbers/0: no readable checkpoint of lineage" in found.faults[0]
    where, judged = found.notes
    assert f"{tmp_path.as_uri()} has no checkpoint of it; checkpoint_url says where they are" == where
    assert "no whole checkpoint to begin with: the outputs cannot be judged" == judged


def test_input_that_is_gone_before_it_could_be_replayed_is_found(tmp_path: Path) -> None:
    """Both offsets are named, as at a restart."""
    kafka = FakeKafka(LOGS)
    learned_until(kafka, tmp_path, 60, checkpoint_interval_s=1000).die()
    kafka.starts[FIRST] = 7
    found = look(Topics(kafka), tmp_path)
    assert "at offset 0, of those up to the committed offset" in found.faults[0]
    assert "the topic begins at 7" in found.faults[0]


@pytest.mark.parametrize(
    ("committed", "said"),
    [
        (None, "has no committed offset: it expired, or was deleted"),
        (Committed(4), "the committed offset 4 was set by another program"),
        (Committed(4, "mine"), "carries 'mine', which this daemon did not write"),
    ],
)
def test_foreign_offsets_are_found(kafka: FakeKafka, tmp_path: Path, committed: Committed | None, said: str) -> None:
    """None at all, or those of another program."""
    kafka.offsets.pop(FIRST)
    if committed is not None:
        kafka.offsets[FIRST] = committed
    found = look(Topics(kafka), tmp_path)
    assert ("wrong", None) == (found.evaluation, found.proof)
    assert said in found.faults[0]


def test_a_mark_that_was_set_back_is_found(kafka: FakeKafka, tmp_path: Path) -> None:
    """Though a daemon would go on with it: there are checkpoints and outputs beyond."""
    store = CheckpointStore(str(tmp_path), "online-lstm")
    _, before, *_ = store.offsets(FIRST, lineage_of(kafka))
    at = store.read(FIRST, lineage_of(kafka), before).commit_metadata
    mark = json.loads(kafka.offsets[FIRST].metadata) | {
        "records": at.records,
        "digest": at.digest.hex(),
    }
    kafka.offsets[FIRST] = Committed(before, json.dumps(mark))
    found = look(Topics(kafka), tmp_path)
    assert f"beyond the committed offset {before}: the group was set back" in found.faults[0]
    assert "the group was set back, or another program published it" in found.faults[-1]
    kafka.offsets[FIRST] = Committed(before, json.dumps(mark | {"records": 1}))
    assert any("records=1" in fault for fault in look(Topics(kafka), tmp_path).faults)


def test_a_group_that_has_just_begun_is_told(tmp_path: Path) -> None:
    """Without an offset, with one but no checkpoint yet, and before its first record."""
    kafka = FakeKafka(LOGS)
    found = look(Topics(kafka), tmp_path)
    assert ("nothing learned yet", []) == (found.evaluation, found.faults)
    daemon = FakeDaemon(kafka, tmp_path)
    daemon.step()
    daemon.die()
    assert ("agree", []) == (look(Topics(kafka), tmp_path).evaluation, look(Topics(kafka), tmp_path).faults)
    shutil.rmtree(tmp_path / "online-lstm")
    found = look(Topics(kafka), tmp_path)
    assert ("nothing learned yet", []) == (found.evaluation, found.faults)
    assert ["the group has begun at offset 0, and has learned nothing yet"] == found.notes


def test_partitions_that_were_added_are_told(kafka: FakeKafka, tmp_path: Path) -> None:
    """How many there were."""
    topics = Topics(kafka)
    topics.partitions = lambda topic: 3 if topic == "numbers" else 2  # type: ignore[method-assign]
    assert ["the topic has 3 partitions, and had 2 at first"] == look(topics, tmp_path).notes


def test_a_topic_that_does_not_exist_is_a_wrong_setting(kafka: FakeKafka, tmp_path: Path) -> None:
    """The setting is named."""
    with pytest.raises(MissingTopicError, match="output_topic: topic elsewhere does not exist"):
        look(Topics(kafka), tmp_path, output_topic="elsewhere")


# what is printed, and the proof alone


def test_tables_and_json_have_all_of_it(kafka: FakeKafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each partition, then what is wrong, then the evaluation."""
    topics = Topics(kafka)
    del topics.predictions(SECOND)[-1]
    findings = [look(topics, tmp_path, source) for source in SOURCES]
    print_findings(Console(width=200), SETTINGS, findings)
    shown = capsys.readouterr().out
    assert "numbers/1: WRONG: the outputs for offsets" in shown
    assert "group online-lstm: of 2 partitions 1 agree, 1 wrong" in shown
    report = json.loads(json.dumps(to_json(SETTINGS, findings)))
    assert (False, ["agree", "wrong"]) == (report["agree"], [p["evaluation"] for p in report["partitions"]])
    assert lineage_of(kafka) == report["partitions"][0]["mark"]["lineage"]
    assert 0 == report["partitions"][0]["proven_from"]


def test_outputs_are_streamed(tmp_path: Path) -> None:
    """However many there are, each is looked at once and let go."""
    last = OutputRecord(0, 1, None, b"", ())
    alive: list[int] = []

    class Counted:
        def __init__(self, offset: int) -> None:
            alive.append(offset)
            self.position = self.offset = offset
            self.index, self.event = -1, (offset, -1)
            self.lineage, self.record, self.exact = "00000000", last, True

        def __del__(self) -> None:
            alive.remove(self.offset)

    most = 0

    def outputs() -> Iterator[Any]:
        nonlocal most
        for offset in range(5000):
            yield Counted(offset)
            most = max(most, len(alive))

    empty = OutputLog("letters", lambda: iter(()))
    proof = check_consistency(
        "00000000", [(0, bytes(16)), (5000, bytes(16))], outputs=OutputLog("outputs", outputs), letters=empty
    )
    assert (5000, "differs") == (proof.predictions, proof.stretches[0].evaluation)
    assert most < 5
