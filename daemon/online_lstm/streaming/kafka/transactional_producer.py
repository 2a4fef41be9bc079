"""The producer of exactly-once delivery: outputs and offsets of a batch in one transaction."""

import math
import time
from collections.abc import Callable
from typing import Any

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

from online_lstm.errors import FencedError, NotCommittedError
from online_lstm.events import Membership
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.base_producer import BatchProducer, Formed, Offsets, Outputs
from online_lstm.streaming.kafka.broker_wait import BrokerWait
from online_lstm.streaming.kafka.connection import to_kafka
from online_lstm.streaming.kafka.failures import FailureKind, kind_of
from online_lstm.streaming.kafka.instance_slot import InstanceSlot
from online_lstm.streaming.kafka.translating_client import Client
from online_lstm.telemetry import Observer

WAIT_MS = 200
"""Interval at which a wait for the broker checks for failures and reports the waiting time."""
_TRANSACTION_REQUESTS = (
    InitProducerIdRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    TxnOffsetCommitRequest,
    EndTxnRequest,
)


class TransactionalProducer(BatchProducer):
    """A producer that publishes a batch in one transaction, or publishes nothing.

    When a new producer initializes, the broker aborts the open transaction of the transactional id and fences the
    previous producer with this id.
    """

    def __init__(self, settings: Settings, observer: Observer = lambda _: None) -> None:
        super().__init__(settings, observer)
        self._slot = None if settings.instance_id else InstanceSlot(settings.group_id)
        self.transactional_id = f"{settings.group_id}-{self._slot.name if self._slot else settings.instance_id}"
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
                self._tolerate_one_fencing()
            raise

    def close(self) -> None:
        """Close the producer and release the slot."""
        super().close()
        if self._slot is not None:
            self._slot.release()

    def _connect(self, **options: Any) -> Client:
        return Client(
            KafkaProducer,
            self._settings,
            transactional_id=self.transactional_id,
            transaction_timeout_ms=int(self._settings.transaction_timeout_s * 1000),
            **options,
        )

    def _begin(self, wait: BrokerWait) -> None:
        self._client.require(*_TRANSACTION_REQUESTS)
        self._wait(self._transactions.initialize_transactions(), wait, limit_s=self._settings.connect_timeout_s)
        super()._begin(wait)

    def _publish(self, records: Formed, offsets: Offsets, membership: Membership, wait: BrokerWait) -> None:
        self._producer.begin_transaction()
        acknowledgements = self._send(records)
        positions = {to_kafka(s): OffsetAndMetadata(c.offset, c.metadata, -1) for s, c in offsets.items()}
        try:
            for request in (
                lambda: self._transactions.send_offsets_to_transaction(positions, membership.group_metadata),
                self._transactions.begin_commit,
            ):
                self._wait(request(), wait, meanwhile=acknowledgements.raise_failure)
        except KafkaError as error:  # an unacknowledged record fails the transaction
            acknowledgements.raise_refusal(error)
            raise

    @property
    def _transactions(self) -> Any:
        """The producer's transaction manager; the producer's own methods wait forever if the client lost a request."""
        return self._producer._transaction_manager  # noqa: SLF001

    def _wait(
        self,
        result: Any,
        wait: BrokerWait,
        *,
        limit_s: float = math.inf,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._producer._sender.wakeup()  # noqa: SLF001
        while not result.wait(timeout_ms=WAIT_MS):
            meanwhile()
            if wait.report() > limit_s:
                raise KafkaTimeoutError(f"no answer within {limit_s:g} s")

    def _tolerate_one_fencing(self) -> None:
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
