"""The arguments of a learner as decoded events: values through the daemon's decoder, keys and times as a record's."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from online_lstm.codec import Decoder, json_value
from online_lstm.codec.encode import YEAR_10000_MS
from online_lstm.errors import SettingsError
from online_lstm.events import Event, InputRecord
from online_lstm.settings import Settings
from online_lstm.timestamps import epoch_ms

TOPIC = "learner"
"""The topic of the only partition of a learner."""
NO_TIME = -1


class Inputs:
    """A reader of values, keys and times; ``value_format`` and the paths in messages do not concern Python values."""

    def __init__(self, settings: Settings) -> None:
        self._task = settings.task
        self._decoder = Decoder(settings.without_paths())
        self._by_key = settings.stream_by == "key"

    def stream(self, key: object) -> str | None:
        """Return the stream of a key."""
        encoded = key_bytes(key)
        return encoded.decode() if encoded is not None and self._by_key else None

    def event(self, value: object, key: object, time: object, *, ends: bool, label: object) -> Event:
        """Return the event that a record with this value would be decoded to.

        Raises:
            BadInputError: The value or the label cannot be learned from.
            SettingsError: The key is no string, the time no time, or there is a label and the task has none.
        """
        if label is not None and self._task != "label":
            raise SettingsError(f"label: received {label!r}, expected no label, as task is {self._task}")
        text = json_value(value, ends=ends, label=label)
        record = InputRecord(TOPIC, 0, 0, milliseconds(time), key_bytes(key), text)
        ((_, event, error),) = self._decoder.decode(record)
        if error is not None:
            raise error
        assert isinstance(event, Event)  # the value is a text
        return event


def key_bytes(key: object) -> bytes | None:
    """Return the key of a record.

    Raises:
        SettingsError: The key is neither a string of whole characters nor None.
    """
    if key is None:
        return None
    if not isinstance(key, str):
        raise SettingsError(
            f"key: received {key!r} of type {type(key).__name__}, expected a string or None: convert it with str()"
        )
    try:
        return key.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"key: received {key!a} with half of a surrogate pair, expected whole characters") from None


def milliseconds(time: Any) -> int:
    """Return a time as milliseconds since 1970, -1 for none; a time before 1970 counts as none, as in Kafka.

    >>> milliseconds(datetime(1970, 1, 1, 0, 0, 2)), milliseconds(np.datetime64("1970-01-01T00:00:03")), milliseconds(4)
    (2000, 3000, 4)

    Raises:
        SettingsError: The time is neither a datetime, a date, a ``numpy.datetime64``, whole milliseconds nor None.
    """
    if isinstance(time, np.datetime64):
        time = None if np.isnat(time) else int(time.astype("datetime64[ms]").astype(np.int64))
    if time is None or time != time:  # noqa: PLR0124 - the missing time of pandas
        return NO_TIME
    if isinstance(time, date):
        moment = time if isinstance(time, datetime) else datetime(time.year, time.month, time.day, tzinfo=UTC)
        return max(epoch_ms(moment), NO_TIME)
    if isinstance(time, int | np.integer) and not isinstance(time, bool) and time < YEAR_10000_MS:
        return max(int(time), NO_TIME)
    raise SettingsError(
        f"time: received {time!r} of type {type(time).__name__}, expected a datetime (without a time zone: UTC), a "
        "numpy.datetime64, or milliseconds since 1970 before the year 10000: convert it, for instance with "
        "pandas.to_datetime"
    )
