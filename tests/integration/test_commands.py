"""The commands on a real broker: what is published arrives, and what is committed is shown."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MakeTopic
from online_lstm.cli import main
from online_lstm.devtools.sample_data import demo_stream
from online_lstm.errors import ExitCode
from online_lstm.evaluation import speed
from online_lstm.settings import read_settings
from online_lstm.streaming.kafka.plain_clients import TopicTail
from support.daemon_runner import SMALL, DaemonProcess
from support.kafka_admin import produce, read_committed, wait_for_records

pytestmark = pytest.mark.broker


@pytest.fixture
def topic(bootstrap: str, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch) -> str:
    """An input topic that the environment names; outputs go there too, for want of a daemon."""
    name = make_topic("numbers")
    given = {"bootstrap_servers": bootstrap, "input_topics": name, "output_topic": name, "dead_letter_topic": name}
    for setting, value in given.items():
        monkeypatch.setenv(f"ONLINE_LSTM_{setting.upper()}", value)
    return name


def test_lines_arrive_in_order_with_their_keys(bootstrap: str, topic: str, tmp_path: Path) -> None:
    """Byte for byte, blank values too."""
    lines = [b"pump-%d:%d" % (number % 3, number) for number in range(500)]
    file = tmp_path / "values.txt"
    file.write_bytes(b"\n".join([*lines, b"pump-0:"]))
    assert ExitCode.OK == main.main(["produce", str(file), "--key-separator", ":"])
    records = read_committed(bootstrap, topic)[0]
    assert [*lines, b"pump-0:"] == [record.key + b":" + record.value for record in records]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_tells_how_many_were_acknowledged(bootstrap: str, topic: str, number: signal.Signals) -> None:
    """As many as the topic has then, and the exit code is that of a good end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "online_lstm.cli.main", "produce", "--demo-stream", "0", "--rate", "500"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        wait_for_records(bootstrap, topic, 50)
        process.send_signal(number)
        said, _ = process.communicate(timeout=120)
    assert ExitCode.OK == process.returncode
    records = read_committed(bootstrap, topic)[0]
    told = re.match(r"published ([\d,]+) values to", said)
    assert told
    assert len(records) == int(told[1].replace(",", ""))
    assert list(demo_stream(len(records))) == [record.value for record in records]


def test_a_follower_begins_with_the_next_record(bootstrap: str, topic: str) -> None:
    """Whatever is published once it is there, and nothing from before."""
    produce(bootstrap, topic, [b"before"])
    follower = TopicTail(read_settings(), topic, from_beginning=False)
    produce(bootstrap, topic, [b"after"])
    assert b"after" == next(follower.follow(lambda: None)).value
    assert follower.broker_answers()
    follower.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_watch_in_order(bootstrap: str, topic: str, number: signal.Signals) -> None:
    """As Ctrl-C does: with the code of a good end, and no traceback."""
    produce(bootstrap, topic, [b"1"])
    process = subprocess.Popen(
        [sys.executable, "-m", "online_lstm.cli.main", "watch", "--from-beginning", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert "1\n" == process.stdout.readline()
        process.send_signal(number)
        assert ("", "") == process.communicate(timeout=120)
    assert ExitCode.OK == process.returncode


def test_sighup_ends_run_as_sigterm_does(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    """It reloads nothing: the last batch is committed, and a checkpoint is at its offset."""
    topic, out = make_topic("numbers"), make_topic("predictions")
    produce(bootstrap, topic, [b"4", b"8"] * 5)
    given = {"bootstrap_servers": bootstrap, "input_topics": topic, "output_topic": out, "group_id": topic}
    with DaemonProcess(tmp_path, checkpoint_interval_s=3600, **given, **SMALL) as daemon:
        wait_for_records(bootstrap, out, 10)
        os.kill(daemon.pid, signal.SIGHUP)
        assert ExitCode.OK == daemon.wait()
    assert "stopping signal=SIGHUP" in daemon.log
    assert f"{10:020d}.h5" in {path.name for path in (tmp_path / "checkpoints").rglob("*.h5")}


def test_watch_shows_messages_from_the_beginning(bootstrap: str, topic: str, capfd: pytest.CaptureFixture[str]) -> None:
    """As many as are asked for, as lines or as they are."""
    produce(bootstrap, topic, [b'{"first": 1}', b"2", b"3"])
    assert ExitCode.OK == main.main(["watch", "--from-beginning", "--limit", "2", "--json"])
    assert '{"first": 1}\n2\n' == capfd.readouterr().out
    assert ExitCode.OK == main.main(["watch", "--from-beginning", "--limit", "1"])
    assert f"{topic}/0/0  not a prediction: " in capfd.readouterr().out


@pytest.mark.parametrize("style", ["", "--json"])
def test_watch_ends_with_whoever_reads_it(bootstrap: str, topic: str, style: str) -> None:
    """``online-lstm watch | head -1`` says nothing on standard error."""
    produce(bootstrap, topic, [b"%d" % number for number in range(20_000)])
    ended = subprocess.run(
        ["sh", "-c", f'"$0" -m online_lstm.cli.main watch --from-beginning {style} | head -1 | wc -l', sys.executable],
        capture_output=True,
        timeout=300,
        check=True,
    )
    assert (b"1\n", b"") == (ended.stdout, ended.stderr)


def test_watch_names_a_topic_that_is_missing(bootstrap: str, topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It does not wait for it to appear."""
    assert ExitCode.USAGE == main.main(["watch", "--output-topic", "nowhere"])
    assert "topic nowhere does not exist at" in capsys.readouterr().err


def test_bench_measures_from_kafka_to_kafka(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a daemon of its own, and it leaves no topics behind."""
    for name, value in {"bootstrap_servers": bootstrap, **SMALL}.items():
        monkeypatch.setenv(f"ONLINE_LSTM_{name.upper()}", value)
    monkeypatch.setattr(speed, "WARM_UP_EVENTS", 50)
    figures = speed.kafka_figures(events=200, live=3, announce=print)
    assert ["events/s", "ms", "ms"] == [figure.unit for figure in figures]
    assert all(figure.value > 0 for figure in figures)
    with pytest.raises(AssertionError, match="there is no topic"):
        read_committed(bootstrap, f"bench-{os.getpid()}-predictions")
