"""Which way a broker is had, and how the one on this machine's Java behaves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaProducer
from online_lstm.devtools import broker_process, local_kafka
from online_lstm.devtools.broker_process import LocalBroker, broker_properties
from online_lstm.devtools.kafka_jars import BOOTSTRAP_VARIABLE, broker_jars
from online_lstm.devtools.local_kafka import bootstrap_or_local, fetch_kafka, local_broker
from online_lstm.errors import BrokerUnavailableError, ExitCode, MissingToolError, SettingsError
from support.kafka_admin import create_topic, produce, read_committed

QUIET = lambda _: None  # noqa: E731


@contextmanager
def address(text: str) -> Iterator[str]:
    yield text


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Both ways only say that they were taken; Docker answers."""
    monkeypatch.setattr(local_kafka, "docker_answers", lambda: True)
    monkeypatch.setattr(local_kafka, "_container_broker", lambda *_: address("container"))
    monkeypatch.setattr(local_kafka, "_java_broker", lambda *_: address("java"))
    return monkeypatch


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a PATH that has nothing but what the test writes into this directory."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return directory


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


class TestWays:
    @pytest.mark.usefixtures("ways")
    def test_given(self) -> None:
        """A broker that the environment names is used, and nothing is started."""
        with bootstrap_or_local(announce=QUIET, environment={BOOTSTRAP_VARIABLE: "kafka:9092"}) as bootstrap:
            assert "kafka:9092" == bootstrap

    @pytest.mark.usefixtures("ways")
    def test_container(self) -> None:
        """Without a name, a Docker engine that answers gives the broker."""
        with bootstrap_or_local(announce=QUIET, environment={}) as bootstrap:
            assert "container" == bootstrap

    def test_java(self, ways: pytest.MonkeyPatch) -> None:
        """Without a Docker engine the broker runs on Java."""
        ways.setattr(local_kafka, "docker_answers", lambda: False)
        with local_broker(announce=QUIET) as bootstrap:
            assert "java" == bootstrap

    def test_fetch(self, ways: pytest.MonkeyPatch) -> None:
        """Kafka is downloaded beforehand only if the broker is to run on Java."""
        fetched: list[object] = []
        ways.setattr(local_kafka, "broker_jars", fetched.append)
        fetch_kafka(announce=QUIET)
        assert [] == fetched
        ways.setattr(local_kafka, "docker_answers", lambda: False)
        fetch_kafka(announce=QUIET)
        assert [QUIET] == fetched

    @pytest.mark.usefixtures("ways")
    def test_kept_data(self, tmp_path: Path) -> None:
        """A directory that is to be kept means Java, also where Docker answers."""
        with local_broker(data=tmp_path, announce=QUIET) as bootstrap:
            assert "java" == bootstrap

    @pytest.mark.parametrize(("script", "answers"), [("exit 0", True), ("exit 1", False), (None, False)])
    def test_docker_answers(self, programs: Path, script: str | None, answers: bool) -> None:
        """Docker counts when its client reaches an engine, not when it is merely installed."""
        if script:
            write_program(programs / "docker", script)
        assert answers == local_kafka.docker_answers()

    @pytest.mark.usefixtures("programs")
    def test_nothing_there(self) -> None:
        """The error names all three ways, with the variable and the packages."""
        with pytest.raises(MissingToolError) as caught, local_broker(announce=QUIET):
            pass
        for way in ("`java` is not installed", f"{BOOTSTRAP_VARIABLE}=", "start Docker", "apt-get install"):
            assert way in str(caught.value)


def test_container_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container is a KRaft node with the same properties, on the wanted port, and is always stopped."""
    calls: list[tuple[object, ...]] = []

    class Container:
        port = 9093

        def __init__(self, image: str) -> None:
            calls.append(("image", image))

        def with_kraft(self) -> "Container":
            calls.append(("kraft",))
            return self

        def with_env(self, name: str, value: str) -> None:
            calls.append((name, value))

        def with_bind_ports(self, container: int, host: int) -> None:
            calls.append(("ports", container, host))

        def start(self, **_: float) -> None:
            raise TimeoutError

        def stop(self) -> None:
            calls.append(("stop",))

    monkeypatch.setattr("testcontainers.community.kafka.KafkaContainer", Container)
    with pytest.raises(TimeoutError), local_kafka._container_broker(19092, QUIET):
        pass
    for call in [
        ("kraft",),
        ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
        ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
        ("ports", 9093, 19092),
    ]:
        assert call in calls
    assert ("stop",) == calls[-1]


def test_properties() -> None:
    """A node listens on loopback only, and can do transactions though it is alone."""
    properties = broker_properties(19092, 19093)
    assert "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093" == properties["listeners"]
    assert "PLAINTEXT://127.0.0.1:19092" == properties["advertised.listeners"]
    assert "1@127.0.0.1:19093" == properties["controller.quorum.voters"]
    assert "1" == properties["transaction.state.log.min.isr"]
    assert "false" == properties["auto.create.topics.enable"]


class TestJars:
    def test_race(self, programs: Path, tmp_path: Path) -> None:
        """Of several that need the jars at once one fetches them, and all see them whole."""
        runs = tmp_path / "runs"
        write_program(
            programs / "mvn",
            f'echo run >> "{runs}"; mkdir libs; sleep 0.2; touch libs/kafka.jar libs/last.jar',
        )

        def names(_: int) -> list[str]:
            return sorted(jar.name for jar in broker_jars(QUIET).iterdir())

        with ThreadPoolExecutor(4) as pool:
            assert [["kafka.jar", "last.jar"]] * 4 == list(pool.map(names, range(4)))
        assert "run\n" == runs.read_text()

    def test_interrupted_fetch(self, programs: Path, tmp_path: Path) -> None:
        """What an interrupted fetch left behind is fetched again, and removed once it is old."""
        partial = tmp_path / "cache" / "online-lstm" / ".killed.part"
        (partial / "libs").mkdir(parents=True)
        (partial / "libs" / "half.jar").touch()
        os.utime(partial, (0, 0))
        write_program(programs / "mvn", "mkdir libs && touch libs/kafka.jar")
        assert ["kafka.jar"] == [jar.name for jar in broker_jars(QUIET).iterdir()]
        assert not partial.exists()

    def test_maven_fails(self, programs: Path) -> None:
        """The error quotes Maven, and the next attempt starts afresh."""
        write_program(programs / "mvn", "mkdir libs; echo no route to mirror; exit 1")
        with pytest.raises(MissingToolError, match="no route to mirror"):
            broker_jars(QUIET)
        write_program(programs / "mvn", "mkdir libs && touch libs/kafka.jar")
        assert ["kafka.jar"] == [jar.name for jar in broker_jars(QUIET).iterdir()]

    @pytest.mark.usefixtures("programs")
    def test_no_place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A user without a home, or with one that is not theirs, is told in one line."""
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        with pytest.raises(SettingsError, match=r"^cannot keep Kafka in .*/file/online-lstm: Not a directory"):
            broker_jars(QUIET)
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)
        with pytest.raises(SettingsError, match="no home directory is known; set HOME"):
            broker_jars(QUIET)

    @pytest.mark.usefixtures("programs")
    def test_maven_missing(self) -> None:
        """Without Maven the error says so, with the ways out."""
        with pytest.raises(MissingToolError, match="`mvn` is not installed"):
            broker_jars(QUIET)


class TestStart:
    @pytest.fixture
    def fake_java(self, programs: Path) -> Path:
        """A Java that does what the test says; the jars are there."""
        for tool in ("sh", "setpriv"):
            (programs / tool).symlink_to(f"/usr/bin/{tool}")
        write_program(programs / "mvn", "mkdir libs")
        return programs / "java"

    def test_log_is_quoted(self, fake_java: Path, tmp_path: Path) -> None:
        """A broker that does not start is reported with its last words, without stack frames."""
        write_program(fake_java, r"printf 'class file version 61.0\n\tat some.Frame\n'; exit 1")
        with pytest.raises(BrokerUnavailableError) as caught:
            LocalBroker(tmp_path / "data", announce=QUIET).start()
        assert "exit code 1" in str(caught.value)
        assert "class file version 61.0" in str(caught.value)
        assert "some.Frame" not in str(caught.value)

    def test_deadline(self, fake_java: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A broker that never listens is given up, and ended."""
        monkeypatch.setattr(broker_process, "START_TIMEOUT_S", 0.1)
        write_program(fake_java, "exec sleep 30")
        broker = LocalBroker(tmp_path / "data", announce=QUIET)
        with pytest.raises(BrokerUnavailableError, match="did not listen"):
            broker.start()
        assert broker.pid is None

    def test_changed_properties(self, fake_java: Path, tmp_path: Path) -> None:
        """A property that was added or changed before a start is the broker's."""
        write_program(fake_java, "exit 1")
        broker = LocalBroker(tmp_path / "data", announce=QUIET)
        broker.properties["listeners"] += ",OTHER://127.0.0.1:19094"
        broker.properties["message.max.bytes"] = "2000000"
        with pytest.raises(BrokerUnavailableError):
            broker.start()
        lines = (tmp_path / "data" / "server.properties").read_text().splitlines()
        assert "message.max.bytes=2000000" in lines
        assert [f"listeners={broker.properties['listeners']}"] == [x for x in lines if x.startswith("listeners=")]
        assert broker.properties["listeners"].endswith(",OTHER://127.0.0.1:19094")

    def test_temporary_data(self, fake_java: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory that nobody asked for is gone afterwards, also after a failure."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        write_program(fake_java, "exit 1")
        with pytest.raises(BrokerUnavailableError), local_broker(announce=QUIET):
            pass
        assert not list(tmp_path.glob("online-lstm-kafka-*"))


@pytest.mark.broker
class TestOnJava:
    """With the real Kafka: these need Java, and Maven the first time."""

    def test_crash(self, tmp_path: Path) -> None:
        """After kill -9 the broker starts again on the same port and data, and has what was committed."""
        broker = LocalBroker(tmp_path / "a, b", announce=QUIET)
        broker.start()
        try:
            create_topic(broker.bootstrap, "numbers", partitions=2)
            produce(broker.bootstrap, "numbers", [b"4", b"8"], partition=1)
            for other in (LocalBroker(tmp_path / "a, b"), LocalBroker(tmp_path, port=broker._port)):
                with pytest.raises(SettingsError, match="in use"):
                    other.start()
            broker.kill()
            broker.start()
            assert [b"4", b"8"] == [record.value for record in read_committed(broker.bootstrap, "numbers")[1]]
        finally:
            broker.stop()
        assert broker.pid is None

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_foreground(self, tmp_path: Path, number: signal.Signals) -> None:
        """In the foreground it says its address, and when a signal has stopped it, with exit code 0."""
        process = foreground(tmp_path)
        assert "Kafka is ready at 127.0.0.1:" in ready_line(process)
        process.send_signal(number)
        assert "Kafka is stopped" in process.communicate(timeout=120)[0]
        assert ExitCode.OK == process.returncode

    def test_orphan(self, tmp_path: Path) -> None:
        """Nothing is left running when the process that started the broker is killed with SIGKILL."""
        process = foreground(tmp_path)
        ready_line(process)
        process.kill()
        process.communicate(timeout=120)
        deadline = time.monotonic() + 120
        while running_in(tmp_path):
            assert time.monotonic() < deadline, "the broker outlived its parent"
            time.sleep(0.05)


def foreground(data: Path) -> subprocess.Popen[str]:
    program = (
        "import sys; from pathlib import Path; from online_lstm.devtools.local_kafka import run_broker;"
        "sys.exit(run_broker(0, Path(sys.argv[1])))"
    )
    return subprocess.Popen([sys.executable, "-c", program, data], stdout=subprocess.PIPE, text=True)


def ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return next(line for line in process.stdout if "ready" in line)


def running_in(directory: Path) -> list[str]:
    """Processes whose working directory this is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == directory:
                found.append(process.name)
        except OSError:  # it has ended, or is someone else's
            continue
    return found


@pytest.mark.broker
def test_read_committed(bootstrap: str, make_topic: Callable[..., str]) -> None:
    """Readers of the tests see committed records, no aborted ones, and come to an end at a commit marker."""
    topic = make_topic(partitions=2)
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic, retry_backoff_ms=20)
    try:
        producer.init_transactions()
        for value, finish in ((b"4", "commit"), (b"8", "abort")):
            producer.begin_transaction()
            producer.send(topic, value, partition=1)
            producer.flush()
            getattr(producer, f"{finish}_transaction")()
    finally:
        producer.close()
    records = read_committed(bootstrap, topic)
    assert {0: [], 1: [b"4"]} == {number: [r.value for r in found] for number, found in records.items()}
