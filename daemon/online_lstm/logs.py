"""Logging of events with fields, as ``event key=value`` or as one JSON object per line.

Messages of libraries, which use the standard loggers, have the same format without fields.
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
    """A log message: the name of an event, and fields with its objects and values.

    >>> str(LogEvent("starting", {"topics": ("a", "b"), "network": ("lstm 32",), "learn": False}))
    'starting topics=a,b network="lstm 32" learn=false'
    """

    name: str
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={_quoted(_plain(value))}" for key, value in self.fields.items())])


class EventLogger:
    """A logger of events on top of a standard logger: ``log.info("live", source=source, offset=3)``."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, /, **fields: Any) -> None:
        """Log an event for the operator's information."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        """Log an event that requires action."""
        self._log(logging.WARNING, event, fields)

    def _log(self, level: int, event: str, fields: Mapping[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, LogEvent(event, fields))


class RedactingFormatter(logging.Formatter):
    """A formatter that hides secrets: at DEBUG the Kafka client logs its options and all requests.

    Args:
        secrets: Texts that must not appear in any line.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        written = {form for secret in secrets for form in _written(secret)}
        self._secrets = re.compile("|".join(map(re.escape, sorted(written, key=len, reverse=True))) or "(?!)")

    def redact(self, text: str) -> str:
        """Return a text with each secret replaced by asterisks."""
        return self._secrets.sub("**********", text)


class TextFormatter(RedactingFormatter):
    """A formatter of lines with time, level, event and fields; values with blanks are quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        lines = [f"{_time(record)} {record.levelname} {record.getMessage()}"]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return self.redact("\n".join(lines))


class JsonFormatter(RedactingFormatter):
    """A formatter of JSON objects, one per line, with each field as a member."""

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
    """Write the log to standard error, without secrets.

    Below CRITICAL, messages of the Kafka client appear at DEBUG only, because the client logs every retry.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(secrets) if style == "json" else TextFormatter(secrets))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kafka").setLevel(logging.NOTSET if level == "DEBUG" else logging.CRITICAL)


def configure_command(*, level: str, style: str, secrets: Iterable[str] = ()) -> None:
    """Write the log of an interactive command to standard error: warnings only, or everything at DEBUG."""
    configure(level=level if level == "DEBUG" else "WARNING", style=style, secrets=secrets)


def write_error(message: str) -> None:
    """Write the reason for the end of the program to standard error: as text, or as a JSON log line."""
    if _in_json():
        logging.getLogger(__name__).error("%s", message)
    else:
        sys.stderr.write(f"online-lstm: {message}\n")


def log_bug(error: Exception) -> None:
    """Log an unexpected exception, which ends the program, with its traceback."""
    logging.getLogger(__name__).error("unexpected error", exc_info=error)


def _written(secret: str) -> tuple[str, ...]:
    """Return a secret unchanged, and in the notations of Python and JSON."""
    return secret, repr(secret)[1:-1], repr(secret.encode())[2:-1], json.dumps(secret, ensure_ascii=False)[1:-1]


def _in_json() -> bool:
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _time(record: logging.LogRecord) -> str:
    """Return the local time of a record with its zone (ISO 8601)."""
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _json_value(value: Any) -> Any:
    """Return a value for JSON: finite numbers, booleans, strings, None and lists; any other value as its text."""
    if isinstance(value, tuple | list | set | frozenset):
        return [_json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _plain(value: Any) -> Any:
    """Return a list as its items separated by commas, a boolean as in TOML, any other value unchanged."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | set | frozenset):
        return ",".join(str(item) for item in value)
    return value


def _quoted(value: Any) -> str:
    """Return the text of a value, quoted if it is empty or has blanks, quotation marks, ``=`` or control characters.

    >>> _quoted("numbers"), _quoted(""), _quoted("two words")
    ('numbers', '""', '"two words"')
    """
    text = str(value)
    plain = text and text.isprintable() and not re.search(r'[\s"=]', text)
    return text if plain else json.dumps(text, ensure_ascii=False)
