"""A transactional producer: a batch is published whole, with its offsets, or not at all."""

import contextlib
import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO
from urllib.parse import quote

from kafka import KafkaProducer
from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError
from kafka.structs import OffsetAndMetadata

from daemon.broker.connection import client_options, reaching_broker, theirs
from daemon.errors import FencedError, MembershipLostError
from daemon.records import Committed, Membership, OutputRecord, TopicPartition
from daemon.settings import Settings


class KafkaSink:
    """A transactional producer, rebuilt after any failure."""

    def __init__(self, settings: Settings, *, while_waiting: Callable[[], None]) -> None:
        self._settings = settings
        self._while_waiting = while_waiting
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="transaction")
        self._slot: IO[bytes] | None = None
        self.transactional_id = f"{settings.group_id}-{settings.instance_id or self._free_slot()}"
        self._fenced_at: float | None = None
        self._producer: KafkaProducer = None
        self._partitions: dict[str, int] = {}
        self.rebuild()

    def commit(
        self,
        outputs: Mapping[TopicPartition, Sequence[OutputRecord]],
        offsets: Mapping[TopicPartition, Committed],
        membership: Membership,
    ) -> None:
        """Publish outputs and offsets in one transaction, or nothing.

        Raises:
            MembershipLostError: The transaction was not committed; ``rebuild``, and go back to the committed offsets.
            FencedError: Another process uses this transactional id, again and again.
        """
        try:
            self._waiting(lambda: self._transact(outputs, offsets, membership))
        except KafkaError as error:
            text = repr(error)
            if isinstance(error, ProducerFencedError | InvalidProducerEpochError) or "ProducerFenced" in text:
                self._note_fencing()
            raise MembershipLostError(f"transaction of {self.transactional_id} failed: {text}") from error

    def rebuild(self) -> None:
        """Begin afresh: the broker aborts what this transactional id left open and fences whoever had it."""
        self._discard()
        with reaching_broker(self._settings):
            self._producer = KafkaProducer(
                **client_options(self._settings),
                transactional_id=self.transactional_id,
                transaction_timeout_ms=int(self._settings.transaction_timeout_s * 1000),
                max_request_size=2 * self._settings.max_output_bytes,
                batch_size=512 * 1024,  # one request a batch: with the default, 500 records take three times as long
                retry_backoff_ms=5,  # the client sleeps this long while the broker still ends the transaction before
            )
            self._waiting(self._producer.init_transactions)
            topics = [self._settings.output_topic, *map(self._settings.dead_letters_of, self._settings.input_topics)]
            self._partitions = {topic: len(self._producer.partitions_for(topic)) for topic in topics}

    def close(self) -> None:
        """Let the producer and the slot go."""
        self._discard()
        self._thread.shutdown(wait=False)
        if self._slot is not None:
            self._slot.close()

    def _transact(
        self,
        outputs: Mapping[TopicPartition, Sequence[OutputRecord]],
        offsets: Mapping[TopicPartition, Committed],
        membership: Membership,
    ) -> None:
        self._producer.begin_transaction()
        for source, records in outputs.items():
            letters = self._settings.dead_letters_of(source.topic)
            for record in records:
                self._send(letters if record.dead_letter else self._settings.output_topic, record)
        self._producer.send_offsets_to_transaction(
            {theirs(s): OffsetAndMetadata(c.offset, c.metadata, -1) for s, c in offsets.items()}, membership.proof
        )
        self._producer.commit_transaction()

    def _send(self, topic: str, record: OutputRecord) -> None:
        # the same partition where there is one, so that order is kept and readers find a key where they expect it
        partition = record.source_partition % self._partitions[topic]
        self._producer.send(
            topic,
            value=record.value,
            key=record.key,
            headers=list(record.headers),
            partition=partition,
            timestamp_ms=record.timestamp_ms if record.timestamp_ms >= 0 else None,
        )

    def _waiting(self, call: Callable[[], None]) -> None:
        """Run a call that may wait for the broker without end, and show meanwhile that the loop is alive."""
        running = self._thread.submit(call)
        while not wait([running], timeout=1.0).done:
            self._while_waiting()
        running.result()

    def _discard(self) -> None:
        if self._producer is not None:
            with contextlib.suppress(KafkaError):
                self._producer.close(timeout=0)
            self._producer = None

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
