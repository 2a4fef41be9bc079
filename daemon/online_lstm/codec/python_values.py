"""The JSON text of a Python value, so that values of a program and of a topic have one reader and the same refusals."""

import json
from collections.abc import Iterable
from typing import Any

from online_lstm.errors import BadInputError

_NUMERIC = set("biufUO")
"""NumPy's kinds of booleans, numbers, texts and objects, but not of times and bytes."""


def json_value(value: object, *, ends: bool = False, label: object = None) -> bytes:
    """Return the record value for a Python value: its JSON text, or an object with it, and ``end`` and ``label``.

    NumPy's numbers and arrays count as Python's numbers and lists. A label without a value has no ``value``.

    >>> json_value(0.1), json_value((1, None), ends=True), json_value(None, label="up")
    (b'0.1', b'{"value": [1, null], "end": true}', b'{"label": "up"}')

    Raises:
        BadInputError: The value or the label has a part that JSON cannot express.
    """
    if label != label:  # noqa: PLR0124 - NaN is a missing label
        label = None
    message: Any = value
    if ends or label is not None or isinstance(value, dict) or _has_objects(value):
        message = {} if value is None and label is not None else {"value": value}
        message.update({"end": True} if ends else {}, **({} if label is None else {"label": label}))
    try:
        return json.dumps(message, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInputError(
            "not_a_value",
            f"received a value of type {type(value).__name__} ({str(error)[:64]}), expected numbers, strings, "
            "booleans, None, or lists of them: convert it first",
        ) from None


def _has_objects(value: object) -> bool:
    """Return whether a list has objects, which by itself would be several events in JSON."""
    if not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        return False
    return any(isinstance(part, dict) for part in value)


def _plain(part: Any) -> Any:
    """Return the Python number or list of a NumPy number or array."""
    if getattr(getattr(part, "dtype", None), "kind", "") in _NUMERIC:
        return part.tolist()
    raise TypeError(f"no number, string, list or None: {type(part).__name__}")
