"""The log: events with fields, written as ``event key=value`` or as one JSON object a line.

Libraries log words to the standard loggers; their lines come out the same way, without fields.
"""

import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class LogEvent:
    """What happened, and to what.

    >>> str(LogEvent("starting", {"topics": ("a", "b"), "network": ("lstm 32",), "learn": False}))
    'starting topics=a,b network="lstm 32" learn=false'
    """

    name: str
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={_quoted(_plain(value))}" for key, value in self.fields.items())])


class EventLogger:
    """Logs events to the standard logger of a name: ``log.info("live", source=source, offset=3)``."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, /, **fields: Any) -> None:
        """Log what an operator may want to know."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        """Log what someone should act on."""
        self._log(logging.WARNING, event, fields)

    def _log(self, level: int, event: str, fields: Mapping[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, LogEvent(event, fields))


class RedactingFormatter(logging.Formatter):
    """Hides secrets: at DEBUG the Kafka client writes its options and all that it sends.

    Args:
        secrets: Texts that no line may have in it.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        written = {
            form
            for secret in secrets
            for form in (
                secret,
                repr(secret)[1:-1],
                repr(secret.encode())[2:-1],
                json.dumps(secret, ensure_ascii=False)[1:-1],
            )
        }
        self._secrets = re.compile("|".join(map(re.escape, sorted(written, key=len, reverse=True))) or "(?!)")

    def redact(self, text: str) -> str:
        """Return a text with asterisks for each secret."""
        return self._secrets.sub("**********", text)


class TextFormatter(RedactingFormatter):
    """Time, level, event and fields; values that have blanks are quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        lines = [f"{_time(record)} {record.levelname} {record.getMessage()}"]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return self.redact("\n".join(lines))


class JsonFormatter(RedactingFormatter):
    """One JSON object a line, with each field as a member."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        event = record.msg if isinstance(record.msg, LogEvent) else LogEvent(record.getMessage(), {})
        members = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "event": self.redact(event.name),
            **{key: self._redacted(_json_value(value)) for key, value in event.fields.items()},
        }
        if record.exc_info:
            members["exception"] = self.redact(self.formatException(record.exc_info))
        return json.dumps(members, ensure_ascii=False)

    def _redacted(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._redacted(item) for item in value]
        return self.redact(value) if isinstance(value, str) else value


def configure(*, level: str, style: str, secrets: Iterable[str] = ()) -> None:
    """Send the log to standard error, with none of the secrets in it.

    The lines of the Kafka client itself are written at DEBUG only: what it retries is not an event of ours.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(secrets) if style == "json" else TextFormatter(secrets))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kafka").setLevel(logging.NOTSET if level == "DEBUG" else logging.CRITICAL)


def configure_command(*, level: str, style: str, secrets: Iterable[str] = ()) -> None:
    """Send the log of a command whose output is for a person to standard error: warnings, or all at DEBUG."""
    configure(level=level if level == "DEBUG" else "WARNING", style=style, secrets=secrets)


def tell(message: str) -> None:
    """Say why the program ends: to the person at the terminal, or to whoever reads a log in JSON."""
    if _in_json():
        logging.getLogger(__name__).error("%s", message)
    else:
        sys.stderr.write(f"online-lstm: {message}\n")


def tell_of_bug(error: Exception) -> None:
    """Say with its traceback that an exception ends the program which nobody had expected."""
    logging.getLogger(__name__).error("unexpected error", exc_info=error)


def _written(secret: str) -> tuple[str, ...]:
    """Return a secret as it is, and as Python and JSON write it."""
    return secret, repr(secret)[1:-1], repr(secret.encode())[2:-1], json.dumps(secret, ensure_ascii=False)[1:-1]


def _in_json() -> bool:
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _time(record: logging.LogRecord) -> str:
    """Give the local time with its zone (ISO 8601)."""
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _json_value(value: Any) -> Any:
    """Return a value as JSON has it: numbers, truth values and lists as they are, whatever else as its text."""
    if isinstance(value, tuple | list | set | frozenset):
        return [_json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _plain(value: Any) -> Any:
    """Write a list as its items, with commas between them, and a truth value as in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | set | frozenset):
        return ",".join(str(item) for item in value)
    return value


def _quoted(value: Any) -> str:
    """Quote a text with blanks, quotation marks, ``=`` or control characters in it, or nothing in it.

    >>> _quoted("numbers"), _quoted(""), _quoted("two words")
    ('numbers', '""', '"two words"')
    """
    text = str(value)
    plain = text and text.isprintable() and not re.search(r'[\s"=]', text)
    return text if plain else json.dumps(text, ensure_ascii=False)
