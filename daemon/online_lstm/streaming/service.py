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

The module knows Kafka only through ``InputSource`` and ``OutputSink``. It is longer than other modules, so that the
whole protocol is in one file.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from online_lstm.checkpoint import CheckpointStore, CheckpointWriter
from online_lstm.errors import (
    BrokerUnavailableError,
    CheckpointsUnavailableError,
    InputGoneError,
    MissingTopicError,
    NotCommittedError,
)
from online_lstm.events import Committed, InputRecord, Membership, OutputRecord, PollResult, TopicPartition
from online_lstm.learning.partition import NetworkFactory, Partition, ProcessedBatch
from online_lstm.learning.warm_start import WarmStart
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.streaming.monitor import Monitor
from online_lstm.streaming.recovery import Recovery, RestoredPartition, write_metadata
from online_lstm.telemetry import AssignmentChanged, BatchCommitted, Observer, TransactionEnded

POLL_S = 0.2
LEAVING_S = 1.0
"""Longest time that the revocation of a partition waits for its checkpoint."""
WAITING_S = 3.0
"""After this time without an answer from the broker, the daemon is not ready."""
STOPPING_S = 10.0
"""Longest time that a stop waits for an unavailable broker."""
CHECKPOINT_SHARE = 0.05
"""Largest share of the time spent on writing checkpoints; the checkpoint interval grows to respect it."""

WAITED_FOR = (BrokerUnavailableError, CheckpointsUnavailableError, MissingTopicError)
"""Errors that may end by themselves: the loop retries until they do."""

_log = EventLogger(__name__)


class InputSource(Protocol):
    """A member of a consumer group."""

    def subscribe(self, on_revoked: Callable[[Iterable[TopicPartition]], None]) -> None:
        """Join the group; call ``on_revoked``, on any thread, before partitions move to another member."""

    def poll(self, timeout_s: float, most: int) -> PollResult:
        """Wait for at most ``most`` records; newly assigned partitions are paused until ``seek``.

        Raises:
            BrokerUnavailableError: The broker does not answer.
            InputGoneError: The topic does not have the next record.
        """

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are currently assigned to this member."""

    def committed(self, source: TopicPartition) -> Committed | None:
        """Return the group's committed offset after open transactions end; may raise BrokerUnavailableError."""

    def initial_offset(self, source: TopicPartition) -> int:
        """Return the first offset to read for a group without a committed offset."""

    def offset_range(self, source: TopicPartition) -> range:
        """Return the offsets from the log start to the end; the end is the offset of the next record."""

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic."""

    def seek(self, source: TopicPartition, offset: int) -> None:
        """Set the position of a partition to an offset, and resume the partition."""

    def pause(self, source: TopicPartition) -> None:
        """Suspend fetching from a partition until ``seek``."""

    def position(self, source: TopicPartition) -> int:
        """Return the offset of the next record to read."""

    def lag(self, source: TopicPartition) -> int:
        """Return the number of unread records, including records of open transactions."""

    def behind_transactions(self, sources: Iterable[TopicPartition]) -> set[TopicPartition]:
        """Return the partitions in which an open transaction of a producer blocks the next record."""

    def close(self) -> None:
        """Leave the group."""


class OutputSink(Protocol):
    """A sink that publishes a batch in one transaction, or publishes nothing.

    While the broker does not answer, the sink calls ``waiting`` about every second with the seconds so far.
    ``waiting`` may raise an exception.
    """

    def commit(
        self,
        outputs: Mapping[TopicPartition, Sequence[OutputRecord]],
        offsets: Mapping[TopicPartition, Committed],
        membership: Membership,
        waiting: Callable[[float], None],
    ) -> None:
        """Commit outputs and offsets together; raise NotCommittedError unless the commit is confirmed."""

    def reconnect(self, waiting: Callable[[float], None]) -> None:
        """Connect, or connect again after a failure; raise BrokerUnavailableError if the broker does not answer."""

    def close(self) -> None:
        """Release all resources."""


class HealthState(Protocol):
    """The liveness and readiness of the loop."""

    def beat(self, waiting_for: str = "") -> None:
        """Record that the loop is alive, and what it waits for, if anything."""

    def ready(self) -> None:
        """Record that the loop learns new records on arrival."""

    def not_ready(self, *reasons: str) -> None:
        """Record why the loop does not learn new records on arrival."""


@dataclass(slots=True)
class _Assignment:
    """One assigned partition: its learners, committed offset, pending replay and newest checkpoint's offset."""

    partition: Partition
    committed: int
    replay: RestoredPartition | None
    checkpointed: int


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._source, self._sink = source, sink
        self._warm_start = warm_start
        self._observer, self._health, self._clock = observer, health, clock
        self._recovery = Recovery(
            settings, topic=source, store=store, network_for=network_for, observer=observer, warm_start=warm_start
        )
        self._monitor = Monitor(settings, topics=source, observer=observer, clock=clock)
        self._writer = CheckpointWriter(store)
        self._assignments: dict[TopicPartition, _Assignment] = {}
        self._unrestored: set[TopicPartition] = set()
        self._idle_lock = threading.Lock()  # held by the loop whenever it does not poll
        self._waits_for = ""
        self._sink_ready = False
        self._batch_events = settings.max_batch_events
        self._checkpoint_due = clock() + settings.checkpoint_interval_s
        self._checkpoint_seconds = 0.0
        self._stopping = False
        self.events = 0

    def stop(self) -> None:
        """Request that the loop ends after the current batch; safe in a signal handler."""
        self._stopping = True

    def start(self) -> None:
        """Connect the sink, then join the group."""
        self._sink.reconnect(self._wait_for_sink)
        self._sink_ready = True
        self._source.subscribe(self._on_revoked)
        self._report_health()

    def run(self) -> None:
        """Run until stopped, then checkpoint and leave the group."""
        try:
            self.start()
            while not self._stopping:
                self.step()
            with self._idle_lock:
                self._checkpoint()
                self._writer.drain()
                self._collect_finished_checkpoints()
        finally:
            self._source.close()
            self._writer.close()
            self._sink.close()
        _log.info("stopped", events=self.events)

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
        self._wait_for(waits_for)

    def _advance(self, polled: PollResult) -> None:
        self._health.beat(self._waits_for)
        self._collect_finished_checkpoints()
        try:
            self._reassign(polled)
            self._restore_assigned()
            self._process_batch(polled)
            self._finish_replays(polled.membership)
            self._watch()
        except NotCommittedError as error:
            _log.warning("batch not committed", reason=error)
            self._sink_ready = False
            self._halve_batches()
            self._return_to_committed_offsets()
        if self._clock() >= self._checkpoint_due and not self._writer.busy:
            self._checkpoint()

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

    def _wait_for(self, reason: str) -> None:
        """Update the health state with the reason for waiting; log the start and the end of the wait once."""
        if reason and not self._waits_for:
            _log.warning("waiting", reason=reason)
        elif self._waits_for and not reason:
            _log.info("going on")
        self._waits_for = reason
        self._health.beat(reason)

    def _wait_for_sink(self, seconds: float) -> None:
        if seconds >= WAITING_S:
            self._wait_for(f"the broker has not answered for {seconds:.0f} s")
        else:
            self._health.beat(self._waits_for)
        if self._stopping and seconds >= STOPPING_S:
            raise NotCommittedError(f"stopped while the broker did not answer for {seconds:.0f} s")

    def _wait_for_commit(self, seconds: float) -> None:
        """Raise NotCommittedError after the transaction timeout: a client that lost a request would wait forever."""
        self._wait_for_sink(seconds)
        if seconds > self._settings.transaction_timeout_s + WAITING_S:
            raise NotCommittedError(f"the broker did not answer for {seconds:.0f} s")

    # a batch

    def _process_batch(self, polled: PollResult) -> None:
        processed: dict[TopicPartition, ProcessedBatch] = {}
        offsets: dict[TopicPartition, Committed] = {}
        for source, records in polled.records.items():
            assignment = self._assignments.get(source)
            if assignment is None:
                continue
            live = self._replay(assignment, records)
            if live:
                processed[source] = assignment.partition.process(live)  # 2
                mark = assignment.partition.commit_metadata
                offsets[source] = Committed(live[-1].offset + 1, write_metadata(mark))
        if not offsets:
            return
        self._commit({source: done.outputs for source, done in processed.items()}, offsets, polled.membership)
        for source, done in processed.items():
            self._assignments[source].committed = offsets[source].offset
            self._monitor.note(source, done.hints)
            self._report_batch(source, done, polled.records[source][-1])  # 5

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

    def _require_membership(self, membership: Membership, sources: Mapping[TopicPartition, Committed]) -> None:
        """Refuse the batch of an expelled member, because the broker does not check every case."""
        if membership.generation < 0 or not membership.member_id:
            raise NotCommittedError("this member was expelled from the group")
        lost = [str(source) for source in sources if source not in self._source.assignment()]
        if lost:
            raise NotCommittedError(f"{', '.join(sorted(lost))} went to another member")

    # restoring

    def _reassign(self, polled: PollResult) -> None:
        if not (polled.assigned or polled.revoked):
            return
        for source in polled.revoked:
            self._assignments.pop(source, None)
        if polled.lost:
            self._halve_batches()
        self._unrestored = (self._unrestored - set(polled.revoked)) | set(polled.assigned)
        self._observer(AssignmentChanged(polled.assigned, polled.revoked))
        self._report_health()

    def _restore_assigned(self) -> None:
        """Restore the newly assigned, paused partitions; reconnect a failed sink first."""
        if not self._unrestored:
            return
        if not self._sink_ready:
            self._sink.reconnect(self._wait_for_sink)
            self._sink_ready = True
        for source in sorted(self._unrestored):
            restored = self._recovery.restore(source)
            self._assignments[source] = _Assignment(
                restored.partition, restored.replay_until, replay=restored, checkpointed=restored.offset
            )
            self._source.seek(source, restored.offset)
            self._unrestored.discard(source)
        self._report_health()

    def _replay(self, assignment: _Assignment, records: Sequence[InputRecord]) -> Sequence[InputRecord]:
        """Replay the records below the committed offset without publishing; return the records to process live.

        A replay ends in a separate step, so that a lineage that begins after the replay is committed first.
        """
        if assignment.replay is None:
            return records
        muted = [record for record in records if record.offset < assignment.replay.replay_until]
        assignment.partition.process(muted)
        if len(muted) < len(records):
            self._source.seek(assignment.partition.source, assignment.replay.replay_until)
        return ()

    def _finish_replays(self, membership: Membership) -> None:
        """End the replays that reached the committed offset, even if the log ends in transaction markers or gaps."""
        for source, assignment in self._assignments.items():
            replay = assignment.replay
            if replay is not None and self._source.position(source) >= replay.replay_until:
                self._finish_replay(source, assignment, replay, membership)

    def _finish_replay(
        self, source: TopicPartition, assignment: _Assignment, replay: RestoredPartition, membership: Membership
    ) -> None:
        """Verify the replay, commit a new lineage if one begins, and make the partition live."""
        try:
            begins = self._recovery.finish_replay(
                replay, lambda initial_commit: self._commit({}, {source: initial_commit}, membership)
            )
        except CheckpointsUnavailableError:
            self._return_to_committed_offsets()
            raise
        if begins:
            assignment.checkpointed = replay.replay_until
        assignment.partition.prepare()
        assignment.replay = None
        if not self._settings.learn and self._warm_start is None and not assignment.partition.commit_metadata.records:
            _log.warning("nothing was ever learned", source=source, reason="learn is false: no prediction")
        _log.info(
            "live", source=source, offset=replay.replay_until, records=assignment.partition.commit_metadata.records
        )
        self._observer(assignment.partition.report(assignment.checkpointed))
        self._report_health()

    def _return_to_committed_offsets(self) -> None:
        """Drop the state since the last commit; the next step restores the partitions that are still assigned."""
        for source in self._assignments:
            self._source.pause(source)
        self._unrestored |= set(self._assignments)
        self._assignments.clear()
        self._writer.drain()
        self._report_health()

    def _halve_batches(self) -> None:
        """Halve the batch size, because an equally large batch would be too slow again."""
        self._batch_events = max(1, self._batch_events // 2)

    # checkpoints and reports

    def _checkpoint(self) -> None:
        """Submit a checkpoint of every partition with commits since its last one; states are at committed offsets."""
        self._submit(self._assignments)
        self._checkpoint_due = self._clock() + self._settings.checkpoint_interval_s
        self._checkpoint_seconds = 0.0

    def _submit(self, sources: Iterable[TopicPartition]) -> None:
        for source in sources:
            assignment = self._assignments.get(source)
            if assignment and assignment.replay is None and assignment.committed > assignment.checkpointed:
                self._writer.submit(source, assignment.committed, assignment.partition.state())

    def _on_revoked(self, sources: Iterable[TopicPartition]) -> None:
        """Write checkpoints for the next owner without a long wait; a replay makes up for a missing checkpoint."""
        if self._idle_lock.acquire(timeout=LEAVING_S):
            try:
                self._submit(sources)
                self._writer.drain(LEAVING_S)
            finally:
                self._idle_lock.release()

    def _collect_finished_checkpoints(self) -> None:
        """Report the finished checkpoints; postpone the next one in proportion to the writing time of this round."""
        for report in self._writer.finished():
            self._checkpoint_seconds += report.seconds
            stretched = self._clock() + self._checkpoint_seconds / CHECKPOINT_SHARE
            self._checkpoint_due = max(self._checkpoint_due, stretched)
            self._observer(report)
            assignment = self._assignments.get(report.source)
            if report.result == "written" and assignment is not None:
                assignment.checkpointed = max(assignment.checkpointed, report.offset)

    def _report_batch(self, source: TopicPartition, done: ProcessedBatch, last: InputRecord) -> None:
        assignment, tally = self._assignments[source], done.tally
        self.events += tally.events
        self._observer(
            BatchCommitted(
                source=source,
                events=tally.events,
                scored=tally.scored,
                hits=tally.hits,
                fit_steps=tally.fit_steps,
                skipped_steps=tally.skipped_steps,
                dead_letters=tuple(sorted(tally.dead_letters.items())),
                evicted_streams=tally.evicted_streams,
                unlabelled_sequences=tally.unlabelled_sequences,
                drifts=tally.drifts,
                step_seconds=tally.seconds,
                lag_records=self._source.lag(source),
                last_timestamp_ms=last.timestamp_ms,
                outputs=done.outputs,
            )
        )
        self._observer(assignment.partition.report(assignment.checkpointed))

    def _watch(self) -> None:
        if self._monitor.watch([source for source, one in self._assignments.items() if one.replay is None]):
            self._report_health()

    def _report_health(self) -> None:
        replaying = [
            f"{source} replays to offset {assignment.committed}"
            for source, assignment in self._assignments.items()
            if assignment.replay is not None
        ]
        if replaying:
            self._health.not_ready(*replaying)
        elif self._unrestored:
            self._health.not_ready("going back to the committed offsets, which the broker has to tell")
        elif not self._assignments:
            self._health.not_ready("no partition is assigned yet")
        elif self._monitor.obstacles:
            self._health.not_ready(*self._monitor.obstacles)
        else:
            self._health.ready()
