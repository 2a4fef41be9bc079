"""Rows of a file with a column of labels, as messages that say where sequences end."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from online_lstm.backtest.input_files import Line
from online_lstm.codec.cells import Markers, parse_label

_NONE = Markers()


def ended(lines: Iterable[Line]) -> Iterator[Line]:
    """Give lines as JSON messages with their labels; the last one of each key says that its sequence is over.

    A label is a number where it is written as one, and otherwise a string; an empty cell and NaN are none.

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
    last = {line.key: place for place, line in enumerate(rows)}
    for place, line in enumerate(rows):
        found = None if line.label is None else parse_label(line.label, _NONE)
        label = f', "label": {found[1]}' if found else ""
        end = ', "end": true' if last[line.key] == place else ""
        value = _text(line.value.decode())
        yield replace(line, value=f'{{"value": {value}{label}{end}}}'.encode())


def _text(cell: str) -> str:
    """Give a cell as JSON: as it is, or as a string."""
    try:
        known = isinstance(json.loads(cell), int | float | list)
    except ValueError:
        known = False
    return cell if known else json.dumps(cell, ensure_ascii=False)
