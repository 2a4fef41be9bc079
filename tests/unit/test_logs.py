"""Log lines: times, quoted values, and fields in JSON."""

import json
import logging
import math
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest
from online_lstm import logs
from online_lstm.events import TopicPartition

LOG = logs.EventLogger("daemon.test")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Whatever was set up for the log is set up again afterwards."""
    root, kafka = logging.getLogger(), logging.getLogger("kafka")
    handlers, level, kafka_level = root.handlers[:], root.level, kafka.level
    root.handlers[:] = []  # those of pytest would be closed
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    kafka.setLevel(kafka_level)


def test_a_line_has_time_with_zone_level_event_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """The time is as in ISO 8601."""
    logs.configure(level="INFO", style="text")
    before = datetime.now().astimezone()
    LOG.info("live", source=TopicPartition("numbers", 0), offset=41)
    time, rest = capsys.readouterr().err.split(" ", 1)
    assert "INFO live source=numbers/0 offset=41\n" == rest
    assert abs(datetime.fromisoformat(time) - before).total_seconds() < 60


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reason": "no broker answered"}, 'a reason="no broker answered"'),
        ({"reason": 'said "no"\nand left', "b": 3}, r'a reason="said \"no\"\nand left" b=3'),
        ({"error": ValueError("b c")}, 'a error="b c"'),
        ({"empty": ""}, 'a empty=""'),
        ({"share": 0.5, "learn": False}, "a share=0.5 learn=false"),
        ({"topics": ("b", "c")}, "a topics=b,c"),
        ({"value": "100% sure %s"}, 'a value="100% sure %s"'),
        ({}, "a"),
    ],
)
def test_values_of_keys_are_quoted_where_they_have_to_be(
    fields: dict[str, object], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One value is one word, whatever it holds, and one event is one line."""
    logs.configure(level="INFO", style="text")
    LOG.info("a", **fields)
    assert capsys.readouterr().err.endswith(f" INFO {expected}\n")


def test_every_field_is_a_member_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers, truth values and lists are what they are; objects are text, and no line is anything but JSON."""
    logs.configure(level="INFO", style="json")
    LOG.warning(
        "live", source=TopicPartition("numbers", 0), offset=41, rate=0.5, skill=math.nan, learn=True, names=("a", "b")
    )
    LOG.info("said", reason='"no"\nand left', nothing=None)
    first, second = (json.loads(line, parse_constant=pytest.fail) for line in capsys.readouterr().err.splitlines())
    datetime.fromisoformat(first.pop("time"))
    assert {
        "level": "WARNING",
        "logger": "daemon.test",
        "event": "live",
        "source": "numbers/0",
        "offset": 41,
        "rate": 0.5,
        "skill": "nan",
        "learn": True,
        "names": ["a", "b"],
    } == first
    assert ('"no"\nand left', None) == (second["reason"], second["nothing"])


def test_errors_and_words_of_libraries_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    """One with a traceback, the one that says why the program ends, and the Kafka client's."""
    logs.configure(level="DEBUG", style="json")
    logs.log_bug(ValueError("b"))
    logs.write_error("no broker\nnowhere")
    logging.getLogger("kafka.conn").debug("%s retries %d%%", "a", 5)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert ["unexpected error", "no broker\nnowhere", "a retries 5%"] == [line["event"] for line in lines]
    assert ["ERROR", "ERROR", "DEBUG"] == [line["level"] for line in lines]
    assert lines[0]["exception"].endswith("ValueError: b")


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in text nor in JSON."""
    for style in ("text", "json"):
        logs.configure(level="WARNING", style=style)
        LOG.info("live")
    assert "" == capsys.readouterr().err


def test_a_person_is_told_without_ado(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether or not there is a log already."""
    logs.write_error("no broker")
    logs.configure(level="INFO", style="text")
    logs.write_error("no broker")
    assert "online-lstm: no broker\n" * 2 == capsys.readouterr().err


def test_the_kafka_client_is_heard_only_for_debugging() -> None:
    """What it retries is no event of ours."""
    logs.configure(level="WARNING", style="text")
    assert not logging.getLogger("kafka").isEnabledFor(logging.ERROR)
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    assert handler.stream is sys.stderr


@pytest.mark.parametrize("style", ["text", "json"])
def test_secrets_are_in_no_line(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither as they are nor in what the Kafka client makes of them: options, and bytes that it sends."""
    secret = 'höchst "geheim"\\'
    logs.configure(level="DEBUG", style=style, secrets=[secret])
    client = logging.getLogger("kafka")
    client.debug("options=%s", {"sasl_plain_password": secret})
    client.debug("Send: %r", b"\0user\0" + secret.encode())
    client.error("failed", exc_info=ValueError(secret))
    LOG.warning("failed", reasons=[secret])
    said = capsys.readouterr().err
    assert "geheim" not in said
    assert 4 <= said.count("**********")


@pytest.mark.parametrize(("level", "shown"), [("INFO", []), ("DEBUG", ["debug", "info"])])
def test_the_log_of_a_command(level: str, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command whose output is for a person shows warnings, and at DEBUG everything, the Kafka client included."""
    logs.configure_command(level=level, style="text")
    logging.getLogger("kafka.net").debug("debug")
    LOG.info("info")
    LOG.warning("warning")
    assert [*shown, "warning"] == [line.split(" ")[-1] for line in capsys.readouterr().err.splitlines()]
