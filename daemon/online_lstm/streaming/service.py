"""The service loop: poll, learn and predict, commit; write checkpoints; restore assigned partitions.

The commit protocol, step by step (the code below has the same numbers):

1. Poll records. The poll captures the membership together with the records.
2. Learn and predict: records in, outputs and dead letters out. Records below the committed offset are replayed
   without publishing, and the resulting digest is compared with the committed digest.
3. Check that this member still owns the partitions of the batch.
4. Publish outputs, dead letters, offsets and commit metadata in one transaction.
5. Report, and write a checkpoint if one is due: the state is exactly at the committed offsets.

A failure in 3 or 4 leaves nothing behind on the broker. In memory, every assigned partition returns to its newest
checkpoint and replays to its committed offset, exactly as after a crash. There is no other way back.

While the loop polls, every state is exactly at its committed offset. Only then may another thread read the states:
the Kafka client's thread, which revokes partitions, writes a checkpoint for the next owner.

The module knows Kafka only through ``InputSource`` and ``OutputSink``.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from online_lstm.checkpoint import CheckpointStore, CheckpointWriter
from online_lstm.codec.schemas import SchemaSource, schema_ids
from online_lstm.errors import (
    BrokerUnavailableError,
    CheckpointsUnavailableError,
    InputGoneError,
    MissingTopicError,
    NotCommittedError,
    SchemaRegistryUnavailableError,
)
from online_lstm.events import Committed, Membership, OutputRecord, PollResult, TopicPartition
from online_lstm.learning.partition import NetworkFactory, ProcessedBatch
from online_lstm.learning.state.schema import PartitionState
from online_lstm.learning.warm_start import WarmStart
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.streaming.assignments import Assignment, Assignments
from online_lstm.streaming.batch_report import batch_report
from online_lstm.streaming.broker_protocol import InputSource, OutputSink
from online_lstm.streaming.checkpoint_schedule import CheckpointSchedule
from online_lstm.streaming.commit_metadata import write_metadata
from online_lstm.streaming.problem_monitor import Monitor
from online_lstm.streaming.readiness import WAITING_S, HealthState, Readiness
from online_lstm.streaming.recovery import Recovery
from online_lstm.streaming.replay_verification import ReplayEnd
from online_lstm.telemetry import AssignmentChanged, Observer, TransactionEnded

POLL_S = 0.2
LEAVING_S = 1.0
"""Longest time that the revocation of a partition waits for its checkpoint."""
STOPPING_S = 10.0
"""Longest time that a stop waits for an unavailable broker."""

WAITED_FOR = (BrokerUnavailableError, CheckpointsUnavailableError, MissingTopicError, SchemaRegistryUnavailableError)
"""Errors that may end by themselves: the loop retries until they do."""

_log = EventLogger(__name__)


class Service:
    """One member of the group, from its start to its end.

    Args:
        settings: The settings in force.
        source: The consumer of the input topics.
        sink: The producer of the outputs.
        store: The checkpoints of the group.
        network_for: Returns the network for given learning settings.
        observer: Called with every report.
        health: Receives the liveness and readiness of the loop.
        warm_start: The initial state of new streams; None for untrained streams.
        schemas: The schemas of the registry; None if no format needs one.
        clock: Returns monotonic seconds, for periodic work; the learned state does not depend on it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        source: InputSource,
        sink: OutputSink,
        store: CheckpointStore,
        network_for: NetworkFactory,
        observer: Observer,
        health: HealthState,
        warm_start: WarmStart | None = None,
        schemas: SchemaSource | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._source, self._sink, self._observer = settings, source, sink, observer
        recovery = Recovery(
            settings,
            topic=source,
            store=store,
            network_for=network_for,
            observer=observer,
            warm_start=warm_start,
            schemas=schemas,
        )
        self._schemas = schemas
        self._assignments = Assignments(source, recovery, ReplayEnd(settings, store=store, observer=observer))
        self._checkpoints = CheckpointSchedule(
            CheckpointWriter(store),
            self._assignments,
            interval_s=settings.checkpoint_interval_s,
            observer=observer,
            clock=clock,
        )
        self._readiness = Readiness(health)
        self._monitor = Monitor(settings, source=source, observer=observer, clock=clock)
        self._can_predict_untrained = settings.learn or warm_start is not None
        self._idle_lock = threading.Lock()  # held by the loop whenever it does not poll
        self._batch_events = settings.max_batch_events
        self._joined = self._sink_ready = self._stopping = False
        self.events = 0

    def stop(self) -> None:
        """Request that the loop ends after the current batch; safe in a signal handler."""
        self._stopping = True

    def start(self) -> None:
        """Connect the sink, then join the group."""
        self._reconnect_sink()
        self._source.subscribe(self._on_revoked)
        self._joined = True
        self._report_readiness()

    def run(self) -> None:
        """Start unless already started, run until stopped, then checkpoint and leave the group."""
        try:
            if not self._joined:
                self.start()
            while not self._stopping:
                self.step()
            with self._idle_lock:
                self._checkpoints.begin_round()
            self.flush()
        finally:
            self._source.close()
            self._checkpoints.close()
            self._sink.close()
        _log.info("stopped", events=self.events)

    def flush(self) -> None:
        """Wait until all submitted checkpoints are written, and report them."""
        with self._idle_lock:
            self._checkpoints.drain()
            self._checkpoints.collect()

    def states(self) -> dict[TopicPartition, PartitionState]:
        """Return the learned states of the restored partitions."""
        with self._idle_lock:
            return {assignment.source: assignment.partition.state() for assignment in self._assignments}

    def step(self) -> None:
        """Process one batch: poll, learn, predict and commit."""
        waits_for = ""
        try:
            polled = self._source.poll(POLL_S, self._batch_events)  # 1
            with self._idle_lock, self._discard_state_on_error():
                self._advance(polled)
        except WAITED_FOR as error:
            waits_for = str(error)  # the next step tries to restore the remaining partitions again
        except InputGoneError:
            if self._settings.on_gap == "refuse":
                raise
            with self._idle_lock:
                self._return_to_committed_offsets()
        self._readiness.wait_for(waits_for)

    def _advance(self, polled: PollResult) -> None:
        self._readiness.beat()
        self._checkpoints.collect()
        try:
            self._reassign(polled)
            self._prepare_batch(polled)
            self._process_batch(polled)
            self._finish_replays(polled.membership)
            if self._monitor.watch([assignment.source for assignment in self._assignments.live]):
                self._report_readiness()
        except NotCommittedError as error:
            _log.warning("batch not committed", reason=error)
            self._sink_ready = False
            self._halve_batches()
            self._return_to_committed_offsets()
        if self._checkpoints.due:
            self._checkpoints.begin_round()

    @contextmanager
    def _discard_state_on_error(self) -> Iterator[None]:
        """Drop the in-memory state on an error, so that a state between two commits is never checkpointed."""
        try:
            yield
        except WAITED_FOR:
            raise  # only partitions that are being restored have changed
        except BaseException:
            self._assignments.clear()
            raise

    # a batch

    def _prepare_batch(self, polled: PollResult) -> None:
        """Restore assigned partitions and fetch the schemas of a batch; read the batch again if one of these waits."""
        try:
            self._restore_assigned()
            if self._schemas is not None:
                every = [record for records in polled.records.values() for record in records]
                for schema_id in sorted(schema_ids(part for record in every for part in (record.key, record.value))):
                    self._schemas.schema(schema_id)
        except WAITED_FOR:
            for source, records in polled.records.items():
                if self._assignments.get(source) is not None:
                    self._source.seek(source, records[0].offset)
            raise

    def _process_batch(self, polled: PollResult) -> None:
        processed: dict[TopicPartition, ProcessedBatch] = {}
        offsets: dict[TopicPartition, Committed] = {}
        for source, records in polled.records.items():
            assignment = self._assignments.get(source)
            if assignment is not None and (live := self._assignments.replay(assignment, records)):
                processed[source] = assignment.partition.process(live)  # 2
                metadata = write_metadata(assignment.partition.commit_metadata)
                offsets[source] = Committed(live[-1].offset + 1, metadata)
        if not offsets:
            return
        self._commit({source: batch.outputs for source, batch in processed.items()}, offsets, polled.membership)
        for source, batch in processed.items():
            assignment = self._assignments[source]
            assignment.committed = offsets[source].offset
            last, lag = polled.records[source][-1], self._source.lag(source)
            self.events += batch.tally.events
            self._monitor.note(source, batch.hints)
            self._observer(batch_report(source, batch, last=last, lag_records=lag))  # 5
            self._report_statistics(assignment)

    def _commit(
        self,
        outputs: Mapping[TopicPartition, Sequence[OutputRecord]],
        offsets: Mapping[TopicPartition, Committed],
        membership: Membership,
    ) -> None:
        started = time.perf_counter()
        count = sum(map(len, outputs.values()))
        committed = False
        try:
            self._require_membership(membership, offsets)  # 3
            self._sink.commit(outputs, offsets, membership, self._wait_for_commit)  # 4
            committed = True
        finally:
            self._observer(TransactionEnded(time.perf_counter() - started, count, committed))
        self._batch_events = min(self._settings.max_batch_events, self._batch_events + 1)

    def _require_membership(self, membership: Membership, sources: Iterable[TopicPartition]) -> None:
        """Refuse the batch of an expelled member, because the broker does not check every case."""
        if membership.generation < 0 or not membership.member_id:
            raise NotCommittedError("this member was expelled from the group")
        lost = [str(source) for source in sources if source not in self._source.assignment()]
        if lost:
            raise NotCommittedError(f"{', '.join(sorted(lost))} went to another member")

    def _halve_batches(self) -> None:
        """Halve the batch size, because an equally large batch would be too slow again."""
        self._batch_events = max(1, self._batch_events // 2)

    # assigned partitions

    def _reassign(self, polled: PollResult) -> None:
        if not (polled.assigned or polled.revoked):
            return
        self._assignments.change(polled)
        if polled.lost:
            self._halve_batches()
        self._observer(AssignmentChanged(polled.assigned, polled.revoked))
        self._report_readiness()

    def _restore_assigned(self) -> None:
        """Restore the newly assigned, paused partitions; reconnect a failed sink first."""
        if self._assignments.incomplete:
            if not self._sink_ready:
                self._reconnect_sink()
            self._assignments.restore()
            self._report_readiness()

    def _finish_replays(self, membership: Membership) -> None:
        """Make the partitions live that have replayed to the committed offset; a new lineage is committed first."""

        def commit(source: TopicPartition, initial_commit: Committed) -> None:
            self._commit({}, {source: initial_commit}, membership)

        try:
            for assignment in self._assignments.finish_replays(commit):
                records = assignment.partition.commit_metadata.records
                if not (records or self._can_predict_untrained):
                    reason = "learn is false: no prediction"
                    _log.warning("nothing was ever learned", source=assignment.source, reason=reason)
                _log.info("live", source=assignment.source, offset=assignment.committed, records=records)
                self._report_statistics(assignment)
                self._report_readiness()
        except CheckpointsUnavailableError:
            self._return_to_committed_offsets()
            raise

    def _return_to_committed_offsets(self) -> None:
        """Drop the state since the last commit; the next step restores the partitions that are still assigned."""
        self._assignments.return_to_committed_offsets()
        self._checkpoints.drain()
        self._report_readiness()

    def _on_revoked(self, sources: Iterable[TopicPartition]) -> None:
        """Write checkpoints for the next owner without a long wait; a replay makes up for a missing checkpoint."""
        if self._idle_lock.acquire(timeout=LEAVING_S):
            try:
                leaving = set(sources)
                self._checkpoints.submit(one for one in self._assignments if one.source in leaving)
                self._checkpoints.drain(LEAVING_S)
            finally:
                self._idle_lock.release()

    def _report_statistics(self, assignment: Assignment) -> None:
        self._observer(assignment.partition.report(assignment.checkpointed))

    def _report_readiness(self) -> None:
        self._readiness.report(self._assignments.obstacles or self._monitor.obstacles)

    # waiting for the broker

    def _reconnect_sink(self) -> None:
        self._sink.reconnect(self._wait_for_sink)
        self._sink_ready = True

    def _wait_for_sink(self, seconds: float) -> None:
        self._readiness.wait_for_broker(seconds)
        if self._stopping and seconds >= STOPPING_S:
            raise NotCommittedError(f"stopped while the broker did not answer for {seconds:.0f} s")

    def _wait_for_commit(self, seconds: float) -> None:
        """Raise NotCommittedError after the transaction timeout: a client that lost a request would wait forever."""
        self._wait_for_sink(seconds)
        if seconds > self._settings.transaction_timeout_s + WAITING_S:
            raise NotCommittedError(f"the broker did not answer for {seconds:.0f} s")
