"""A local Kafka broker, in a container or on the Java of this machine.

The module must not know settings, topics and the daemon.
"""

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from online_lstm.devtools.broker_process import BROKER_PROPERTIES, START_TIMEOUT_S, LocalBroker, accepts
from online_lstm.devtools.kafka_jars import BOOTSTRAP_VARIABLE, Announce, broker_jars, write_line
from online_lstm.errors import BrokerUnavailableError, ExitCode
from online_lstm.shutdown import Shutdown, interrupt

KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.0"


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


def run_broker(port: int, data: Path | None, *, announce: Announce = write_line) -> ExitCode:
    """Run a broker in the foreground until a signal; must be called in the main thread.

    Raises:
        BrokerUnavailableError: The broker stopped by itself; also whatever ``local_broker`` raises.
    """
    try:
        with Shutdown(interrupt), local_broker(port=port, data=data, announce=announce) as bootstrap:
            announce(f"Kafka is ready at {bootstrap} (Ctrl-C stops it)")
            host, _, bound_port = bootstrap.rpartition(":")
            while accepts(host, int(bound_port)):
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
