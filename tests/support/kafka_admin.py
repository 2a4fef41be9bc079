"""What tests do with a real broker: create topics, produce, and read what a consumer is meant to see."""

import time
from collections.abc import Iterable, Mapping
from contextlib import closing

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.consumer.fetcher import ConsumerRecord

from support.daemon_runner import PATIENCE_S


def create_topic(bootstrap: str, name: str, *, partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
    """Create a topic, wait until its partitions can be written, and give its name."""
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        # records of tests have timestamps of 1970, which retention by time would delete
        kept = {"retention.ms": "-1", **(configs or {})}
        topic = {"num_partitions": partitions, "replication_factor": 1, "configs": kept}
        admin.create_topics({name: topic}, wait_for_metadata=True)
    return name


def wait_for_partitions(bootstrap: str, topic: str, count: int) -> None:
    """Wait until the broker tells clients of this many partitions, which may be later than it made them."""
    deadline = time.monotonic() + PATIENCE_S
    with closing(KafkaConsumer(bootstrap_servers=bootstrap)) as consumer:
        while len(consumer.partitions_for_topic(topic) or ()) < count:
            assert time.monotonic() < deadline, f"{topic} does not have {count} partitions"
            consumer.topics()  # which asks anew
            time.sleep(0.05)


def delete_topics(bootstrap: str, names: Iterable[str]) -> None:
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        admin.delete_topics(list(names))


def produce(
    bootstrap: str,
    topic: str,
    values: Iterable[bytes | None],
    *,
    key: bytes | None = None,
    partition: int | None = None,
    first_timestamp_ms: int = 1_000_000,
) -> None:
    """Append values in order, a millisecond apart by their timestamps; return when all are stored."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    with closing(producer):
        futures = [
            producer.send(topic, value, key=key, partition=partition, timestamp_ms=first_timestamp_ms + index)
            for index, value in enumerate(values)
        ]
        for future in futures:
            future.get(timeout=PATIENCE_S)


def read_committed(bootstrap: str, topic: str, *, timeout_s: float = PATIENCE_S) -> dict[int, list[ConsumerRecord]]:
    """Read every partition from its beginning to its last stable offset, without aborted records."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
    )
    deadline = time.monotonic() + timeout_s
    with closing(consumer):
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        assert partitions, f"there is no topic {topic}"
        records: dict[int, list[ConsumerRecord]] = {partition.partition: [] for partition in partitions}
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            assert time.monotonic() < deadline, f"{topic} was not read within {timeout_s} s, up to {ends}"
            for partition, polled in consumer.poll(timeout_ms=200).items():
                records[partition.partition] += polled
    return records


def wait_for_records(
    bootstrap: str, topic: str, count: int, *, timeout_s: float = PATIENCE_S
) -> dict[int, list[ConsumerRecord]]:
    """Wait until a topic has this many committed records over all partitions, and give them."""
    deadline = time.monotonic() + timeout_s
    while True:
        records = read_committed(bootstrap, topic)
        found = sum(map(len, records.values()))
        if found >= count:
            return records
        assert time.monotonic() < deadline, f"{topic} has {found} records after {timeout_s} s, not {count}"
        time.sleep(0.1)
