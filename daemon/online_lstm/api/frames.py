"""Tables of pandas, polars and pyarrow, dicts of columns and arrays: columns in, and results in the same kind out.

Only this module knows the kinds of tables, by narwhals, which loads with the first table.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.api.inputs import NO_TIME, Inputs, key_bytes, milliseconds
from online_lstm.errors import BadInputError, SettingsError
from online_lstm.events import Event
from online_lstm.timestamps import EPOCH

if TYPE_CHECKING:
    import narwhals as nw

Output = Callable[[dict[str, NDArray[Any]]], Any]
"""Returns columns of results in the kind of the input; the columns are as long as the input."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of an input, by column; ``names`` are the columns of the components of a value.

    ``output`` returns columns of results in the kind of the input.
    """

    names: tuple[str, ...]
    columns: Mapping[str, str]
    values: Sequence[object]
    keys: Sequence[object]
    times_ms: Sequence[int]
    labels: Sequence[object]
    ends: Sequence[bool]
    output: Output

    def __len__(self) -> int:
        return len(self.values)

    def events(self, inputs: Inputs, first: int = 0, end: int | None = None) -> Iterator[Event]:
        """Yield the events of some rows.

        Raises:
            BadInputError: A value or a label cannot be learned from; the error names its row and column.
            SettingsError: There is a label, and the task has none.
        """
        for row in range(first, len(self) if end is None else min(end, len(self))):
            value, key, label, ends = self.values[row], self.keys[row], self.labels[row], self.ends[row]
            try:
                yield inputs.event(value, key, self.times_ms[row], ends=ends, label=label)
            except BadInputError as error:
                raise self.refused(row, error, inputs) from None
            except SettingsError as error:
                raise SettingsError(f"row {row}, column {self.columns['label']!r}: {error}") from None

    def refused(self, row: int, error: BadInputError, inputs: Inputs) -> BadInputError:
        """Return an error of a row with the row and its column."""
        return BadInputError(error.reason, f"row {row}, column {self._column(row, inputs)!r}: {error}")

    def _column(self, row: int, inputs: Inputs) -> str:
        """Return the column that makes a row unusable: that of the label if the value alone is usable."""
        value = self.values[row]
        parts = value if len(self.names) > 1 and isinstance(value, list) else [value]
        for name, part in zip(self.names, parts, strict=True):
            try:
                inputs.event([part] * len(parts) if len(parts) > 1 else part, None, None, ends=False, label=None)
            except BadInputError:
                return name
        return self.columns.get("label", self.names[0])

    def require_ascending(self, inputs: Inputs) -> None:
        """Raise unless the times of each stream ascend; times may be equal or missing.

        Raises:
            SettingsError: A time is before the time of an earlier row of the same stream.
        """
        last: dict[str | None, int] = {}
        for row, (key, time_ms) in enumerate(zip(self.keys, self.times_ms, strict=True)):
            if time_ms == NO_TIME:
                continue
            stream = inputs.stream(key)
            before = last.get(stream, NO_TIME)
            if time_ms < before:
                raise SettingsError(
                    f"row {row}, column {self.columns['time']!r}: received {_iso(time_ms)} after {_iso(before)}, "
                    "expected ascending times within each key: sort the table by its times"
                )
            last[stream] = time_ms


def read_table(
    data: Any,
    *,
    value: str | Sequence[str] | None,
    key: Any,
    time: Any,
    label: Any,
    end: Any,
) -> Table:
    """Return the rows of a table.

    Args:
        data: A table of pandas, polars or pyarrow, a dict of columns, a NumPy array ``(n,)`` or ``(n, features)``, or a
            list of values.
        value: The column of the values, or the columns of their components; None for the only remaining column.
        key: The column of the keys; beside an array or a list, the keys themselves, or one key for all rows.
        time: The column of the times; beside an array or a list, the times themselves.
        label: The column of the labels, or the labels.
        end: The column that is true for the last sample of a sequence, or its content.

    Raises:
        SettingsError: The input is no table, a column is missing, or a cell of the keys, times or ends is unusable.
    """
    given = {"key": key, "time": time, "label": label, "end": end}
    columns = {role: column for role, column in given.items() if column is not None}
    source: _Frame | _Dict
    if isinstance(data, Mapping):
        source = _Dict(data)
    elif (frame := _frame_of(data)) is not None:
        source = _Frame(frame)
    else:
        source, value = _array_columns(data, columns), "value"
        columns = {role: role for role in columns}
    for role, column in columns.items():
        _require_column(source, role, column)
    names = _value_columns(source, value, set(columns.values()))
    parts = [source.cells(name) for name in names]

    def converted(role: str, convert: Callable[[Any], Any]) -> list[Any]:
        """Return the converted cells of a role; without a column, those of a column of missing cells."""
        if role not in columns:
            return [convert(None)] * len(parts[0])
        cells = source.times(columns[role]) if role == "time" else source.cells(columns[role])
        return _converted(cells, convert, columns[role])

    labels = converted("label", _label)
    return Table(
        names=names,
        columns=columns,
        values=parts[0] if len(parts) == 1 else _vectors(parts, labels),
        keys=converted("key", _key),
        times_ms=converted("time", milliseconds),
        labels=labels,
        ends=converted("end", _flag),
        output=source.output,
    )


class _Dict:
    """The columns of a dict; results are a dict of arrays."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._columns = {name: _cells_of(name, column) for name, column in data.items()}
        lengths = {name: len(cells) for name, cells in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise SettingsError(f"data: received columns of different lengths, {lengths}, expected one length")

    @property
    def names(self) -> list[str]:
        return list(self._columns)

    def cells(self, name: str) -> list[object]:
        return self._columns[name]

    times = cells

    @staticmethod
    def output(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return columns


class _Frame:
    """The columns of a table; results are a table of the same library, in pandas with the same index."""

    def __init__(self, frame: "nw.DataFrame[Any]") -> None:
        self._frame = frame

    @property
    def names(self) -> list[str]:
        return self._frame.columns

    def cells(self, name: str) -> list[object]:
        """Return the cells of a column, None for missing ones: each library has its own."""
        series = self._frame[name]
        return _with_none(series.to_list(), series)

    def times(self, name: str) -> list[object]:
        """Return the cells of a column of times; datetimes as milliseconds, rounded down."""
        import narwhals as nw

        series = self._frame[name]
        if not isinstance(series.dtype, nw.Datetime):
            return self.cells(name)
        cells = _with_none(series.dt.timestamp("ms").to_list(), series)
        return [None if cell is None else int(cell) for cell in cells]  # pandas has floats beside missing ones

    def output(self, columns: dict[str, NDArray[Any]]) -> Any:
        import narwhals as nw

        lists = {name: _uniform(column) if column.dtype == object else column for name, column in columns.items()}
        results = nw.from_dict(lists, backend=self._frame.implementation)
        if self._frame.implementation.is_pandas_like():  # a missing number is NaN there, null in the others
            native = results.to_native()
            native.index = self._frame.to_native().index
            return native
        floats = [name for name, column in columns.items() if column.dtype == np.float64]
        return results.with_columns(nw.col(*floats).fill_nan(None)).to_native()


def _with_none(cells: list[Any], series: "nw.Series[Any]") -> list[Any]:
    """Return the cells of a series, with None for those that are missing in it."""
    missing = series.is_null()
    return [None if no else cell for cell, no in zip(cells, missing, strict=True)] if missing.any() else cells


def _frame_of(data: Any) -> "nw.DataFrame[Any] | None":
    """Return a table or a series of any library, None for anything else.

    Raises:
        SettingsError: The table is lazy.
    """
    import narwhals as nw

    native = nw.from_native(data, allow_series=True, pass_through=True)
    if isinstance(native, nw.LazyFrame):
        raise SettingsError("data: received a lazy table, expected its rows: call its collect() first")
    if isinstance(native, nw.Series):
        return (native if native.name else native.alias("value")).to_frame()
    return native if isinstance(native, nw.DataFrame) else None


def _array_columns(data: Any, columns: Mapping[str, Any]) -> _Dict:
    """Return the values of an array or a list as the column ``value``, and the other arguments as columns beside it."""
    values = _cells_of("data", data)
    beside = {role: [given] * len(values) if isinstance(given, str) else given for role, given in columns.items()}
    return _Dict({"value": values, **beside})


def _cells_of(name: str, column: Any) -> list[object]:
    """Return the cells of a column as Python values; NumPy's times stay what they are."""
    if isinstance(column, str | bytes) or not isinstance(column, Iterable):
        raise SettingsError(
            f"{name}: received {column!r} of type {type(column).__name__}, expected a NumPy array or a list; "
            "learn_many takes these, dicts of them, and tables of pandas, polars and pyarrow"
        )
    if isinstance(column, np.ndarray) and column.dtype.kind != "M":
        cells: list[object] = column.tolist()
        return cells
    return list(column)


def _require_column(source: _Dict | _Frame, role: str, column: Any) -> None:
    if not isinstance(column, str) or column not in source.names:
        expected = ", ".join(map(repr, source.names)) or "a table with columns"
        raise SettingsError(f"{role}: received the column {column!r}, expected one of {expected}")


def _value_columns(source: _Dict | _Frame, value: str | Sequence[str] | None, others: set[str]) -> tuple[str, ...]:
    if value is None:
        names = [name for name in source.names if name not in others]
        if len(names) != 1:
            raise SettingsError(
                f"value: received nothing, expected the name of the column of values, or a list of names, from "
                f"{', '.join(map(repr, names)) or 'a table with more columns'}"
            )
        return tuple(names)
    names = [value] if isinstance(value, str) else list(value)
    if not names:
        raise SettingsError("value: received no columns, expected at least one")
    for name in names:
        _require_column(source, "value", name)
    return tuple(names)


def _converted(cells: Sequence[Any], convert: Callable[[Any], Any], column: str) -> list[Any]:
    converted = []
    for row, cell in enumerate(cells):
        try:
            converted.append(convert(cell))
        except SettingsError as error:
            raise SettingsError(f"row {row}, column {column!r}: {error}") from None
    return converted


def _vectors(parts: Sequence[Sequence[object]], labels: Sequence[object]) -> list[list[object] | None]:
    """Return the vectors of rows; without any component, a row with a label is a label alone."""
    return [
        None if label is not None and all(part is None for part in row) else list(row)
        for row, label in zip(zip(*parts, strict=True), labels, strict=True)
    ]


def _key(cell: Any) -> Any:
    key_bytes(cell)
    return cell


def _label(label: Any) -> Any:
    return None if label != label else label  # noqa: PLR0124 - NaN is a missing label


def _flag(cell: Any) -> bool:
    if cell is not None and cell not in (0, 1):
        raise SettingsError(f"end: received {cell!r}, expected true or false")
    return bool(cell)


def _uniform(column: NDArray[Any]) -> list[Any]:
    """Return cells of one type, as a column of a table needs: texts if there are texts beside numbers."""
    cells: list[Any] = column.tolist()
    if len({isinstance(cell, str) for cell in cells if cell is not None}) > 1:
        return [None if cell is None else str(cell) for cell in cells]
    return cells


def _iso(time_ms: int) -> str:
    return (EPOCH + timedelta(milliseconds=time_ms)).isoformat()
