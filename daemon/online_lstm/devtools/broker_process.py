"""A single Kafka node on the Java of this machine: its configuration and its process.

kafka-python only checks that the broker answers.
"""

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import IO

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from online_lstm.devtools.kafka_jars import (
    KAFKA_VERSION,
    Announce,
    broker_jars,
    last_lines,
    require_program,
    write_line,
)
from online_lstm.devtools.processes import ending_with_its_parent, reserve_port
from online_lstm.errors import BrokerUnavailableError, SettingsError

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


class LocalBroker:
    """A single-node Kafka (KRaft) on the Java of this machine, reachable from this machine only.

    The broker can be stopped or killed and restarted on the same port and data. It ends with the thread that
    started it, even if that thread is killed. ``data`` holds ``server.properties``, ``broker.log`` of the last
    start, and the partitions. ``properties`` apply to the next start; change them beforehand, for another
    listener or other timeouts.
    """

    def __init__(self, data: Path, *, port: int = 0, announce: Announce = write_line) -> None:
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
        java = [require_program("java"), *_JVM_OPTIONS, "-cp", f"{broker_jars(self._announce)}/*"]
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
        if accepts(HOST, self._port):
            raise SettingsError(f"port: {self.bootstrap} is in use; give a free port, or 0 for any")

    def _write_properties(self) -> None:
        (self._data / "server.properties").write_text(
            "".join(f"{name}={value}\n" for name, value in self.properties.items()), encoding="ascii"
        )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not accepts(HOST, self._port):
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

    def _failure(self, symptom: str) -> BrokerUnavailableError:
        log = (self._data / "broker.log").read_text(encoding="utf-8", errors="replace")
        return BrokerUnavailableError(
            f"Kafka {KAFKA_VERSION} for {self.bootstrap} {symptom}; it needs Java 17 or newer. The last lines of "
            f"{self._data / 'broker.log'}:\n{last_lines(log)}"
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


def accepts(host: str, port: int) -> bool:
    """Return whether something listens at this address."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
