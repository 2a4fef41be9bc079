"""Timestamps as Kafka counts them, in milliseconds since 1970, and the text forms that they are read from."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ISO = "iso"
EPOCH_UNITS = {"s": 3, "ms": 0, "us": -3, "ns": -6}
"""Units of a time since 1970, each with its power of ten in milliseconds."""
AUTO = "auto"
"""The form of a time since 1970 whose unit follows from its size, or of ISO 8601."""
MIN_RECOGNIZED_MS = {"s": 10**11, "ms": 10**12, "us": 10**12, "ns": 10**12}
MAX_RECOGNIZED_MS = 10**13
"""A number is a time in a unit if it is from 2001 (in seconds: 1973) to 2286, so at most one unit matches."""
_PER_MILLISECOND = {-power: 10**power for power in (0, 3, 6)}
_UNIT_OF_DIGITS = {9: "s", 10: "s", 13: "ms", 16: "us", 19: "ns"}
"""The unit of a whole number by its digits, which are those of the recognized times."""
UTC_ZONE = "UTC"
_OFFSET_MS = 900_000
_YEAR_9000_MS = 221_845_392_000_000
MAX_MILLISECONDS = 2**63 - 1

_DAY_MS = 86_400_000
_EPOCH_TIME = re.compile(r"-?[0-9]+(?:\.[0-9]*)?(?:[eE]\+?[0-9]{1,2})?")
_UTC = re.compile(r" ?(?:UTC|GMT)$", re.IGNORECASE)
_CLOCK = re.compile(
    r"[ T]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"(?: ?(am|pm))?(?: ?(?:Z|([+-])([0-9]{2}):?([0-9]{2})?))?$",
    re.IGNORECASE,
)
"""The time of day after a date: hours, minutes, seconds, their fraction, am or pm, and the offset from UTC."""


def epoch_ms(moment: datetime) -> int:
    """Return the whole milliseconds since 1970; a moment without a time zone counts as UTC.

    >>> epoch_ms(datetime(1970, 1, 1, 0, 0, 1, 500))
    1000
    """
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - EPOCH) // timedelta(milliseconds=1)


def wall_clock_ms(timestamp_ms: int, time_zone: str) -> int:
    """Return the milliseconds since 1970 that the clocks of a time zone show, as if it were UTC; -1 stays -1.

    >>> summer, winter = epoch_ms(datetime(2026, 7, 1, 12)), epoch_ms(datetime(2026, 1, 1, 12))
    >>> [(wall_clock_ms(time, "Europe/Berlin") - time) // 3_600_000 for time in (summer, winter)]
    [2, 1]
    """
    if time_zone == UTC_ZONE or not 0 <= timestamp_ms < _YEAR_9000_MS:
        return timestamp_ms
    return timestamp_ms + _offset_ms(timestamp_ms // _OFFSET_MS, time_zone)


@lru_cache(maxsize=4096)  # an offset holds for a quarter of an hour at least
def _offset_ms(quarter: int, time_zone: str) -> int:
    offset = (EPOCH + timedelta(milliseconds=quarter * _OFFSET_MS)).astimezone(ZoneInfo(time_zone)).utcoffset()
    return (offset or timedelta()) // timedelta(milliseconds=1)


def milliseconds_in(text: str, form: str) -> int | None:
    """Return the milliseconds since 1970 of a text in this form, None for a text in another form.

    A form is a unit of ``EPOCH_UNITS``, ``iso``, or a ``strptime`` pattern. After a pattern without hours a time of day
    may follow; 24:00 is the next midnight. A text without a time zone is in UTC.

    >>> milliseconds_in("1.5", "s"), milliseconds_in("02/01/1970 24:00", "%d/%m/%Y"), milliseconds_in("T", "iso")
    (1500, 172800000, None)
    """
    text = text.strip()
    if form in EPOCH_UNITS:
        return _since_epoch(text, EPOCH_UNITS[form])
    text = _UTC.sub("", text)
    if form == ISO:
        return _iso(text)
    clock = None if "%H" in form or "%I" in form else _CLOCK.search(text)
    date = _date(text[: clock.start()] if clock else text, form)
    of_day = _of_day(clock) if clock else 0
    return None if date is None or of_day is None else date + of_day


def unit_of(text: str) -> str | None:
    """Return the form of a text: the only unit of a time since 1970 that fits its size, or ISO 8601; None for no unit.

    >>> unit_of("1760000000"), unit_of("1760000000123"), unit_of("2026-01-31T12:00:00+01:00"), unit_of("7")
    ('s', 'ms', 'iso', None)
    """
    if text.isascii() and text.isdecimal():
        return _UNIT_OF_DIGITS.get(len(text.lstrip("0")))
    if not _EPOCH_TIME.fullmatch(text):
        return ISO
    for unit, power in EPOCH_UNITS.items():
        milliseconds = _since_epoch(text, power)
        if milliseconds is not None and MIN_RECOGNIZED_MS[unit] <= milliseconds < MAX_RECOGNIZED_MS:
            return unit
    return None


def _since_epoch(text: str, power: int) -> int | None:
    if power <= 0 and len(text) <= 19 and text.isascii() and text.isdecimal():
        return int(text) // _PER_MILLISECOND[power]
    if not _EPOCH_TIME.fullmatch(text):
        return None
    milliseconds = int(Decimal(text).scaleb(power) // 1)
    return milliseconds if abs(milliseconds) <= MAX_MILLISECONDS else None


def _iso(text: str) -> int | None:
    try:
        return epoch_ms(datetime.fromisoformat(text))
    except ValueError:
        return None


@lru_cache(maxsize=1024)  # successive rows share a date
def _date(text: str, pattern: str) -> int | None:
    try:
        return epoch_ms(datetime.strptime(text, pattern))  # noqa: DTZ007 - a text without a time zone is UTC
    except ValueError:
        return None


def _of_day(clock: re.Match[str]) -> int | None:
    """Return the milliseconds since midnight UTC of the date, None for an invalid time of day."""
    hours, minutes, seconds = (int(part or 0) for part in clock.group(1, 2, 3))
    half = (clock[5] or "").lower()
    if half and not 1 <= hours <= 12:
        return None
    hours = hours % 12 + 12 * (half == "pm") if half else hours
    milliseconds = 1000 * (60 * (60 * hours + minutes) + seconds) + int(f"{clock[4] or 0:0<3}"[:3])
    if minutes > 59 or seconds > 59 or milliseconds > _DAY_MS:
        return None
    offset = 60_000 * (60 * int(clock[7] or 0) + int(clock[8] or 0))
    return milliseconds + (offset if clock[6] == "-" else -offset)
