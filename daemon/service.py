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
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from daemon.checkpoint import CheckpointStore, CheckpointWriter
from daemon.errors import (
    BrokerUnavailableError,
    MembershipLostError,
    RecoveryRefusedError,
    ReplayDivergedError,
    StateMismatchError,
)
from daemon.experts import BASELINES
from daemon.partition import NetworkFactory, Partition, Processed, first_mark, learning_of
from daemon.records import Committed, InputRecord, Mark, Membership, OutputRecord, Polled, TopicPartition
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
        """Give the group's committed offset, once no transaction is open on it."""

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
        self._source, self._sink, self._store = source, sink, store
        self._network_for = network_for
        self._observer, self._health, self._clock = observer, health, clock
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
            try:
                self._sink.rebuild()
            except BrokerUnavailableError as error:
                self._health.not_ready(str(error))
                return
            self._sink_failed = False
        for source in sorted(self._unrestored):
            self._restore(source, membership)
            self._unrestored.discard(source)
        self._report_health()

    def _restore(self, source: TopicPartition, membership: Membership) -> None:
        """Bring a partition's learners to its newest checkpoint, and read on from there."""
        committed = self._source.committed(source)
        if committed is None or not committed.metadata:
            committed = self._begin(source, committed, membership)
        mark = read_mark(committed.metadata, source)
        partition = Partition(self._settings, source, mark, self._network_for)
        offset = self._load(partition, committed, mark)
        self._require_retained(source, offset)
        self._assignments[source] = _Assignment(partition, committed, replay_to=mark, checkpointed=offset)
        _log.info("restored source=%s checkpoint=%d committed=%d", source, offset, committed.offset)
        self._source.begin_at(source, offset)

    def _begin(self, source: TopicPartition, committed: Committed | None, membership: Membership) -> Committed:
        """Start afresh where the group has no history, and commit that, so that it holds from now on."""
        if self._store.exist(source):
            what = "no committed offset" if committed is None else f"offset {committed.offset}, set by another program"
            raise RecoveryRefusedError(
                f"{source}: group {self._settings.group_id} has {what}, but there are checkpoints of it: its offsets "
                "expired or were reset; use another group_id to start afresh, or set the offsets back"
            )
        start = committed.offset if committed else self._source.start_offset(source)
        self._require_retained(source, start)
        mark = first_mark(self._settings, source, start)
        beginning = Committed(start, write_mark(mark))
        self._commit({}, {source: beginning}, membership)
        _log.info("started source=%s offset=%d lineage=%s", source, start, mark.lineage)
        return beginning

    def _require_retained(self, source: TopicPartition, offset: int) -> None:
        first = self._source.first_offset(source)
        if offset < first:
            raise RecoveryRefusedError(
                f"{source}: the next record to learn from is the one at offset {offset}, but the topic begins at "
                f"{first}: what lies between is gone; use another group_id to start afresh"
            )

    def _load(self, partition: Partition, committed: Committed, mark: Mark) -> int:
        """Restore the newest checkpoint at or below the committed offset and give its offset."""
        source = partition.source
        for offset, state in self._store.read_newest(source, mark.lineage, until=committed.offset):
            partition.restore(state)
            return offset
        if mark.records == 0:  # nothing was learned yet: the initial state is the right one
            if mark != first_mark(self._settings, source, committed.offset):
                raise StateMismatchError(f"{source}: the group began with other settings; use another group_id")
            # from the first commit of a record on, there has to be a checkpoint to replay from
            self._store.write(source, committed.offset, partition.state())
            return committed.offset
        raise RecoveryRefusedError(
            f"{source}: no readable checkpoint of lineage {mark.lineage} at or below the committed offset "
            f"{committed.offset} in {self._settings.checkpoint_url}: bring the checkpoints back, or use another "
            "group_id to start afresh"
        )

    def _replay(self, assignment: _Assignment, records: Sequence[InputRecord]) -> Sequence[InputRecord]:
        """Learn the records below the committed offset without publishing; give the others."""
        if assignment.replay_to is None:
            return records
        end = assignment.committed.offset
        muted = [record for record in records if record.offset < end]
        assignment.partition.process(muted)
        if len(muted) < len(records):
            self._verify(assignment)
        return records[len(muted) :]

    def _finish_replays(self) -> None:
        """End the replays whose last records are read: also where the log ends in markers or gaps."""
        for source, assignment in self._assignments.items():
            if assignment.replay_to is not None and self._source.position(source) >= assignment.committed.offset:
                self._verify(assignment)

    def _verify(self, assignment: _Assignment) -> None:
        """Compare what the replay gave with what was committed, then go live."""
        received, expected = assignment.partition.mark, assignment.replay_to
        source = assignment.partition.source
        if received != expected:
            raise ReplayDivergedError(
                f"{source}: replaying to the committed offset {assignment.committed.offset} gave {received}, but "
                f"{expected} was committed: another CPU or TensorFlow, or an input topic that changed; use the same "
                "ones, or another group_id to start afresh"
            )
        assignment.replay_to = None
        _log.info("live source=%s offset=%d records=%d", source, assignment.committed.offset, received.records)
        self._go_live(source)
        self._report_health()

    def _go_live(self, source: TopicPartition) -> None:
        """Let the learning settings of now hold; from here on a replay needs to find them in a checkpoint."""
        assignment = self._assignments[source]
        learning = learning_of(self._settings)
        if assignment.partition.learning != learning:
            assignment.partition.learn_with(learning)
            self._writer.drain()
            self._store.write(source, assignment.committed.offset, assignment.partition.state())
            assignment.checkpointed = assignment.committed.offset
            _log.info("learning settings changed source=%s offset=%d", source, assignment.committed.offset)
        self._observer(assignment.partition.report(assignment.checkpointed))

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
            if report.written and assignment is not None:
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


def write_mark(mark: Mark) -> str:
    """Write a mark as the metadata of a committed offset."""
    return json.dumps({"lineage": mark.lineage, "records": mark.records, "digest": mark.digest.hex()})


def read_mark(metadata: str, source: TopicPartition) -> Mark:
    """Read what ``write_mark`` wrote.

    Raises:
        RecoveryRefusedError: It is something else.
    """
    with suppress(ValueError, KeyError, TypeError):
        fields = json.loads(metadata)
        return Mark(str(fields["lineage"]), int(fields["records"]), bytes.fromhex(fields["digest"]))
    raise RecoveryRefusedError(
        f"{source}: the committed offset carries {metadata[:80]!r}, which this daemon did not write: another program "
        "commits in this group; use another group_id"
    )
