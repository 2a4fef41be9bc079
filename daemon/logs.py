"""How log lines look: ``event key=value`` as text, or one JSON object a line."""

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

_FIELD = re.compile(r"%%|(=?)%[-#0+ ]*\d*(?:\.\d+)?[a-zA-Z]")
"""A place in a log message for an argument, and whether that is the value of a key."""


class RedactingFormatter(logging.Formatter):
    """Hides secrets: at DEBUG the Kafka client writes its options and all that it sends.

    Args:
        secrets: Texts that no line may have in it.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        written = {form for secret in secrets for form in (secret, repr(secret)[1:-1], repr(secret.encode())[2:-1])}
        self._secrets = re.compile("|".join(map(re.escape, sorted(written, key=len, reverse=True))) or "(?!)")

    def redact(self, text: str) -> str:
        """Return a text with asterisks for each secret."""
        return self._secrets.sub("**********", text)


class TextFormatter(RedactingFormatter):
    """Time, level and message; values that have blanks are quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        lines = [f"{_time(record)} {record.levelname} {_message(record)}"]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return self.redact("\n".join(lines))


class JsonFormatter(RedactingFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        fields = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self.redact(_message(record)),
        }
        if record.exc_info:
            fields["exception"] = self.redact(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=False)


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


def fields(values: Mapping[str, Any]) -> str:
    """Write ``key=value`` pairs as in all log lines.

    >>> fields({"topics": ("a", "b"), "network": ("lstm 32",), "learn": False})
    'topics=a,b network="lstm 32" learn=false'
    """
    return " ".join(f"{name}={_quoted(_plain(value))}" for name, value in values.items())


def tell(message: str) -> None:
    """Say why the program ends: to the person at the terminal, or to whoever reads a log in JSON."""
    if _in_json():
        logging.getLogger(__name__).error("%s", message)
    else:
        sys.stderr.write(f"online-lstm: {message}\n")


def tell_of_bug(error: Exception) -> None:
    """Say with its traceback that an exception ends the program which nobody had expected."""
    logging.getLogger(__name__).error("unexpected error", exc_info=error)


def _in_json() -> bool:
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _time(record: logging.LogRecord) -> str:
    """Give the local time with its zone (ISO 8601)."""
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> str:
    """Put the arguments into the message; those that are the value of a key are quoted where they have to be."""
    if not isinstance(record.args, tuple) or not isinstance(record.msg, str):
        return record.getMessage()
    places = [place for place in _FIELD.finditer(record.msg) if place[0] != "%%"]
    if len(places) != len(record.args):
        return record.getMessage()
    arguments = iter(record.args)

    def fill(place: re.Match[str]) -> str:
        if place[0] == "%%":
            return "%"
        text = place[0].removeprefix("=") % (_plain(next(arguments)),)
        return f"={_quoted(text)}" if place[1] else text

    return _FIELD.sub(fill, record.msg)


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
