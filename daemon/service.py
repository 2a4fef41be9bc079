"""The loop: poll, learn and predict, commit; checkpoint now and then; restore what is assigned.

The commit protocol, step by step (the code below has the same numbers):

1. Poll records; the membership is captured with them.
2. Learn and predict: records in, outputs and dead letters out. Records below the committed offset are replayed
   muted, and what they give is compared with what was committed.
3. Check that the batch is still this member's.
4. Publish outputs, dead letters, offsets and marks in one transaction.
5. Report; take a checkpoint if one is due: the state is exactly at the committed offsets.

A failure in 3 or 4 leaves nothing behind on the broker; in memory, every owned partition goes back to its newest
checkpoint and replays to its committed offset, the same way as after a crash. There is no other way back.

The module is longer than others, so that the whole protocol is read in one place.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from daemon.checkpoint import CheckpointStore, CheckpointWriter
from daemon.errors import BrokerUnavailableError, MembershipLostError
from daemon.experts import BASELINES
from daemon.partition import NetworkFactory, Partition, Processed
from daemon.records import Committed, InputRecord, Mark, Membership, OutputRecord, Polled, TopicPartition
from daemon.recovery import Recovery, write_mark
from daemon.reports import AssignmentReport, BatchReport, Observer, TransactionReport
from daemon.settings import Settings

POLL_S = 0.2
CHECKPOINT_SHARE = 0.05
"""Most of the time that may go into writing checkpoints; the interval stretches to keep to it."""

_log = logging.getLogger(__name__)


class Source(Protocol):
    """A member of a consumer group."""

    def subscribe(self) -> None:
        """Join the group."""

    def poll(self, timeout_s: float, most: int) -> Polled:
        """Wait for at most ``most`` records; new partitions are on hold until ``begin_at``."""

    def owned(self) -> set[TopicPartition]:
        """Give the partitions that are this member's right now."""

    def committed(self, source: TopicPartition) -> Committed | None:
        """Give the group's committed offset, once no transaction is open on it; may raise BrokerUnavailableError."""

    def start_offset(self, source: TopicPartition) -> int:
        """Say where a group without an offset begins."""

    def first_offset(self, source: TopicPartition) -> int:
        """Give the oldest offset that the topic still has."""

    def begin_at(self, source: TopicPartition, offset: int) -> None:
        """Read a partition from this offset on."""

    def hold(self, source: TopicPartition) -> None:
        """Read nothing of a partition until ``begin_at``."""

    def position(self, source: TopicPartition) -> int:
        """Give the offset that is read next."""

    def lag(self, source: TopicPartition) -> int:
        """Count the records that are not yet read."""

    def close(self) -> None:
        """Leave the group."""


class Sink(Protocol):
    """Publishes a batch in one transaction, or not at all."""

    def commit(
        self,
        outputs: Mapping[TopicPartition, Sequence[OutputRecord]],
        offsets: Mapping[TopicPartition, Committed],
        membership: Membership,
    ) -> None:
        """Commit outputs and offsets together; raise MembershipLostError if nothing was committed."""

    def rebuild(self) -> None:
        """Begin afresh after a failure; raise BrokerUnavailableError if that is not possible yet."""

    def close(self) -> None:
        """Let go of everything."""


class Health(Protocol):
    """Hears how the loop is."""

    def beat(self) -> None:
        """Hear that the loop advanced."""

    def ready(self) -> None:
        """Hear that records are learned as they come."""

    def not_ready(self, *reasons: str) -> None:
        """Hear why they are not."""


@dataclass(slots=True)
class _Assignment:
    """One owned partition: its learners, and the committed mark that a replay still has to reach."""

    partition: Partition
    committed: Committed
    replay_to: Mark | None
    checkpointed: int = -1


class Service:
    """One member of the group, from its start to its end.

    Args:
        settings: The settings in force.
        source: Where records come from.
        sink: Where outputs go.
        store: Where checkpoints are.
        network_for: Gives the network for some learning settings.
        observer: Hears every report.
        health: Hears how the loop is.
        clock: Monotonic seconds, for the checkpoint interval only.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        source: Source,
        sink: Sink,
        store: CheckpointStore,
        network_for: NetworkFactory,
        observer: Observer,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._source, self._sink = source, sink
        self._observer, self._health, self._clock = observer, health, clock
        self._recovery = Recovery(settings, topic=source, store=store, network_for=network_for, observer=observer)
        self._writer = CheckpointWriter(store)
        self._assignments: dict[TopicPartition, _Assignment] = {}
        self._unrestored: set[TopicPartition] = set()
        self._sink_failed = False
        self._batch_events = settings.max_batch_events
        self._checkpoint_due = clock() + settings.checkpoint_interval_s
        self._checkpoint_seconds = 0.0
        self._stopping = False
        self.events = 0

    def stop(self) -> None:
        """Ask the loop to end after the batch at hand; safe in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Run until stopped, then checkpoint and leave the group."""
        self._source.subscribe()
        self._report_health()
        try:
            while not self._stopping:
                self.step()
            self._checkpoint()
            self._writer.drain()
            self._hear_of_checkpoints()
        finally:
            self._writer.close()
            self._source.close()
            self._sink.close()
        _log.info("stopped events=%d", self.events)

    def step(self) -> None:
        """Take one batch from the topic to the output topic."""
        polled = self._source.poll(POLL_S, self._batch_events)  # 1
        self._health.beat()
        try:
            self._reassign(polled)
            self._restore_assigned(polled.membership)
            if polled.records:
                self._take(polled)
            self._finish_replays()
        except MembershipLostError as error:
            _log.warning("batch not committed, going back to the committed offsets reason=%s", error)
            self._go_back()
        except BrokerUnavailableError as error:  # what was not restored is tried again in the next step
            _log.warning("waiting for the broker reason=%s", error)
            self._health.not_ready(str(error))
        self._hear_of_checkpoints()
        if self._clock() >= self._checkpoint_due and not self._writer.busy:
            self._checkpoint()

    # a batch

    def _take(self, polled: Polled) -> None:
        processed: dict[TopicPartition, Processed] = {}
        offsets: dict[TopicPartition, Committed] = {}
        for source, records in polled.records.items():
            assignment = self._assignments.get(source)
            if assignment is None:
                continue
            live = self._replay(assignment, records)
            if live:
                processed[source] = assignment.partition.process(live)  # 2
                mark = assignment.partition.mark
                offsets[source] = Committed(live[-1].offset + 1, write_mark(mark))
        if not offsets:
            return
        self._commit({source: done.outputs for source, done in processed.items()}, offsets, polled.membership)
        for source, done in processed.items():
            self._assignments[source].committed = offsets[source]
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
            self._sink.commit(outputs, offsets, membership)  # 4
            committed = True
        finally:
            self._observer(TransactionReport(time.perf_counter() - started, count, committed))
        self._batch_events = min(self._settings.max_batch_events, self._batch_events + 1)

    def _require_membership(self, membership: Membership, sources: Mapping[TopicPartition, Committed]) -> None:
        """Refuse what an expelled member would send: the broker does not check all of it."""
        if membership.generation < 0 or not membership.member_id:
            raise MembershipLostError("this member was expelled from the group")
        lost = [str(source) for source in sources if source not in self._source.owned()]
        if lost:
            raise MembershipLostError(f"{', '.join(sorted(lost))} went to another member")

    # restoring

    def _reassign(self, polled: Polled) -> None:
        if not (polled.assigned or polled.revoked):
            return
        for source in polled.revoked:
            self._assignments.pop(source, None)
        if polled.lost:
            self._halve_batches()
        self._unrestored = (self._unrestored - set(polled.revoked)) | set(polled.assigned)
        self._observer(AssignmentReport(polled.assigned, polled.revoked))
        self._report_health()

    def _restore_assigned(self, membership: Membership) -> None:
        """Restore what is assigned and held; a sink that failed is made new before."""
        if not self._unrestored:
            return
        if self._sink_failed:
            self._sink.rebuild()
            self._sink_failed = False
        for source in sorted(self._unrestored):
            self._restore(source, membership)
            self._unrestored.discard(source)
        self._report_health()

    def _restore(self, source: TopicPartition, membership: Membership) -> None:
        """Bring a partition's learners to its newest checkpoint, and read on from there."""
        committed = self._source.committed(source)
        if committed is None or not committed.metadata:
            committed = self._recovery.beginning(source, committed)
            self._commit({}, {source: committed}, membership)
        restored = self._recovery.restore(source, committed)
        self._assignments[source] = _Assignment(
            restored.partition, committed, replay_to=restored.mark, checkpointed=restored.offset
        )
        self._source.begin_at(source, restored.offset)

    def _replay(self, assignment: _Assignment, records: Sequence[InputRecord]) -> Sequence[InputRecord]:
        """Learn the records below the committed offset without publishing; give the others."""
        if assignment.replay_to is None:
            return records
        end = assignment.committed.offset
        muted = [record for record in records if record.offset < end]
        assignment.partition.process(muted)
        if len(muted) < len(records):
            self._verify(assignment, assignment.replay_to)
        return records[len(muted) :]

    def _finish_replays(self) -> None:
        """End the replays whose last records are read: also where the log ends in markers or gaps."""
        for source, assignment in self._assignments.items():
            mark = assignment.replay_to
            if mark is not None and self._source.position(source) >= assignment.committed.offset:
                self._verify(assignment, mark)

    def _verify(self, assignment: _Assignment, mark: Mark) -> None:
        """Compare what the replay gave with what was committed, then go live with the learning settings of now."""
        partition, committed = assignment.partition, assignment.committed
        self._recovery.verify(partition, committed, mark)
        self._writer.drain()
        self._recovery.adopt_learning(partition, committed)
        assignment.replay_to = None
        _log.info("live source=%s offset=%d records=%d", partition.source, committed.offset, mark.records)
        self._observer(partition.report(assignment.checkpointed))
        self._report_health()

    def _go_back(self) -> None:
        """Forget what was learned since the last commit; the next step restores what is still owned."""
        for source in self._assignments:
            self._source.hold(source)
        self._unrestored |= set(self._assignments)
        self._assignments.clear()
        self._sink_failed = True
        self._halve_batches()
        self._writer.drain()
        self._report_health()

    def _halve_batches(self) -> None:
        """Take less at a time: a batch that was too slow would be too slow again."""
        self._batch_events = max(1, self._batch_events // 2)

    # checkpoints and reports

    def _checkpoint(self) -> None:
        """Have the state of every partition that moved written; it is at a committed offset."""
        for source, assignment in self._assignments.items():
            offset = assignment.committed.offset
            if assignment.replay_to is None and offset > assignment.checkpointed:
                self._writer.submit(source, offset, assignment.partition.state())
        self._checkpoint_due = self._clock() + self._settings.checkpoint_interval_s
        self._checkpoint_seconds = 0.0

    def _hear_of_checkpoints(self) -> None:
        """Note what the writer did; the interval stretches by what all files since the last one was due took."""
        for report in self._writer.finished():
            self._checkpoint_seconds += report.seconds
            stretched = self._clock() + self._checkpoint_seconds / CHECKPOINT_SHARE
            self._checkpoint_due = max(self._checkpoint_due, stretched)
            self._observer(report)
            assignment = self._assignments.get(report.source)
            if report.result == "written" and assignment is not None:
                assignment.checkpointed = max(assignment.checkpointed, report.offset)

    def _report_batch(self, source: TopicPartition, done: Processed, last: InputRecord) -> None:
        assignment, tally = self._assignments[source], done.tally
        self.events += tally.events
        self._observer(
            BatchReport(
                source=source,
                events=tally.events,
                scored=tally.scored,
                hits=tally.hits[0],
                baseline_hits=tuple(tally.hits[i] for i in range(1, len(BASELINES) + 1)),
                fit_steps=tally.fit_steps,
                skipped_steps=tally.skipped_steps,
                dead_letters=tuple(sorted(tally.dead_letters.items())),
                evicted_streams=tally.evicted_streams,
                step_seconds=tally.seconds,
                lag_records=self._source.lag(source),
                last_timestamp_ms=last.timestamp_ms,
            )
        )
        self._observer(assignment.partition.report(assignment.checkpointed))

    def _report_health(self) -> None:
        replaying = [
            f"{source} replays to offset {assignment.committed.offset}"
            for source, assignment in self._assignments.items()
            if assignment.replay_to is not None
        ]
        if replaying:
            self._health.not_ready(*replaying)
        elif self._unrestored:
            self._health.not_ready("going back to the committed offsets")
        elif not self._assignments:
            self._health.not_ready("no partition is assigned yet")
        else:
            self._health.ready()
