"""The background writer of checkpoints, a thread beside the service loop."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from online_lstm.checkpoint.store import CheckpointStore
from online_lstm.events import TopicPartition
from online_lstm.learning.state.schema import PartitionState
from online_lstm.logs import EventLogger
from online_lstm.telemetry import CheckpointFinished

_log = EventLogger(__name__)


class CheckpointWriter:
    """A writer that writes checkpoints one after another on a separate thread, in parallel with learning."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint-writer")
        self._unheard: deque[Future[CheckpointFinished]] = deque()

    @property
    def busy(self) -> bool:
        """Whether a submitted checkpoint is not yet written."""
        return any(not report.done() for report in self._unheard)

    def submit(self, source: TopicPartition, offset: int, state: PartitionState) -> None:
        """Queue a state for writing; the caller must not change the state afterwards."""
        self._unheard.append(self._thread.submit(self._write, source, offset, state))

    def finished(self) -> Iterator[CheckpointFinished]:
        """Yield the reports of the checkpoints that finished since the last call."""
        while self._unheard and self._unheard[0].done():
            yield self._unheard.popleft().result()

    def drain(self, timeout_s: float | None = None) -> None:
        """Wait until all submitted checkpoints are written, or until the timeout."""
        wait(self._unheard, timeout_s)

    def close(self) -> None:
        """Write all submitted checkpoints, then end the thread."""
        self._thread.shutdown()

    def _write(self, source: TopicPartition, offset: int, state: PartitionState) -> CheckpointFinished:
        started = time.perf_counter()
        try:
            size = self._store.write(source, offset, state)
        except OSError as error:
            _log.warning("checkpoint failed", source=source, offset=offset, error=error)
            return CheckpointFinished(source, offset, "failed")
        return CheckpointFinished(source, offset, "written", time.perf_counter() - started, size)
