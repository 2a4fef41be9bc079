"""The checkpoints of the assigned partitions: written on another thread, at intervals that bound their cost.

A state may be submitted only while it is exactly at its committed offset.
"""

from collections.abc import Callable, Iterable

from online_lstm.checkpoint import CheckpointWriter
from online_lstm.streaming.assignments import Assignment, Assignments
from online_lstm.telemetry import Observer

CHECKPOINT_SHARE = 0.05
"""Largest share of the time spent on writing checkpoints; the checkpoint interval grows to respect it."""


class CheckpointSchedule:
    """The times at which checkpoints are written, and the reports of written checkpoints.

    Args:
        writer: Writes the checkpoints.
        assignments: The assigned partitions.
        interval_s: The shortest interval between two checkpoints of a partition.
        observer: Called for each finished checkpoint.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        writer: CheckpointWriter,
        assignments: Assignments,
        *,
        interval_s: float,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self._writer, self._assignments = writer, assignments
        self._interval_s, self._observer, self._clock = interval_s, observer, clock
        self.due_at_s = clock() + interval_s
        self._round_seconds = 0.0

    @property
    def due(self) -> bool:
        """Whether the next checkpoints are to be written now."""
        return self._clock() >= self.due_at_s and not self._writer.busy

    def begin_round(self) -> None:
        """Submit a checkpoint of every partition with commits since its last one."""
        self.submit(self._assignments)
        self.due_at_s = self._clock() + self._interval_s
        self._round_seconds = 0.0

    def submit(self, assignments: Iterable[Assignment]) -> None:
        """Submit a checkpoint of the live partitions among these, if they have commits since their last one."""
        for assignment in assignments:
            if assignment.live and assignment.committed > assignment.checkpointed:
                self._writer.submit(assignment.source, assignment.committed, assignment.partition.state())

    def collect(self) -> None:
        """Report the finished checkpoints; postpone the next round in proportion to the writing time of this one."""
        for report in self._writer.finished():
            self._round_seconds += report.seconds
            self.due_at_s = max(self.due_at_s, self._clock() + self._round_seconds / CHECKPOINT_SHARE)
            self._observer(report)
            assignment = self._assignments.get(report.source)
            if report.result == "written" and assignment is not None:
                assignment.checkpointed = max(assignment.checkpointed, report.offset)

    def drain(self, timeout_s: float | None = None) -> None:
        """Wait until all submitted checkpoints are written, or until the timeout."""
        self._writer.drain(timeout_s)

    def close(self) -> None:
        """Write all submitted checkpoints, then end the writer's thread."""
        self._writer.close()
