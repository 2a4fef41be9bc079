"""On a real broker: what is no value reaches the dead-letter topic once, and the loop goes on."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from conftest import MakeTopic
from daemon_process import SMALL, DaemonProcess
from kafka import KafkaProducer
from kafka_helpers import read_committed, wait_for_records

pytestmark = pytest.mark.broker

MEGABYTE = 1_000_000
NEAR_LIMIT = 1_048_400
"""The largest value that the client and the broker take with their default settings, but for a few bytes."""

BAD = [
    ("not_utf8", None, b"\xff\xfe", []),
    ("not_a_value", None, b"four", []),
    ("not_finite", None, b"NaN", []),
    ("not_finite", None, b"-Infinity", []),
    ("not_a_value", None, b'{"value": {"value": 4}}', []),
    ("not_a_value", None, b"", []),
    ("too_large", None, b"4" * 2 * MEGABYTE, []),
    ("too_large", None, b"4" * NEAR_LIMIT, []),
    ("key_too_large", b"k" * MEGABYTE, b"4", []),
    ("headers_too_large", None, b"4", [("trace", b"h" * MEGABYTE)]),
]


def test_bad_records_reach_the_dead_letter_topic_once(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    """Each comes with its reason, place, key and bytes, as far as they fit; values around it are learned."""
    source = make_topic("input", max_message_bytes="4000000")
    output, letters = make_topic("output"), make_topic("dlq")
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=4_000_000)
    with closing(producer):
        for _, key, value, headers in BAD:
            producer.send(source, b"4").get(30)
            producer.send(source, value, key=key, headers=headers).get(30)
        producer.send(source, b"4").get(30)
    settings = {"bootstrap_servers": bootstrap, "input_topics": source, "group_id": source, **SMALL}
    with DaemonProcess(tmp_path, output_topic=output, dead_letter_topic=letters, **settings) as daemon:
        daemon.wait_until_ready()
        wait_for_records(bootstrap, output, len(BAD) + 1)
        counted = [line for line in daemon.get("/metrics")[1].splitlines() if "dead_letters_total" in line]
        assert 0 == daemon.stop()
    (outputs,), (found,) = read_committed(bootstrap, output).values(), read_committed(bootstrap, letters).values()
    assert [[b"4", n + 1] for n in range(len(BAD) + 1)] == [
        [b"%d" % (message := json.loads(record.value))["value"], message["event"]] for record in outputs
    ]
    assert [reason for reason, *_ in BAD] == [dict(letter.headers)["online_lstm_reason"].decode() for letter in found]
    for number, (letter, (reason, key, value, _)) in enumerate(zip(found, BAD, strict=True)):
        headers = dict(letter.headers)
        assert (source, 0, 2 * number + 1) == (
            headers["online_lstm_topic"].decode(),
            int(headers["online_lstm_partition"]),
            int(headers["online_lstm_offset"]),
        )
        assert value.startswith(letter.value)
        assert letter.value == value or len(value) == int(headers["online_lstm_original_length"])
        assert (key or b"").startswith(letter.key or b"")
        assert any(f'reason="{reason}"' in line and not line.endswith(" 0.0") for line in counted)


def test_a_missing_topic_is_named_when_it_may_not_be_created(bootstrap: str, tmp_path: Path) -> None:
    """With ``create_topics`` off, the daemon ends with exit code 2 and says which topic there is not."""
    settings = {"bootstrap_servers": bootstrap, "input_topics": "nowhere", "create_topics": "false"}
    with DaemonProcess(tmp_path, **settings) as daemon:
        assert 2 == daemon.wait()
        assert "topic nowhere does not exist" in daemon.log


def test_no_broker_is_said_with_its_address(tmp_path: Path) -> None:
    """Without a broker the daemon tries for ``connect_timeout_s``, names the address and ends with exit code 3."""
    with DaemonProcess(tmp_path, bootstrap_servers="127.0.0.1:9", connect_timeout_s=2) as daemon:
        assert 3 == daemon.wait()
        assert "no broker answered at 127.0.0.1:9 within 2 s" in daemon.log


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("window", "0", "window: received '0', expected"), ("network", "lstm x", "network: layer 1: received 'lstm x'")],
)
def test_wrong_settings_are_named(tmp_path: Path, name: str, value: str, expected: str) -> None:
    """A wrong setting ends the daemon with exit code 2 before it connects anywhere."""
    with DaemonProcess(tmp_path, **{name: value}) as daemon:
        assert 2 == daemon.wait()
        assert expected in daemon.log
