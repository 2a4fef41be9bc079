"""Python values and the JSON texts of records are the same events, with the same refusals."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from online_lstm.codec import Decoder, json_value
from online_lstm.errors import BadInputError
from online_lstm.events import InputRecord
from online_lstm.settings import read_settings

TASKS = {
    "symbol": read_settings({}, environment={}),
    "number": read_settings({"task": "number", "features": 2, "missing_values": ["NA", "-200"]}, environment={}),
    "label": read_settings({"task": "label"}, environment={}),
}
NUMBERS = st.floats() | st.integers()
SCALARS = (
    NUMBERS
    | st.text(max_size=5)
    | st.sampled_from(["NA", "4.0", "nan", "[1, 2]", "\ud800"])
    | st.booleans()
    | st.none()
)
VALUES = st.recursive(SCALARS, lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=2), parts))


def event_of(task: str, text: bytes) -> tuple[Any, ...]:
    """Return the parts of the event of a value, or the reason of its refusal."""
    ((_, event, error),) = Decoder(TASKS[task]).decode(InputRecord("numbers", 0, 0, -1, b"key", text))
    if error is not None:
        return (error.reason,)
    return tuple(getattr(event, name, None) for name in ("symbol", "vector", "literal", "ends", "label"))


@given(st.sampled_from([*TASKS]), VALUES, st.booleans(), st.none() | SCALARS)
def test_a_value_is_read_as_its_json(task: str, value: Any, ends: bool, label: Any) -> None:
    """Alone, with the end of a sequence, and with a label."""
    message = {"value": value, "end": ends, "label": label}
    if value is None and label is not None and not (isinstance(label, float) and math.isnan(label)):
        del message["value"]
    assert event_of(task, json.dumps(message).encode()) == event_of(task, json_value(value, ends=ends, label=label))


@given(st.lists(st.floats(width=32), min_size=1, max_size=3))
def test_arrays_are_read_as_lists(numbers: list[float]) -> None:
    """And the numbers of NumPy as those of Python."""
    assert json_value(numbers) == json_value(np.array(numbers)) == json_value(tuple(map(np.float64, numbers)))
    assert json_value(numbers[0]) == json_value(np.float32(numbers[0]))
    assert b"3" == json_value(np.int64(3))
    assert b"true" == json_value(np.bool_(True))


@pytest.mark.parametrize(
    "value", [{1}, b"4", 4j, np.datetime64("2026-01-01"), np.array(["2026-01-01"], "M8[ns]"), [object()]]
)
def test_what_json_cannot_express_is_refused(value: object) -> None:
    """With its type, and what is expected."""
    with pytest.raises(
        BadInputError, match=rf"received a value of type {type(value).__name__} \(.*\), expected numbers"
    ):
        json_value(value)


def test_a_circle_of_lists_is_refused() -> None:
    """As is anything nested too deeply; nothing recurses for ever."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(BadInputError, match="received a value of type list"):
        json_value(circle)
    deep: Any = math.pi
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadInputError, match="received a value of type list"):
        json_value(deep)
