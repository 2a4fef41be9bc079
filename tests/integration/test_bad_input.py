"""On a real broker: what is no value reaches the dead-letter topic once, and the loop goes on."""

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopic
from kafka import KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from support.daemon_runner import PATIENCE_S, SMALL, DaemonProcess
from support.kafka_admin import read_committed, wait_for_records

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
            producer.send(source, b"4").get(PATIENCE_S)
            producer.send(source, value, key=key, headers=headers).get(PATIENCE_S)
        producer.send(source, b"4").get(PATIENCE_S)
    settings = {"bootstrap_servers": bootstrap, "input_topics": source, "group_id": source, **SMALL}
    with DaemonProcess(tmp_path, output_topic=output, dead_letter_topic=letters, **settings) as daemon:
        daemon.wait_until_ready()
        wait_for_records(bootstrap, output, len(BAD) + 1)
        # what is committed is counted a moment later
        daemon.wait_until(lambda: Counter(reason for reason, *_ in BAD) == counted(daemon), "count the dead letters")
        assert 0 == daemon.stop()
    (outputs,), (found,) = read_committed(bootstrap, output).values(), read_committed(bootstrap, letters).values()
    assert [[b"4", n + 1] for n in range(len(BAD) + 1)] == [
        [b"%d" % (message := json.loads(record.value))["value"], message["event"]] for record in outputs
    ]
    assert [reason for reason, *_ in BAD] == [dict(letter.headers)["online_lstm_reason"].decode() for letter in found]
    for number, (letter, (_, key, value, _)) in enumerate(zip(found, BAD, strict=True)):
        named = dict(letter.headers)
        assert (source, 0, 2 * number + 1) == (
            named["online_lstm_topic"].decode(),
            int(named["online_lstm_partition"]),
            int(named["online_lstm_offset"]),
        )
        assert value.startswith(letter.value)
        assert letter.value == value or len(value) == int(named["online_lstm_original_length"])
        assert (key or b"").startswith(letter.key or b"")


def counted(daemon: DaemonProcess) -> Counter[str]:
    """Ask a daemon for its dead letters by reason."""
    pattern = r'^online_lstm_dead_letters_total\{.*reason="(\w+)".*\} ([\d.]+)$'
    found = re.findall(pattern, daemon.get("/metrics")[1], re.MULTILINE)
    return Counter({reason: int(float(number)) for reason, number in found if float(number)})


MAX_LENGTH = b'"' + b"v" * 65_534 + b'"'
"""A value of just ``max_value_bytes``."""
HEADERS = [(f"h-{number}", b"%d" % number) for number in range(100)]


class Input:
    """An input topic, and what has to become of each record of it."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self.learned: list[tuple[int, Any]] = []
        self.refused: list[tuple[int, str]] = []
        self._bootstrap = bootstrap

    @contextmanager
    def producer(self, **options: Any) -> Iterator[Callable[..., Any]]:
        """Give the function that sends a record here, as part of one batch where there is room."""
        with closing(KafkaProducer(bootstrap_servers=self._bootstrap, linger_ms=1000, **options)) as producer:
            yield lambda value, **record: producer.send(self.topic, value, partition=0, **record)
            producer.flush()

    def learn(self, *values: bytes, **record: Any) -> None:
        """Publish values that are good."""
        with self.producer() as send:
            sent = [send(value, **record) for value in values]
        self.expect(values, sent)

    def expect(self, values: tuple[bytes, ...], sent: list[Any]) -> None:
        """Expect an output for each of these."""
        self.learned += [
            (future.get(PATIENCE_S).offset, json.loads(value)) for value, future in zip(values, sent, strict=True)
        ]

    def refuse(self, reason: str, sent: Any) -> None:
        """Expect a dead letter for this one."""
        self.refused.append((sent.get(PATIENCE_S).offset, reason))


def compressed(bootstrap: str, topic: str) -> Input:
    """Each codec of the client: small records and large ones in a batch, and one that fills a batch."""
    made = Input(bootstrap, topic)
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        options = {"compression_type": codec, "max_request_size": 8_000_000, "batch_size": 4_000_000}
        with made.producer(**options) as send:
            sent = [send(value) for value in (b"4", MAX_LENGTH, b"8")]
            large = [send(b"4" * 500_000) for _ in range(5)]  # more than the broker's limit, but for the codec
        made.expect((b"4", MAX_LENGTH, b"8"), sent)
        with made.producer(**options) as send:
            large.append(send(random.Random(codec).randbytes(1_040_000)))  # no codec makes it shorter
        for future in large:
            made.refuse("too_large", future)
        made.learn(b"4")
    return made


def odd(bootstrap: str, topic: str) -> Input:
    """Many headers, no timestamp, a key that is too long and one that is not."""
    made = Input(bootstrap, topic)
    made.learn(b"4", headers=HEADERS)
    made.learn(b"4", b"8", timestamp_ms=-1)
    made.learn(b"4", key=b"k" * 10_000)
    with made.producer() as send:
        refused = send(b"4", key=b"k" * MEGABYTE)
    made.refuse("key_too_large", refused)
    made.learn(b"8")
    return made


def transactional(bootstrap: str, topic: str) -> Input:
    """Committed and aborted transactions, one after another; the log ends with the marker of an aborted one."""
    made = Input(bootstrap, topic)
    made.learn(b"4")
    options = {"bootstrap_servers": bootstrap, "transactional_id": topic}
    with closing(KafkaProducer(**options)) as producer:
        producer.init_transactions()
        for number in range(6):
            producer.begin_transaction()
            values = (b"4", b"8", b"%d" % (100 + number))
            sent = [producer.send(topic, value) for value in values]
            producer.flush()
            if number % 2:
                producer.abort_transaction()
            else:
                producer.commit_transaction()
                made.expect(values, sent)
    return made


def compacted(bootstrap: str, topic: str) -> Input:
    """Keys whose older records the broker removes: the offsets begin late and skip."""
    made = Input(bootstrap, topic)
    keys = [b"once-0", *[b"a"] * 8, b"once-1", *[b"a", b"b"] * 5, b"once-2", b"a", b"b"]
    with made.producer() as send:
        sent = [send(b"%d" % number, key=key, timestamp_ms=1000) for number, key in enumerate(keys)]
    with made.producer() as send:  # the cleaner leaves the last segment alone, this one begins it
        sent.append(send(b"28", key=b"last", timestamp_ms=1_000_000))
    newest = {key: number for number, key in enumerate([*keys, b"last"])}
    kept = sorted(newest.values())
    made.expect(tuple(b"28" if number == len(keys) else b"%d" % number for number in kept), [sent[n] for n in kept])
    return made


def wait_until_compacted(bootstrap: str, made: Input) -> None:
    """Wait for the broker's log cleaner, which looks around every 15 s."""
    deadline = time.monotonic() + PATIENCE_S
    while [offset for offset, _ in made.learned] != [r.offset for r in read_committed(bootstrap, made.topic)[0]]:
        assert time.monotonic() < deadline, f"{made.topic} was not compacted within {PATIENCE_S:g} s"
        time.sleep(0.2)


COMPACTION = {"cleanup_policy": "compact", "segment_ms": "1000", "min_cleanable_dirty_ratio": "0.001"}


def test_whatever_a_log_can_hold_is_read(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    """Codecs, headers, transactions and gaps: each record once, also when all of them are replayed after a crash."""
    inputs = [
        compacted(bootstrap, make_topic("compacted", **COMPACTION)),
        compressed(bootstrap, make_topic("compressed")),
        odd(bootstrap, make_topic("odd")),
        transactional(bootstrap, make_topic("transactional")),
    ]
    wait_until_compacted(bootstrap, inputs[0])
    output, letters = make_topic("output"), make_topic("dlq")
    topics = ",".join(made.topic for made in inputs)
    settings: dict[str, Any] = {"bootstrap_servers": bootstrap, "input_topics": topics, "group_id": output, **SMALL}
    settings |= {"output_topic": output, "dead_letter_topic": letters, "checkpoint_interval_s": 3600}
    with DaemonProcess(tmp_path, **settings) as daemon:
        daemon.wait_until_ready()
        wait_for_records(bootstrap, output, sum(len(made.learned) for made in inputs))
        wait_for_records(bootstrap, letters, sum(len(made.refused) for made in inputs))
        daemon.kill()  # without a checkpoint: all of it is learned again, and compared with what was published
        daemon.start()
        daemon.wait_until_ready()
        for made in inputs:
            made.learn(b"4", key=b"afterwards")
        wait_for_records(bootstrap, output, sum(len(made.learned) for made in inputs))
        assert 0 == daemon.stop()
    (published,), (refused,) = read_committed(bootstrap, output).values(), read_committed(bootstrap, letters).values()
    messages = [json.loads(record.value) for record in published]
    for made in inputs:
        told = [(m["offset"], m["value"]) for m in messages if m["topic"] == made.topic]
        assert made.learned == told, made.topic
        assert made.refused == reasons_of(refused, made.topic)
    assert HEADERS == [header for record in published for header in record.headers if header[0].startswith("h-")]
    timeless = [m["value"] for m, r in zip(messages, published, strict=True) if "ce_time" not in dict(r.headers)]
    assert [4, 8] == timeless


def reasons_of(letters: list[ConsumerRecord], topic: str) -> list[tuple[int, str]]:
    """Give offset and reason of each dead letter of an input topic."""
    headers = [{name: value.decode() for name, value in letter.headers} for letter in letters]
    return [
        (int(said["online_lstm_offset"]), said["online_lstm_reason"])
        for said in headers
        if said["online_lstm_topic"] == topic
    ]


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
        assert "no broker answers at 127.0.0.1:9" in daemon.log


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("window", "0", "window: received '0', expected"), ("network", "lstm x", "network: layer 1: received 'lstm x'")],
)
def test_wrong_settings_are_named(tmp_path: Path, name: str, value: str, expected: str) -> None:
    """A wrong setting ends the daemon with exit code 2 before it connects anywhere."""
    with DaemonProcess(tmp_path, **{name: value}) as daemon:
        assert 2 == daemon.wait()
        assert expected in daemon.log
