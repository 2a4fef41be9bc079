"""The command watch: what it waits for, and what it writes."""

import argparse
import itertools
from types import SimpleNamespace

import pytest
from kafka.errors import KafkaTimeoutError
from online_lstm.cli import watch
from online_lstm.errors import ExitCode
from online_lstm.settings import read_settings
from online_lstm.streaming.kafka import plain_clients
from online_lstm.streaming.kafka.plain_clients import TopicTail
from online_lstm.terminal.message_lines import format_message


def record(value: bytes | None) -> SimpleNamespace:
    """Return a record as the library does."""
    place = {"topic": "predictions", "partition": 0, "offset": 3}
    return SimpleNamespace(**place, timestamp=5, timestamp_type=0, key=None, value=value, headers=[])


class Consumer:
    """A client that gives these polls, one after another."""

    def __init__(self, *polls: list[SimpleNamespace], answers: bool = True) -> None:
        self.polls, self.answers = iter(polls), answers

    def poll(self, **_: object) -> dict[str, list[SimpleNamespace]]:
        return {"predictions/0": records} if (records := next(self.polls)) else {}

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0}

    def end_offsets(self, _: object, **__: object) -> None:
        if not self.answers:
            raise KafkaTimeoutError("no answer")

    def ignore(self, *_: object, **__: object) -> list[object]:
        return []

    assign = seek_to_end = position = close = assignment = ignore


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_clients, "SLOW_S", -1.0)


def test_a_silence_is_told_once(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And again when there is another one after a record."""
    first, second = record(b"1"), record(b"2")
    consumer = Consumer([], [], [first, second], [], [first])
    monkeypatch.setattr(plain_clients, "KafkaConsumer", lambda **_: consumer)
    follower = TopicTail(read_settings(), "predictions", from_beginning=False)
    heard: list[str | bytes | None] = []
    for found in itertools.islice(follower.follow(lambda: heard.append("idle")), 3):
        heard.append(found.value)  # noqa: PERF401 - the follower appends in between
    assert ["idle", b"1", b"2", "idle", b"1"] == heard


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (True, "no new prediction in predictions at localhost:9092 yet: waiting for a daemon to publish one"),
        (False, "no broker answers at localhost:9092 any more: waiting for it"),
    ],
)
def test_watch_says_what_it_waits_for(
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answers: bool,
    expected: str,
) -> None:
    """On standard error; the lines on standard output are predictions only."""
    consumer = Consumer([], [record(b"4")], answers=answers)
    monkeypatch.setattr(plain_clients, "KafkaConsumer", lambda **_: consumer)
    parser = argparse.ArgumentParser()
    watch.add_arguments(parser)
    assert ExitCode.OK == watch.main(parser.parse_args(["--limit", "1"]))
    shown = capsys.readouterr()
    assert f"{expected} (Ctrl-C ends)\n" == shown.err
    assert format_message(b"4", "predictions/0/3").plain + "\n" == shown.out
