"""What a real broker refuses, and what cannot be reached, through every command that has a client of Kafka."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)
from kafka_helpers import create_topic
from programs import program
from tcp_proxy import free_port

from daemon import cli
from daemon.local_broker import HOST, LocalBroker

pytestmark = pytest.mark.broker
PASSWORD = "correct horse"
USERS = ("owner", "writer", "reader", "member")
"""Names that may log in; what each may do is in ``RIGHTS``."""
RIGHTS = (
    ("owner", ResourceType.TOPIC, "numbers", ACLOperation.READ),
    ("owner", ResourceType.TOPIC, "numbers", ACLOperation.DESCRIBE),
    ("owner", ResourceType.GROUP, "g", ACLOperation.READ),
    ("writer", ResourceType.TOPIC, "in2", ACLOperation.WRITE),
    ("reader", ResourceType.TOPIC, "*", ACLOperation.READ),
    ("member", ResourceType.TOPIC, "*", ACLOperation.ALL),
)
COMMANDS = {
    "run": ("--http-port", "0", "--network", "lstm 4"),
    "produce": ("--seed-stream", "3"),
    "watch": ("--limit", "1"),
    "verify": (),
    "replay": ("--from", "0", "--to", "1"),
}
LISTENERS = {
    "TLS": "SSL",
    "OTHERNAME": "SSL",
    "EXPIRED": "SSL",
    "MUTUAL": "SSL",
    "LOGIN": "SASL_PLAINTEXT",
    "LOST": "PLAINTEXT",
}
Errors = Callable[..., tuple[int, str]]


class RefusingBroker:
    """A broker with access rights, and with a listener for each thing that can be wrong with a connection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.local = LocalBroker(folder / "data", announce=lambda _: None)
        self.addresses = {name: f"{HOST}:{free_port()}" for name in LISTENERS}
        properties = self.local.properties
        for name, protocol in LISTENERS.items():
            advertised = "no-such-host.invalid:9092" if name == "LOST" else self.addresses[name]
            properties["listeners"] += f",{name}://{self.addresses[name]}"
            properties["advertised.listeners"] += f",{name}://{advertised}"
            properties["listener.security.protocol.map"] += f",{name}:{protocol}"
        for name in ("TLS", "OTHERNAME", "EXPIRED", "MUTUAL"):
            store = self._key_store(name.lower(), *KEYS.get(name, ()))
            properties |= {
                f"listener.name.{name.lower()}.ssl.keystore.location": str(store),
                f"listener.name.{name.lower()}.ssl.keystore.type": "PKCS12",
                f"listener.name.{name.lower()}.ssl.keystore.password": "changeit",
            }
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
        properties |= {
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.login.plain.sasl.jaas.config": (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "default.replication.factor": "3",
        }

    def _key_store(self, name: str, *options: str) -> Path:
        store = self.folder / f"{name}.p12"
        key = ["-keystore", str(store), "-storepass", "changeit", "-alias", name]
        subject = options or ("-dname", "CN=localhost", "-ext", f"SAN=dns:localhost,ip:{HOST}", "-validity", "2")
        keytool = program("keytool")
        for command in (
            [keytool, "-genkeypair", *key, "-storetype", "PKCS12", "-keyalg", "RSA", *subject],
            [keytool, "-exportcert", *key, "-rfc", "-file", str(self.certificate(name))],
        ):
            subprocess.run(command, check=True, capture_output=True)
        return store

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name.lower()}.pem"

    def locked_key(self, password: str) -> Path:
        """Write a certificate and its key, which has a pass phrase, into a file."""
        store, locked = self._key_store("client"), self.folder / "locked.pem"
        words = ["-passin", "pass:changeit", "-passout", f"pass:{password}"]
        command = [program("openssl"), "pkcs12", "-in", str(store), "-out", str(locked), *words]
        subprocess.run(command, check=True, capture_output=True)
        return locked

    def grant(self) -> None:
        acls = [
            ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name))
            for user, kind, name, operation in RIGHTS
        ]
        with closing(KafkaAdminClient(bootstrap_servers=self.local.bootstrap)) as admin:
            admin.create_acls(acls)


KEYS = {
    "OTHERNAME": ("-dname", "CN=other", "-ext", "SAN=dns:other.example", "-validity", "2"),
    "EXPIRED": ("-dname", "CN=localhost", "-ext", f"SAN=ip:{HOST}", "-startdate", "-3d", "-validity", "1"),
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RefusingBroker]:
    broker = RefusingBroker(tmp_path_factory.mktemp("refusing"))
    broker.local.start()
    try:
        for topic in ("numbers", "in2"):
            create_topic(broker.local.bootstrap, topic)
        broker.grant()
        yield broker
    finally:
        broker.local.stop()


@pytest.fixture
def errors(
    broker: RefusingBroker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Errors:
    """Run a command with settings in the environment; return its exit code and what it wrote to standard error."""

    def run(command: str, *arguments: str, **settings: object) -> tuple[int, str]:
        given = {"connect_timeout_s": 3, "checkpoint_url": tmp_path, "group_id": "g", **settings}
        if "bootstrap_servers" not in given:
            given["bootstrap_servers"] = broker.local.bootstrap
        for name, value in given.items():
            monkeypatch.setenv(f"ONLINE_LSTM_{name.upper()}", str(value))
        code = cli.main([command, *(arguments or COMMANDS[command])])
        return code, capsys.readouterr().err

    return run


def login(broker: RefusingBroker, user: str, **given: object) -> Mapping[str, object]:
    return {
        "bootstrap_servers": broker.addresses["LOGIN"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_username": user,
        "sasl_password": PASSWORD,
        **given,
    }
