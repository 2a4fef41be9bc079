"""Log lines: times, quoted values, and JSON that is JSON."""

import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest

from daemon import logs

LOG = logging.getLogger("daemon.test")


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


def test_a_line_has_time_with_zone_level_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    """The time is as in ISO 8601."""
    logs.configure(level="INFO", style="text")
    before = datetime.now().astimezone()
    LOG.info("live source=%s offset=%d", "numbers/0", 41)
    time, rest = capsys.readouterr().err.split(" ", 1)
    assert "INFO live source=numbers/0 offset=41\n" == rest
    assert abs(datetime.fromisoformat(time) - before).total_seconds() < 60


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        ("a reason=%s", ("no broker answered",), 'a reason="no broker answered"'),
        ("a reason=%s b=%d", ('said "no"\nand left', 3), r'a reason="said \"no\"\nand left" b=3'),
        ("a error=%r", (ValueError("b c"),), "a error=\"ValueError('b c')\""),
        ("a empty=%s", ("",), 'a empty=""'),
        ("a b=%5.1f%% %s", (99.5, "words in a row"), 'a b=" 99.5"% words in a row'),
        ("a topics=%s", (("b", "c"),), "a topics=b,c"),
        ("a names=%s", ("b,c",), "a names=b,c"),
        ("100% sure", (), "100% sure"),
        ("a %(b)s", ({"b": "c d"},), "a c d"),
    ],
)
def test_values_of_keys_are_quoted_where_they_have_to_be(
    message: str, arguments: tuple[object, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One value is one word, whatever it holds, and one message is one line."""
    logs.configure(level="INFO", style="text")
    LOG.info(message, *arguments)
    assert capsys.readouterr().err.endswith(f" INFO {expected}\n")


def test_every_line_of_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Also one with a traceback, and the one that says why the program ends."""
    logs.configure(level="INFO", style="json")
    LOG.info("a reason=%s", 'said "no"\nand left')
    logs.tell_of_bug(ValueError("b"))
    logs.tell("no broker\nnowhere")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert ['a reason="said \\"no\\"\\nand left"', "unexpected error", "no broker\nnowhere"] == [
        line["message"] for line in lines
    ]
    assert ["INFO", "ERROR", "ERROR"] == [line["level"] for line in lines]
    assert lines[1]["exception"].endswith("ValueError: b")


def test_a_person_is_told_without_ado(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether or not there is a log already."""
    logs.tell("no broker")
    logs.configure(level="INFO", style="text")
    logs.tell("no broker")
    assert "online-lstm: no broker\n" * 2 == capsys.readouterr().err


def test_the_kafka_client_is_heard_only_for_debugging() -> None:
    """What it retries is no event of ours."""
    logs.configure(level="WARNING", style="text")
    assert not logging.getLogger("kafka").isEnabledFor(logging.ERROR)
    assert logging.getLogger().handlers[0].stream is sys.stderr


@pytest.mark.parametrize("style", ["text", "json"])
def test_secrets_are_in_no_line(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither as they are nor in what the Kafka client makes of them: options, and bytes that it sends."""
    secret = 'höchst "geheim"\\'
    logs.configure(level="DEBUG", style=style, secrets=[secret])
    LOG.debug("options=%s", {"sasl_plain_password": secret})
    LOG.debug("Send: %r", b"\0user\0" + secret.encode())
    LOG.error("failed", exc_info=ValueError(secret))
    said = capsys.readouterr().err
    assert "geheim" not in said
    assert 3 <= said.count("**********")


@pytest.mark.parametrize(("level", "shown"), [("INFO", []), ("DEBUG", ["debug", "info"])])
def test_the_log_of_a_command(level: str, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command whose output is for a person shows warnings, and at DEBUG everything, the Kafka client included."""
    logs.configure_command(level=level, style="text")
    logging.getLogger("kafka.net").debug("debug")
    LOG.info("info")
    LOG.warning("warning")
    assert [*shown, "warning"] == [line.split(" ")[-1] for line in capsys.readouterr().err.splitlines()]
