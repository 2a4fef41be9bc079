"""On a real broker: what topics refuse is published in another form, or ends the daemon with the way out."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pytest
from conftest import MakeTopic
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import ConsumerGroupMetadata
from online_lstm.codec import encode
from online_lstm.codec.published import read_dead_letter, read_output
from online_lstm.errors import BadInputError, ExitCode, MissingTopicError, NotCommittedError, UnfitTopicError
from online_lstm.events import Committed, InputRecord, Membership, OutputRecord, TopicPartition
from online_lstm.settings import Settings
from online_lstm.streaming.kafka import AtLeastOnceProducer, GroupConsumer, TransactionalProducer, ensure_topics, topics
from online_lstm.streaming.kafka.base_consumer import input_record
from online_lstm.streaming.kafka.base_producer import BatchProducer
from online_lstm.telemetry import OutputFormChanged, TelemetryEvent
from support.fakes import small_settings
from support.kafka_admin import create_topic, delete_topics, read_committed, wait_for_partitions

pytestmark = pytest.mark.broker
HOUR_MS = 3_600_000
IN_2014_MS = 1_400_000_000_000
LARGEST = str(2**63 - 1)


class Group:
    """Topics of a group, and a sink of it that publishes what tests hand it."""

    def __init__(self, bootstrap: str, make_topic: MakeTopic, *, partitions: int = 1, **configs: str) -> None:
        self.bootstrap = bootstrap
        self.input = make_topic("input", partitions=partitions)
        self.output = make_topic("output", partitions=partitions, **configs)
        self.letters = make_topic("dlq", partitions=partitions)
        self.reports: list[TelemetryEvent] = []

    def settings(self, **given: Any) -> Settings:
        return small_settings(
            bootstrap_servers=self.bootstrap,
            input_topics=self.input,
            output_topic=self.output,
            dead_letter_topic=self.letters,
            group_id=self.input,
            **given,
        )

    @contextmanager
    def sink(self, **given: Any) -> Iterator[BatchProducer]:
        settings = self.settings(**given)
        if settings.delivery == "exactly_once":
            sink: BatchProducer = TransactionalProducer(settings, self.reports.append)
        else:
            source = GroupConsumer(settings)
            source.commit = lambda offsets: None  # type: ignore[method-assign]  # noqa: ARG005 - nothing is assigned to it
            sink = AtLeastOnceProducer(settings, source, self.reports.append)
        try:
            sink.reconnect(lambda _: None)
            yield sink
        finally:
            sink.close()

    def record(
        self,
        offset: int,
        partition: int = 0,
        *,
        key: bytes | None = b"k",
        value: bytes = b"{}",
        timestamp_ms: int = -1,
    ) -> OutputRecord:
        """What stands for a prediction for an input record."""
        source = InputRecord(self.input, partition, offset, timestamp_ms, key, b"4", (("trace", b"abc"),))
        return OutputRecord(partition, timestamp_ms, key, value, encode._cloud_event(source) + encode._copied(source))

    def letter(self, offset: int, *, key: bytes | None = b"k", value: bytes = b"?", timestamp_ms: int) -> OutputRecord:
        source = InputRecord(self.input, 0, offset, timestamp_ms, key, value)
        return encode.Encoder(self.settings()).dead_letter(source, BadInputError("not_a_value", "received a ?"))

    def commit(self, sink: BatchProducer, *records: OutputRecord, within_s: float = 20) -> None:
        """Commit records as a batch that ends at offset 9."""

        def give_up(seconds: float) -> None:
            if seconds > within_s:
                raise NotCommittedError("no answer")

        outputs: dict[TopicPartition, list[OutputRecord]] = {}
        for record in records:
            outputs.setdefault(TopicPartition(self.input, record.source_partition), []).append(record)
        proof = ConsumerGroupMetadata(self.input)
        sink.commit(outputs, {source: Committed(9) for source in outputs}, Membership(-1, "", proof), give_up)

    def published(self) -> list[Any]:
        return [record for found in read_committed(self.bootstrap, self.output).values() for record in found]

    def encoded(self) -> list[OutputRecord]:
        """What verify takes the published predictions for."""
        found = [read_output(input_record(record)) for record in self.published()]
        assert all(one is not None and one.exact for one in found)
        return [one.record for one in found if one is not None]

    def encoded_letters(self) -> list[OutputRecord]:
        (letters,) = read_committed(self.bootstrap, self.letters).values()
        found = [read_dead_letter(input_record(record)) for record in letters]
        assert all(one is not None and one.exact for one in found)
        return [one.record for one in found if one is not None]

    def forms(self) -> dict[str, int]:
        return {report.form: report.records for report in self.reports if isinstance(report, OutputFormChanged)}

    def set_config(self, topic: str, **configs: str) -> None:
        named = {name.replace("_", "."): value for name, value in configs.items()}
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, named)])


def config_of(bootstrap: str, topic: str) -> Mapping[str, str]:
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    return {name: entry["value"] for name, entry in found["topic"][topic].items()}


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations that this user may not read."""
    monkeypatch.setattr(topics, "configs_of", lambda _, names: {name: {} for name in names})


# a record


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_a_timestamp_of_the_future(bootstrap: str, make_topic: MakeTopic, delivery: str) -> None:
    """It is published with the time of publication, and a header says which it was; the others keep theirs."""
    group = Group(bootstrap, make_topic, partitions=2)
    stamps = [now_ms(), now_ms() + 2 * HOUR_MS, now_ms() * 1000]
    records = [group.record(offset, timestamp_ms=stamp) for offset, stamp in enumerate(stamps)]
    elsewhere = group.record(0, partition=1, timestamp_ms=stamps[0])
    with group.sink(delivery=delivery) as sink:
        group.commit(sink, *records, elsewhere)
    published = group.published()
    assert [stamps[0], stamps[0]] == [r.timestamp for r in published if r.offset == 0]
    assert [True, True] == [abs(r.timestamp - now_ms()) < HOUR_MS for r in published if r.offset in {1, 2}]
    assert [b"%d" % stamp for stamp in stamps[1:]] == [
        dict(r.headers)["online_lstm_timestamp"] for r in published if r.offset in {1, 2} and r.partition == 0
    ]
    assert [*records, elsewhere] == sorted(group.encoded(), key=lambda r: r.source_partition)
    assert {"publication_time": 2} == group.forms()


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_a_refusal_that_nobody_foresaw(bootstrap: str, make_topic: MakeTopic, delivery: str) -> None:
    """Where the limits of a topic may not be read, a refused record takes another form, and only that one."""
    group = Group(bootstrap, make_topic, message_timestamp_after_max_ms="60000")
    records = [group.record(n, timestamp_ms=now_ms() + (n == 1) * HOUR_MS // 2) for n in range(3)]
    with group.sink(delivery=delivery) as sink:
        group.commit(sink, *records)
    assert records == group.encoded()[-3:]
    assert {"publication_time": 1} == group.forms()


def test_a_timestamp_that_is_too_old(bootstrap: str, make_topic: MakeTopic) -> None:
    """A topic that takes no old timestamps gets the time of publication (message.timestamp.before.max.ms)."""
    group = Group(bootstrap, make_topic, message_timestamp_before_max_ms=str(HOUR_MS))
    record = group.record(0, timestamp_ms=IN_2014_MS)
    with group.sink() as sink:
        group.commit(sink, record)
    assert [record] == group.encoded()
    assert {"publication_time": 1} == group.forms()


def test_a_topic_that_stamps_by_itself(bootstrap: str, make_topic: MakeTopic) -> None:
    """Predictions and dead letters of a topic with LogAppendTime can be proven: a header has what it replaced."""
    group = Group(bootstrap, make_topic, message_timestamp_type="LogAppendTime")
    group.set_config(group.letters, message_timestamp_type="LogAppendTime")
    record, letter = group.record(0, timestamp_ms=IN_2014_MS), group.letter(1, timestamp_ms=IN_2014_MS)
    with group.sink() as sink:
        group.commit(sink, record, letter)
    assert ([record], [letter]) == (group.encoded(), group.encoded_letters())
    assert {} == group.forms()


def test_a_compacted_output(bootstrap: str, make_topic: MakeTopic) -> None:
    """A record without a key is published under its partition, also a dead letter, and a header says so."""
    group = Group(bootstrap, make_topic, cleanup_policy="compact")
    group.set_config(group.letters, cleanup_policy="compact")
    records, letter = [group.record(0, key=None), group.record(1)], group.letter(2, key=None, timestamp_ms=now_ms())
    with group.sink() as sink:
        group.commit(sink, *records, letter)
    assert [f"{group.input}/0".encode(), b"k"] == [record.key for record in group.published()]
    assert (records, [letter]) == (group.encoded(), group.encoded_letters())
    assert {"partition_key": 2} == group.forms()


@pytest.mark.usefixtures("unreadable")
def test_a_prediction_that_is_refused_in_any_form(bootstrap: str, make_topic: MakeTopic) -> None:
    """It becomes a dead letter, from which verify still makes the prediction; its neighbours are published."""
    group = Group(bootstrap, make_topic, max_message_bytes="900")
    records = [group.record(n, value=b"x" * (5000 if n == 1 else 5), timestamp_ms=now_ms()) for n in range(3)]
    with group.sink() as sink:
        group.commit(sink, *records)
    assert [records[0], records[2]] == group.encoded()
    assert [records[1]] == group.encoded_letters()
    assert 1 == group.forms()["dead_letter"]


@pytest.mark.usefixtures("unreadable")
def test_a_dead_letter_that_is_refused(bootstrap: str, make_topic: MakeTopic) -> None:
    """What no topic takes ends the daemon: the error names the topic and what it said."""
    group = Group(bootstrap, make_topic)
    group.set_config(group.letters, max_message_bytes="900")
    with group.sink() as sink, pytest.raises(UnfitTopicError, match=f"{group.letters} refuses .*in every form"):
        group.commit(sink, group.letter(0, value=b"x" * 5000, timestamp_ms=-1))


def test_batches_fit_into_the_smallest_limit(bootstrap: str, make_topic: MakeTopic) -> None:
    """A topic whose limit is far below a batch gets all records, in requests that it takes."""
    group = Group(bootstrap, make_topic, max_message_bytes="12000")
    records = [group.record(n, value=b"x" * 5000) for n in range(50)]
    with group.sink(max_output_bytes=10_000) as sink:
        group.commit(sink, *records)
    assert records == group.encoded()


# a topic


def test_a_limit_that_is_too_small(bootstrap: str, make_topic: MakeTopic) -> None:
    """A topic that cannot take messages of max_output_bytes is refused at start, with the settings and an exit code."""
    group = Group(bootstrap, make_topic, max_message_bytes="900")
    with pytest.raises(UnfitTopicError, match=rf"{group.output} .* 900 bytes \(max.message.bytes\).*max_output_bytes"):
        ensure_topics(group.settings())
    assert ExitCode.UNFIT_TOPIC == UnfitTopicError.exit_code == 7


def test_a_limit_that_is_lowered_while_it_runs(bootstrap: str, make_topic: MakeTopic) -> None:
    """The limit is asked again when a record is refused, and named."""
    group = Group(bootstrap, make_topic)
    with group.sink() as sink:
        group.set_config(group.output, max_message_bytes="900")
        with pytest.raises(UnfitTopicError, match="900 bytes"):
            group.commit(sink, group.record(0, value=b"x" * 5000))


def test_what_is_created_is_like_the_input(bootstrap: str, make_topic: MakeTopic) -> None:
    """Topics that are created keep records as long as the input does, and take its timestamps and our messages."""
    group = Group(bootstrap, make_topic)
    group.set_config(group.input, message_timestamp_after_max_ms=LARGEST, retention_ms="-1", max_message_bytes="20000")
    delete_topics(bootstrap, [group.output, group.letters])
    assert [] == ensure_topics(group.settings())
    for topic in (group.output, group.letters):
        config = config_of(bootstrap, topic)
        assert ("-1", LARGEST) == (config["retention.ms"], config["message.timestamp.after.max.ms"])
        assert 1_002_000 == int(config["max.message.bytes"])
    record = group.record(0, timestamp_ms=now_ms() + 2 * HOUR_MS)
    with group.sink() as sink:
        group.commit(sink, record)
    assert [record] == group.encoded()
    assert {} == group.forms()


def test_what_does_not_fit_is_named(bootstrap: str, make_topic: MakeTopic, caplog: pytest.LogCaptureFixture) -> None:
    """The log and a report have the topic and each setting that does not fit the input."""
    group = Group(bootstrap, make_topic, retention_ms="60000", message_timestamp_before_max_ms="1000")
    group.set_config(group.input, message_timestamp_after_max_ms=LARGEST)
    group.set_config(group.letters, cleanup_policy="compact", message_timestamp_after_max_ms=LARGEST)
    found = {report.topic: [name for name, _ in report.misfits] for report in ensure_topics(group.settings())}
    assert {
        group.output: ["retention.ms", "message.timestamp.before.max.ms", "message.timestamp.after.max.ms"],
        group.letters: ["cleanup.policy"],
    } == found
    assert f"topic={group.output} setting=retention.ms" in caplog.text


def test_an_output_that_is_deleted(bootstrap: str, make_topic: MakeTopic) -> None:
    """It is named as soon as no answer comes; it is created again, or waited for where create_topics is off."""
    group = Group(bootstrap, make_topic)
    record = group.record(0)
    with group.sink() as sink:
        delete_topics(bootstrap, [group.output])
        with pytest.raises(NotCommittedError, match=rf"topic {group.output} was deleted"):
            group.commit(sink, record)
        sink.reconnect(lambda _: None)
        group.commit(sink, record)
    assert [record] == group.encoded()
    delete_topics(bootstrap, [group.output])
    with (
        pytest.raises(MissingTopicError, match=f"topic {group.output} does not exist .*create_topics"),
        group.sink(create_topics=False),
    ):
        pass
    create_topic(bootstrap, group.output)  # which the fixture deletes


def test_an_output_with_fewer_partitions(bootstrap: str, make_topic: MakeTopic) -> None:
    """A topic that was created anew while it runs, with fewer partitions, has all records again after a new start."""
    group = Group(bootstrap, make_topic, partitions=3)
    records = [group.record(0, partition=partition) for partition in range(3)]
    with group.sink() as sink:
        delete_topics(bootstrap, [group.output])
        create_topic(bootstrap, group.output, partitions=1)
        wait_for_partitions(bootstrap, group.output, 1)
        with pytest.raises(NotCommittedError):
            group.commit(sink, *records, within_s=5)
        sink.reconnect(lambda _: None)
        group.commit(sink, *records)
    assert records == group.encoded()
