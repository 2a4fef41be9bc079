"""Rows with labels as JSON messages that mark the ends of sequences."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from online_lstm.backtest.input_files import Line
from online_lstm.codec.cell_text import Markers, parse_label

_NONE = Markers()


def ended(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield lines as JSON messages with their labels; the last message of each key ends its sequence.

    A label that is written as a number is a number, any other label a string; an empty cell and NaN are no label.

    >>> rows = [
    ...     Line(0, b"1.5", b"a", label="up"), Line(1, b"[1, null]", b"b", label=""),
    ...     Line(2, b"2", b"a", label="3"),
    ... ]
    >>> for line in ended(rows):
    ...     print(line.value.decode())
    {"value": 1.5, "label": "up"}
    {"value": [1, null], "end": true}
    {"value": 2, "label": 3, "end": true}
    """
    rows = list(lines)
    last = {line.key: index for index, line in enumerate(rows)}
    for index, line in enumerate(rows):
        parsed = None if line.label is None else parse_label(line.label, _NONE)
        label = f', "label": {parsed[1]}' if parsed else ""
        end = ', "end": true' if last[line.key] == index else ""
        value = _text(line.value.decode())
        yield replace(line, value=f'{{"value": {value}{label}{end}}}'.encode())


def _text(cell: str) -> str:
    """Return a cell as JSON: unchanged if it is a number or a list, else as a string."""
    try:
        known = isinstance(json.loads(cell), int | float | list)
    except ValueError:
        known = False
    return cell if known else json.dumps(cell, ensure_ascii=False)
