"""Publishing: what is sent, how fast, and what a signal or a failure leaves behind."""

import argparse
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from online_lstm.cli import main, produce
from online_lstm.errors import BrokerUnavailableError, ExitCode, InputFileError
from online_lstm.settings import Settings, read_settings
from online_lstm.shutdown import Shutdown
from online_lstm.streaming.kafka import plain_clients


class Acknowledgement:
    """Comes when it is waited for; that of a value ``slow`` with the second time."""

    is_done = False

    def __init__(self, producer: "Producer", error: Exception | None, *, slow: bool) -> None:
        self.producer, self.error, self.slow = producer, error, slow

    def get(self, timeout: float | None = None) -> None:
        if self.slow and timeout is not None:
            raise KafkaTimeoutError("not yet")
        self.is_done = True
        self.producer.in_flight -= 1
        if self.error is not None:
            raise self.error


class Producer:
    """A client that fails for the value ``lost`` and refuses ``huge``."""

    def __init__(self, **_: object) -> None:
        self.in_flight = self.most_in_flight = 0
        self.forced = False
        self.sent: list[tuple[str, bytes, bytes | None]] = []

    def send(self, topic: str, value: bytes, key: bytes | None = None) -> Acknowledgement:
        if value == b"huge":
            raise MessageSizeTooLargeError("too large for the request")
        self.sent.append((topic, value, key))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.last = Acknowledgement(
            self, KafkaTimeoutError("lost") if value == b"lost" else None, slow=value == b"slow"
        )
        return self.last

    @property
    def _sender(self) -> "Producer":
        return self

    def force_close(self) -> None:
        self.forced = True

    def close(self, **_: object) -> None:
        if self.in_flight:
            raise KafkaTimeoutError("values are in flight")


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> Producer:
    made = Producer()
    monkeypatch.setattr(plain_clients, "KafkaProducer", lambda **_: made)
    return made


@pytest.fixture
def settings() -> Settings:
    return read_settings()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> "Run":
    monkeypatch.setattr("online_lstm.streaming.kafka.ensure_input_topics", lambda _: None)
    return Run()


class Run:
    def __call__(self, *argv: object) -> ExitCode:
        parser = argparse.ArgumentParser()
        produce.add_arguments(parser)
        return produce.main(parser.parse_args([str(argument) for argument in argv]))


def test_a_file_is_published_line_by_line_as_it_is(
    producer: Producer, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default topic is the first one that the daemon learns from; the count is told at the end."""
    file = tmp_path / "values.txt"
    file.write_bytes(b"4\n\n[not json\n")
    assert ExitCode.OK == run(file, "--key", "pump-7")
    assert [("numbers", value, b"pump-7") for value in (b"4", b"", b"[not json")] == producer.sent
    assert capsys.readouterr().out.startswith("published 3 values to numbers in ")


def test_the_seed_stream_goes_to_the_topic_that_is_named(producer: Producer, run: Run) -> None:
    """``--demo-stream N`` needs no file."""
    assert ExitCode.OK == run("--demo-stream", 7, "--topic", "other")
    assert [("other", value, None) for value in [b"4"] * 6 + [b"8"]] == producer.sent


def test_a_line_without_separator_ends_it_after_all_lines_before(
    producer: Producer, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was good is acknowledged and counted before the error is told."""
    file = tmp_path / "values.txt"
    file.write_bytes(b"a:4\nb:5:6\n7\n")
    with pytest.raises(InputFileError, match="line 3: received b'7', expected KEY:VALUE"):
        run(file, "--key-separator", ":")
    assert [("numbers", b"4", b"a"), ("numbers", b"5:6", b"b")] == producer.sent
    assert capsys.readouterr().out.startswith("published 2 values")


def test_values_in_flight_are_bounded(producer: Producer, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client itself would take in any number."""
    monkeypatch.setattr(plain_clients, "MAX_IN_FLIGHT", 3)
    with plain_clients.PlainProducer(settings, "numbers") as publisher:
        for _ in range(10):
            publisher.send(b"4")
    assert 3 == producer.most_in_flight
    assert 10 == publisher.acknowledged


def test_a_value_that_is_not_acknowledged_is_an_error(producer: Producer, settings: Settings) -> None:
    """The message says how far it came."""
    publisher = plain_clients.PlainProducer(settings, "numbers")
    for value in (b"1", b"2", b"lost", b"4"):
        publisher.send(value)
    with pytest.raises(BrokerUnavailableError, match=r"numbers: value 3 was not acknowledged.*all before it were"):
        publisher.flush()
    assert 2 == publisher.acknowledged


def test_closing_does_not_bury_the_error(producer: Producer, settings: Settings) -> None:
    """The client is made to give up what is in flight, and its own complaint about that is not heard."""

    def publish() -> None:
        with plain_clients.PlainProducer(settings, "numbers") as publisher:
            for value in (b"1", b"lost", b"3"):
                publisher.send(value)

    with pytest.raises(BrokerUnavailableError, match="numbers: value 2 was not acknowledged"):
        publish()
    assert producer.forced


def test_a_loss_is_noticed_with_the_next_value(producer: Producer, settings: Settings) -> None:
    """Not only when there are too many in flight, which at a slow rate takes hours."""
    publisher = plain_clients.PlainProducer(settings, "numbers")
    publisher.send(b"lost")
    producer.last.is_done = True
    with pytest.raises(BrokerUnavailableError, match="value 1 was not acknowledged"):
        publisher.send(b"2")


@pytest.mark.parametrize("flushing", [True, False])
def test_a_silent_broker_is_told_once(
    producer: Producer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    flushing: bool,
) -> None:
    """While it is waited for at the end, and between two values."""
    monkeypatch.setattr(plain_clients, "SLOW_S", 0.0 if flushing else -1.0)
    publisher = plain_clients.PlainProducer(settings, "numbers")
    publisher.send(b"slow")
    if flushing:
        publisher.flush()
    else:
        publisher.send(b"2")
        publisher.send(b"3")
    assert ["waiting for the broker topic=numbers acknowledged=0"] == caplog.messages


def test_keys_are_the_bytes_that_were_typed(producer: Producer, run: Run) -> None:
    """Also where they are no UTF-8."""
    assert ExitCode.OK == run("--demo-stream", 1, "--key", os.fsdecode(b"\xffkey"))
    assert [("numbers", b"4", b"\xffkey")] == producer.sent


def test_a_value_that_is_too_large_is_named(producer: Producer, settings: Settings) -> None:
    """It is the input that is wrong, not the broker."""
    publisher = plain_clients.PlainProducer(settings, "numbers")
    publisher.send(b"1")
    with pytest.raises(InputFileError, match=r"numbers: value 2 has 4 bytes; .*too large"):
        publisher.send(b"huge")


def test_a_second_signal_is_obeyed_at_once() -> None:
    """Also while the broker does not answer."""
    with Shutdown():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("arguments", [["--rate", "-1"], ["--rate", "inf"], ["--demo-stream", "-1"]])
def test_impossible_numbers_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The parser says so, with the exit code for wrong arguments."""
    with pytest.raises(SystemExit) as ended:
        main.main(["produce", *arguments])
    assert ExitCode.USAGE == ended.value.code
    assert "received" in capsys.readouterr().err


@pytest.mark.long
def test_without_a_broker_it_says_where_it_looked() -> None:
    """The exit code is the one for a broker that does not answer."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        # in a process of its own: the client leaves sockets behind when it finds no broker
        arguments = ["--demo-stream", "1", "--bootstrap-servers", address, "--connect-timeout-s", "0.3"]
        ended = subprocess.run(
            [sys.executable, "-m", "online_lstm.cli.main", "produce", *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert ExitCode.NO_BROKER == ended.returncode
    assert address in ended.stderr
