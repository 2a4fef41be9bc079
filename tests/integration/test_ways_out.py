"""On a real broker: what is refused, and what ``continue`` makes of it; faults of the store; at least once.

The daemon's parts run in the test's own process, which is quick; `test_faults` has the daemon as a process.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeTopic
from kafka import TopicPartition as KafkaPartition
from online_lstm.checkpoint import CheckpointStore, CheckpointWriter
from online_lstm.errors import RecoveryRefusedError, ReplayDivergedError
from online_lstm.streaming.kafka import GroupConsumer
from online_lstm.telemetry import CheckpointFinished
from support.in_process import InProcessGroup
from support.kafka_admin import produce, wait_for_partitions
from support.states import streams_learned

pytestmark = pytest.mark.broker
COUNT = 60


def values(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % (number % 5) for number in range(first, first + count)]


@pytest.fixture
def group(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> InProcessGroup:
    group = InProcessGroup(bootstrap, make_topic, tmp_path)
    produce(bootstrap, group.input, values(COUNT))
    return group


def test_deleted_offsets(group: InProcessGroup) -> None:
    """A group that lost its offsets is refused; told to continue, it goes on as if they were there."""
    group.learn(COUNT)
    place = KafkaPartition(group.input, 0)
    group.admin(lambda admin: admin.delete_group_offsets(group.input, [place]))
    produce(group.bootstrap, group.input, values(COUNT, COUNT))
    with pytest.raises(RecoveryRefusedError, match="has no committed offset"):
        group.learn(2 * COUNT)
    group.learn(2 * COUNT, on_gap="continue")
    assert [("beginning", 0), ("reset", 0)] == group.begun()
    assert list(range(2 * COUNT)) == [body["offset"] for body in group.said()]
    assert list(range(1, 2 * COUNT + 1)) == [body["event"] for body in group.said()]


def test_offsets_that_were_set_back(group: InProcessGroup) -> None:
    """A group that somebody reset is refused; told to continue, it says again just what it had said from there on."""
    group.learn(COUNT)
    group.set_offset(20)
    with pytest.raises(RecoveryRefusedError, match="committed offset 20 was set by another program"):
        group.learn(2 * COUNT - 20)
    group.learn(2 * COUNT - 20, on_gap="continue")
    said = group.said()
    assert said[20:COUNT] == said[COUNT:]


def test_records_that_were_deleted(group: InProcessGroup) -> None:
    """Input that fell off retention is refused; told to continue, the windows begin anew, and what was lost counts."""
    group.learn(20)
    group.admin(lambda admin: admin.delete_records({KafkaPartition(group.input, 0): 30}))
    with pytest.raises(RecoveryRefusedError, match=r"at offset 2\d, .* begins at 30 and ends at 60"):
        group.learn(50)
    committed = group.said()[-1]["offset"] + 1
    group.learn(committed + 30, on_gap="continue")
    assert ("gap", 30 - committed) == group.begun()[-1]
    first = group.said()[committed]
    assert (30, committed + 1, None) == (first["offset"], first["event"], first["evaluation"])


def test_records_that_are_deleted_while_they_are_read(group: InProcessGroup) -> None:
    """A daemon that falls behind retention goes on after the gap without a restart, if it was told to."""
    group.learn(COUNT, stop=False)
    produce(group.bootstrap, group.input, values(COUNT, COUNT))
    group.admin(lambda admin: admin.delete_records({KafkaPartition(group.input, 0): COUNT + 10}))
    group.learn(2 * COUNT - 10, on_gap="continue")
    assert [("beginning", 0), ("gap", 10)] == group.begun()


def test_a_topic_that_was_created_anew(group: InProcessGroup) -> None:
    """A topic that is shorter than what was read of it is refused; told to continue, it is read from its beginning."""
    group.learn(COUNT)
    group.admin(lambda admin: admin.delete_topics([group.input]))
    group.admin(lambda admin: admin.create_topics({group.input: {"num_partitions": 1, "replication_factor": 1}}))
    produce(group.bootstrap, group.input, values(10))
    # deleting a topic deletes the offsets of groups that are not active as well: here they come back
    with pytest.raises(RecoveryRefusedError):
        group.learn(COUNT + 10)
    group.learn(COUNT + 10, on_gap="continue")
    assert list(range(10)) == [body["offset"] for body in group.said()[COUNT:]]


def test_partitions_that_were_added(group: InProcessGroup, caplog: pytest.LogCaptureFixture) -> None:
    """A topic that grew is refused; told to continue, all that the new partition has is learned."""
    group.learn(COUNT)
    group.admin(lambda admin: admin.create_partitions({group.input: 2}))
    wait_for_partitions(group.bootstrap, group.input, 2)
    produce(group.bootstrap, group.input, values(10), partition=1)
    with pytest.raises(RecoveryRefusedError, match="had 1 partitions when the group began and has 2 now"):
        group.learn(COUNT + 10, start_from="latest")
    with caplog.at_level(logging.WARNING):
        group.learn(COUNT + 10, on_partition_growth="continue", start_from="latest")
    assert "on_partition_growth=continue" in caplog.text
    assert list(range(10)) == [body["offset"] for body in group.said() if body["partition"] == 1]


def test_a_weight_with_a_flipped_bit(group: InProcessGroup) -> None:
    """A state that is not the one that was learned is noticed by what it predicts; told to continue, it is used."""
    group.learn(30)
    store = CheckpointStore(group.given["checkpoint_url"], group.input)
    (lineage,) = store.lineages(group.source)
    newest = store.offsets(group.source, lineage)[0]
    group.learn(COUNT, stop=False)
    state = store.read(group.source, lineage, newest)
    for arrays in streams_learned(state).networks.values():
        largest = np.abs(arrays["network"][0, :100]).argmax()  # of the first weights: others may belong to no symbol
        arrays["network"].view("uint32")[0, largest] ^= 1 << 23
    store.write(group.source, newest, state)
    with pytest.raises(ReplayDivergedError, match="set on_divergence to continue"):
        group.learn(2 * COUNT)
    produce(group.bootstrap, group.input, values(COUNT, COUNT))
    group.learn(2 * COUNT, on_divergence="continue")
    assert ("divergence", 0) == group.begun()[-1]


def test_a_directory_that_cannot_be_written_to(group: InProcessGroup, tmp_path: Path) -> None:
    """Learning goes on while checkpoints fail, and what they would have held is replayed from the last one."""
    group.learn(20)
    folder = next((tmp_path / "checkpoints").rglob("*.h5")).parent
    aside = folder.with_name("aside")
    original = CheckpointWriter.submit

    def in_the_way(writer: CheckpointWriter, *given: Any) -> None:
        if folder.is_dir():
            folder.rename(aside)
            folder.write_bytes(b"")
        original(writer, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointWriter, "submit", in_the_way)
        group.learn(50, checkpoint_interval_s=0.01)
    assert "failed" in {r.result for r in group.reports if isinstance(r, CheckpointFinished)}
    folder.unlink()
    aside.rename(folder)
    group.learn(COUNT)
    assert list(range(COUNT)) == [body["offset"] for body in group.said()]
    assert [("beginning", 0)] == group.begun()


def test_at_least_once(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    """Without transactions a crash between output and offset repeats the batch, with the same bytes."""
    exact = InProcessGroup(bootstrap, make_topic, tmp_path / "exact")
    group = InProcessGroup(bootstrap, make_topic, tmp_path / "least")
    group.given["delivery"] = "at_least_once"
    group.given["input_topics"] = exact.input
    produce(bootstrap, exact.input, values(COUNT))
    exact.learn(COUNT)
    group.learn(20, stop=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GroupConsumer, "commit", _crash)
        with pytest.raises(ZeroDivisionError):
            group.learn(COUNT)
    group.learn(COUNT)
    said = group.said()
    assert 7 == len(said) - COUNT
    assert exact.said() == list({body["offset"]: body for body in said}.values())
    assert [] == [body for body in said if said.count(body) > 2]


def _crash(*_: object) -> None:
    raise ZeroDivisionError
