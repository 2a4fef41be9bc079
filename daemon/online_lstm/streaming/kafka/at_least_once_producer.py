"""The producer of at-least-once delivery: outputs first, then their offsets."""

import contextlib
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from online_lstm.events import Membership
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.base_producer import BatchProducer, Formed, Offsets
from online_lstm.streaming.kafka.broker_wait import BrokerWait
from online_lstm.streaming.kafka.consumer import GroupConsumer
from online_lstm.streaming.kafka.translating_client import Client, plain_producer
from online_lstm.telemetry import Observer


class AtLeastOnceProducer(BatchProducer):
    """A producer that publishes a batch, waits for every acknowledgement, then commits the offsets.

    A crash between publication and commit publishes the batch again.
    """

    def __init__(self, settings: Settings, source: GroupConsumer, observer: Observer = lambda _: None) -> None:
        super().__init__(settings, observer)
        self._source = source

    def _connect(self, **options: Any) -> Client:
        return plain_producer(KafkaProducer, self._settings, **options)

    def _publish(
        self,
        records: Formed,
        offsets: Offsets,
        membership: Membership,  # noqa: ARG002 - the broker checks the member's offsets
        wait: BrokerWait,
    ) -> None:
        acknowledgements = self._send(records)
        while not acknowledgements.are_done():
            with contextlib.suppress(KafkaTimeoutError):
                self._producer.flush(timeout=1.0)
            wait.report()
        try:
            acknowledgements.require()
        except KafkaError as error:
            acknowledgements.raise_refusal(error)
            raise
        self._source.commit(offsets)
