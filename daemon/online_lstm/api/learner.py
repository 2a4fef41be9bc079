"""The public class ``Learner``.

The module imports neither NumPy nor the settings: whoever imports ``Learner`` waits only for the first learner.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from online_lstm.errors import BadInputError, LearnerBusyError
from online_lstm.shutdown import DeferredInterrupt

if TYPE_CHECKING:
    from online_lstm.api.results import (
        LabelForecast,
        LabelOutcome,
        NumberForecast,
        NumberOutcome,
        SymbolForecast,
        SymbolOutcome,
    )
    from online_lstm.learning.partition import Partition
    from online_lstm.learning.state.schema import PartitionState
    from online_lstm.settings import Settings


CHUNK = 512
"""Number of rows that ``learn_many`` learns before it looks for Ctrl-C; results and state do not depend on it."""
OutcomeT = TypeVar("OutcomeT")
ForecastT = TypeVar("ForecastT")


class Learner(Generic[OutcomeT, ForecastT]):
    """An online learner: it scores its prediction with each value, takes a fit step, and predicts what comes next."""

    @overload
    def __init__(
        self: "Learner[SymbolOutcome, SymbolForecast]", task: Literal["symbol"] = "symbol", **settings: Any
    ) -> None: ...
    @overload
    def __init__(self: "Learner[NumberOutcome, NumberForecast]", task: Literal["number"], **settings: Any) -> None: ...
    @overload
    def __init__(self: "Learner[LabelOutcome, LabelForecast]", task: Literal["label"], **settings: Any) -> None: ...
    @overload
    def __init__(self: "Learner[Any, Any]", task: str = ..., **settings: Any) -> None: ...
    def __init__(self, task: str = "symbol", **settings: Any) -> None:
        from online_lstm.api import loading

        own = loading.learner_settings({"task": task, **settings})
        self._start(own, loading.new_partition(own))

    def _start(self, settings: "Settings", partition: "Partition") -> None:
        from online_lstm.api.inputs import Inputs
        from online_lstm.api.results import ResultReader

        self._settings, self._partition = settings, partition
        self._inputs, self._results = Inputs(settings), ResultReader(settings)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: str | PathLike[str], **settings: Any) -> "Learner[Any, Any]":
        """Return a learner that continues from a checkpoint, of ``save`` or of a daemon."""
        from online_lstm.api import loading

        name = fspath(path)
        state = loading.read_state(name)
        return cls._of_state(loading.settings_of_state(state, settings, name), state)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a checkpoint file, for ``load``, and for ``online-lstm run --warm-start``."""
        from online_lstm.api import loading

        with self._alone():
            loading.write_state(self._partition, Path(path))

    @property
    def settings(self) -> "Settings":
        """The settings, validated and complete."""
        return self._settings

    @property
    def events(self) -> int:
        """The number of values that were learned, of all streams."""
        return self._partition.commit_metadata.records

    def learn_one(
        self, value: object, key: str | None = None, time: object = None, *, end: bool = False, label: object = None
    ) -> OutcomeT:
        """Score the pending prediction with a value, learn the value, and predict what comes next."""
        from online_lstm.api.inputs import milliseconds

        with self._alone():
            event = self._inputs.event(value, key, milliseconds(time), ends=end, label=label)
            (result,) = self._partition.learn([event]).results
            if isinstance(result, BadInputError):
                raise result
            assert result is not None  # only a tombstone has no result
            outcome: OutcomeT = self._results.outcome(result)
            return outcome

    def learn_many(
        self, data: Any, *, value: Any = None, key: Any = None, time: Any = None, label: Any = None, end: Any = None
    ) -> Any:
        """Learn the rows of a table, one after another, and return columns of results in the kind of the table."""
        from online_lstm.api.frames import read_table
        from online_lstm.api.result_columns import ResultColumns

        table = read_table(data, value=value, key=key, time=time, label=label, end=end)
        table.require_ascending(self._inputs)
        for _ in table.events(self._inputs):  # nothing is learned unless all rows can be
            pass
        columns = ResultColumns(self._settings, table.names, len(table))
        with self._alone() as interrupt:
            before = self._partition.state() if self._settings.task == "label" else None
            for first in range(0, len(table), CHUNK):
                if interrupt.requested:
                    break
                learned = self._partition.learn([*table.events(self._inputs, first, first + CHUNK)])
                for row, result in enumerate(learned.results, first):
                    if isinstance(result, BadInputError):  # only labels are refused while they are learned
                        assert before is not None
                        self._partition.restore(before)
                        raise table.refused(row, result, self._inputs)
                columns.add(learned.results)
        return table.output(columns.arrays())

    def predict_one(self, key: str | None = None) -> ForecastT | None:
        """Return the pending prediction of a stream, and change nothing."""
        with self._alone():
            forecast: ForecastT | None = self._results.forecast(self._partition.pending(self._inputs.stream(key)))
            return forecast

    def scores(self) -> dict[str, Any]:
        """Return the scores over the last ``score_window`` events of each stream, beside those of the baselines."""
        from online_lstm.api.scores import scores_of

        with self._alone():
            return {"events": self.events, **scores_of(self._settings, self._partition.stats())}

    def __repr__(self) -> str:
        return f"Learner(task={self._settings.task!r}, events={self.events})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle a learner as its settings and the bytes of a checkpoint."""
        from online_lstm.api import loading

        with self._alone():
            return self._unpickled, (self._settings, loading.pack_state(self._partition))

    @classmethod
    def _unpickled(cls, settings: "Settings", data: bytes) -> "Learner[Any, Any]":
        from online_lstm.api import loading

        return cls._of_state(settings, loading.unpack_state(data, "the pickled learner"))

    @classmethod
    def _of_state(cls, settings: "Settings", state: "PartitionState") -> "Learner[Any, Any]":
        from online_lstm.api import loading

        learner: Learner[Any, Any] = cls.__new__(cls)
        learner._start(settings, loading.load_partition(settings, state))
        return learner

    @contextmanager
    def _alone(self) -> Iterator[DeferredInterrupt]:
        """Keep other threads out, and Ctrl-C until the state is that of a whole event."""
        with DeferredInterrupt() as interrupt:
            if not self._lock.acquire(blocking=False):
                raise LearnerBusyError(
                    "this Learner is in use by another thread; expected one thread at a time: give each thread its own "
                    "learner, or hold a threading.Lock around its calls"
                )
            try:
                yield interrupt
            finally:
                self._lock.release()
