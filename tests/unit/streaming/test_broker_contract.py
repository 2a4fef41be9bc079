"""What the daemon relies on of Kafka's clients: true of the clients of a cluster and of those in memory."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any, Protocol, TypeVar

import pytest
from kafka import KafkaAdminClient
from kafka import TopicPartition as KafkaPartition
from online_lstm.errors import FencedError, InputGoneError, NotCommittedError
from online_lstm.events import Committed, InputRecord, Membership, OutputRecord, PollResult, TopicPartition
from online_lstm.settings import Settings
from online_lstm.streaming.broker_protocol import InputSource, OutputSink, RecordReader
from online_lstm.streaming.kafka import GroupConsumer, TransactionalProducer, ensure_topics
from online_lstm.streaming.kafka.partition_reader import PartitionReader
from online_lstm.testing import MemoryConsumer, MemoryKafka, MemoryProducer, MemoryReader
from support.daemon_runner import PATIENCE_S
from support.fakes import small_settings
from support.kafka_admin import produce

VALUES = [b"4", b"8", None, b"15"]
OUTPUT = OutputRecord(0, 1_000_000, b"k", b'{"value": 4}', (("ce_id", b"x"),))
LETTER = OutputRecord(0, 1_000_001, None, b"?", (), dead_letter=True)

C = TypeVar("C", GroupConsumer, TransactionalProducer, PartitionReader)


class Broker(Protocol):
    """A broker with an input topic of one partition, and the clients of a daemon."""

    settings: Settings

    def produce(self, values: Sequence[bytes | None]) -> None: ...
    def delete_before(self, offset: int) -> None: ...
    def consumer(self) -> InputSource: ...
    def producer(self) -> OutputSink: ...
    def reader(self) -> RecordReader: ...


class InMemory:
    """All of it in this process."""

    def __init__(self) -> None:
        self.settings = small_settings()
        self._kafka = MemoryKafka({"numbers": 1, "predictions": 1, "numbers.dlq": 1})

    def produce(self, values: Sequence[bytes | None]) -> None:
        for index, value in enumerate(values):
            self._kafka.produce("numbers", value, key=b"k", timestamp_ms=1_000_000 + index)

    def delete_before(self, offset: int) -> None:
        self._kafka.starts[TopicPartition("numbers", 0)] = offset

    def consumer(self) -> InputSource:
        return MemoryConsumer(self._kafka, self.settings)

    def producer(self) -> OutputSink:
        return MemoryProducer(self._kafka, self.settings)

    def reader(self) -> RecordReader:
        return MemoryReader(self._kafka, self.settings)


class OnCluster:
    """Topics of a real broker."""

    def __init__(self, bootstrap: str, make_topic: Callable[..., str], close: ExitStack) -> None:
        self._bootstrap, self._close = bootstrap, close
        topic = make_topic("numbers")
        self.settings = small_settings(
            bootstrap_servers=bootstrap,
            input_topics=topic,
            output_topic=make_topic("predictions"),
            dead_letter_topic=make_topic("dlq"),
            group_id=topic,
            instance_id="contract",
        )
        ensure_topics(self.settings)

    def produce(self, values: Sequence[bytes | None]) -> None:
        produce(self._bootstrap, self.settings.input_topics[0], values, key=b"k")

    def delete_before(self, offset: int) -> None:
        with closing(KafkaAdminClient(bootstrap_servers=self._bootstrap)) as admin:
            admin.delete_records({KafkaPartition(self.settings.input_topics[0], 0): offset})

    def consumer(self) -> InputSource:
        return self._closing(GroupConsumer(self.settings))

    def producer(self) -> OutputSink:
        return self._closing(TransactionalProducer(self.settings))

    def reader(self) -> RecordReader:
        return self._closing(PartitionReader(self.settings))

    def _closing(self, client: C) -> C:
        self._close.callback(client.close)
        return client


@pytest.fixture(params=["memory", pytest.param("cluster", marks=pytest.mark.broker)])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with ExitStack() as close:
        if request.param == "memory":
            yield InMemory()
        else:
            bootstrap, make_topic = map(request.getfixturevalue, ("bootstrap", "make_topic"))
            yield OnCluster(bootstrap, make_topic, close)


def source_of(broker: Broker) -> TopicPartition:
    return TopicPartition(broker.settings.input_topics[0], 0)


def outputs_of(broker: Broker) -> tuple[TopicPartition, TopicPartition]:
    names = broker.settings.output_topic, broker.settings.dead_letters_of(broker.settings.input_topics[0])
    return TopicPartition(names[0], 0), TopicPartition(names[1], 0)


def read(broker: Broker, source: TopicPartition) -> list[InputRecord]:
    reader = broker.reader()
    return list(reader.records(source, reader.offset_range(source)))


def poll_until(consumer: InputSource, condition: Callable[[PollResult], Any], max_records: int = 100) -> PollResult:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        polled = consumer.poll(0.1, max_records)
        if condition(polled):
            return polled
        assert time.monotonic() < deadline


def join(broker: Broker) -> tuple[InputSource, Membership]:
    """Join the group and be assigned the partition, which is still paused."""
    consumer = broker.consumer()
    consumer.subscribe(lambda _: None)
    polled = poll_until(consumer, lambda polled: polled.assigned)
    assert {} == polled.records
    assert (source_of(broker),) == polled.assigned
    return consumer, polled.membership


def connected(broker: Broker) -> OutputSink:
    producer = broker.producer()
    producer.reconnect(lambda _: None)
    return producer


def test_a_reader_returns_the_records_of_a_range(broker: Broker) -> None:
    """In order, with key, value and time; what is before and after is left out."""
    broker.produce(VALUES)
    reader, source = broker.reader(), source_of(broker)
    assert range(4) == reader.offset_range(source)
    assert [(1, 1_000_001, b"k", b"8"), (2, 1_000_002, b"k", None)] == [
        (record.offset, record.timestamp_ms, record.key, record.value) for record in reader.records(source, range(1, 3))
    ]
    assert [] == list(reader.records(source, range(2, 2)))


def test_a_reader_knows_topics_and_offsets(broker: Broker) -> None:
    """Before the group has committed anything; a topic that is not there has no partitions."""
    broker.produce(VALUES)
    reader, source = broker.reader(), source_of(broker)
    assert [1, 0] == [reader.partitions(topic) for topic in (source.topic, "not-there")]
    assert (None, 0) == (reader.committed(source), reader.initial_offset(source))
    assert not reader.compacted(source.topic)


def test_deleted_records_are_an_error_for_a_reader(broker: Broker) -> None:
    """They are not skipped; the range of the topic says where it begins."""
    broker.produce(VALUES)
    broker.delete_before(2)
    reader, source = broker.reader(), source_of(broker)
    assert range(2, 4) == reader.offset_range(source)
    with pytest.raises(InputGoneError, match=f"{source}: the records from offset 0 on were deleted"):
        list(reader.records(source, range(4)))


def test_a_member_reads_from_where_it_seeks(broker: Broker) -> None:
    """A new partition is paused until then; a paused one returns nothing until it seeks again."""
    broker.produce(VALUES)
    consumer, _ = join(broker)
    source = source_of(broker)
    assert {source} == consumer.assignment()
    consumer.seek(source, 1)
    polled = poll_until(consumer, lambda polled: polled.records, max_records=2)
    assert [b"8", None] == [record.value for record in polled.records[source]]
    assert 3 == consumer.position(source)
    assert 1 == consumer.lag(source)
    consumer.pause(source)
    assert {} == consumer.poll(0.3, 100).records
    consumer.seek(source, 3)
    assert [b"15"] == [r.value for r in poll_until(consumer, lambda polled: polled.records).records[source]]
    assert set() == consumer.behind_transactions([source])


def test_deleted_records_are_an_error_for_a_member(broker: Broker) -> None:
    """The offset of the next record is not moved silently."""
    broker.produce(VALUES)
    consumer, _ = join(broker)
    broker.delete_before(2)
    consumer.seek(source_of(broker), 0)
    with pytest.raises(InputGoneError):
        poll_until(consumer, lambda polled: polled.records)


def test_a_commit_publishes_all_or_nothing(broker: Broker) -> None:
    """Outputs, dead letters, offset and metadata are there afterwards, with an offset taken by the marker."""
    broker.produce(VALUES)
    _, membership = join(broker)
    producer, source = connected(broker), source_of(broker)
    for number in (1, 2):
        producer.commit(
            {source: [OUTPUT, LETTER]}, {source: Committed(number, f"metadata {number}")}, membership, lambda _: None
        )
    assert Committed(2, "metadata 2") == broker.reader().committed(source)
    predictions, letters = (read(broker, place) for place in outputs_of(broker))
    expected = (OUTPUT.timestamp_ms, OUTPUT.key, OUTPUT.value, OUTPUT.headers)
    assert [(0, *expected), (2, *expected)] == [
        (record.offset, record.timestamp_ms, record.key, record.value, record.headers) for record in predictions
    ]
    assert [b"?", b"?"] == [record.value for record in letters]


def test_a_stale_generation_commits_nothing(broker: Broker) -> None:
    """A member of an earlier generation may have lost its partitions."""
    consumer, membership = join(broker)
    source = source_of(broker)
    consumer.close()
    _, current = join(broker)
    with pytest.raises(NotCommittedError):
        connected(broker).commit({source: [OUTPUT]}, {source: Committed(1, "old")}, membership, lambda _: None)
    assert [] == read(broker, outputs_of(broker)[0])
    connected(broker).commit({source: [OUTPUT]}, {source: Committed(1, "new")}, current, lambda _: None)
    assert Committed(1, "new") == broker.reader().committed(source)


def test_a_later_producer_fences_the_earlier_one(broker: Broker) -> None:
    """Two processes of one name do not both publish."""
    _, membership = join(broker)
    earlier, later, source = connected(broker), connected(broker), source_of(broker)
    with pytest.raises((FencedError, NotCommittedError)):
        earlier.commit({source: [OUTPUT]}, {source: Committed(1)}, membership, lambda _: None)
    later.commit({source: [OUTPUT]}, {source: Committed(1, "later")}, membership, lambda _: None)
    assert Committed(1, "later") == broker.reader().committed(source)
    assert 1 == len(read(broker, outputs_of(broker)[0]))
