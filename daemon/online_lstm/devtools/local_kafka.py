"""A local Kafka broker, in a container or on the Java of this machine.

Knows nothing about settings, topics and the daemon; kafka-python only checks that the broker answers.
The module is long because it includes the configuration and the download of Kafka.
"""

import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from online_lstm.atomic_write import remove_abandoned, replacing
from online_lstm.devtools.processes import ending_with_its_parent, reserve_port
from online_lstm.errors import BrokerUnavailableError, ExitCode, MissingToolError, OnlineLstmError, SettingsError
from online_lstm.home_directory import expand_home
from online_lstm.shutdown import Shutdown, interrupt

Announce = Callable[[str], None]

BOOTSTRAP_VARIABLE = "ONLINE_LSTM_BOOTSTRAP_SERVERS"
KAFKA_VERSION = "4.3.1"
KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.0"
HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0

BROKER_PROPERTIES: Mapping[str, str] = {
    # one node, so no replication; one partition per internal topic keeps starts and failovers short
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # a group forms at once, and a dead member can be noticed after a second
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # the registration of a crashed node expires after 2 s instead of 9; until then the node cannot return
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # the log cleaner runs every second instead of every 15
    "log.cleaner.backoff.ms": "1000",
    # a mistyped topic is an error, as on most production clusters
    "auto.create.topics.enable": "false",
}
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>online-lstm</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""
_COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_JVM_OPTIONS = (
    *("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),  # small and quick to start
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
# "$@" is the Java command; the cluster id is any 16 bytes in URL-safe base64, fixed to make all starts alike
_FORMAT_AND_RUN = """
if [ ! -e partitions/meta.properties ]; then
  "$@" kafka.tools.StorageTool format --cluster-id b25saW5lLWxzdG0gZGVtbw --config server.properties || exit
fi
exec "$@" kafka.Kafka server.properties
"""


def say(line: str) -> None:
    """Write a line to standard output and flush it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def bootstrap_or_local(*, announce: Announce, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yield the address of the broker from the environment, or run a local broker."""
    given = environment.get(BOOTSTRAP_VARIABLE)
    if given:
        yield given
    else:
        with local_broker(announce=announce) as bootstrap:
            yield bootstrap


def fetch_kafka(*, announce: Announce) -> None:
    """Download what a temporary local broker needs, unless it runs in a container; raises as ``broker_jars`` does."""
    if not docker_answers():
        broker_jars(announce)


@contextmanager
def local_broker(*, port: int = 0, data: Path | None = None, announce: Announce) -> Iterator[str]:
    """Run a broker on this machine, in a container or else on Java, and yield its address.

    Args:
        port: Port to listen on; 0 takes a free port.
        data: Directory that keeps the data for the next start; it requires Java, because a container keeps
            nothing. Without a directory, the data is lost when the broker stops.
        announce: Called with a line before each step that takes time.

    Raises:
        MissingToolError: Neither a Docker engine nor Java with Maven is available.
        BrokerUnavailableError: The broker did not start; the message quotes its last lines.
        SettingsError: The port or the directory is in use.
    """
    in_container = data is None and docker_answers()
    way = _container_broker(port, announce) if in_container else _java_broker(port, data, announce)
    with way as bootstrap:
        yield bootstrap


def run_broker(port: int, data: Path | None, *, announce: Announce = say) -> ExitCode:
    """Run a broker in the foreground until a signal; must be called in the main thread.

    Raises:
        BrokerUnavailableError: The broker stopped by itself; also whatever ``local_broker`` raises.
    """
    try:
        with Shutdown(interrupt), local_broker(port=port, data=data, announce=announce) as bootstrap:
            announce(f"Kafka is ready at {bootstrap} (Ctrl-C stops it)")
            host, _, bound_port = bootstrap.rpartition(":")
            while _accepts(host, int(bound_port)):
                time.sleep(1)
            raise BrokerUnavailableError(f"the broker at {bootstrap} stopped by itself; start it again")
    except KeyboardInterrupt:
        announce("Kafka is stopped")
        return ExitCode.OK


def docker_answers() -> bool:
    """Return whether a container can be started: testcontainers is installed and a Docker engine answers."""
    docker = shutil.which("docker")
    if docker is None or importlib.util.find_spec("testcontainers") is None:
        return False
    try:
        answer = subprocess.run([docker, "version"], capture_output=True, timeout=5, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0


@contextmanager
def _container_broker(port: int, announce: Announce) -> Iterator[str]:
    from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415 - an extra

    container = KafkaContainer(KAFKA_IMAGE).with_kraft()
    for name, value in BROKER_PROPERTIES.items():
        container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    if port:
        container.with_bind_ports(container.port, port)
    announce(f"starting Kafka in a container ({KAFKA_IMAGE}, which Docker fetches the first time)")
    try:
        container.start(timeout=START_TIMEOUT_S)
        yield container.get_bootstrap_server()
    finally:
        container.stop()


@contextmanager
def _java_broker(port: int, data: Path | None, announce: Announce) -> Iterator[str]:
    with ExitStack() as stack:
        if data is None:
            data = Path(stack.enter_context(TemporaryDirectory(prefix="online-lstm-kafka-")))
        broker = LocalBroker(data, port=port, announce=announce)
        stack.callback(broker.stop)
        broker.start()
        yield broker.bootstrap


class LocalBroker:
    """A single-node Kafka (KRaft) on the Java of this machine, reachable from this machine only.

    The broker can be stopped or killed and restarted on the same port and data. It ends with the thread that
    started it, even if that thread is killed. ``data`` holds ``server.properties``, ``broker.log`` of the last
    start, and the partitions. ``properties`` apply to the next start; change them beforehand, for another
    listener or other timeouts.
    """

    def __init__(self, data: Path, *, port: int = 0, announce: Announce = say) -> None:
        self._data = data
        self._announce = announce
        self._reserved = reserve_port(), reserve_port()  # kept while the broker is stopped; released with this object
        own_port, controller_port = (reserved.getsockname()[1] for reserved in self._reserved)
        self._port = port or own_port
        self.properties = broker_properties(self._port, controller_port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The bootstrap address for clients."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id; None while stopped."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the broker and wait until it answers; raises the errors of ``local_broker``."""
        java = [_program("java"), *_JVM_OPTIONS, "-cp", f"{broker_jars(self._announce)}/*"]
        self._data.mkdir(parents=True, exist_ok=True)
        with (self._data / "broker.log").open("ab") as log:
            self._require_free(log)
            log.truncate(0)
            self._write_properties()
            self._announce(f"starting Kafka {KAFKA_VERSION} at {self.bootstrap}")
            self._process = subprocess.Popen(  # noqa: S603 - nothing in it comes from outside
                [*ending_with_its_parent(), "sh", "-c", _FORMAT_AND_RUN, "kafka", *java],
                cwd=self._data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal reaches only this process: the broker stops last
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the broker gracefully, or by force after ``STOP_TIMEOUT_S``."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill the broker (SIGKILL), like a crash."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # the formatting is a child of the starting shell
            self._process.wait()
        self._process = None

    def _require_free(self, log: IO[bytes]) -> None:
        # The lock belongs to the open log file, which the broker inherits: it lasts as long as the broker process.
        # Kafka's own lock comes too late, a second node would have written to the metadata by then.
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"data: {self._data} is in use by another broker; stop it, or give another directory"
            ) from None
        if _accepts(HOST, self._port):
            raise SettingsError(f"port: {self.bootstrap} is in use; give a free port, or 0 for any")

    def _write_properties(self) -> None:
        (self._data / "server.properties").write_text(
            "".join(f"{name}={value}\n" for name, value in self.properties.items()), encoding="ascii"
        )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _accepts(HOST, self._port):
            if process.poll() is not None:
                raise self._failure(f"ended while it started (exit code {process.returncode})")
            if time.monotonic() > deadline:
                raise self._failure(f"did not listen within {START_TIMEOUT_S:.0f} s")
            time.sleep(0.05)
        remaining_s = max(1.0, deadline - time.monotonic())
        try:
            admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=round(1000 * remaining_s))
            with closing(admin):
                admin.describe_cluster()
        except KafkaError as error:
            raise self._failure(f"listens but does not answer ({error})") from error

    def _failure(self, what: str) -> BrokerUnavailableError:
        log = (self._data / "broker.log").read_text(encoding="utf-8", errors="replace")
        return BrokerUnavailableError(
            f"Kafka {KAFKA_VERSION} for {self.bootstrap} {what}; it needs Java 17 or newer. "
            f"The last lines of {self._data / 'broker.log'}:\n{_last_lines(log)}"
        )


def broker_properties(port: int, controller_port: int) -> dict[str, str]:
    """Return the ``server.properties`` of a node that is both broker and controller."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        # relative to the data directory, because Kafka splits this at commas and reads it as Latin-1
        "log.dirs": "partitions",
        **BROKER_PROPERTIES,
    }


def broker_jars(announce: Announce) -> Path:
    """Return the directory with the jars of Kafka, which Maven downloads once per user.

    Raises:
        MissingToolError: The jars are not downloaded yet, and Maven is missing or cannot download them.
        SettingsError: The directory for the jars cannot be used.
    """
    cache = expand_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "online-lstm"
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock_file = (cache / f"{jars.name}.lock").open("w")
    except OSError as error:
        raise SettingsError(
            f"cannot keep Kafka in {cache}: {error.strerror}; XDG_CACHE_HOME names another directory for it"
        ) from error
    with lock_file as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():  # another process may have downloaded them while this one waited
            _fetch_jars(jars, announce)
    return jars


def _fetch_jars(jars: Path, announce: Announce) -> None:
    maven = _program("mvn")
    announce(f"fetching Kafka {KAFKA_VERSION} with Maven into {jars} (44 MB, once per user)")
    with replacing(jars, result="libs") as partial:
        partial.mkdir()
        (partial / "pom.xml").write_text(_POM, encoding="utf-8")
        fetched = subprocess.run(  # noqa: S603 - nothing in it comes from outside
            [maven, "-q", "-B", _COPY_JARS, "-DoutputDirectory=libs", "-DincludeScope=runtime"],
            cwd=partial,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if fetched.returncode:
            raise MissingToolError(
                f"Maven could not fetch Kafka {KAFKA_VERSION} (exit code {fetched.returncode}); expected a "
                f"network, or a mirror in Maven's settings.xml. Its last lines:\n{_last_lines(fetched.stdout)}"
            )
    remove_abandoned(jars)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(
            f"no Kafka broker can be started on this machine: `{name}` is not installed. Do one of these:\n"
            f"  use a broker you have:     export {BOOTSTRAP_VARIABLE}=HOST:PORT\n"
            "  start Docker:              with it, pip install 'online-lstm[broker]'\n"
            "  install Java 17+ and Maven: apt-get install default-jre-headless maven"
        )
    return path


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _last_lines(text: str, count: int = 10) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("\tat ")]  # frames of a Java stack
    return "\n".join(f"  {line}" for line in lines[-count:])


if __name__ == "__main__":
    try:
        broker_jars(say)
    except OnlineLstmError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
