"""On a broker that asks who is there: TLS and SASL work, and what it refuses is told by the setting's name."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from online_lstm.devtools.broker_process import HOST, LocalBroker
from online_lstm.errors import BrokerUnavailableError, SettingsError
from online_lstm.settings import require_consistent
from online_lstm.streaming.kafka import GroupConsumer, TransactionalProducer, ensure_topics
from support.fakes import small_settings
from support.kafka_admin import create_topic
from support.tcp_proxy import free_port

pytestmark = pytest.mark.broker
PASSWORD = "correct horse"
SOON = {"connect_timeout_s": 2.0}
"""For what is tried again until it is given up; an answer is waited for as long as it takes."""
JAAS = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    f'username="daemon" password="{PASSWORD}" user_daemon="{PASSWORD}";'
)


class SecuredBroker:
    """A broker with a plain listener, one with TLS and one with TLS and SASL."""

    def __init__(self, folder: Path) -> None:
        self.local = LocalBroker(folder / "data", announce=lambda _: None)
        self.tls, self.sasl = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
        self.certificate = folder / "broker.pem"
        store = folder / "broker.p12"
        keytool = shutil.which("keytool")
        assert keytool is not None, "keytool comes with Java"
        key = ["-keystore", str(store), "-storepass", "changeit", "-alias", "broker"]
        subject = ["-dname", "CN=localhost", "-ext", f"SAN=dns:localhost,ip:{HOST}", "-validity", "2"]
        for command in (
            [keytool, "-genkeypair", *key, "-storetype", "PKCS12", "-keyalg", "RSA", *subject],
            [keytool, "-exportcert", *key, "-rfc", "-file", str(self.certificate)],
        ):
            subprocess.run(command, check=True, capture_output=True)
        properties = self.local.properties
        for name, address in (("TLS", self.tls), ("LOGIN", self.sasl)):
            properties["listeners"] += f",{name}://{address}"
            properties["advertised.listeners"] += f",{name}://{address}"
        properties["listener.security.protocol.map"] += ",TLS:SSL,LOGIN:SASL_SSL"
        properties |= {
            "ssl.keystore.location": str(store),
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.password": "changeit",
            "sasl.enabled.mechanisms": "PLAIN",
            "transaction.max.timeout.ms": "60000",
            "group.max.session.timeout.ms": "60000",
            "listener.name.login.plain.sasl.jaas.config": JAAS,
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    broker = SecuredBroker(tmp_path_factory.mktemp("secured"))
    broker.local.start()
    try:
        create_topic(broker.local.bootstrap, "numbers")
        yield broker
    finally:
        broker.local.stop()


def connect(**given: Any) -> None:
    """Do all that the daemon does with a broker before the first record."""
    settings = small_settings(**{"connect_timeout_s": 120.0, **given})
    require_consistent(settings)
    ensure_topics(settings)
    source, sink = GroupConsumer(settings), TransactionalProducer(settings)
    try:
        sink.reconnect(lambda _: None)
        source.subscribe(lambda _: None)
        deadline = time.monotonic() + 120
        while not source.assignment():
            assert time.monotonic() < deadline
            source.poll(0.1, 1)
    finally:
        source.close()
        sink.close()


def test_tls(secured: SecuredBroker) -> None:
    """With the authority's certificate the broker is trusted."""
    connect(bootstrap_servers=secured.tls, security_protocol="SSL", ssl_cafile=secured.certificate)


def test_sasl_over_tls(secured: SecuredBroker, tmp_path: Path) -> None:
    """With user and password, given or in a file, the daemon is let in."""
    given = {"bootstrap_servers": secured.sasl, "security_protocol": "SASL_SSL", "ssl_cafile": secured.certificate}
    connect(**given, sasl_username="daemon", sasl_password=PASSWORD)
    password_file = tmp_path / "password"
    password_file.write_text(PASSWORD + "\n", encoding="utf-8")
    connect(**given, sasl_username="daemon", sasl_password_file=password_file)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"transaction_timeout_s": 900.0}, SettingsError, "transaction_timeout_s: longer than"),
        ({"session_timeout_s": 1800.0, "max_poll_interval_s": 1800}, SettingsError, "session_timeout_s: not between"),
        ({"security_protocol": "SSL", **SOON}, BrokerUnavailableError, r"is SSL what it speaks \(security_protocol\)"),
        (
            {"bootstrap_servers": f"{HOST}:1", **SOON},
            BrokerUnavailableError,
            f"no broker answers at {HOST}:1 .* start one",
        ),
    ],
)
def test_what_the_broker_refuses_is_told_by_name(
    secured: SecuredBroker, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Nobody has to guess which setting it was."""
    with pytest.raises(error, match=message):
        connect(**{"bootstrap_servers": secured.local.bootstrap, **given})


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"sasl_password": "wrong"}, SettingsError, "sasl_username, sasl_password: the broker refused the login"),
        ({"sasl_password": None}, SettingsError, "expected both, as security_protocol is SASL_SSL"),
        ({"ssl_cafile": "/nowhere"}, SettingsError, "ssl_cafile: /nowhere: .* expected certificates in PEM"),
        ({"ssl_certfile": "/nowhere"}, SettingsError, "ssl_certfile, ssl_keyfile: /nowhere"),
    ],
)
def test_credentials_that_are_wrong(
    secured: SecuredBroker, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    """They are told apart from a broker that is not there."""
    right = {
        "bootstrap_servers": secured.sasl,
        "security_protocol": "SASL_SSL",
        "ssl_cafile": secured.certificate,
        "sasl_username": "daemon",
        "sasl_password": PASSWORD,
    }
    with pytest.raises(error, match=message):
        connect(**{**right, **given})
