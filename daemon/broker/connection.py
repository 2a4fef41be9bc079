"""How any client connects, what its failures mean, and whose partition a partition is: ours or the library's."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import kafka
from kafka.errors import KafkaError

from daemon.errors import BrokerUnavailableError, SettingsError
from daemon.records import TopicPartition
from daemon.settings import Settings

_ABOUT_SETTINGS = {
    "InvalidTransactionTimeoutError": "transaction_timeout_s: longer than the broker's transaction.max.timeout.ms",
    "InvalidSessionTimeoutError": "session_timeout_s: not between the broker's group.min.session.timeout.ms and "
    "group.max.session.timeout.ms",
    "SaslAuthenticationFailedError": "sasl_username, sasl_password: the broker does not accept them",
    "TopicAuthorizationFailedError": "input_topics, output_topic, dead_letter_topic: this user may not use one of them",
    "GroupAuthorizationFailedError": "group_id: this user may not be in this group",
    "TransactionalIdAuthorizationFailedError": "group_id, instance_id: this user may not use transactional ids that "
    "begin with this group_id",
    "ClusterAuthorizationFailedError": "create_topics: this user may not; create the topics, or let the user",
    "InvalidTopicError": "input_topics, output_topic, dead_letter_topic: the broker does not accept such a name",
}
"""Errors that only other settings, or other rights, will end."""


def client_options(settings: Settings) -> dict[str, Any]:
    """Say how any client of these settings connects.

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


@contextmanager
def reaching_broker(settings: Settings) -> Iterator[None]:
    """Turn the client's failures into errors that say where, and what to do.

    Raises:
        BrokerUnavailableError: No broker answers now.
        SettingsError: One answers, and refuses what the settings ask for.
    """
    try:
        yield
    except KafkaError as error:
        for name, meaning in _ABOUT_SETTINGS.items():
            if name in repr(error):  # the client wraps some in others
                raise SettingsError(f"{meaning} ({error})") from error
        servers = ", ".join(settings.bootstrap_servers)
        if _something_listens(settings):
            hint = f"something listens, though: is {settings.security_protocol} what it speaks (security_protocol)"
            hint += "?" if settings.security_protocol == "PLAINTEXT" else ", and are sasl_* and ssl_* what it accepts?"
        else:
            hint = "start one with `online-lstm broker`, or name another"
        raise BrokerUnavailableError(f"bootstrap_servers: no broker answers at {servers} ({error}); {hint}") from error


def abandon(producer: Any) -> None:
    """Close a producer without waiting for what is in flight: its own way would raise, and be left half closed."""
    producer._sender.force_close()  # noqa: SLF001
    with suppress(KafkaError):
        producer.close(timeout=5)


def ours(source: Any) -> TopicPartition:
    """Turn the library's partition into ours."""
    return TopicPartition(source.topic, source.partition)


def theirs(source: TopicPartition) -> Any:
    """Turn our partition into the library's."""
    return kafka.TopicPartition(source.topic, source.partition)


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ssl_cafile)
    except OSError as error:
        raise SettingsError(f"ssl_cafile: {settings.ssl_cafile}: {error}; expected certificates in PEM") from error
    if settings.ssl_certfile is not None:
        try:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
        except OSError as error:
            raise SettingsError(
                f"ssl_certfile, ssl_keyfile: {settings.ssl_certfile}, {settings.ssl_keyfile}: {error}; expected a "
                "certificate and its key in PEM"
            ) from error
    return context


def _something_listens(settings: Settings) -> bool:
    for server in settings.bootstrap_servers:
        host, _, port = server.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
        except (OSError, ValueError):
            continue
        return True
    return False
