"""Types of the settings: annotated with the conversion from text and the checks of a single value."""

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, ValidationInfo

from online_lstm.events import EXPERTS
from online_lstm.home_directory import expand_home
from online_lstm.timestamps import AUTO, EPOCH_UNITS, ISO

KERAS_SUFFIX = ".keras"
PathOrUrl = TypeVar("PathOrUrl", Path, str)


def _split_on_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _steps_or_ranges(value: Any) -> Any:
    """Split ``1,4-6`` into its numbers; leave any other part unchanged, so that validation refuses it."""
    steps: list[Any] = []
    for part in _split_on_commas(value):
        match = re.fullmatch(r"(\d{1,4})-(\d{1,4})", str(part))
        steps += range(int(match[1]), int(match[2]) + 1) if match else [part]
    return steps


def _non_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not all(value):
        raise ValueError("expected at least one name, and no empty ones")
    return value


def _experts(value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    experts = EXPERTS[info.data.get("task", "symbol")]
    if "lstm" not in value or not set(value) <= set(experts):
        task = info.data.get("task", "symbol")
        raise ValueError(f"expected lstm, alone or with some of {', '.join(experts[1:])}, as task is {task}")
    return tuple(name for name in experts if name in value)


def _ascending(value: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(value)))


def _server(value: str) -> str:
    host, _, port = value.rpartition(":")
    named = re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(%\w+)?\]", host)
    if not (named and re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65_535):
        raise ValueError("expected host:port, with a port from 1 to 65535: localhost:9092 or [::1]:9092")
    return value


def _topic(value: str) -> str:
    if value in {".", ".."} or not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", value):
        raise ValueError("expected 1 to 249 letters, digits, dots, _ and -, and neither . nor ..")
    return value


def _at_home(value: PathOrUrl) -> PathOrUrl:
    return type(value)(expand_home(value)) if str(value).startswith("~") else value


def _existing(value: Path) -> Path:
    if not value.is_file():
        raise ValueError(f"expected a file: a checkpoint, or a {KERAS_SUFFIX} file with its JSON beside it")
    return value.resolve()


def _field_path(value: str) -> str:
    if not value.startswith("/") and not all(value.split(".")):
        raise ValueError("expected names separated by dots, or a JSON Pointer such as /a/b")
    return value


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) < len(value):
        raise ValueError("expected each path once")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("expected a time zone like UTC or Europe/Berlin") from error
    return value


def _time_format(value: str) -> str:
    known = (AUTO, *EPOCH_UNITS, ISO)
    if value not in known and "%" not in value:
        raise ValueError(f"expected {', '.join(known)}, or a pattern like %d/%m/%Y")
    return value


def _registry_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", value):
        raise ValueError("expected http://host:port or https://host:port, and the path of the interface, if any")
    return value


def _start(value: str) -> str:
    """Accept ``earliest``, ``latest`` or an ISO 8601 timestamp."""
    if value not in {"earliest", "latest"}:
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("expected earliest, latest or a timestamp like 2026-01-31T12:00:00Z") from error
    return value


HomePath = Annotated[Path, AfterValidator(_at_home)]
HomeUrl = Annotated[str, AfterValidator(_at_home)]
ExistingFile = Annotated[HomePath, AfterValidator(_existing)]
StartPosition = Annotated[str, AfterValidator(_start)]
Server = Annotated[str, AfterValidator(_server)]
Topic = Annotated[str, AfterValidator(_topic)]
FieldPathText = Annotated[str, AfterValidator(_field_path)]
Paths = Annotated[tuple[FieldPathText, ...], BeforeValidator(_split_on_commas), AfterValidator(_distinct)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
RegistryUrl = Annotated[str, AfterValidator(_registry_url)]
TimeFormat = Annotated[str, AfterValidator(_time_format)]
Servers = Annotated[tuple[Server, ...], BeforeValidator(_split_on_commas), AfterValidator(_non_empty)]
Topics = Annotated[tuple[Topic, ...], BeforeValidator(_split_on_commas), AfterValidator(_non_empty)]
Names = Annotated[tuple[str, ...], BeforeValidator(_split_on_commas), AfterValidator(_non_empty)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_split_on_commas)]
Steps = Annotated[tuple[PositiveInt, ...], BeforeValidator(_split_on_commas), AfterValidator(_ascending)]
Horizons = Annotated[
    tuple[Annotated[int, Field(ge=1, le=512)], ...],
    BeforeValidator(_steps_or_ranges),
    AfterValidator(_ascending),
    Field(min_length=1),
]
Numbers = Annotated[tuple[Annotated[float, Field(gt=0)], ...], BeforeValidator(_split_on_commas)]
Experts = Annotated[tuple[str, ...], BeforeValidator(_split_on_commas), AfterValidator(_experts)]
