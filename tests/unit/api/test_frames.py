"""Tables of rows that a learner learns at once, of all libraries."""

import math
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from online_lstm import Learner
from online_lstm.api import learner as learner_module
from online_lstm.errors import BadInputError, SettingsError
from support.fakes import LABELS, NUMBERS
from support.learners import INPUTS, MODEL, TASKS, content, learn

pytestmark = pytest.mark.long
VECTORS: dict[str, Any] = {**MODEL, **NUMBERS}
"""Two components at the horizons 1 and 3."""
ROWS = 40
COLUMNS: dict[str, Any] = {
    "at": [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=row) for row in range(ROWS)],
    "site": ["a" if row % 3 else "b" for row in range(ROWS)],
    "temp": [None if row % 11 == 5 else 20 + math.sin(row / 4) for row in range(ROWS)],
    "load": [float(row % 7) for row in range(ROWS)],
}
HOW = {"value": ["temp", "load"], "key": "site", "time": "at"}
KINDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pandas": lambda columns: pd.DataFrame(columns, index=range(100, 100 + ROWS)),
    "pandas naive": lambda columns: pd.DataFrame(columns).assign(at=lambda frame: frame["at"].dt.tz_localize(None)),
    "pandas nullable": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "dict": lambda columns: {**columns, "load": np.array(columns["load"]), "at": np.array(columns["at"])},
    "dict of datetime64": lambda columns: {
        **columns,
        "at": np.array([at.replace(tzinfo=None) for at in columns["at"]], "datetime64[ns]"),
    },
}


def one_by_one(settings: dict[str, Any] = VECTORS) -> tuple[Learner[Any, Any], list[Any]]:
    learner = Learner(**settings)
    rows = zip(*COLUMNS.values(), strict=True)
    return learner, [learner.learn_one([temp, load], key=site, time=at) for at, site, temp, load in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_learned_row_by_row(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """State and results are those of as many single calls, in whatever chunks; results are of the table's kind."""
    monkeypatch.setattr(learner_module, "MAX_CHUNK", 16)
    table = KINDS[kind](COLUMNS)
    learner, (expected, outcomes) = Learner(**VECTORS), one_by_one()
    results = learner.learn_many(table, **HOW)
    assert type(table) is type(results)
    assert content(expected) == content(learner)
    assert ROWS == learner.events == expected.events
    names = (
        results.column_names
        if isinstance(results, pa.Table)
        else list(results if isinstance(results, dict) else results.columns)
    )
    kinds, channels = ("prediction", "lower", "upper", "error", "hit"), ("temp_h1", "load_h1", "temp_h3", "load_h3")
    assert [*(f"{kind}_{channel}" for kind in kinds for channel in channels), "drift"] == names
    last = {name: cells_of(results[name])[-1] for name in names}
    (temp, load), (later_temp, later_load) = outcomes[-1].prediction
    assert [temp, load, later_temp, later_load] == [last[f"prediction_{channel}"] for channel in channels]
    assert outcomes[-1].interval[1][0] == (last["lower_temp_h3"], last["upper_temp_h3"])
    assert outcomes[-1].evaluation.error[0][1] == last["error_load_h1"]
    assert outcomes[-1].evaluation.hit[1][0] == last["hit_temp_h3"]


@pytest.mark.parametrize("case", TASKS)
def test_every_task_learns_a_table(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ends, labels alone, and shared weights, as it learns the rows one by one."""
    monkeypatch.setattr(learner_module, "MAX_CHUNK", 16)
    inputs, roles = INPUTS[case](40), ("value", "key", "time", "end", "label")
    table = {role: [arguments.get(role) for arguments in inputs] for role in roles}
    learner, other = Learner(**TASKS[case]), Learner(**TASKS[case])
    results = learner.learn_many(table, **{role: role for role in roles})
    outcomes = learn(other, inputs)
    assert content(other) == content(learner)
    if case.startswith(("symbol", "label")):
        assert [outcome.prediction for outcome in outcomes] == results["prediction"].tolist()
        hits = [math.nan if outcome.evaluation is None else outcome.evaluation.hit for outcome in outcomes]
        np.testing.assert_array_equal(hits, results["hit"])


def cells_of(column: Any) -> list[Any]:
    return list(column.to_pylist() if isinstance(column, pa.ChunkedArray) else column)


def test_the_index_of_pandas_stays() -> None:
    """Results join their input; a missing figure is NaN there, and null in other libraries."""
    index = pd.date_range("2026-01-01", periods=3, freq="h")
    results = Learner(**MODEL).learn_many(pd.Series(["on", "off", "on"], index=index))
    assert index.equals(results.index)
    assert ["prediction", "probability", "hit", "surprise_bits", "drift"] == list(results.columns)
    assert math.isnan(results["hit"].iloc[0])
    others = Learner(**MODEL).learn_many(pl.Series("state", ["on", "off", "on"]))
    assert [None, 0.0, 1.0] == [others["hit"][0], others["hit"][1], others["hit"].count() - 1.0]


@pytest.mark.parametrize("values", [np.arange(9.0), np.arange(9.0)[:, None], list(range(9)), {"count": range(9)}])
def test_arrays_and_lists_are_columns_of_values(values: Any) -> None:
    """Keys and times stand beside them, or one key for all."""
    settings = {**MODEL, "task": "number", "lookback": 256}
    learner, other = Learner(**settings), Learner(**settings)
    if isinstance(values, dict):
        results = learner.learn_many({**values, "pump": ["pump-7"] * 9, "ms": [*range(9)]}, key="pump", time="ms")
    else:
        results = learner.learn_many(values, key="pump-7", time=range(9))
    outcomes = [other.learn_one(float(number), key="pump-7", time=number) for number in range(9)]
    assert content(other) == content(learner)
    assert [outcome.prediction for outcome in outcomes] == results["prediction"].tolist()
    assert ["prediction", "lower", "upper", "error", "hit", "drift"] == list(results)


def test_labels_and_ends_are_columns() -> None:
    """A row with a label and no value is a label alone; a missing label is none."""
    settings = {**MODEL, **LABELS}
    rows: list[dict[str, Any]] = [
        {"x": math.sin(row), "y": row % 3 * 1.0, "run": "a", "end": row % 4 == 2, "label": None}
        if row % 4 < 3
        else {"x": None, "y": None, "run": "a", "end": None, "label": float(row // 4 % 2)}
        for row in range(24)
    ]
    learner, other = Learner(**settings), Learner(**settings)
    results = learner.learn_many(pd.DataFrame(rows), value=["x", "y"], key="run", label="label", end="end")
    for row in rows:
        value = None if row["x"] is None else [row["x"], row["y"]]
        outcome = other.learn_one(value, key=row["run"], end=bool(row["end"]), label=row["label"])
    assert content(other) == content(learner)
    assert outcome.evaluation is not None
    assert outcome.evaluation.hit == results["hit"].iloc[-1]
    assert {0.0, 1.0} >= set(results["prediction"].dropna())


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "dict"])
def test_no_rows_change_nothing(kind: str) -> None:
    """And the results are an empty table with the columns of any."""
    table = {
        "pandas": pd.DataFrame({"temp": []}),
        "polars": pl.DataFrame({"temp": []}),
        "pyarrow": pa.table({"temp": pa.array([], pa.float64())}),
        "dict": {"temp": []},
    }[kind]
    learner = Learner(**MODEL)
    results = learner.learn_many(table, value="temp")
    assert type(table) is type(results)
    assert 0 == learner.events == len(results["hit"])


REFUSED = [
    (
        {"value": "temperature"},
        "value: received the column 'temperature', expected one of 'at', 'site', 'temp'",
    ),
    ({"value": None, "key": "site"}, "value: received nothing, expected the name of the column of values, or a list"),
    ({"value": []}, "value: received no columns, expected at least one"),
    ({"key": "pump"}, "key: received the column 'pump', expected one of 'at'"),
    ({"key": "load"}, "row 0, column 'load': key: received 0.0 of type float, expected a string or None: convert it"),
    ({"time": "site"}, "row 0, column 'site': time: received 'b' of type str, expected a datetime"),
    ({"end": "temp"}, "row 0, column 'temp': end: received 20.0, expected true or false"),
    ({"label": "load"}, "row 0, column 'load': label: received 0.0, expected no label, as task is number"),
    ({"value": "temp"}, "row 0, column 'temp': received '20.0' with 1 numbers, expected 2: the setting features"),
    ({"value": ["temp", "site"]}, "row 0, column 'site': received a vector with a string in '[20.0, \"b\"]', expected"),
]


@pytest.mark.parametrize(("given", "text"), REFUSED)
def test_an_unusable_table_is_refused(given: dict[str, Any], text: str) -> None:
    """With row, column, what was received, what was expected, and the way out."""
    learner = Learner(**VECTORS)
    with pytest.raises((SettingsError, BadInputError), match=re.escape(text)):
        learner.learn_many(pl.DataFrame(COLUMNS), **{**HOW, **given})
    assert 0 == learner.events


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("1,2", "data: received '1,2' of type str, expected a NumPy array or a list; learn_many takes these, dicts of"),
        (7, "data: received 7 of type int, expected a NumPy array or a list"),
        ({"temp": 7}, "temp: received 7 of type int, expected a NumPy array or a list"),
        ({"a": [1], "b": [1, 2]}, "data: received columns of different lengths, {'a': 1, 'b': 2}, expected one length"),
        (pl.LazyFrame({"a": [1]}), "data: received a lazy table, expected its rows: call its collect() first"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, text: str) -> None:
    """Before anything is read from it."""
    with pytest.raises(SettingsError, match=re.escape(text)):
        Learner(**MODEL).learn_many(data)


def test_one_unusable_row_refuses_all() -> None:
    """Of a column of mixed types: none of the rows before it is learned."""
    learner = Learner(**{**MODEL, "task": "number", "lookback": 256})
    frame = pd.DataFrame({"temp": [1.0, 2, "open", 4]})
    with pytest.raises(BadInputError, match=re.escape("row 2, column 'temp': received 'open', expected a number")):
        learner.learn_many(frame)
    assert 0 == learner.events


def test_a_refused_label_undoes_the_whole_call() -> None:
    """Labels are refused while they are learned: one too many, or one without a sequence."""
    learner, undisturbed = Learner(**{**MODEL, **LABELS}), Learner(**{**MODEL, **LABELS})
    rows = {"value": [[1, 2]] * 4, "key": list("abcd"), "end": [True] * 4}
    for one in (learner, undisturbed):
        one.learn_many({**rows, "label": [0, 1, 0, 1]}, value="value", key="key", end="end", label="label")
    more = {**rows, "label": [0, 1, 2, 3]}
    with pytest.raises(BadInputError, match=r"row 3, column 'label': received the label '3', expected one of 3 known"):
        learner.learn_many(more, value="value", key="key", end="end", label="label")
    late = {"value": [[1, 2], None], "key": ["a", "e"], "label": [None, 1]}
    with pytest.raises(BadInputError, match=r"row 1, column 'label': received a label without a sample, expect"):
        learner.learn_many(late, value="value", key="key", label="label")
    assert content(undisturbed) == content(learner)


def test_times_out_of_order_are_refused() -> None:
    """Within a key; other keys may be earlier, equal and missing times are no disorder."""
    times = pd.to_datetime(["2026-01-02", "2026-01-01", "2026-01-01", None, "2026-01-03", "2026-01-01"])
    frame = pd.DataFrame({"on": times, "site": list("abbbab"), "temp": range(6)})
    learner = Learner(**MODEL)
    learner.learn_many(frame, value="temp", key="site", time="on")
    text = (
        "row 5, column 'on': received 2026-01-01T00:00:00+00:00 after 2026-01-03T00:00:00+00:00, expected ascending "
        "times within each key: sort the table by its times"
    )
    frame.loc[5, "site"] = "a"
    with pytest.raises(SettingsError, match=re.escape(text)):
        learner.learn_many(frame, value="temp", key="site", time="on")
    assert 6 == learner.events


def test_an_interrupt_ends_a_table_between_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """``events`` says how many rows were learned, and the rest may be learned later."""
    monkeypatch.setattr(learner_module, "MAX_CHUNK", 16)
    learner, undisturbed = Learner(**MODEL), Learner(**MODEL)
    learn, calls = learner._partition.learn, []

    def interrupted(events: Any) -> Any:
        calls.append(events)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return learn(events)

    values = [row % 5 for row in range(50)]
    with monkeypatch.context() as patch:
        patch.setattr(learner._partition, "learn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            learner.learn_many(values)
    assert 32 == learner.events
    learner.learn_many(values[learner.events :])
    undisturbed.learn_many(values)
    assert content(undisturbed) == content(learner)


def test_a_handler_of_the_program_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not raise is called between two parts of a table, and the table is learned to its end."""
    monkeypatch.setattr(learner_module, "MAX_CHUNK", 16)
    learner, called = Learner(**MODEL), list[int]()
    learn = learner._partition.learn

    def interrupted(events: Any) -> Any:
        if not called:
            signal.raise_signal(signal.SIGINT)
        return learn(events)

    monkeypatch.setattr(learner._partition, "learn", interrupted)
    before = signal.signal(signal.SIGINT, lambda *_: called.append(learner.events))
    try:
        results = learner.learn_many([row % 5 for row in range(50)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert [16] == called
    assert 49 == np.isfinite(results["hit"]).sum()
