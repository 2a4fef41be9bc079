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


MIN_CHUNK, MAX_CHUNK, STREAM_CHUNK = 512, 16_384, 64
"""Number of rows that ``learn_many`` learns before it delivers Ctrl-C: ``STREAM_CHUNK`` for each key, within limits.

The network learns the events of a stream in one chunk together, which is faster. Results and state do not depend on it.
"""
OutcomeT = TypeVar("OutcomeT")
ForecastT = TypeVar("ForecastT")


class Learner(Generic[OutcomeT, ForecastT]):
    """An online learner: it scores its prediction with each value, takes a fit step, and predicts what comes next.

    A learner is one partition of the daemon: the same values give the same predictions, whether they come from a
    program or from a topic. Values with the same key are one stream. State and results are a function of the settings
    and of the values so far.

    The first learner of a process loads TensorFlow, and the first value compiles the network: some ten seconds
    together, after a line about it in notebooks. One thread at a time may use a learner. Ctrl-C is raised when the
    event in progress, or the part of a table in progress, is learned. ``copy.deepcopy`` and ``pickle`` copy a learner
    by the bytes of a checkpoint.

    Args:
        task: What is predicted: ``symbol``, the next value from a vocabulary; ``number``, future values of a quantity;
            ``label``, the label of the sequence that a sample belongs to.
        settings: Settings of the model by name, with the defaults of the task. Lists may be tuples. The format and the
            paths of values concern the daemon that begins from a saved file, not the values given to a learner.

    Raises:
        SettingsError: A setting is invalid or unknown, or belongs to the daemon: topics, brokers, files, logs.

    Example:
        >>> from online_lstm import Learner
        >>> learner = Learner(task="number", horizons=(1, 24))
        >>> for hour in range(240):
        ...     result = learner.learn_one(20.0 + hour % 24, key="pump-7", time=hour * 3_600_000)
        >>> [round(temperature, 1) for temperature in result.prediction]  # in an hour, in a day
        [20.0, 43.0]
        >>> result.evaluation.hit, result.evaluation.drift
        ((True, True), False)
        >>> learner.predict_one(key="pump-7").interval == result.interval
        True
        >>> table = {"site": ["pump-7"] * 3, "temp": [20.0, 21.0, 22.0]}
        >>> learner.learn_many(table, value="temp", key="site")["prediction_h1"].round(1)
        array([21., 22., 23.])
        >>> learner.save("pump.h5")
        >>> Learner.load("pump.h5").events
        243
    """

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
        """Return a learner that continues from a checkpoint file, with the same results as without an interruption.

        Args:
            path: A file that ``save``, ``online-lstm backtest --checkpoint`` or a daemon wrote; of a daemon, the
                predictions are those that it would publish next.
            settings: Learning settings that change, such as ``learn=False``. All settings come from the file; shape
                settings may be repeated. The setting ``warm_start`` is needed if the file was learned with one.

        Raises:
            StateMismatchError: A shape setting differs from the one in the file, such as another task.
            CheckpointDamagedError: The file is no checkpoint, or damaged.
            InputFileError: The file does not exist or cannot be read.
            SettingsError: A setting is invalid.

        Example:
            >>> Learner(task="number", horizons=(1, 24)).save("pump.h5")
            >>> Learner.load("pump.h5")
            Learner(task='number', events=0)
            >>> Learner.load("pump.h5", task="symbol")  # doctest: +ELLIPSIS
            Traceback (most recent call last):
            online_lstm.errors.StateMismatchError: pump.h5 was learned with task 'number' (the settings say 'symbol')...
        """
        from online_lstm.api import loading

        name = fspath(path)
        state = loading.read_state(name)
        return cls._of_state(loading.settings_of_state(state, settings, name), state)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a checkpoint file, for ``load``, and for ``online-lstm run --warm-start``.

        The file is complete and on the disk when the method returns; after an error, an older file of this name is
        unchanged.

        Args:
            path: Path of the file, usually with the suffix ``.h5``.

        Raises:
            SettingsError: The file cannot be written.
        """
        from online_lstm.api import loading

        with self._alone():
            loading.write_state(self._partition, Path(path))

    @property
    def settings(self) -> "Settings":
        """The settings, validated and complete."""
        return self._settings

    @property
    def events(self) -> int:
        """The number of values that were learned, of all streams; for a daemon's checkpoint, of its records."""
        return self._partition.commit_metadata.records

    def learn_one(
        self, value: object, key: str | None = None, time: object = None, *, end: bool = False, label: object = None
    ) -> OutcomeT:
        """Score the pending prediction with a value, learn the value, and predict what comes next.

        Args:
            value: The task ``symbol`` takes a string or a number, the tasks ``number`` and ``label`` a number or, with
                the setting ``features``, as many numbers. None and NaN are missing numbers.
            key: The stream of the value.
            time: Time of the value: a datetime (without a time zone: UTC), a date, a ``numpy.datetime64``, or whole
                milliseconds since 1970. Only the setting ``calendar`` uses times.
            end: Whether the value is the last one of its sequence, so that later values do not continue it.
            label: For the task ``label``, the label of the sequence; None while it is unknown. A label with the value
                None is a label alone, of a sequence of this key that ended or is open.

        Returns:
            An outcome of the task: ``SymbolOutcome``, ``NumberOutcome`` or ``LabelOutcome``.

        Raises:
            BadInputError: The value or the label cannot be learned from; nothing has changed.
            SettingsError: The key is no string, the time is no time, or the task has no labels.
            LearnerBusyError: Another thread uses the learner.

        Example:
            >>> machine = Learner(task="symbol")
            >>> for state in ["idle", "press", "open"] * 10:
            ...     result = machine.learn_one(state, key="press-1")
            >>> result.prediction, result.evaluation.hit, round(result.probability, 1)
            ('idle', True, 1.0)
        """
        with self._alone():
            event = self._inputs.event(value, key, time, ends=end, label=label)
            (result,) = self._partition.learn([event]).results
            if isinstance(result, BadInputError):
                raise result
            assert result is not None  # only a tombstone has no result
            outcome: OutcomeT = self._results.outcome(result)
            return outcome

    def learn_many(
        self, data: Any, *, value: Any = None, key: Any = None, time: Any = None, label: Any = None, end: Any = None
    ) -> Any:
        """Learn the rows of a table, one after another, as ``learn_one`` does, and return columns of results.

        Nothing is learned unless all rows can be learned. Ctrl-C ends the call after the rows in progress, at most some
        thousand: the results are lost, and the property ``events`` counts the learned rows, after which to continue.

        Args:
            data: A table of pandas, polars or pyarrow, a dict of columns, a NumPy array ``(n,)`` or ``(n, features)``,
                or a list of values.
            value: The column of the values, or a list of the columns of their components. None: the only column that
                is not named by another argument.
            key: The column of the keys. For an array or a list: one key, or a sequence of keys.
            time: The column of the times, which ascend within each key. For an array or a list: the times.
            label: The column of the labels, with missing cells where there is none; a row without a value is a label
                alone. For an array or a list: the labels.
            end: The column that is true in the last row of each sequence. For an array or a list: its content.

        Returns:
            Columns as long as the input: a table of the same library, in pandas with the same index, or a dict of
            arrays. A missing figure is NaN, in polars and pyarrow null. Each row has the prediction made after its
            value, and the score of the prediction made before:

            - task ``number``: ``prediction``, ``lower`` and ``upper`` in units of the values; ``error``, the value
              minus the prediction made for it one horizon earlier; and ``hit``, 1 or 0. With several components or
              horizons, there is a column for each, such as ``prediction_temp_h24``; components without a name are
              counted from 0.
            - tasks ``symbol`` and ``label``: ``prediction`` and its ``probability``; ``hit``, 1 or 0; and
              ``surprise_bits``. In polars and pyarrow, a column of texts and numbers becomes texts.
            - ``drift``, whether the row revealed a change of the stream.

        Raises:
            BadInputError: A row cannot be learned from; the error names the row, counted from 0, and the column.
            SettingsError: A column is missing, a key is no string, or times do not ascend.
            LearnerBusyError: Another thread uses the learner.

        Example:
            >>> learner = Learner(task="number", horizons=(1, 24))
            >>> results = learner.learn_many([20.0 + hour % 24 for hour in range(240)], key="pump-7")
            >>> list(results)[:4]
            ['prediction_h1', 'prediction_h24', 'lower_h1', 'lower_h24']
            >>> results["error_h24"].shape
            (240,)
        """
        from online_lstm.api.frames import read_table
        from online_lstm.api.result_columns import ResultColumns

        table = read_table(data, value=value, key=key, time=time, label=label, end=end)
        table.require_ascending(self._inputs)
        for _ in table.events(self._inputs):  # nothing is learned unless all rows can be
            pass
        columns = ResultColumns(self._settings, table.names, len(table))
        chunk = min(max(MIN_CHUNK, STREAM_CHUNK * len(set(table.keys))), MAX_CHUNK)
        with self._alone() as interrupt:
            before = self._partition.state() if self._settings.task == "label" else None
            for first in range(0, len(table), chunk):
                interrupt.deliver()
                learned = self._partition.learn([*table.events(self._inputs, first, first + chunk)])
                for row, result in enumerate(learned.results, first):
                    if isinstance(result, BadInputError):  # only labels are refused while they are learned
                        assert before is not None
                        self._partition.restore(before)
                        raise table.refused(row, result, self._inputs)
                columns.add(learned.results)
        return table.output(columns.arrays())

    def predict_one(self, key: str | None = None) -> ForecastT | None:
        """Return the pending prediction of a stream, and change nothing.

        Args:
            key: The stream.

        Returns:
            A forecast of the task: ``SymbolForecast``, ``NumberForecast`` or ``LabelForecast``. None if nothing is
            predicted: for a key that was never seen or was evicted, and after the end of a sequence.

        Raises:
            SettingsError: The key is no string.
            LearnerBusyError: Another thread uses the learner.
        """
        with self._alone():
            forecast: ForecastT | None = self._results.forecast(self._partition.pending(self._inputs.stream(key)))
            return forecast

    def scores(self) -> dict[str, Any]:
        """Return the scores over the last ``score_window`` scored events of each stream, beside those of the baselines.

        Returns:
            Figures with the names in the JSON report of ``online-lstm backtest``, None before the first scored event:
            ``hit_rate`` beside ``baseline_hit_rates`` and ``expert_hit_rates``, ``lift`` over the best baseline with
            ``lift_errors``; for numbers, mean absolute and squared errors, ``skill`` and ``interval_coverage``, and
            ``channels`` for several components or horizons; for symbols and labels, ``kappa_temporal`` and
            ``log_loss_bits``.

        Example:
            >>> machine = Learner(task="symbol")
            >>> _ = machine.learn_many(["idle", "press", "open"] * 10)
            >>> scores = machine.scores()
            >>> round(scores["hit_rate"], 2), round(scores["baseline_hit_rates"]["last_value"], 2)
            (0.9, 0.0)
        """
        from online_lstm.api.scores import scores_of

        with self._alone():
            return {"events": self.events, **scores_of(self._settings, self._partition.stats())}

    def __repr__(self) -> str:
        return f"Learner(task={self._settings.task!r}, events={self.events})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle a learner as its settings and the bytes of a checkpoint."""
        from online_lstm.checkpoint.checkpoint_files import pack_state

        with self._alone():
            return self._unpickled, (self._settings, pack_state(self._partition.state()))

    @classmethod
    def _unpickled(cls, settings: "Settings", data: bytes) -> "Learner[Any, Any]":
        from online_lstm.checkpoint.checkpoint_files import unpack_state

        return cls._of_state(settings, unpack_state(data, "the pickled learner"))

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
