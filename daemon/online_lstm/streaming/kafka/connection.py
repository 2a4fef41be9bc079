"""Connections of the Kafka clients: options, reasons of failed connections, conversion of partition types.

The library writes the reason of a failed connection to its log only and raises a timeout; ``Connections`` keeps the
reason.
"""

import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import kafka
from kafka.errors import IllegalSaslStateError, KafkaError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError
from kafka.net import KafkaConnectionManager, KafkaNetClient, NetworkSelector

from online_lstm.errors import SettingsError
from online_lstm.events import TopicPartition
from online_lstm.settings import Settings

_LOGIN_REFUSED = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, IllegalSaslStateError)

_REASONS: tuple[tuple[str, str], ...] = (
    ("DNS Resolution", "its name cannot be resolved; correct the name, or have it resolved on this machine"),
    ("mismatch", "its certificate is for another name; name the broker as its certificate does, or renew that"),
    ("expired|not yet valid", "its certificate is out of date; renew it, or correct the clock of this machine"),
    (
        "self.signed|issuer certificate|unable to verify",
        "its certificate is not trusted; ssl_cafile must have the authority that signed it",
    ),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate, or one in ssl_cafile, is not acceptable; renew it"),
    ("(?i)alert.*(certificate|unknown.ca)", "it refuses this client's certificate: see to ssl_certfile, ssl_keyfile"),
    (
        "Handshake failed|disconnected|reset|InvalidReceive",
        "something listens, though: is {protocol} what it speaks (security_protocol)",
    ),
    ("timed out|no answer", "see whether it is up, and whether a firewall is in between"),
)
_NOBODY = "start one with `online-lstm broker`, or name another"


@dataclass(frozen=True, slots=True)
class LostConnection:
    """A failed connection to a node of the cluster: the node's address and the error."""

    address: str
    error: BaseException


class Connections:
    """The network of one client, with the last connection failure until a connection succeeds."""

    def __init__(self) -> None:
        self.lost: LostConnection | None = None
        self._client: KafkaNetClient | None = None

    def connect(self, **options: Any) -> KafkaNetClient:
        """Return a network client; the library's option ``kafka_client`` expects this function."""
        network = NetworkSelector(**options)
        self._client = KafkaNetClient(network, _Manager(network, self, **options), **options)
        return self._client

    def require(self, request: Any) -> None:
        """Raise the library's IncompatibleBrokerVersion if the broker lacks a request of the protocol."""
        if self._client is not None:
            self._client.api_version(request, max_version=request.max_version)

    def close(self) -> None:
        """Close the network of a client whose constructor failed; the library leaves this network open."""
        if self._client is not None:
            self._client.close()
            self._client._net.stop()  # noqa: SLF001


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    """A connection manager that records failed connections and fails at once if the broker refused the login.

    The library drops an answer that arrives together with the end of the connection. The broker's refusal of a login
    arrives that way, so this class reads the answer first.
    """

    def __init__(self, network: NetworkSelector, connections: Connections, **options: Any) -> None:
        super().__init__(network, **options)
        self._connections = connections

    def get_connection(self, node_id: Any, *args: Any, **kwargs: Any) -> Any:
        lost = self._connections.lost
        if lost is not None and isinstance(lost.error, _LOGIN_REFUSED) and self.cluster.is_bootstrap(node_id):
            raise lost.error
        known = self._conns.get(node_id)
        connection = super().get_connection(node_id, *args, **kwargs)
        if connection is not known:
            node = self.cluster.broker_metadata(node_id)
            host = f"[{node.host}]" if ":" in node.host else node.host
            note = partial(self._note, f"{host}:{node.port}")
            connection.init_future.add_callback(lambda _: note(None))
            connection.init_future.add_errback(note)
            connection.close_future.add_errback(note)
        return connection

    async def _build_transport(self, *args: Any, **kwargs: Any) -> Any:
        transport = await super()._build_transport(*args, **kwargs)
        receive = transport._sock_recv  # noqa: SLF001

        def receive_answer_first() -> tuple[bytes, BaseException | None]:
            data, error = receive()
            return data, None if data else error  # the next call returns the end of the connection again

        transport._sock_recv = receive_answer_first  # noqa: SLF001
        return transport

    def _note(self, address: str, error: BaseException | None) -> None:
        self._connections.lost = None if error is None else LostConnection(address, error)


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the library's connection options for these settings.

    Raises:
        SettingsError: A certificate or key cannot be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "bootstrap_timeout_ms": int(settings.connect_timeout_s * 1000),
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.password(),
        }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    return options


def explain(settings: Settings, error: BaseException, lost: LostConnection | None) -> str:
    """Return why no broker answers: the address, the original reason, and the way out."""
    servers = ", ".join(settings.bootstrap_servers)
    if lost is None:
        return f"bootstrap_servers: the broker at {servers} does not do what is asked ({error}); see to its log"
    reason = str(lost.error)
    advice = next((advice for pattern, advice in _REASONS if re.search(pattern, reason)), _NOBODY)
    advice = advice.format(protocol=settings.security_protocol)
    if lost.address not in settings.bootstrap_servers:
        return (
            f"the broker at {servers} sends its clients to {lost.address}, which cannot be reached ({reason}): "
            f"{advice}; see to the broker's advertised.listeners"
        )
    return f"bootstrap_servers: no broker answers at {lost.address} ({reason}): {advice}"


def close_without_flush(producer: Any) -> None:
    """Close a producer without waiting for records in flight; its own ``close`` would raise and stay half closed."""
    producer._sender.force_close()  # noqa: SLF001
    with suppress(KafkaError):
        producer.close(timeout=5)


def from_kafka(source: Any) -> TopicPartition:
    """Return the daemon's TopicPartition for the library's."""
    return TopicPartition(source.topic, source.partition)


def to_kafka(source: TopicPartition) -> Any:
    """Return the library's TopicPartition for the daemon's."""
    return kafka.TopicPartition(source.topic, source.partition)


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ssl_cafile)
    except OSError as error:
        raise SettingsError(f"ssl_cafile: {settings.ssl_cafile}: {error}; expected certificates in PEM") from error
    if settings.ssl_certfile is not None:
        # any string, even an empty one, keeps OpenSSL from prompting at the terminal
        password = settings.key_password() or ""
        try:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, password)
        except OSError as error:
            raise SettingsError(
                f"ssl_certfile, ssl_keyfile: {settings.ssl_certfile}, {settings.ssl_keyfile}: {error}; expected a "
                "certificate and its key in PEM, and in ssl_key_password the pass phrase of a key that has one"
            ) from error
    return context
