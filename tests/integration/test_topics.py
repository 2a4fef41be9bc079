"""On a real broker: where a group begins, and several topics and partitions in one process."""

import json
from pathlib import Path

import pytest
from conftest import MakeTopic
from support.daemon_runner import SMALL, DaemonProcess
from support.in_process import InProcessGroup
from support.kafka_admin import produce, read_committed, wait_for_records

pytestmark = pytest.mark.broker


@pytest.mark.parametrize(
    ("start_from", "first_offset"),
    [("earliest", 0), ("latest", 10), ("1970-01-01T00:16:40.005Z", 5)],
)
def test_a_new_group_begins_where_it_is_told(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path, start_from: str, first_offset: int
) -> None:
    """``start_from`` holds for the first start only: what comes later is read on from there, whatever happens."""
    group = InProcessGroup(bootstrap, make_topic, tmp_path)
    produce(bootstrap, group.input, [b"4"] * 10, first_timestamp_ms=1_000_000)
    group.learn(0, start_from=start_from, stop=False)
    produce(bootstrap, group.input, [b"8"] * 5, first_timestamp_ms=1_000_010)
    group.learn(15 - first_offset, start_from=start_from)
    assert list(range(first_offset, 15)) == [message["offset"] for message in group.said()]


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
