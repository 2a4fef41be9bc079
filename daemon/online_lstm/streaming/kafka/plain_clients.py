"""The plain Kafka clients of the commands: a producer of values and a consumer that follows a topic.

Neither client joins a group or uses transactions; the clients behind the daemon's guarantees are in
``online_lstm.streaming.kafka``.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Protocol, Self

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from online_lstm.errors import BrokerUnavailableError, InputFileError, MissingTopicError, OnlineLstmError
from online_lstm.events import InputRecord
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.streaming.kafka import Client, close_without_flush, plain_producer
from online_lstm.streaming.kafka.base_consumer import input_record

POLL_MS = 200
IDLE_TIMEOUT_S = 60.0
SLOW_S = 5.0
"""After this time without an answer from the broker, a warning names the reason for waiting."""
MAX_IN_FLIGHT = 10_000
"""Largest number of unacknowledged values; the client itself has no limit."""

_log = EventLogger(__name__)


class RunningDaemon(Protocol):
    """The daemon whose predictions are awaited."""

    def require_running(self) -> None:
        """Raise OnlineLstmError if the daemon has ended."""

    def log_end(self) -> str:
        """Return the last lines of its log."""


class PlainProducer:
    """A producer that publishes values to one topic in order and checks each acknowledgement.

    At the end of its ``with`` block without an exception, it waits for all acknowledgements.
    """

    def __init__(self, settings: Settings, topic: str, *, linger_ms: int = 5) -> None:
        self.topic = topic
        self.acknowledged = 0
        self._in_flight: deque[Any] = deque()
        self._answered_at = time.monotonic()  # last acknowledgement, or last time without a value in flight
        self._producer = plain_producer(KafkaProducer, settings, linger_ms=linger_ms)

    def send(self, value: bytes, key: bytes | None = None) -> None:
        """Publish a value; check the received acknowledgements, and wait for some if too many values are in flight.

        Raises:
            InputFileError: The value is larger than the Kafka client accepts.
            BrokerUnavailableError: An earlier value was not acknowledged.
            SettingsError: The broker refused an earlier value.
        """
        while self._in_flight and (self._in_flight[0].is_done or len(self._in_flight) >= MAX_IN_FLIGHT):
            self._settle()
        if not self._in_flight:
            self._answered_at = time.monotonic()
        elif time.monotonic() > self._answered_at + SLOW_S:
            self._warn()
        try:
            self._in_flight.append(self._producer.send(self.topic, value, key=key))
        except OnlineLstmError as error:
            if isinstance(error.__cause__, MessageSizeTooLargeError):
                number = self.acknowledged + len(self._in_flight) + 1
                raise InputFileError(
                    f"{self.topic}: value {number} has {len(value)} bytes; {error.__cause__}"
                ) from error
            raise self._failure(error) from error

    def flush(self) -> None:
        """Wait until all values are acknowledged.

        Raises:
            BrokerUnavailableError: A value was not acknowledged.
            SettingsError: The broker refused a value.
        """
        while self._in_flight:
            self._settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            close_without_flush(self._producer.library)

    def _settle(self) -> None:
        """Wait for the oldest acknowledgement; the wait fails at the client's delivery timeout of two minutes."""
        future = self._in_flight.popleft()
        try:
            with self._producer.translated():
                self._wait_for(future)
        except OnlineLstmError as error:
            raise self._failure(error) from error
        self.acknowledged += 1
        self._answered_at = time.monotonic()

    def _wait_for(self, future: Any) -> None:
        try:
            future.get(timeout=SLOW_S)
        except KafkaTimeoutError:
            if future.is_done:
                raise
            self._warn()
            future.get()

    def _warn(self) -> None:
        """Log that the producer waits for the broker, once per period without an acknowledgement."""
        if self._answered_at < math.inf:
            _log.warning("waiting for the broker", topic=self.topic, acknowledged=self.acknowledged)
            self._answered_at = math.inf

    def _failure(self, error: OnlineLstmError) -> OnlineLstmError:
        """Return an error of the same kind that also has the number of the first unacknowledged value."""
        return type(error)(
            f"{self.topic}: value {self.acknowledged + 1} was not acknowledged; all before it were: see to the broker, "
            f"then publish from there on. {error}"
        )


class TopicTail:
    """A consumer of the committed records of one topic, outside any group."""

    def __init__(self, settings: Settings, topic: str, *, from_beginning: bool) -> None:
        self._consumer = Client(
            KafkaConsumer,
            settings,
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
        numbers = self._consumer.partitions_for_topic(topic)
        if not numbers:
            self.close()
            raise MissingTopicError(
                f"topic {topic} does not exist at {', '.join(settings.bootstrap_servers)}, or this user may not see it "
                "(the right DESCRIBE); `online-lstm run` creates it, --output-topic names another one"
            )
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        self._consumer.assign(partitions)
        seek = self._consumer.seek_to_beginning if from_beginning else self._consumer.seek_to_end
        seek(*partitions)
        for partition in partitions:
            self._consumer.position(partition)  # resolves the position now instead of at the first poll

    def poll(self) -> list[InputRecord]:
        """Return the next records; an empty list after ``POLL_MS`` without records."""
        polled = self._consumer.poll(timeout_ms=POLL_MS).values()
        return [input_record(record) for records in polled for record in records]

    def receive(self, events: int, daemon: RunningDaemon) -> Iterator[list[InputRecord]]:
        """Yield lists of records until at least ``events`` records have arrived.

        Raises:
            OnlineLstmError: The publishing daemon ended, or no record arrived for ``IDLE_TIMEOUT_S``.
        """
        received = 0
        deadline = time.monotonic() + IDLE_TIMEOUT_S
        while received < events:
            if records := self.poll():
                received += len(records)
                deadline = time.monotonic() + IDLE_TIMEOUT_S
                yield records
            elif time.monotonic() > deadline:
                raise OnlineLstmError(f"{received} of {events} predictions came:\n{daemon.log_end()}")
            else:
                daemon.require_running()

    def follow(self, when_idle: Callable[[], None]) -> Iterator[InputRecord]:
        """Yield records without end; call ``when_idle`` once per period of ``SLOW_S`` or longer without records."""
        deadline = time.monotonic() + SLOW_S
        while True:
            if records := self.poll():
                yield from records
                deadline = time.monotonic() + SLOW_S
            elif time.monotonic() > deadline:
                when_idle()
                deadline = math.inf

    def broker_answers(self) -> bool:
        """Return whether the broker still answers a request for the topic's end offsets."""
        try:
            self._consumer.end_offsets(list(self._consumer.assignment()), timeout_ms=1000)
        except BrokerUnavailableError:
            return False
        return True

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close(timeout_ms=1000)


def delete_topics(settings: Settings, topics: Sequence[str]) -> None:
    """Delete topics that a command created for its own use.

    Raises:
        BrokerUnavailableError: The broker does not answer, or does not delete the topics.
    """
    with closing(Client(KafkaAdminClient, settings)) as admin:
        admin.delete_topics(list(topics))


def delete_group(settings: Settings) -> None:
    """Delete the consumer group of an ended daemon that a command had started for its own use.

    Raises:
        BrokerUnavailableError: The broker does not answer, or does not delete the group.
    """
    with closing(Client(KafkaAdminClient, settings)) as admin:
        admin.delete_groups([settings.group_id])
