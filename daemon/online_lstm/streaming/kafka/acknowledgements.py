"""The acknowledgements of a batch's records by the broker, and the records that the broker refused."""

from collections.abc import Sequence
from typing import Any

from kafka.errors import KafkaError

from online_lstm.codec.output_forms import Position
from online_lstm.streaming.kafka.failures import FailureKind, kind_of


class RefusedRecordsError(Exception):
    """Raised within this package when the broker refuses records that it may accept in another form."""

    def __init__(self, positions: Sequence[Position], error: KafkaError) -> None:
        super().__init__(str(error))
        self.positions = positions


class Acknowledgements:
    """The acknowledgements of a batch, with failures in order: later failures may follow from the first one."""

    def __init__(self) -> None:
        self._futures: list[tuple[Position, Any]] = []
        self._failed: list[Any] = []  # appended on the client's thread

    def add(self, position: Position, future: Any) -> None:
        """Add the library's future of a sent record."""
        self._futures.append((position, future))
        future.add_errback(lambda _: self._failed.append(future))

    def are_done(self) -> bool:
        """Return whether the broker has answered for every record."""
        return all(future.is_done for _, future in self._futures)

    def require(self) -> None:
        """Wait for the acknowledgements in order; raise the first failure."""
        for _, future in self._futures:
            future.get()

    def raise_failure(self) -> None:
        """Raise the first failure so far, if any: the transaction's result may not report it."""
        if self._failed:
            raise self._failed[0].exception

    def raise_refusal(self, error: KafkaError) -> None:
        """Raise RefusedRecordsError for the records of the first refused request, if records caused the error."""
        refused = [future for future in list(self._failed) if kind_of(future.exception) is FailureKind.RECORD]
        if refused:
            # all records of a request share its result; each refused record has its own exception
            request = refused[0]._produce_future  # noqa: SLF001
            among = {id(future) for future in refused if future._produce_future is request}  # noqa: SLF001
            positions = [position for position, future in self._futures if id(future) in among]
            raise RefusedRecordsError(positions, refused[0].exception) from error
