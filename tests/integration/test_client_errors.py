"""What a real broker refuses, and what cannot be reached, through every command that has a client of Kafka."""

import logging
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)
from online_lstm.cli import main
from online_lstm.devtools.broker_process import HOST, LocalBroker
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.streaming.kafka import GroupConsumer, TransactionalProducer, ensure_topics
from support.daemon_runner import PATIENCE_S
from support.fakes import small_settings
from support.kafka_admin import create_topic, read_committed
from support.programs import program
from support.tcp_proxy import free_port

pytestmark = pytest.mark.broker
PASSWORD = "correct horse"
PHRASE = "open sesame"
RIGHTS = (
    ("stranger", ResourceType.TOPIC, "numbers", ACLOperation.READ),
    ("writer", ResourceType.TOPIC, "in2", ACLOperation.WRITE),
    ("watcher", ResourceType.TOPIC, "predictions", ACLOperation.DESCRIBE),
    ("groupless", ResourceType.TOPIC, "*", ACLOperation.ALL),
    ("groupless", ResourceType.TRANSACTIONAL_ID, "*", ACLOperation.ALL),
    ("plain", ResourceType.TOPIC, "*", ACLOperation.ALL),
    ("plain", ResourceType.GROUP, "*", ACLOperation.ALL),
)
"""Who may log in, and what each may do."""
COMMANDS = {
    "run": ("--http-port", "0", "--network", "lstm 4"),
    "produce": ("--demo-stream", "3"),
    "watch": ("--limit", "1"),
    "verify": (),
    "replay": ("--from", "0", "--until", "1"),
}
LISTENERS = {
    "TLS": "SSL",
    "OTHERNAME": "SSL",
    "EXPIRED": "SSL",
    "MUTUAL": "SSL",
    "KEYLESS": "SSL",
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
        for name in ("TLS", "OTHERNAME", "EXPIRED", "MUTUAL", "KEYLESS"):
            make = self._keyless_store if name == "KEYLESS" else self._key_store
            store = make(name.lower(), *KEYS.get(name, ()))
            properties |= {
                f"listener.name.{name.lower()}.ssl.keystore.location": str(store),
                f"listener.name.{name.lower()}.ssl.keystore.type": "PKCS12",
                f"listener.name.{name.lower()}.ssl.keystore.password": "changeit",
            }
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in sorted({user for user, *_ in RIGHTS}))
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

    def _keyless_store(self, name: str) -> Path:
        """Make a certificate of an authority without key identifiers, which tools of ten years ago made."""
        store, authority = self.folder / f"{name}.p12", self.certificate(name)
        path = {kind: str(self.folder / f"{name}-{kind}") for kind in ("ca.key", "key", "csr", "pem", "extensions")}
        Path(path["extensions"]).write_text(
            f"subjectAltName=IP:{HOST}\nauthorityKeyIdentifier=none\n", encoding="ascii"
        )
        bare = [option for kind in ("subject", "authority") for option in ("-addext", f"{kind}KeyIdentifier=none")]
        signed = ["-CA", str(authority), "-CAkey", path["ca.key"], "-CAcreateserial", "-extfile", path["extensions"]]
        new, stored = ["-newkey", "rsa:2048", "-nodes"], ["-out", str(store), "-passout", "pass:changeit"]
        for arguments in (
            ["req", "-x509", *new, "-keyout", path["ca.key"], "-out", str(authority), "-subj", "/CN=authority", *bare],
            ["req", *new, "-keyout", path["key"], "-out", path["csr"], "-subj", "/CN=localhost"],
            ["x509", "-req", "-in", path["csr"], *signed, "-out", path["pem"]],
            ["pkcs12", "-export", "-in", path["pem"], "-inkey", path["key"], *stored],
        ):
            subprocess.run([program("openssl"), *arguments], check=True, capture_output=True)
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
        for topic in ("numbers", "numbers.dlq", "in2", "predictions"):
            create_topic(broker.local.bootstrap, topic)
        broker.grant()
        yield broker
    finally:
        broker.local.stop()


@pytest.fixture
def log_as_before() -> Iterator[None]:
    """Whatever a command sets up for the log is set up again afterwards."""
    root, client = logging.getLogger(), logging.getLogger("kafka")
    handlers, levels = root.handlers[:], (root.level, client.level)
    root.handlers[:] = []  # those of pytest would be closed
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    client.setLevel(levels[1])


@pytest.fixture
def errors(
    broker: RefusingBroker,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    log_as_before: None,
) -> Errors:
    """Run a command with settings in the environment; return its exit code and what it wrote to standard error."""
    settings_before: set[str] = set()

    def run(command: str, *arguments: str, **settings: object) -> tuple[int, str]:
        given = {"connect_timeout_s": 3, "checkpoint_url": tmp_path, "group_id": "g", **settings}
        if "bootstrap_servers" not in given:
            given["bootstrap_servers"] = broker.local.bootstrap
        for name, value in given.items():
            monkeypatch.setenv(f"ONLINE_LSTM_{name.upper()}", str(value))
        for name in settings_before - given.keys():
            monkeypatch.delenv(f"ONLINE_LSTM_{name.upper()}")
        settings_before.clear()
        settings_before.update(given)
        code = main.main([command, *(arguments or COMMANDS[command])])
        return int(code), capsys.readouterr().err

    return run


def login(broker: RefusingBroker, user: str, **given: object) -> dict[str, object]:
    return {
        "bootstrap_servers": broker.addresses["LOGIN"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_username": user,
        "sasl_password": PASSWORD,
        **given,
    }


def encrypted(broker: RefusingBroker, listener: str, **given: object) -> dict[str, object]:
    return {
        "bootstrap_servers": broker.addresses[listener],
        "security_protocol": "SSL",
        "ssl_cafile": broker.certificate(listener),
        **given,
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password(broker: RefusingBroker, errors: Errors, command: str) -> None:
    """Every command says that the broker refused the login, and is not to be started again."""
    code, said = errors(command, **login(broker, "plain", sasl_password="wrong"))
    assert ExitCode.USAGE == code
    assert "sasl_username, sasl_password: the broker refused the login" in said
    assert "Invalid username or password" in said


@pytest.mark.parametrize(
    ("command", "user", "given", "words"),
    [
        ("run", "stranger", {}, "topic numbers.dlq is missing .* the right CREATE .*create_topics=false"),
        ("run", "stranger", {"create_topics": "false"}, "topic numbers.dlq, predictions does not exist .* DESCRIBE"),
        ("produce", "stranger", {}, "value 1 was not acknowledged.* lacks the right WRITE on the topics"),
        ("produce", "writer", {}, "topic numbers is missing .* Authorization failed.* the right CREATE"),
        ("watch", "writer", {}, "topic predictions does not exist .*the right DESCRIBE"),
        ("watch", "watcher", {}, "TopicAuthorizationFailedError|grant READ on what is read"),
        ("verify", "groupless", {}, "group_id: this user lacks the right READ on this group"),
        ("replay", "groupless", {}, "group_id: this user lacks the right READ on this group"),
        ("produce", "plain", {"sasl_mechanism": "SCRAM-SHA-256"}, "sasl_mechanism: the broker has not enabled it"),
    ],
)
def test_a_right_that_is_missing(  # noqa: PLR0917 - what is given and what is expected
    broker: RefusingBroker, errors: Errors, command: str, user: str, given: dict[str, str], words: str
) -> None:
    """The command ends with the broker's reason, the right and what to see to; no traceback."""
    code, said = errors(command, **login(broker, user, **given))
    assert ExitCode.USAGE == code
    assert re.search(words, said), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("groupless", "group_id: this user lacks the right READ on this group"),
        ("plain", "lacks the right WRITE on transactional ids .*delivery=at_least_once"),
    ],
)
def test_a_right_that_the_loop_needs(broker: RefusingBroker, tmp_path: Path, user: str, words: str) -> None:
    """A daemon without a right to its group or its transactions ends with a usage error before the first record."""
    settings = small_settings(**login(broker, user, group_id="g", checkpoint_url=str(tmp_path)))
    source, sink = GroupConsumer(settings), TransactionalProducer(settings)
    deadline = time.monotonic() + PATIENCE_S

    def begin() -> None:
        ensure_topics(settings)
        sink.reconnect(lambda _: None)
        source.subscribe(lambda _: None)
        while time.monotonic() < deadline:
            source.poll(0.2, 1)

    try:
        with pytest.raises(SettingsError, match=words):
            begin()
    finally:
        source.close()
        sink.close()


def test_produce_needs_the_right_to_its_own_topic_only(broker: RefusingBroker, errors: Errors) -> None:
    """A user who may write to one topic publishes there."""
    assert 0 == errors("produce", "--topic", "in2", "--demo-stream", "3", **login(broker, "writer"))[0]
    assert 3 == sum(map(len, read_committed(broker.local.bootstrap, "in2").values()))


@pytest.mark.parametrize("command", ["run", "produce"])
def test_a_replication_factor_that_cannot_be_met(broker: RefusingBroker, errors: Errors, command: str) -> None:
    """The command ends with the broker's own reason and the way out."""
    code, said = errors(command, input_topics="nowhere", output_topic="out")
    assert ExitCode.USAGE == code
    assert re.search(r"topic nowhere is missing .*InvalidReplicationFactorError: .*default\.replication\.factor", said)


def test_a_name_of_a_topic_that_the_broker_refuses(broker: RefusingBroker, errors: Errors) -> None:
    """Names that differ in a dot and an underscore collide; the broker says so."""
    create_topic(broker.local.bootstrap, "a.b")
    code, said = errors("produce", input_topics="a_b")
    assert ExitCode.USAGE == code
    assert re.search(r"topic a_b is missing .*collides .*the broker does not accept such a name", said)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_advertised_address_of_a_real_broker(broker: RefusingBroker, errors: Errors, command: str) -> None:
    """Every command names the address that cannot be reached, and where the broker has it from."""
    code, said = errors(command, bootstrap_servers=broker.addresses["LOST"])
    assert ExitCode.NO_BROKER == code
    assert "sends its clients to no-such-host.invalid:9092" in said
    assert "advertised.listeners" in said


@pytest.mark.parametrize(
    ("listener", "given", "words"),
    [
        ("OTHERNAME", {}, "IP address mismatch.*: its certificate is for another name"),
        ("EXPIRED", {}, "certificate has expired.*: its certificate is out of date"),
        ("TLS", {"ssl_cafile": ""}, "self-signed certificate.*: .*ssl_cafile must have the authority"),
        ("MUTUAL", {}, "(?i)alert.*it refuses this client's certificate: see to ssl_certfile, ssl_keyfile"),
        ("TLS", {"security_protocol": "PLAINTEXT"}, "is PLAINTEXT what it speaks"),
        ("LOGIN", {}, "is SSL what it speaks"),
        ("LOGIN", {"security_protocol": "PLAINTEXT"}, "is PLAINTEXT what it speaks"),
    ],
)
def test_a_handshake_that_fails(
    broker: RefusingBroker, errors: Errors, listener: str, given: dict[str, str], words: str
) -> None:
    """The words of OpenSSL, or what was seen, and a hint that is right."""
    certificate = broker.certificate("TLS" if listener == "LOGIN" else listener)
    settings = encrypted(broker, listener, **{"ssl_cafile": certificate, **given})
    code, said = errors("produce", **{name: value for name, value in settings.items() if value != ""})
    assert ExitCode.NO_BROKER == code
    assert re.search(words, said), said


def test_an_authority_that_a_strict_openssl_refuses(
    broker: RefusingBroker, errors: Errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.13 has OpenSSL check certificates strictly; its reason is told, and no guess at security_protocol."""
    create = ssl.create_default_context

    def create_strict(**options: Any) -> ssl.SSLContext:
        context = create(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create_strict)
    code, said = errors("produce", **encrypted(broker, "KEYLESS"))
    assert ExitCode.NO_BROKER == code
    assert re.search("CERTIFICATE_VERIFY_FAILED.*: its certificate, or one in ssl_cafile, is not acceptable", said), (
        said
    )
    assert "security_protocol" not in said


def test_a_login_where_none_is_asked_for(broker: RefusingBroker, errors: Errors) -> None:
    """The protocol is the wrong one, and waiting will not change that."""
    code, said = errors("produce", **login(broker, "plain", bootstrap_servers=broker.local.bootstrap))
    assert ExitCode.USAGE == code
    assert "security_protocol: this listener of the broker asks for no login" in said


def test_a_bootstrap_name_that_cannot_be_resolved(errors: Errors) -> None:
    """It is the name that is wrong, and no broker has to be started."""
    code, said = errors("produce", bootstrap_servers="no-such-host.invalid:9092")
    assert ExitCode.NO_BROKER == code
    assert "bootstrap_servers: no broker answers at no-such-host.invalid:9092" in said
    assert "its name cannot be resolved" in said


@pytest.mark.parametrize("servers", ["localhost", "localhost:port", "PLAINTEXT://localhost:9092", "localhost:0"])
def test_bootstrap_servers_that_are_malformed(errors: Errors, servers: str) -> None:
    """The setting, what was received and what is expected."""
    code, said = errors("produce", bootstrap_servers=servers)
    assert ExitCode.USAGE == code
    assert f"bootstrap_servers: received '{servers}', expected host:port" in said


def test_a_key_with_a_pass_phrase(broker: RefusingBroker, errors: Errors, tmp_path: Path) -> None:
    """The pass phrase is a setting or in a file; without it nobody is asked, and the setting is named."""
    locked, file = broker.locked_key(PHRASE), tmp_path / "phrase"
    file.write_text(PHRASE + "\n", encoding="utf-8")
    given = encrypted(broker, "TLS", ssl_certfile=locked, ssl_keyfile=locked)
    for phrase in ({}, {"ssl_key_password": "wrong"}):
        code, said = errors("produce", **given, **phrase)
        assert ExitCode.USAGE == code
        assert f"ssl_certfile, ssl_keyfile: {locked}" in said
        assert "ssl_key_password" in said
    assert 0 == errors("produce", **given, ssl_key_password=PHRASE)[0]
    assert 0 == errors("produce", **given, ssl_key_password_file=file)[0]


def test_the_log_of_the_client_has_no_password(broker: RefusingBroker, errors: Errors) -> None:
    """At DEBUG it has all that the client sends, but for secrets."""
    given = login(broker, "writer", log_level="DEBUG")
    code, said = errors("produce", "--topic", "in2", "--demo-stream", "1", **given)
    assert 0 == code
    assert "SaslAuthenticateRequest" in said
    assert PASSWORD not in said
