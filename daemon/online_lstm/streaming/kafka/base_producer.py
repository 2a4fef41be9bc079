"""The part that all producers of a batch share: records in the forms that the topics accept, sent and acknowledged.

The module knows neither learners nor checkpoints: a batch is records to publish and offsets to commit.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from online_lstm.codec.output_forms import Forms, TopicLimits
from online_lstm.errors import BrokerUnavailableError, MissingTopicError, NotCommittedError, UnfitTopicError
from online_lstm.events import Committed, Membership, OutputRecord, TopicPartition
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.acknowledgements import Acknowledgements, RefusedRecordsError
from online_lstm.streaming.kafka.broker_wait import BrokerWait
from online_lstm.streaming.kafka.connection import close_without_flush
from online_lstm.streaming.kafka.failures import FailureKind, kind_of
from online_lstm.streaming.kafka.topics import limits_of_published, published_topics, require_published
from online_lstm.streaming.kafka.translating_client import Client
from online_lstm.telemetry import Observer, OutputFormChanged

MAX_BLOCK_MS = 10_000
"""Longest time that the client blocks, waiting for metadata."""
MAX_BATCH_BYTES = 512 * 1024
"""Producer batch size that fits one request per batch: with the client's default, 500 records take 3 times as long."""

_log = EventLogger(__name__)

Outputs = Mapping[TopicPartition, Sequence[OutputRecord]]
Formed = Mapping[TopicPartition, Sequence[tuple[str, OutputRecord]]]
"""Records to publish, by input partition; each with its topic."""
Offsets = Mapping[TopicPartition, Committed]


class BatchProducer(ABC):
    """A producer that is replaced after any failure; the subclass decides how a batch is published.

    Args:
        settings: The settings in force.
        observer: Called for records that were published in another form.
    """

    def __init__(self, settings: Settings, observer: Observer = lambda _: None) -> None:
        self._settings = settings
        self._observer = observer
        self._producer: KafkaProducer = None
        self._partitions: dict[str, int] = {}
        self._limits: dict[str, TopicLimits] = {}
        self._logged_forms: set[str] = set()

    def commit(
        self, outputs: Outputs, offsets: Offsets, membership: Membership, waiting: Callable[[float], None]
    ) -> None:
        """Publish outputs and offsets; publish a refused record again in another form.

        Raises:
            NotCommittedError: The commit is not confirmed; ``reconnect``, and return to the committed offsets.
            UnfitTopicError: A topic refuses a record in every form, or all records.
            SettingsError: The broker refuses the batch, and only other settings or rights end the refusal.
        """
        forms = Forms(outputs, self._topic_of)
        try:
            while not self._try_to_publish(forms, offsets, membership, waiting):
                self.reconnect(waiting)  # nothing of the batch was committed
        except KafkaError as error:
            raise NotCommittedError(f"the batch was not published: {error!r}") from error
        except (BrokerUnavailableError, MissingTopicError) as error:
            raise NotCommittedError(f"the batch was not published: {error}") from error
        self._report(forms)

    def _try_to_publish(
        self, forms: Forms, offsets: Offsets, membership: Membership, waiting: Callable[[float], None]
    ) -> bool:
        """Publish a batch in the current forms; on a refusal, choose other forms for the refused records.

        Return whether the batch was published.
        """
        records = forms.records(self._limits, now_ms=time.time_ns() // 1_000_000)
        wait = BrokerWait(waiting, lambda: require_published(self._settings))
        try:
            self._publish(records, offsets, membership, wait)
        except RefusedRecordsError as refused:
            forms.refuse(refused.positions, str(refused))
            return False
        except KafkaError as error:
            kind = kind_of(error)
            if kind in {FailureKind.SETTINGS, FailureKind.UNSUPPORTED}:
                raise self._client.error_of(error) from error
            if kind in {FailureKind.TOPIC, FailureKind.RECORD}:
                raise UnfitTopicError(
                    f"{', '.join(published_topics(self._settings))}: one of these topics refuses the output "
                    f"({error!r}): change its configuration, or name another (output_topic, dead_letter_topic)"
                ) from error
            raise
        return True

    def _report(self, forms: Forms) -> None:
        for (source, form), count in forms.counts.items():
            self._observer(OutputFormChanged(source, form, count))
            if form not in self._logged_forms:
                self._logged_forms.add(form)
                _log.warning("output form changed", form=form, source=source, reason="the topic refuses the usual form")

    def reconnect(self, waiting: Callable[[float], None]) -> None:
        """Connect, or connect again; raise the errors of ``Client`` and ``limits_of_published``."""
        self._discard()
        self._limits = limits_of_published(self._settings)
        smallest = min(limits.max_message_bytes for limits in self._limits.values())
        self._client = self._connect(
            max_request_size=2 * self._settings.max_output_bytes,
            batch_size=min(MAX_BATCH_BYTES, smallest),
            retry_backoff_ms=5,  # the client sleeps this long while the broker still ends the previous transaction
            max_block_ms=MAX_BLOCK_MS,
        )
        self._producer = self._client.library  # ``commit`` translates the errors of a commit
        with self._client.translated():
            self._begin(BrokerWait(waiting))

    def _topic_of(self, source: TopicPartition, dead_letter: bool) -> str:
        return self._settings.dead_letters_of(source.topic) if dead_letter else self._settings.output_topic

    def close(self) -> None:
        """Close the producer."""
        self._discard()

    @abstractmethod
    def _connect(self, **options: Any) -> Client:
        """Return a new producer."""

    @abstractmethod
    def _publish(self, records: Formed, offsets: Offsets, membership: Membership, wait: BrokerWait) -> None:
        """Publish and commit; raise RefusedRecordsError or KafkaError on failure."""

    def _begin(self, wait: BrokerWait) -> None:  # noqa: ARG002 - not all have to wait
        topics = published_topics(self._settings)
        self._partitions = {topic: len(self._producer.partitions_for(topic)) for topic in topics}

    def _send(self, records: Formed) -> Acknowledgements:
        """Send all records; return their acknowledgements."""
        acknowledgements = Acknowledgements()
        for source, formed in records.items():
            for index, (topic, record) in enumerate(formed):
                try:
                    future = self._producer.send(
                        topic,
                        value=record.value,
                        key=record.key,
                        headers=list(record.headers),
                        # the input's partition number if the topic has it: keeps the order, and keys in the
                        # partitions where readers expect them
                        partition=record.source_partition % self._partitions[topic],
                        timestamp_ms=record.timestamp_ms if record.timestamp_ms >= 0 else None,
                    )
                except ValueError as error:  # the topic was deleted and created again with fewer partitions
                    raise KafkaError(f"{topic}: {error}") from error
                acknowledgements.add((source, index), future)
        return acknowledgements

    def _discard(self) -> None:
        if self._producer is not None:
            close_without_flush(self._producer)
            self._producer = None
