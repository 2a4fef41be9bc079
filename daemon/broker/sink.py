"""Where a batch is published: whole, with its offsets, or not at all; or at least once, where that cannot be had."""

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
from kafka.errors import InvalidProducerEpochError, KafkaError, KafkaTimeoutError, ProducerFencedError
from kafka.structs import OffsetAndMetadata

from daemon.broker.client import Client
from daemon.broker.connection import abandon, theirs
from daemon.broker.source import KafkaSource
from daemon.errors import FencedError, NotCommittedError
from daemon.records import Committed, Membership, OutputRecord, TopicPartition
from daemon.settings import Settings

MAX_BLOCK_MS = 10_000
"""Longest that the client waits by itself, for metadata."""

Outputs = Mapping[TopicPartition, Sequence[OutputRecord]]
Offsets = Mapping[TopicPartition, Committed]


class KafkaSink(ABC):
    """A producer that is made anew after any failure; what a batch is published in depends on the kind."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: KafkaProducer = None
        self._partitions: dict[str, int] = {}

    def commit(
        self, outputs: Outputs, offsets: Offsets, membership: Membership, waiting: Callable[[float], None]
    ) -> None:
        """Publish outputs and offsets.

        Raises:
            NotCommittedError: Something was not acknowledged; ``rebuild``, and go back to the committed offsets.
        """
        try:
            self._publish(outputs, offsets, membership, _Patience(waiting))
        except KafkaError as error:
            raise NotCommittedError(f"the batch was not published: {error!r}") from error

    def rebuild(self, waiting: Callable[[float], None]) -> None:
        """Begin, or begin afresh; raises what a ``Client`` raises."""
        self._discard()
        client = Client(
            KafkaProducer,
            self._settings,
            max_request_size=2 * self._settings.max_output_bytes,
            batch_size=512 * 1024,  # one request a batch: with the default, 500 records take three times as long
            retry_backoff_ms=5,  # the client sleeps this long while the broker still ends the transaction before
            max_block_ms=MAX_BLOCK_MS,
            **self._options(),
        )
        self._producer = client.library  # what fails in a commit is told by ``commit``
        with client.translated():
            self._begin(_Patience(waiting))

    def close(self) -> None:
        """Let the producer go."""
        self._discard()

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Say how the producer is made."""

    @abstractmethod
    def _publish(self, outputs: Outputs, offsets: Offsets, membership: Membership, patience: "_Patience") -> None:
        """Publish and commit."""

    def _begin(self, patience: "_Patience") -> None:  # noqa: ARG002 - not all have to wait
        topics = [self._settings.output_topic, *map(self._settings.dead_letters_of, self._settings.input_topics)]
        self._partitions = {topic: len(self._producer.partitions_for(topic)) for topic in topics}

    def _send(self, outputs: Outputs) -> list[Any]:
        """Send all records and give the promises of their acknowledgement."""
        promises = []
        for source, records in outputs.items():
            letters = self._settings.dead_letters_of(source.topic)
            for record in records:
                topic = letters if record.dead_letter else self._settings.output_topic
                promise = self._producer.send(
                    topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    # the same number where there is one: order is kept, and a key is where readers expect it
                    partition=record.source_partition % self._partitions[topic],
                    timestamp_ms=record.timestamp_ms if record.timestamp_ms >= 0 else None,
                )
                promises.append(promise)
        return promises

    def _discard(self) -> None:
        if self._producer is not None:
            abandon(self._producer)
            self._producer = None


class TransactionalSink(KafkaSink):
    """Publishes a batch in one transaction, or not at all.

    A rebuilt producer has the broker abort what its transactional id left open, and fences whoever had it.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._slot: IO[bytes] | None = None
        self.transactional_id = f"{settings.group_id}-{settings.instance_id or self._free_slot()}"
        self._fenced_at: float | None = None

    def commit(
        self, outputs: Outputs, offsets: Offsets, membership: Membership, waiting: Callable[[float], None]
    ) -> None:
        """Publish outputs and offsets, or nothing.

        Raises:
            NotCommittedError: The transaction is not known to be committed.
            FencedError: Another process uses this transactional id, again and again.
        """
        began = time.monotonic()
        try:
            super().commit(outputs, offsets, membership, waiting)
        except NotCommittedError as error:
            # a transaction that was open for longer was fenced by the broker itself
            if _is_fencing(error.__cause__) and time.monotonic() - began < self._settings.transaction_timeout_s:
                self._note_fencing()
            raise

    def close(self) -> None:
        """Let the producer and the slot go."""
        super().close()
        if self._slot is not None:
            self._slot.close()

    def _options(self) -> dict[str, Any]:
        return {
            "transactional_id": self.transactional_id,
            "transaction_timeout_ms": int(self._settings.transaction_timeout_s * 1000),
        }

    def _begin(self, patience: "_Patience") -> None:
        self._wait(self._transactions.initialize_transactions(), patience, limit_s=self._settings.connect_timeout_s)
        super()._begin(patience)

    def _publish(self, outputs: Outputs, offsets: Offsets, membership: Membership, patience: "_Patience") -> None:
        self._producer.begin_transaction()
        self._send(outputs)  # one that is not acknowledged fails the commit
        places = {theirs(s): OffsetAndMetadata(c.offset, c.metadata, -1) for s, c in offsets.items()}
        self._wait(self._transactions.send_offsets_to_transaction(places, membership.proof), patience)
        self._wait(self._transactions.begin_commit(), patience)

    @property
    def _transactions(self) -> Any:
        """What the producer's own methods use, which wait without end: for ever, where the client lost a request."""
        return self._producer._transaction_manager  # noqa: SLF001

    def _wait(self, result: Any, patience: "_Patience", *, limit_s: float = math.inf) -> None:
        self._producer._sender.wakeup()  # noqa: SLF001
        while not result.wait(timeout_ms=1000):
            if patience.tell() > limit_s:
                raise KafkaTimeoutError(f"no answer within {limit_s:g} s")

    def _note_fencing(self) -> None:
        """Tolerate being fenced once: a member that was stopped for long is fenced by its own past."""
        now = time.monotonic()
        if self._fenced_at is not None and now - self._fenced_at < 6 * self._settings.transaction_timeout_s:
            raise FencedError(f"another process publishes as {self.transactional_id}: give each its own instance_id")
        self._fenced_at = now

    def _free_slot(self) -> str:
        """Name this process by its host and the first slot on it that nobody holds, the same one after a restart."""
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


class AtLeastOnceSink(KafkaSink):
    """Publishes a batch, waits for every acknowledgement, then commits its offsets: a crash between repeats it."""

    def __init__(self, settings: Settings, source: KafkaSource) -> None:
        super().__init__(settings)
        self._source = source

    def _options(self) -> dict[str, Any]:
        return {}

    def _publish(
        self,
        outputs: Outputs,
        offsets: Offsets,
        membership: Membership,  # noqa: ARG002 - the broker knows whose offsets it takes
        patience: "_Patience",
    ) -> None:
        for promise in self._send(outputs):
            while not promise.is_done:
                with contextlib.suppress(KafkaTimeoutError):
                    self._producer.flush(timeout=1.0)
                patience.tell()
            promise.get()
        self._source.commit(offsets)


class _Patience:
    """Tells whoever waits for a broker how long it has been; they may give up by an exception."""

    def __init__(self, waiting: Callable[[float], None]) -> None:
        self._waiting = waiting
        self._started = time.monotonic()

    def tell(self) -> float:
        """Say that there still is no answer, and for how many seconds."""
        seconds = time.monotonic() - self._started
        self._waiting(seconds)
        return seconds


def _is_fencing(error: BaseException | None) -> bool:
    return isinstance(error, ProducerFencedError | InvalidProducerEpochError) or "ProducerFenced" in repr(error)
