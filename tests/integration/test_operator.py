"""On a real broker: verify says whether a group agrees with what it published, replay says it again."""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import OffsetAndMetadata
from online_lstm.checkpoint import CheckpointStore
from online_lstm.cli import main
from online_lstm.errors import ExitCode, InputGoneError
from online_lstm.events import TopicPartition
from online_lstm.learning.partition import lineage_generation
from online_lstm.settings import read_settings
from online_lstm.streaming.kafka.partition_reader import PartitionReader
from support.harness import Group, Oracle
from support.kafka_admin import create_topic, delete_topics, produce, read_committed
from support.states import streams_learned

pytestmark = pytest.mark.broker

PARTITIONS = 2


@dataclass
class Learned:
    """A group that has learned in two lineages and stopped, and copies of it that a test may damage."""

    bootstrap: str
    make_topic: Callable[..., str]
    input: str
    group: Group
    checkpoints: Path

    def options(self, **changed: object) -> list[str]:
        names = ("bootstrap_servers", "input_topics", "output_topic", "dead_letter_topic", "group_id")
        given = {name: self.group[name] for name in names} | {"checkpoint_url": self.checkpoints} | changed
        return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]

    def copy(self, folder: Path) -> "Learned":
        """Copy offsets and checkpoints to a group of another name; the topics are the same ones."""
        name = f"{self.input}-{uuid.uuid4().hex[:8]}"
        shutil.copytree(self.checkpoints / str(self.group["group_id"]), folder / name)
        copied = Learned(self.bootstrap, self.make_topic, self.input, {**self.group, "group_id": name}, folder)
        copied.commit(self.committed())
        return copied

    def copy_topic(self, setting: str) -> str:
        """Copy the output or the dead-letter topic, and have this group use the copy."""
        copied = self.make_topic("copy", partitions=PARTITIONS)
        for partition, records in read_committed(self.bootstrap, str(self.group[setting])).items():
            self.append(copied, partition, records)
        self.group[setting] = copied
        return copied

    def append(self, topic: str, partition: int, records: list[ConsumerRecord]) -> None:
        """Publish records as somebody else would, with their headers and timestamps."""
        with closing(KafkaProducer(bootstrap_servers=self.bootstrap)) as producer:
            for r in records:
                stamp = {"partition": partition, "timestamp_ms": r.timestamp}
                producer.send(topic, r.value, r.key, headers=list(r.headers), **stamp)
            producer.flush()

    def committed(self) -> dict[KafkaPartition, OffsetAndMetadata]:
        places = [KafkaPartition(self.input, number) for number in range(PARTITIONS)]
        name = str(self.group["group_id"])
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            found = admin.list_group_offsets({name: places})[name]
        return {place: OffsetAndMetadata(o.offset, o.metadata, -1) for place, o in found.items()}

    def commit(self, offsets: dict[KafkaPartition, OffsetAndMetadata]) -> None:
        name = str(self.group["group_id"])
        options = {"bootstrap_servers": self.bootstrap, "group_id": name, "enable_auto_commit": False}
        with closing(KafkaConsumer(**options)) as consumer:
            consumer.commit(offsets)

    @property
    def store(self) -> CheckpointStore:
        return CheckpointStore(str(self.checkpoints), str(self.group["group_id"]))

    def lineages(self, partition: int) -> list[str]:
        return sorted(self.store.lineages(TopicPartition(self.input, partition)), key=lineage_generation)

    def published(self, partition: int) -> dict[int, bytes]:
        """The values of the output topic by the input offset that they name, in their order."""
        records = read_committed(self.bootstrap, str(self.group["output_topic"]))[partition]
        return {json.loads(r.value)["offset"]: r.value for r in records}


@pytest.fixture(scope="module")
def learned(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Learned]:
    """Keys, bad values, tombstones, aborted transactions, and another learning rate for the second half."""
    created: list[str] = []

    def make_topic(name: str, *, partitions: int = 1, **configs: str) -> str:
        topic = f"operator-{uuid.uuid4().hex[:8]}-{name}"
        given = {key.replace("_", "."): value for key, value in configs.items()}
        created.append(create_topic(bootstrap, topic, partitions=partitions, configs=given))
        return topic

    folder = tmp_path_factory.mktemp("operator")
    oracle = Oracle(bootstrap, make_topic, folder, partitions=PARTITIONS)
    group = oracle.group("taught")
    for half, learning_rate in enumerate((0.01, 0.02)):
        with oracle.fleet({**group, "learning_rate": learning_rate}) as fleet:
            for part in range(2):  # with a checkpoint between the two, however quick the daemon is
                oracle.publish_traffic(75, seed=10 * half + 5 * part)
                oracle.wait_for_share(fleet)
                oracle.wait_for_checkpoints(fleet)
            fleet.leave(fleet.members[0])
    yield Learned(bootstrap, make_topic, oracle.input, group, folder / "checkpoints")
    delete_topics(bootstrap, created)


class Verify:
    """Runs the command on a group and gives its exit code and report."""

    def __init__(self, folder: Path) -> None:
        self._report = folder / "verify.json"

    def __call__(self, learned: Learned, **changed: object) -> tuple[int, dict[str, Any]]:
        code = main.main(["verify", *learned.options(**changed), "--json", str(self._report)])
        return code, json.loads(self._report.read_text(encoding="utf-8"))


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    return Verify(tmp_path)


def faults(report: dict[str, Any], partition: int = 0) -> str:
    return "\n".join(report["partitions"][partition]["faults"])


def test_an_undamaged_group_agrees_in_all_that_it_published(
    learned: Learned, verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the beginning of the lineage on, dead letters too; no group is joined, no offset is committed."""
    before = learned.committed()
    code, report = verify(learned)
    assert (ExitCode.OK, True) == (code, report["agree"])
    for number, found in enumerate(report["partitions"]):
        second = learned.lineages(number)[1]
        assert found["notes"][0].endswith(f"lineages before {second}; of these only their order is judged")
        assert ("agree", second, []) == (found["evaluation"], found["mark"]["lineage"], found["faults"])
        assert learned.store.offsets(TopicPartition(learned.input, number), second)[-1] == found["proven_from"]
        assert found["predictions"] > 100
        assert found["dead_letters"] > 0
        assert len(found["checkpoints"]) > 1
    shown = capsys.readouterr().out
    assert f"group {learned.group['group_id']}: of 2 partitions 2 agree" in shown
    assert before == learned.committed()
    with closing(KafkaAdminClient(bootstrap_servers=learned.bootstrap)) as admin:
        (described,) = admin.describe_groups([str(learned.group["group_id"])]).values()
    assert [] == list(described["members"])


def test_replay_says_what_was_published(learned: Learned, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Over any offsets of either lineage, byte for byte; the settings of learning are those of the checkpoint."""
    for number in range(PARTITIONS):
        published = learned.published(number)
        first, second = learned.lineages(number)
        source = TopicPartition(learned.input, number)
        begin, end = learned.store.offsets(source, second)[-1], learned.store.offsets(source, second)[0]
        ranges = [
            [(first, 0, begin), (second, end - 21, end - 3)],
            [(first, 37, 90), (second, begin, end)],
        ][number]
        for lineage, start, stop in ranges:
            named = ["--lineage", lineage] if lineage == first else []
            place = ["--from", str(start), "--until", str(stop), "--partition", str(number)]
            code = main.main(["replay", *place, *named, *_without_output(learned)])
            seen = capfdbinary.readouterr()
            assert ExitCode.OK == code, seen.err.decode()
            expected = [value for offset, value in published.items() if start <= offset < stop]
            assert expected
            assert expected == seen.out.splitlines()
            if stop in {begin, end}:
                assert f"recorded at {stop}".encode() in seen.err or f", {stop}\n".encode() in seen.err


def _without_output(learned: Learned) -> list[str]:
    options = learned.options()
    pairs = zip(options[::2], options[1::2], strict=True)
    return [part for pair in pairs if pair[0] not in {"--output-topic", "--dead-letter-topic"} for part in pair]


def test_replay_finds_a_foreign_checkpoint(learned: Learned, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One weight's bit is another: the exit code says so, with the offsets, and no file is left."""
    copied = learned.copy(tmp_path / "checkpoints")
    source = TopicPartition(learned.input, 0)
    lineage = learned.lineages(0)[1]
    offsets = sorted(copied.store.offsets(source, lineage))
    for offset in offsets[:-1]:
        state = copied.store.read(source, lineage, offset)
        for arrays in streams_learned(state).networks.values():
            arrays["network"][:, :50] *= -1
        copied.store.write(source, offset, state)
    out = tmp_path / "predictions.jsonl"
    place = ["--from", str(offsets[-2]), "--until", str(offsets[-1]), "--partition", "0", "--predictions", str(out)]
    assert ExitCode.REFUSED == main.main(["replay", *place, *_without_output(copied)])
    assert f"replaying offsets {offsets[-2]} to {offsets[-1]} gave" in capfd.readouterr().err
    assert not out.exists()


def test_replay_says_which_offsets_there_are(learned: Learned, capfd: pytest.CaptureFixture[str]) -> None:
    """What was asked for, and the nearest that can be had."""
    source = TopicPartition(learned.input, 0)
    first, second = learned.lineages(0)
    begin, end = learned.store.offsets(source, second)[-1], learned.committed()[KafkaPartition(learned.input, 0)].offset
    for arguments, said in (
        (["--from", "5", "--until", "5"], "received 5 and 5, expected 0 <= from < until"),
        (["--from", str(begin - 1), "--until", str(end)], f"from: received {begin - 1}, expected {begin} or more"),
        (["--from", str(begin), "--until", str(end + 1)], f"until: received {end + 1}, expected at most {end}"),
        (["--from", "0", "--until", str(end), "--lineage", first], f"expected at most {begin}: lineage {first}"),
        (["--from", "0", "--until", "5", "--lineage", "nine"], f"received 'nine', expected one of {first}, {second}"),
    ):
        code = main.main(["replay", *arguments, "--partition", "0", *_without_output(learned)])
        assert (ExitCode.USAGE, True) == (code, said in capfd.readouterr().err), said


def test_a_record_that_somebody_else_published_is_found(learned: Learned, verify: Verify, tmp_path: Path) -> None:
    """With the ``ce_id`` of the group: beyond the committed offset, or no prediction at all."""
    copied = learned.copy(tmp_path / "checkpoints")
    topic = copied.copy_topic("output_topic")
    assert ExitCode.OK == verify(copied)[0]
    last = read_committed(learned.bootstrap, topic)[0][-1]
    forged = [(name, value) for name, value in last.headers if name != "ce_id"]
    copied.append(topic, 0, [last._replace(headers=[*forged, ("ce_id", f"{learned.input}/0/99999".encode())])])
    copied.append(topic, 0, [last._replace(value=b"{}")])
    code, report = verify(copied)
    assert ExitCode.REFUSED == code
    assert "there is an output for offset 99999" in faults(report)
    assert f"not by this daemon, though it says so: {topic}/0 at " in faults(report)
    assert "" == faults(report, 1)


@pytest.mark.parametrize("setting", ["output_topic", "dead_letter_topic"])
def test_a_duplicate_is_found(learned: Learned, verify: Verify, tmp_path: Path, setting: str) -> None:
    """The same bytes once more; where repeats are allowed, it is only told of."""
    copied = learned.copy(tmp_path / "checkpoints")
    topic = copied.copy_topic(setting)
    repeated = read_committed(learned.bootstrap, topic)[1][-1]
    copied.append(topic, 1, [repeated])
    code, report = verify(copied)
    assert ExitCode.REFUSED == code
    assert f"there twice or out of order: {topic}/1 at " in faults(report, 1)
    code, report = verify(copied, delivery="at_least_once")
    assert (ExitCode.OK, "agree") == (code, report["partitions"][1]["evaluation"])
    assert any("at_least_once allows" in note for note in report["partitions"][1]["notes"])


@pytest.mark.parametrize("setting", ["output_topic", "dead_letter_topic"])
def test_an_output_that_is_missing_is_found(learned: Learned, verify: Verify, tmp_path: Path, setting: str) -> None:
    """Between the checkpoints before and after it."""
    copied = learned.copy(tmp_path / "checkpoints")
    records = read_committed(learned.bootstrap, str(copied.group[setting]))
    copied.group[setting] = topic = copied.make_topic("holed", partitions=PARTITIONS)
    copied.append(topic, 0, records[0][:-1])
    copied.append(topic, 1, records[1])
    code, report = verify(copied)
    assert ExitCode.REFUSED == code
    assert "are not those that were committed" in faults(report)
    assert "" == faults(report, 1)


def test_a_flipped_bit_in_a_checkpoint_is_found(learned: Learned, verify: Verify, tmp_path: Path) -> None:
    """The file is named, and what is left is still proven."""
    copied = learned.copy(tmp_path / "checkpoints")
    source = TopicPartition(learned.input, 0)
    lineage = learned.lineages(0)[1]
    newest, before = copied.store.offsets(source, lineage)[:2]
    path = copied.store.path(source, lineage, newest)
    damaged = bytearray(path.read_bytes())
    damaged[-100] ^= 1
    path.write_bytes(damaged)
    code, report = verify(copied)
    assert ExitCode.REFUSED == code
    assert f"a checkpoint is damaged: {path}" in faults(report)
    found = report["partitions"][0]
    assert (before, {"agrees"}) == (found["replay_from"], {s["evaluation"] for s in found["stretches"]})


@pytest.mark.parametrize("with_mark", [True, False])
def test_a_group_that_was_set_back_is_found(learned: Learned, verify: Verify, tmp_path: Path, with_mark: bool) -> None:
    """Also where the mark of an older commit was kept, with which a daemon would go on."""
    copied = learned.copy(tmp_path / "checkpoints")
    place = KafkaPartition(learned.input, 0)
    committed = copied.committed()[place]
    source, lineage = TopicPartition(learned.input, 0), learned.lineages(0)[1]
    offset = copied.store.offsets(source, lineage)[1]
    at = copied.store.read(source, lineage, offset).commit_metadata
    mark = json.loads(committed.metadata) | {
        "records": at.records,
        "digest": at.digest.hex(),
    }
    copied.commit({place: OffsetAndMetadata(offset, json.dumps(mark) if with_mark else "", -1)})
    code, report = verify(copied)
    assert ExitCode.REFUSED == code
    if with_mark:
        assert f"beyond the committed offset {offset}: the group was set back" in faults(report)
        assert "there is an output for offset " in faults(report)
    else:
        assert f"the committed offset {offset} was set by another program" in faults(report)


def test_a_deleted_lineage_is_found(learned: Learned, verify: Verify, tmp_path: Path) -> None:
    """A restart would be refused; there is nothing to prove the outputs from."""
    copied = learned.copy(tmp_path / "checkpoints")
    source, lineage = TopicPartition(learned.input, 1), learned.lineages(1)[1]
    shutil.rmtree(copied.store.path(source, lineage, 0).parent)
    code, report = verify(copied)
    assert ExitCode.REFUSED == code
    assert f"a restart would be refused: {source}: no readable checkpoint of lineage {lineage}" in faults(report, 1)
    assert any("cannot be judged" in note for note in report["partitions"][1]["notes"])


def test_reader_returns_committed_records_of_a_range(learned: Learned) -> None:
    """Not the aborted ones; and it knows whether a topic is compacted, or not there."""
    settings = read_settings({"bootstrap_servers": learned.bootstrap})
    source = TopicPartition(learned.input, 0)
    offsets = [r.offset for r in read_committed(learned.bootstrap, learned.input)[0]]
    compacted = learned.make_topic("compacted", cleanup_policy="compact")
    with closing(PartitionReader(settings)) as reader:
        assert len(offsets) < len(reader.offset_range(source))
        for span in (range(offsets[-1] + 1), range(offsets[7], offsets[40]), range(9, 9)):
            assert [offset for offset in offsets if offset in span] == [r.offset for r in reader.records(source, span)]
        topics = (compacted, learned.input, "not-there")
        assert [True, False, False] == [reader.compacted(topic) for topic in topics]
        assert [1, PARTITIONS, 0] == [reader.partitions(topic) for topic in topics]


def test_records_that_are_deleted_while_they_are_read_are_told(learned: Learned) -> None:
    """Nothing is left out unnoticed."""
    topic = learned.make_topic("deleted")
    produce(learned.bootstrap, topic, [b"4"] * 3)
    with closing(KafkaAdminClient(bootstrap_servers=learned.bootstrap)) as admin:
        admin.delete_records({KafkaPartition(topic, 0): 2})
    with closing(PartitionReader(read_settings({"bootstrap_servers": learned.bootstrap}))) as reader:
        with pytest.raises(InputGoneError, match=f"{topic}/0: the records from offset 0 on were deleted"):
            list(reader.records(TopicPartition(topic, 0), range(3)))
        assert [2] == [r.offset for r in reader.records(TopicPartition(topic, 0), range(2, 3))]


def test_a_topic_that_is_not_there_is_a_wrong_setting(learned: Learned, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither command creates it."""
    for command in (["verify"], ["replay", "--from", "0", "--until", "1"]):
        options = learned.options(input_topics="not-there") if command == ["verify"] else _without_output(learned)
        missing = [] if command == ["verify"] else ["--topic", "not-there"]
        assert ExitCode.USAGE == main.main([*command, *options, *missing])
        assert "topic not-there does not exist" in capfd.readouterr().err


def test_outputs_that_retention_took_are_no_fault(learned: Learned, verify: Verify, tmp_path: Path) -> None:
    """They cannot be judged; what comes after the next checkpoint agrees."""
    copied = learned.copy(tmp_path / "checkpoints")
    topic = copied.copy_topic("output_topic")
    lineage = learned.lineages(0)[1].encode()
    kept = [r.offset for r in read_committed(learned.bootstrap, topic)[0] if lineage + b"@" in r.value][1]
    with closing(KafkaAdminClient(bootstrap_servers=learned.bootstrap)) as admin:
        admin.delete_records({KafkaPartition(topic, 0): kept})
    code, report = verify(copied)
    found = report["partitions"][0]
    assert ExitCode.OK == code
    first, *others = [stretch["evaluation"] for stretch in found["stretches"]]
    assert ("cannot be judged", {"agrees"}) == (first, set(others))
    assert any("gone from the output" in note for note in found["notes"])
