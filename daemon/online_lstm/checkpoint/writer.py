"""Writing checkpoints while learning goes on."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from online_lstm.checkpoint.store import CheckpointStore
from online_lstm.events import TopicPartition
from online_lstm.logs import EventLogger
from online_lstm.telemetry import CheckpointFinished

_log = EventLogger(__name__)


class CheckpointWriter:
    """Writes checkpoints on a thread of its own, one after another, so that learning goes on meanwhile."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint-writer")
        self._unheard: deque[Future[CheckpointFinished]] = deque()

    @property
    def busy(self) -> bool:
        """Say whether something is still to be written."""
        return any(not report.done() for report in self._unheard)

    def submit(self, source: TopicPartition, offset: int, state: Mapping[str, Any]) -> None:
        """Have a state written; it must not be changed any more."""
        self._unheard.append(self._thread.submit(self._write, source, offset, state))

    def finished(self) -> Iterator[CheckpointFinished]:
        """Give the reports of what was written since the last call."""
        while self._unheard and self._unheard[0].done():
            yield self._unheard.popleft().result()

    def drain(self, timeout_s: float | None = None) -> None:
        """Wait until all is written, or until the time is over."""
        wait(self._unheard, timeout_s)

    def close(self) -> None:
        """Write what was submitted, then end the thread."""
        self._thread.shutdown()

    def _write(self, source: TopicPartition, offset: int, state: Mapping[str, Any]) -> CheckpointFinished:
        started = time.perf_counter()
        try:
            size = self._store.write(source, offset, state)
        except OSError as error:
            _log.warning("checkpoint failed", source=source, offset=offset, error=error)
            return CheckpointFinished(source, offset, "failed")
        return CheckpointFinished(source, offset, "written", time.perf_counter() - started, size)
