"""Paths to the fields of a message.

A path is dotted names and indices, of which the longest name that a message has wins, or a JSON Pointer (RFC 6901) if
it begins with a slash.
"""

from typing import Any

NOTHING = object()
"""The result of a path that leads nowhere."""


class FieldPath:
    """A path to a part of a message.

    >>> FieldPath("service.name").find({"service.name": "a"}), FieldPath("rows.1.t").find({"rows": [{}, {"t": 4}]})
    ('a', 4)
    >>> FieldPath("a.b").find({"a.b": 1, "a": {"b": 2}}), FieldPath("/a/b").find({"a.b": 1, "a": {"b": 2}})
    (1, 2)
    """

    __slots__ = ("_steps", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        names = text.split(".")
        ends = range(len(names), 0, -1)
        # for each name to begin with: the names that may be there, the longest first, and the step after each
        self._steps = [
            [(".".join(names[start:stop]), stop) for stop in ends if stop > start] for start in range(len(names))
        ]
        if text.startswith("/"):
            pointer = [name.replace("~1", "/").replace("~0", "~") for name in text[1:].split("/")]
            self._steps = [[(name, stop)] for stop, name in enumerate(pointer, 1)]

    def find(self, message: Any) -> Any:
        """Return the part of a message that the path leads to, or ``NOTHING``."""
        part, step = message, 0
        while step < len(self._steps):
            if isinstance(part, dict):
                for name, after in self._steps[step]:
                    if name in part:
                        part, step = part[name], after
                        break
                else:
                    return NOTHING
            elif isinstance(part, list):
                index, step = self._steps[step][-1]
                if not (index.isdecimal() and int(index) < len(part)):
                    return NOTHING
                part = part[int(index)]
            else:
                return NOTHING
        return part
