"""A run of the daemon over a Kafka in memory, from its start to its end."""

import json
from typing import Any

from online_lstm.checkpoint import CheckpointStore
from online_lstm.checkpoint.warm_start_file import read_warm_start
from online_lstm.errors import MissingTopicError
from online_lstm.events import TopicPartition
from online_lstm.learning.model_factory import model_factory
from online_lstm.settings import Settings
from online_lstm.streaming.schema_registry import registry_of
from online_lstm.streaming.service import Service
from online_lstm.telemetry import Observer, TelemetryEvent
from online_lstm.testing.memory_clients import MemoryConsumer, MemoryProducer
from online_lstm.testing.memory_kafka import MemoryKafka


class _IgnoredHealth:
    """A receiver of the liveness and readiness that nobody asks."""

    def beat(self, waiting_for: str = "") -> None:
        pass

    def ready(self) -> None:
        pass

    def not_ready(self, *reasons: str) -> None:
        pass


def run(kafka: MemoryKafka, settings: Settings, *, observer: Observer = lambda _: None) -> list[dict[str, Any]]:
    """Run the daemon until it has learned every record, stop it, and return the predictions that it published.

    Each prediction is a message as in the output topic (``docs/reference/messages.md``), in the order of the topic's
    offsets, partition after partition. Dead letters are in the dead-letter topic: ``kafka.records("numbers.dlq")``. A
    later run over the same broker continues from the committed offsets and from the checkpoints in ``checkpoint_url``.

    Args:
        kafka: The broker, with the input topics.
        settings: The settings of the daemon; choose a ``checkpoint_url`` for each test.
        observer: Called with every report, as metrics and logs are.

    Raises:
        MissingTopicError: An input topic does not exist.
        OnlineLstmError: The daemon ends with an error, such as a refusal to continue.
    """
    if missing := [topic for topic in settings.input_topics if not kafka.partitions(topic)]:
        raise MissingTopicError(f"input_topics: {', '.join(missing)} is not a topic of this MemoryKafka; create it")
    kafka.create_topic(settings.output_topic, partitions=max(map(kafka.partitions, settings.input_topics)))
    for topic in settings.input_topics:
        kafka.create_topic(settings.dead_letters_of(topic), partitions=kafka.partitions(topic))

    def stop_when_caught_up(report: TelemetryEvent) -> None:
        observer(report)
        if kafka.caught_up(settings.input_topics):
            service.stop()

    store = CheckpointStore(settings.checkpoint_url, settings.group_id)
    store.require_writable()
    service = Service(
        settings,
        source=MemoryConsumer(kafka, settings),
        sink=MemoryProducer(kafka, settings),
        store=store,
        network_for=model_factory(settings),
        observer=stop_when_caught_up,
        health=_IgnoredHealth(),
        warm_start=read_warm_start(settings),
        schemas=registry_of(settings),
    )
    before = dict(kafka.ends)
    service.run()
    return [
        json.loads(record.value or b"")
        for record in kafka.records(settings.output_topic)
        if record.offset >= before[TopicPartition(record.topic, record.partition)]
    ]
