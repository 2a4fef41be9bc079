"""A daemon's parts in the process of a test, on a real broker: quick where no process has to die."""

import itertools
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka import TopicPartition as KafkaPartition
from kafka.structs import OffsetAndMetadata
from online_lstm.checkpoint import CheckpointStore
from online_lstm.events import TopicPartition
from online_lstm.streaming.kafka import AtLeastOnceProducer, GroupConsumer, TransactionalProducer, ensure_topics
from online_lstm.streaming.service import Service
from online_lstm.telemetry import BatchCommitted, LineageStarted, TelemetryEvent

from support.fakes import FakeHealth, small_network, small_settings
from support.kafka_admin import read_committed

MakeTopic = Callable[..., str]


class InProcessGroup:
    """One group on a real broker, whose only member runs in this process, from one start to the next."""

    def __init__(self, bootstrap: str, make_topic: MakeTopic, folder: Path, *, partitions: int = 1) -> None:
        self.bootstrap = bootstrap
        self.input = make_topic("input", partitions=partitions)
        self.output = make_topic("output", partitions=partitions)
        self.given: dict[str, Any] = {
            "bootstrap_servers": bootstrap,
            "input_topics": self.input,
            "output_topic": self.output,
            "dead_letter_topic": make_topic("dlq", partitions=partitions),
            "group_id": self.input,
            "checkpoint_url": str(folder / "checkpoints"),
            "max_batch_events": 7,
            "checkpoint_interval_s": 1000,
        }
        self.source = TopicPartition(self.input, 0)
        self.reports: list[TelemetryEvent] = []

    def learn(self, until: int, *, stop: bool = True, **given: Any) -> "InProcessGroup":
        """Start, go on until this many events were learned in all, and stop in order; or end as in a crash.

        It goes on at least until all partitions are restored.
        """
        settings = small_settings(**{**self.given, **given})
        ensure_topics(settings)
        source = GroupConsumer(settings)
        exactly_once = settings.delivery == "exactly_once"
        sink = TransactionalProducer(settings) if exactly_once else AtLeastOnceProducer(settings, source)
        health = FakeHealth()
        service = Service(
            settings,
            source=source,
            sink=sink,
            store=CheckpointStore(settings.checkpoint_url, settings.group_id),
            network_for=small_network,
            observer=self.reports.append,
            health=health,
        )
        steps = itertools.count()
        try:
            service.start()
            while health.reasons[-1:] != [()] or self.learned < until:
                service.step()
                assert next(steps) < 500, self.said()
            if stop:
                service.stop()
                service.start = lambda: None  # type: ignore[method-assign]  # it did already
                service.run()
        finally:
            service._assignments.clear()  # a crash leaves no checkpoint
            source.close()
            sink.close()
        return self

    @property
    def learned(self) -> int:
        """How many events all processes have committed."""
        return sum(r.events for r in self.reports if isinstance(r, BatchCommitted))

    def said(self) -> list[dict[str, Any]]:
        """What readers see, without the lineage that says it."""
        records = itertools.chain(*read_committed(self.bootstrap, self.output).values())
        return [{n: v for n, v in json.loads(record.value).items() if n != "model"} for record in records]

    def begun(self) -> list[tuple[str, int]]:
        return [(r.reason, r.lost_records) for r in self.reports if isinstance(r, LineageStarted)]

    def admin(self, act: Callable[[KafkaAdminClient], object]) -> None:
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            act(admin)

    def set_offset(self, offset: int) -> None:
        place = KafkaPartition(self.input, 0)
        self.admin(lambda admin: admin.alter_group_offsets(self.input, {place: OffsetAndMetadata(offset, "", -1)}))
