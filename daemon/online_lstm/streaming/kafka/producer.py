"""The producers of the outputs: one commits a batch in a transaction, one publishes it at least once.

The module knows neither learners nor checkpoints: a batch is records to publish and offsets to commit.
"""

import contextlib
import fcntl
import math
import os
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.protocol.producer import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)
from kafka.structs import OffsetAndMetadata

from online_lstm.codec.forms import Forms, Position, TopicLimits
from online_lstm.errors import (
    BrokerUnavailableError,
    FencedError,
    MissingTopicError,
    NotCommittedError,
    UnfitTopicError,
)
from online_lstm.events import Committed, Membership, OutputRecord, TopicPartition
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.client import Client, plain_producer
from online_lstm.streaming.kafka.connection import close_without_flush, to_kafka
from online_lstm.streaming.kafka.consumer import GroupConsumer
from online_lstm.streaming.kafka.failures import FailureKind, kind_of
from online_lstm.streaming.kafka.topics import limits_of_published, published_topics, require_published
from online_lstm.telemetry import Observer, OutputFormChanged

MAX_BLOCK_MS = 10_000
"""Longest time that the client blocks, waiting for metadata."""

MAX_BATCH_BYTES = 512 * 1024
"""Producer batch size that fits one request per batch: with the client's default, 500 records take 3 times as long."""
CHECK_AFTER_S = 3.0
"""Time without an answer after which the producer checks that the topics exist, and interval of further checks."""

WAIT_MS = 200
"""Interval at which a wait for the broker checks for failures and reports the waiting time."""

_TRANSACTION_REQUESTS = (
    InitProducerIdRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    TxnOffsetCommitRequest,
    EndTxnRequest,
)
_log = EventLogger(__name__)

Outputs = Mapping[TopicPartition, Sequence[OutputRecord]]
Formed = Mapping[TopicPartition, Sequence[tuple[str, OutputRecord]]]
"""Records to publish, by input partition; each with its topic."""
Offsets = Mapping[TopicPartition, Committed]


class _RefusedError(Exception):
    """Raised within this module when the broker refuses records that it may accept in another form."""

    def __init__(self, positions: Sequence[Position], error: KafkaError) -> None:
        super().__init__(str(error))
        self.positions = positions


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
        self._forms_told: set[str] = set()

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
            while not self._published(forms, offsets, membership, waiting):
                self.reconnect(waiting)  # nothing of the batch was committed
        except KafkaError as error:
            raise NotCommittedError(f"the batch was not published: {error!r}") from error
        except (BrokerUnavailableError, MissingTopicError) as error:
            raise NotCommittedError(f"the batch was not published: {error}") from error
        self._tell(forms)

    def _published(
        self, forms: Forms, offsets: Offsets, membership: Membership, waiting: Callable[[float], None]
    ) -> bool:
        """Publish a batch in the current forms; on a refusal, choose other forms for the refused records.

        Return whether the batch was published.
        """
        records = forms.records(self._limits, now_ms=time.time_ns() // 1_000_000)
        patience = _Deadline(waiting, lambda: require_published(self._settings))
        try:
            self._publish(records, offsets, membership, patience)
        except _RefusedError as refused:
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

    def _tell(self, forms: Forms) -> None:
        for (source, form), count in forms.counts.items():
            self._observer(OutputFormChanged(source, form, count))
            if form not in self._forms_told:
                self._forms_told.add(form)
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
            self._begin(_Deadline(waiting))

    def _topic_of(self, source: TopicPartition, dead_letter: bool) -> str:
        return self._settings.dead_letters_of(source.topic) if dead_letter else self._settings.output_topic

    def close(self) -> None:
        """Close the producer."""
        self._discard()

    @abstractmethod
    def _connect(self, **options: Any) -> Client:
        """Return a new producer."""

    @abstractmethod
    def _publish(self, records: Formed, offsets: Offsets, membership: Membership, patience: "_Deadline") -> None:
        """Publish and commit; raise _RefusedError or KafkaError on failure."""

    def _begin(self, patience: "_Deadline") -> None:  # noqa: ARG002 - not all have to wait
        topics = published_topics(self._settings)
        self._partitions = {topic: len(self._producer.partitions_for(topic)) for topic in topics}

    def _send(self, records: Formed) -> "_Promises":
        """Send all records; return the promises of their acknowledgements."""
        promises = _Promises()
        for source, formed in records.items():
            for index, (topic, record) in enumerate(formed):
                try:
                    promise = self._producer.send(
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
                promises.add((source, index), promise)
        return promises

    def _discard(self) -> None:
        if self._producer is not None:
            close_without_flush(self._producer)
            self._producer = None


class TransactionalProducer(BatchProducer):
    """A producer that publishes a batch in one transaction, or publishes nothing.

    When a new producer initializes, the broker aborts the open transaction of the transactional id and fences the
    previous producer with this id.
    """

    def __init__(self, settings: Settings, observer: Observer = lambda _: None) -> None:
        super().__init__(settings, observer)
        self._slot: IO[bytes] | None = None
        self.transactional_id = f"{settings.group_id}-{settings.instance_id or self._free_slot()}"
        self._fenced_at: float | None = None

    def commit(
        self, outputs: Outputs, offsets: Offsets, membership: Membership, waiting: Callable[[float], None]
    ) -> None:
        """Publish outputs and offsets, or nothing.

        Raises:
            NotCommittedError: The commit of the transaction is not confirmed.
            FencedError: Another process uses this transactional id repeatedly.
        """
        began = time.monotonic()
        try:
            super().commit(outputs, offsets, membership, waiting)
        except NotCommittedError as error:
            # the broker itself fences a transaction that is open for longer than the timeout
            if (
                error.__cause__ is not None
                and kind_of(error.__cause__) is FailureKind.FENCED
                and time.monotonic() - began < self._settings.transaction_timeout_s
            ):
                self._note_fencing()
            raise

    def close(self) -> None:
        """Close the producer and release the slot."""
        super().close()
        if self._slot is not None:
            self._slot.close()

    def _connect(self, **options: Any) -> Client:
        return Client(
            KafkaProducer,
            self._settings,
            transactional_id=self.transactional_id,
            transaction_timeout_ms=int(self._settings.transaction_timeout_s * 1000),
            **options,
        )

    def _begin(self, patience: "_Deadline") -> None:
        self._client.require(*_TRANSACTION_REQUESTS)
        self._wait(self._transactions.initialize_transactions(), patience, limit_s=self._settings.connect_timeout_s)
        super()._begin(patience)

    def _publish(self, records: Formed, offsets: Offsets, membership: Membership, patience: "_Deadline") -> None:
        self._producer.begin_transaction()
        promises = self._send(records)
        places = {to_kafka(s): OffsetAndMetadata(c.offset, c.metadata, -1) for s, c in offsets.items()}
        try:
            for ask in (
                lambda: self._transactions.send_offsets_to_transaction(places, membership.group_metadata),
                self._transactions.begin_commit,
            ):
                self._wait(ask(), patience, meanwhile=promises.raise_failure)
        except KafkaError as error:  # an unacknowledged record fails the transaction
            promises.raise_refusal(error)
            raise

    @property
    def _transactions(self) -> Any:
        """The producer's transaction manager; the producer's own methods wait forever if the client lost a request."""
        return self._producer._transaction_manager  # noqa: SLF001

    def _wait(
        self,
        result: Any,
        patience: "_Deadline",
        *,
        limit_s: float = math.inf,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._producer._sender.wakeup()  # noqa: SLF001
        while not result.wait(timeout_ms=WAIT_MS):
            meanwhile()
            if patience.tell() > limit_s:
                raise KafkaTimeoutError(f"no answer within {limit_s:g} s")

    def _note_fencing(self) -> None:
        """Tolerate the first fencing: after a long pause, a process may be fenced by its own earlier producer.

        Raises:
            FencedError: A second fencing followed within six transaction timeouts.
        """
        now = time.monotonic()
        if self._fenced_at is not None and now - self._fenced_at < 6 * self._settings.transaction_timeout_s:
            raise FencedError(
                f"another process publishes as {self.transactional_id}: give each its own instance_id, and its own "
                "group_instance_id where it has one"
            )
        self._fenced_at = now

    def _free_slot(self) -> str:
        """Lock the first free slot of this host; return host and slot number, which are the same after a restart."""
        folder = Path(tempfile.gettempdir()) / f"online-lstm-slots-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        for number in range(10_000):
            slot = (folder / f"{quote(self._settings.group_id, safe='')}-{number}.lock").open("wb")
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                slot.close()
                continue
            self._slot = slot
            return f"{socket.gethostname()}-{number}"
        raise FencedError(f"no free slot in {folder}")


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
        patience: "_Deadline",
    ) -> None:
        promises = self._send(records)
        while not promises.are_done():
            with contextlib.suppress(KafkaTimeoutError):
                self._producer.flush(timeout=1.0)
            patience.tell()
        try:
            promises.require()
        except KafkaError as error:
            promises.raise_refusal(error)
            raise
        self._source.commit(offsets)


class _Promises:
    """The acknowledgements of a batch, with failures in order: later failures may follow from the first one."""

    def __init__(self) -> None:
        self._promises: list[tuple[Position, Any]] = []
        self._failed: list[Any] = []  # appended on the client's thread

    def add(self, position: Position, promise: Any) -> None:
        self._promises.append((position, promise))
        promise.add_errback(lambda _: self._failed.append(promise))

    def are_done(self) -> bool:
        return all(promise.is_done for _, promise in self._promises)

    def require(self) -> None:
        """Wait for the acknowledgements in order; raise the first failure."""
        for _, promise in self._promises:
            promise.get()

    def raise_failure(self) -> None:
        """Raise the first failure so far, if any: the transaction's result may not report it."""
        if self._failed:
            raise self._failed[0].exception

    def raise_refusal(self, error: KafkaError) -> None:
        """Raise _RefusedError for the records of the first refused request, if records caused the error."""
        refused = [promise for promise in list(self._failed) if kind_of(promise.exception) is FailureKind.RECORD]
        if refused:
            # all records of a request share its result; each refused record has its own exception
            request = refused[0]._produce_future  # noqa: SLF001
            among = {id(promise) for promise in refused if promise._produce_future is request}  # noqa: SLF001
            positions = [position for position, promise in self._promises if id(promise) in among]
            raise _RefusedError(positions, refused[0].exception) from error


class _Deadline:
    """The waiting time for a broker's answer, passed on to ``waiting``; ``waiting`` and ``check`` may raise."""

    def __init__(self, waiting: Callable[[float], None], check: Callable[[], None] = lambda: None) -> None:
        self._waiting, self._check = waiting, check
        self._started = time.monotonic()
        self._check_at_s = CHECK_AFTER_S

    def tell(self) -> float:
        """Report the seconds without an answer to ``waiting``, run ``check`` if it is due, and return the seconds."""
        seconds = time.monotonic() - self._started
        self._waiting(seconds)
        if seconds >= self._check_at_s:
            self._check_at_s = seconds + CHECK_AFTER_S
            self._check()
        return seconds
