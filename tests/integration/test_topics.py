"""On a real broker: where a group begins, and several topics and partitions in one process."""

import json
from pathlib import Path

import pytest
from conftest import MakeTopic
from support.daemon_runner import SMALL, DaemonProcess
from support.kafka_admin import produce, read_committed, wait_for_records

pytestmark = pytest.mark.broker


def published(bootstrap: str, topic: str) -> list[dict[str, object]]:
    return [json.loads(record.value) for records in read_committed(bootstrap, topic).values() for record in records]


@pytest.mark.parametrize(
    ("start_from", "first_offset"),
    [("earliest", 0), ("latest", 10), ("1970-01-01T00:16:40.005Z", 5)],
)
def test_a_new_group_begins_where_it_is_told(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path, start_from: str, first_offset: int
) -> None:
    """``start_from`` holds for the first start only: what comes later is read on from there, whatever happens."""
    source, output = make_topic("input"), make_topic("output")
    produce(bootstrap, source, [b"4"] * 10, first_timestamp_ms=1_000_000)
    settings = {"bootstrap_servers": bootstrap, "input_topics": source, "output_topic": output, "group_id": source}
    with DaemonProcess(tmp_path, start_from=start_from, group_instance_id="only", **settings, **SMALL) as daemon:
        daemon.wait_until_ready()
        daemon.kill()
        produce(bootstrap, source, [b"8"] * 5, first_timestamp_ms=1_000_010)
        daemon.start()
        daemon.wait_until_ready()
        wait_for_records(bootstrap, output, 15 - first_offset)
        assert 0 == daemon.stop()
    assert list(range(first_offset, 15)) == [message["offset"] for message in published(bootstrap, output)]


def test_several_topics_with_several_partitions_share_one_output(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """Each partition of each topic learns for itself; outputs go to the partition of the same number."""
    sources = [make_topic("a", partitions=3), make_topic("b", partitions=2)]
    output = make_topic("output", partitions=3)
    for source in sources:
        for partition in range(3 if source is sources[0] else 2):
            produce(bootstrap, source, [b"%d" % partition] * 20, partition=partition)
    settings = {
        "bootstrap_servers": bootstrap,
        "input_topics": ",".join(sources),
        "output_topic": output,
        "group_id": sources[0],
    }
    with DaemonProcess(tmp_path, **settings, **SMALL) as daemon:
        daemon.wait_until_ready()
        wait_for_records(bootstrap, output, 100)
        assert 0 == daemon.stop()
    for partition, records in read_committed(bootstrap, output).items():
        messages = [json.loads(record.value) for record in records]
        assert {partition} == {message["partition"] for message in messages} == {m["value"] for m in messages}
        for source in sources:
            events = [message["event"] for message in messages if message["topic"] == source]
            assert list(range(1, len(events) + 1)) == events
