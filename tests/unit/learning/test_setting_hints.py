"""Hints: said within a hundred records, with the cause and the setting, and not where something healthy comes."""

import doctest
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from online_lstm.codec import Decoder, Encoder
from online_lstm.errors import BadInputError
from online_lstm.events import Event, InputRecord, SymbolResult
from online_lstm.learning import setting_hints as module
from online_lstm.learning.setting_hints import Hints
from online_lstm.settings import read_settings

Record = tuple[str | None, object]
"""The key and the value of a record; bytes are the value as they are."""
CALENDAR = {"task": "number", "calendar": True}


class Feed:
    """Decodes records and says of each what a learner would, as far as hints look at it."""

    def __init__(self, **given: object) -> None:
        settings = read_settings(given, environment={})
        self._decoder, self._encoder, self.hints = Decoder(settings), Encoder(settings), Hints(settings)
        self._events: dict[str | None, int] = {}
        self._offset = 0

    def add(self, records: Iterable[Record], *, timestamp_ms: int | None = None, size: int = 1000) -> dict[str, str]:
        """Add records in batches, and return the texts of the hints that hold then, by name."""
        given = list(records)
        for start in range(0, len(given), size):
            self._add(given[start : start + size], timestamp_ms)
        return {hint.name: hint.text for hint in self.hints.standing()}

    def _add(self, records: list[Record], timestamp_ms: int | None) -> None:
        events, outcomes, outputs = [], [], []
        for key, value in records:
            self._offset += 1
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            when = self._offset if timestamp_ms is None else timestamp_ms
            record = InputRecord("numbers", 0, self._offset, when, None if key is None else key.encode(), content)
            ((_, event, error),) = self._decoder.decode(record)
            if error is not None:
                outputs.append(self._encoder.dead_letter(record, error))
                continue
            assert isinstance(event, Event)
            count = self._events[event.stream] = self._events.get(event.stream, 0) + 1
            outcome = SymbolResult(count, 0, 0, None, None, None, None)
            events.append(event)
            outcomes.append(outcome)
            outputs.append(replace(self._encoder.dead_letter(record, BadInputError("", "")), dead_letter=False))
        self.hints.add(events, outcomes, outputs)


def rows(count: int, first: int = 0) -> list[Record]:
    return [(f"row-{number}", number % 7) for number in range(first, first + count)]


def test_examples() -> None:
    """The examples of the docstrings hold."""
    assert 0 == doctest.testmod(module).failed


@pytest.mark.parametrize(
    ("hint", "given", "records", "told"),
    [
        (
            "keys_never_return",
            {},
            rows(100),
            "no key came twice: each of the last 100 .* set stream_by to partition",
        ),
        ("keys_never_return", {"task": "number"}, rows(100), "stream_by to partition"),
        (
            "nothing_readable",
            {"task": "number"},
            [(None, "open")] * 100,
            "letter: received 'open', expected a number",
        ),
        ("nothing_readable", {}, [(None, {"v": 4})] * 100, "value_path says where it is"),
        ("all_missing", {"task": "number"}, [(None, None)] * 100, "100 values is missing: the setting value_path"),
        (
            "all_missing",
            {"task": "number", "features": 2},
            [(None, [None, None])] * 100,
            "100 values is missing: the setting value_path",
        ),
        ("value_never_changes", {}, [(str(n % 9), 4) for n in range(100)], "all 100 values are '4'.* value_path"),
        ("look_like_numbers", {}, [(None, f"{20 + n / 8}") for n in range(100)], "set task to number"),
        ("look_like_numbers", {}, [(None, 20 + n / 8) for n in range(100)], "set task to number"),
        ("json_in_strings", {}, [(None, json.dumps({"value": n % 4})) for n in range(100)], "encode it once"),
    ],
)
def test_what_looks_wrong_is_told_after_a_hundred_records(
    hint: str, given: dict[str, Any], records: list[Record], told: str
) -> None:
    """Not before, however they were batched; and the text names the cause and the setting."""
    for size in (1, 7, 1000):
        feed = Feed(**given)
        assert {} == feed.add(records[:99], size=size)
        found = feed.add(records[99:], size=size)
        assert [hint] == list(found)
        assert re.search(told, found[hint])


@pytest.mark.parametrize("timestamp_ms", [-1, 1_700_000_000_000])
def test_timestamps_that_stand_still_are_told_where_they_matter(timestamp_ms: int) -> None:
    """With calendar, numbers depend on the hour; without, timestamps are not looked at."""
    records: list[Record] = [(None, number % 7) for number in range(100)]
    (text,) = Feed(**CALENDAR).add(records, timestamp_ms=timestamp_ms).values()
    assert "calendar" in text
    assert {} == Feed(task="number").add(records, timestamp_ms=timestamp_ms)
    assert {} == Feed(**CALENDAR).add(records)


@pytest.mark.parametrize(
    ("given", "records"),
    [
        ({}, [*rows(99), ("row-3", 1)]),
        ({}, [(f"key-{number % 99}", number % 7) for number in range(1000)]),
        ({"stream_by": "partition"}, rows(1000)),
        ({"task": "label"}, [(f"run-{number}", {"value": number % 7, "label": number % 2}) for number in range(200)]),
        ({}, [*[(None, {"v": 4})] * 99, (None, 4)]),
        ({"task": "number"}, [(None, None if number % 50 else number) for number in range(200)]),
        ({}, [*[(None, 4)] * 99, (None, 8)]),
        ({}, [(None, str(number % 4)) for number in range(200)]),
        ({"task": "symbol"}, [(None, number) for number in range(200)]),
        ({}, [(None, f"[{number % 4}") for number in range(200)]),
    ],
)
def test_there_is_no_hint_where_few_records_look_wrong(given: dict[str, Any], records: list[Record]) -> None:
    """One good record among a hundred is enough, and many keys that come again are fine."""
    assert {} == Feed(**given).add(records)


def test_a_hint_goes_with_a_record_that_looks_right() -> None:
    """A thousand keys in turn look like keys that never return, until the first one does."""
    feed = Feed()
    assert ["keys_never_return"] == list(feed.add(rows(1000)))
    assert {} == feed.add(rows(1))


def test_more_keys_than_streams_are_named_as_a_cause() -> None:
    """A stream that is forgotten before its next value came is never predicted either."""
    assert "max_streams (50)" in Feed(max_streams=50).add(rows(100))["keys_never_return"]
    assert "max_streams" not in Feed(max_streams=100).add(rows(100))["keys_never_return"]
