"""JSON files: a value in each line, one array with a value in each element, or a dump of a topic by ``kcat -J``.

The form is detected from the first line and reported. Values keep the notation of the file.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO

from online_lstm.backtest.input_files import Line, read_lines
from online_lstm.errors import InputFileError

_DUMP = {"topic", "partition", "offset", "payload"}
"""Fields of each message in a dump of ``kcat -J``."""
_SPACE = " \t\r\n"
_scan = json.JSONDecoder().raw_decode


def read_json(
    file: BinaryIO, name: str, encoding: str | None = None, *, notify: Callable[[str], None] = lambda _: None
) -> Iterator[Line]:
    """Yield the values of a JSON file, with keys and timestamps from a dump.

    Args:
        file: The file, open for reading.
        name: Its name in messages.
        encoding: Its encoding; None for UTF-8, or that of a byte order mark.
        notify: Called with a line about the form, unless it is a value in each line.

    Raises:
        InputFileError: An array or a message of a dump is cut off or damaged.
    """
    lines = read_lines(file, encoding)
    head: list[Line] = []
    for line in lines:
        head.append(line)
        if line.value:
            break
    first = head[-1].value if head else b""
    content = _parsed(first)
    if isinstance(content, dict) and content.keys() >= _DUMP:
        notify(f"{name}: read as: messages of kcat -J")
        return (_message(line, name) for line in chain(head, lines) if line.value)
    if first.lstrip().startswith(b"[") and (content is None or (_are_objects(content) and not _has_more(lines, head))):
        notify(f"{name}: read as: one array, a value in each element")
        return _elements(chain(head, lines), name)
    return chain(head, lines)


def _parsed(text: bytes) -> Any:
    """Return the content of a JSON text; None if it is not complete."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _are_objects(content: Any) -> bool:
    return isinstance(content, list) and bool(content) and all(isinstance(one, dict) for one in content)


def _has_more(lines: Iterator[Line], head: list[Line]) -> bool:
    """Return whether another value follows, and add the lines up to it to ``head``."""
    for line in lines:
        head.append(line)
        if line.value:
            return True
    return False


def _elements(lines: Iterable[Line], name: str) -> Iterator[Line]:
    """Yield each element of the array that all lines form, as written."""
    text = b"\n".join(line.value for line in lines).decode(errors="replace")
    position = _after_space(text, text.index("[") + 1)
    number = 0
    while text[position : position + 1] != "]":
        try:
            _, end = _scan(text, position)
        except (ValueError, RecursionError):
            raise InputFileError(
                f"{name}: element {number + 1} of the array is cut off or damaged: received "
                f"{text[position : position + 64]!r}; expected a whole array, or --format text"
            ) from None
        yield Line(number, text[position:end].replace("\n", " ").encode())
        number += 1
        position = _after_space(text, end)
        position = _after_space(text, position + (text[position : position + 1] == ","))


def _after_space(text: str, position: int) -> int:
    while text[position : position + 1] and text[position] in _SPACE:
        position += 1
    return position


def _message(line: Line, name: str) -> Line:
    """Return the key, timestamp and payload of a message of a dump."""
    message = _parsed(line.value)
    if not (isinstance(message, dict) and message.keys() >= _DUMP):
        raise InputFileError(
            f"{name}: line {line.number + 1}: received {line.value[:64]!r}, expected a message of "
            f"kcat -J with {', '.join(sorted(_DUMP))}"
        )
    time = message.get("ts")
    stamp = time if isinstance(time, int) and message.get("tstype") != "unknown" and time >= 0 else -1
    value, key = _bytes_of(message["payload"]), _bytes_of(message.get("key"))
    return Line(line.number, value or b"", key, stamp, is_null=value is None)


def _bytes_of(part: Any) -> bytes | None:
    """Return the bytes of a key or payload, which ``kcat -s avro`` has as JSON."""
    if part is None:
        return None
    text = part if isinstance(part, str) else json.dumps(part)
    return text.encode(errors="replace")
