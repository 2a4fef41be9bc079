"""On a real broker: whatever dies, readers of the output see each prediction once, and always the same one."""

import random
import time
from pathlib import Path

import pytest
from conftest import MakeTopic
from daemon_process import SMALL, DaemonProcess
from kafka_helpers import produce, read_committed, wait_for_records

from daemon.checkpoint import CheckpointStore, digest_of
from daemon.records import TopicPartition

pytestmark = pytest.mark.broker

SEED_STREAM = [4] * 6 + [8] + [4] * 5 + [8] + [4] * 6 + [8] + [4] * 6 + [28]


def values(count: int) -> list[bytes]:
    return [str(SEED_STREAM[i % 27]).encode() if i % 50 != 49 else b"not a number" for i in range(count)]


class Setup:
    """One input topic, and groups that each learn from it into a topic of their own."""

    def __init__(self, bootstrap: str, make_topic: MakeTopic, folder: Path, *, partitions: int = 1) -> None:
        self.bootstrap, self.folder, self._make_topic = bootstrap, folder, make_topic
        self.partitions = partitions
        self.input = make_topic("input", partitions=partitions)

    def group(self, name: str) -> dict[str, object]:
        return {
            "bootstrap_servers": self.bootstrap,
            "input_topics": self.input,
            "group_id": f"{self.input}-{name}",
            "output_topic": self._make_topic(f"{name}-output", partitions=self.partitions),
            "dead_letter_topic": self._make_topic(f"{name}-dlq", partitions=self.partitions),
            "checkpoint_interval_s": 0.3,
            "max_batch_events": 20,
            **SMALL,
        }

    def published(self, group: dict[str, object]) -> list[dict[int, list[tuple[object, ...]]]]:
        """What readers see of a group's two topics, all but the offsets, which aborted records take up too."""
        return [
            {
                partition: [(r.key, r.value, r.headers, r.timestamp) for r in records]
                for partition, records in read_committed(self.bootstrap, str(group[topic])).items()
            }
            for topic in ("output_topic", "dead_letter_topic")
        ]

    def state_digests(self, group: dict[str, object]) -> list[tuple[int, str]]:
        """The offset and the content of the newest checkpoint of every partition."""
        store = CheckpointStore(str(self.folder / "checkpoints"), str(group["group_id"]))
        found = []
        for number in range(self.partitions):
            source = TopicPartition(self.input, number)
            (lineage,) = (path.name for path in (store.path(source, "x", 0).parents[1]).iterdir())
            offset = store.offsets(source, lineage)[0]
            found.append((offset, digest_of(store.read(source, lineage, offset))))
        return found

    def undisturbed(self, count: int) -> dict[str, object]:
        group = self.group("undisturbed")
        with DaemonProcess(self.folder, "undisturbed", **group) as daemon:
            self.wait_for(daemon, group, count)
            assert 0 == daemon.stop()
        return group

    def wait_for(self, daemon: DaemonProcess, group: dict[str, object], count: int) -> None:
        daemon.wait_until_ready()
        bad = count // 50
        wait_for_records(self.bootstrap, str(group["output_topic"]), count - bad, timeout_s=60)
        wait_for_records(self.bootstrap, str(group["dead_letter_topic"]), bad, timeout_s=60)


def test_killed_five_times_gives_the_same_bytes_and_the_same_state(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """SIGKILL at five random moments leaves output, dead letters and learned state as if nothing had happened."""
    setup = Setup(bootstrap, make_topic, tmp_path)
    count = 3000
    produce(bootstrap, setup.input, values(count))
    expected = setup.undisturbed(count)
    group = {**setup.group("killed"), "group_instance_id": "killed"}  # so that it is back at once
    draw = random.Random(7)
    with DaemonProcess(tmp_path, "killed", **group) as daemon:
        for start in range(5):
            daemon.wait_until(lambda start=start: daemon.log.count("restored source") > start, "restore its state")
            time.sleep(draw.uniform(0.0, 0.6))
            daemon.kill()
            daemon.start()
        setup.wait_for(daemon, group, count)
        assert 0 == daemon.stop()
    assert setup.published(expected) == setup.published(group)
    assert setup.state_digests(expected) == setup.state_digests(group)


def test_a_stopped_member_that_comes_back_leaves_no_trace(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """A member frozen past its session timeout, replaced, then thawed, is fenced and publishes nothing of its own."""
    setup = Setup(bootstrap, make_topic, tmp_path)
    count = 1000
    group = {**setup.group("frozen"), "session_timeout_s": 2, "transaction_timeout_s": 2}
    with DaemonProcess(tmp_path, "first", **group) as first:
        first.wait_until_ready()
        produce(bootstrap, setup.input, values(count))
        wait_for_records(bootstrap, str(group["output_topic"]), 100)
        first.pause()
        with DaemonProcess(tmp_path, "second", **group) as second:
            setup.wait_for(second, group, count)
            first.resume()
            produce(bootstrap, setup.input, values(count), first_timestamp_ms=2_000_000)
            setup.wait_for(second, group, 2 * count)
            assert 0 == first.stop()
            assert 0 == second.stop()
    assert setup.published(setup.undisturbed(2 * count)) == setup.published(group)


def test_a_batch_slower_than_the_poll_interval_loses_its_place_and_nothing_else(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """A batch that takes longer than ``max_poll_interval_s`` is not committed, but learned again in smaller ones."""
    setup = Setup(bootstrap, make_topic, tmp_path)
    count = 4000
    model = {"network": "lstm 32,lstm 32", "window": "128"}  # some seconds for all of them
    expected = {**setup.group("undisturbed"), **model}
    slow = {**setup.group("slow"), **model, "max_poll_interval_s": 1, "session_timeout_s": 1, "max_batch_events": count}
    produce(bootstrap, setup.input, values(count))
    for name, group in (("undisturbed", expected), ("slow", slow)):
        with DaemonProcess(tmp_path, name, **group) as daemon:
            setup.wait_for(daemon, group, count)
            assert 0 == daemon.stop()
    assert "batch not committed" in daemon.log
    assert setup.published(expected) == setup.published(slow)


def test_batching_changes_nothing(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    """Consumed 1, 7 or 500 at a time, the input gives the same output bytes and the same learned state."""
    setup = Setup(bootstrap, make_topic, tmp_path, partitions=2)
    count = 400
    for partition in range(2):
        produce(bootstrap, setup.input, values(count), partition=partition, key=b"pump-%d" % partition)
    groups = [{**setup.group(f"by-{size}"), "max_batch_events": size} for size in (1, 7, 500)]
    for group in groups:
        with DaemonProcess(tmp_path, str(group["max_batch_events"]), **group) as daemon:
            setup.wait_for(daemon, group, 2 * count)
            assert 0 == daemon.stop()
    first, *others = [(setup.published(group), setup.state_digests(group)) for group in groups]
    assert [first, first] == others


def test_members_that_join_and_leave_share_the_work_without_a_trace(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """Partitions move between three members under load, one of which is killed: the output is that of one alone."""
    setup = Setup(bootstrap, make_topic, tmp_path, partitions=4)
    count = 1500
    group = {**setup.group("shared"), "session_timeout_s": 6}

    def publish(first: int, last: int) -> None:
        for partition in range(4):
            stamp = 1_000_000 + first
            produce(bootstrap, setup.input, values(count)[first:last], partition=partition, first_timestamp_ms=stamp)

    with DaemonProcess(tmp_path, "one", **group) as one:
        one.wait_until_ready()
        publish(0, 500)
        with DaemonProcess(tmp_path, "two", **group) as two, DaemonProcess(tmp_path, "three", **group) as three:
            two.wait_until_ready()
            publish(500, 1000)
            three.wait_until_ready()
            one.kill()
            publish(1000, count)
            assert 0 == two.stop()
            setup.wait_for(three, group, 4 * count)
            assert 0 == three.stop()
    assert setup.published(setup.undisturbed(4 * count)) == setup.published(group)
