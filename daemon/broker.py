"""Kafka as the loop sees it: a source of polled batches and a sink that commits each in one transaction.

This is the only module of the daemon that speaks to Kafka. It knows the client's traps and keeps them to itself;
it knows nothing of learning or of checkpoints.
"""

import contextlib
import fcntl
import logging
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    InvalidProducerEpochError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    ProducerFencedError,
    TopicAlreadyExistsError,
)
from kafka.structs import OffsetAndMetadata

from daemon.errors import (
    BrokerUnavailableError,
    FencedError,
    MembershipLostError,
    MissingTopicError,
    RecoveryRefusedError,
)
from daemon.records import Committed, InputRecord, Membership, OutputRecord, Polled, TopicPartition
from daemon.settings import Settings

_log = logging.getLogger(__name__)


def client_options(settings: Settings) -> dict[str, Any]:
    """Say how any client of these settings connects."""
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "bootstrap_timeout_ms": int(settings.connect_timeout_s * 1000),
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.password(),
        }
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        if (path := getattr(settings, name)) is not None:
            options[name] = str(path)
    return options


@contextlib.contextmanager
def reaching_broker(settings: Settings) -> Iterator[None]:
    """Turn the client's failure to connect into an error that says where to."""
    try:
        yield
    except KafkaError as error:
        raise BrokerUnavailableError(
            f"bootstrap_servers: no broker answered at {', '.join(settings.bootstrap_servers)} within "
            f"{settings.connect_timeout_s:g} s ({error}); start one with `online-lstm broker`, or name another"
        ) from error


def ensure_topics(settings: Settings) -> None:
    """Create the input, output and dead-letter topics that are missing.

    Raises:
        BrokerUnavailableError: No broker answers in time.
        MissingTopicError: A topic is missing and ``create_topics`` is off.
    """
    with reaching_broker(settings):
        admin = KafkaAdminClient(**client_options(settings))
    try:
        partitions = _create_missing(admin, settings, dict.fromkeys(settings.input_topics, -1))
        most = max(partitions.values())
        published = {settings.output_topic: most}
        published |= {settings.dead_letters_of(topic): count for topic, count in partitions.items()}
        _create_missing(admin, settings, published)
    finally:
        admin.close()


def _create_missing(admin: KafkaAdminClient, settings: Settings, wanted: Mapping[str, int]) -> dict[str, int]:
    """Make sure that topics exist and give their numbers of partitions."""
    missing = {name: count for name, count in wanted.items() if name not in set(admin.list_topics())}
    if missing and not settings.create_topics:
        raise MissingTopicError(
            f"topic {', '.join(sorted(missing))} does not exist at {', '.join(settings.bootstrap_servers)}: "
            "create it, or set create_topics"
        )
    if missing:
        with contextlib.suppress(TopicAlreadyExistsError):  # another instance was quicker
            admin.create_topics(
                {name: {"num_partitions": count, "replication_factor": -1} for name, count in missing.items()}
            )
        _log.info("topics created names=%s", ",".join(sorted(missing)))
        admin.wait_for_topics(list(missing))
    described = admin.describe_topics(list(wanted))
    return {topic["name"]: len(topic["partitions"]) for topic in described}


class KafkaSource:
    """A member of the consumer group, as the loop's source."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._listener = _Assignments()
        with reaching_broker(settings):
            self._consumer = KafkaConsumer(
                **client_options(settings),
                group_id=settings.group_id,
                group_instance_id=settings.group_instance_id,
                enable_auto_commit=False,
                auto_offset_reset="none",  # a lost offset is refused, never skipped
                isolation_level="read_committed",
                partition_assignment_strategy=[CooperativeStickyAssignor],
                session_timeout_ms=int(settings.session_timeout_s * 1000),
                heartbeat_interval_ms=int(settings.session_timeout_s * 300),
                max_poll_interval_ms=int(settings.max_poll_interval_s * 1000),
                max_poll_records=settings.max_batch_events,
            )
        self._listener.consumer = self._consumer
        self._starts = self._latest() if settings.start_from == "latest" else {}

    def subscribe(self) -> None:
        """Join the group."""
        self._consumer.subscribe(list(self._settings.input_topics), listener=self._listener)

    def poll(self, timeout_s: float, most: int) -> Polled:
        """Wait for records; the membership is captured with them and never read again."""
        records: dict[Any, list[Any]] = {}
        try:
            records = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=most)
        except (NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
            raise RecoveryRefusedError(
                f"the input topic no longer has the records to go on from ({error}): they fell off its retention; "
                "use another group_id to start afresh"
            ) from error
        except KafkaError as error:
            if not getattr(error, "retriable", True):
                raise
            _log.warning("poll failed error=%r", error)
        metadata = self._consumer.group_metadata()
        assigned, revoked, lost = self._listener.take()
        return Polled(
            records={_ours(source): [_record(r) for r in batch] for source, batch in records.items()},
            membership=Membership(metadata.generation_id, metadata.member_id, metadata),
            assigned=assigned,
            revoked=revoked,
            lost=lost,
        )

    def owned(self) -> set[TopicPartition]:
        """Give the partitions that are this member's right now."""
        return {_ours(source) for source in self._consumer.assignment()}

    def committed(self, source: TopicPartition) -> Committed | None:
        """Ask the group's committed offset; waits for open transactions."""
        found = self._consumer.committed(_theirs(source), metadata=True)
        return None if found is None or found.offset < 0 else Committed(found.offset, found.metadata or "")

    def start_offset(self, source: TopicPartition) -> int:
        """Say where a group without an offset begins (``start_from``)."""
        theirs, start = _theirs(source), self._settings.start_from
        if start not in {"earliest", "latest"}:
            moment = datetime.fromisoformat(start)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            found = self._consumer.offsets_for_times({theirs: int(moment.timestamp() * 1000)})[theirs]
            return int(found.offset if found else self._consumer.end_offsets([theirs])[theirs])
        if source in self._starts:
            return self._starts[source]
        return self.first_offset(source)

    def first_offset(self, source: TopicPartition) -> int:
        """Give the oldest offset that the topic still has."""
        theirs = _theirs(source)
        return int(self._consumer.beginning_offsets([theirs])[theirs])

    def begin_at(self, source: TopicPartition, offset: int) -> None:
        """Read a partition from this offset on; before, it is paused."""
        self._consumer.seek(_theirs(source), offset)
        self._consumer.resume(_theirs(source))

    def hold(self, source: TopicPartition) -> None:
        """Read nothing of a partition until ``begin_at``."""
        if source in self.owned():
            self._consumer.pause(_theirs(source))

    def position(self, source: TopicPartition) -> int:
        """Give the offset that is read next: past markers and compacted gaps too."""
        return int(self._consumer.position(_theirs(source)))

    def lag(self, source: TopicPartition) -> int:
        """Count the records that are not yet read, by what the last fetch said."""
        end = self._consumer.highwater(_theirs(source))
        return 0 if end is None else max(0, int(end) - self.position(source))

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close(timeout_ms=5000)

    def _latest(self) -> dict[TopicPartition, int]:
        topics = self._settings.input_topics
        theirs = [kafka.TopicPartition(t, p) for t in topics for p in self._consumer.partitions_for_topic(t) or ()]
        return {_ours(source): int(end) for source, end in self._consumer.end_offsets(theirs).items()}


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes what happens to the assignment; it is called on the client's thread while the loop polls.

    A new partition is paused at once, with a position that is never read from, until the loop restored its state.
    """

    consumer: KafkaConsumer

    def __init__(self) -> None:
        self._assigned: list[TopicPartition] = []
        self._revoked: list[TopicPartition] = []
        self._lost = False

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        for source in assigned:
            self.consumer.pause(source)
            self.consumer.seek(source, 0)
            self._assigned.append(_ours(source))

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        for source in map(_ours, revoked):
            if source in self._assigned:
                self._assigned.remove(source)
            self._revoked.append(source)

    def on_partitions_lost(self, lost: Iterable[Any]) -> None:
        self.on_partitions_revoked(lost)
        self._lost = True

    def take(self) -> tuple[tuple[TopicPartition, ...], tuple[TopicPartition, ...], bool]:
        """Give what was noted since the last time: assigned, revoked, and whether any were lost."""
        taken = tuple(self._assigned), tuple(self._revoked), self._lost
        self._assigned, self._revoked, self._lost = [], [], False
        return taken


class KafkaSink:
    """A transactional producer, rebuilt after any failure."""

    def __init__(self, settings: Settings, *, while_waiting: Callable[[], None]) -> None:
        self._settings = settings
        self._while_waiting = while_waiting
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
            {_theirs(s): OffsetAndMetadata(c.offset, c.metadata, -1) for s, c in offsets.items()}, membership.proof
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
        failures: list[BaseException] = []
        done = threading.Event()

        def run() -> None:
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - raised again below, on the caller's thread
                failures.append(error)
            finally:
                done.set()

        threading.Thread(target=run, name="transaction", daemon=True).start()
        while not done.wait(1.0):
            self._while_waiting()
        if failures:
            raise failures[0]

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
        folder = Path(tempfile.gettempdir()) / "online-lstm-slots"
        folder.mkdir(mode=0o777, exist_ok=True)
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


def _ours(source: Any) -> TopicPartition:
    return TopicPartition(source.topic, source.partition)


def _theirs(source: TopicPartition) -> Any:
    return kafka.TopicPartition(source.topic, source.partition)


def _record(record: Any) -> InputRecord:
    return InputRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple((name, value or b"") for name, value in record.headers),
    )
