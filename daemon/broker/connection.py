"""How any client connects, and whose partition a partition is: ours or the client library's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kafka
from kafka.errors import KafkaError

from daemon.errors import BrokerUnavailableError
from daemon.records import TopicPartition
from daemon.settings import Settings


def client_options(settings: Settings) -> dict[str, Any]:
    """Say how any client of these settings connects."""
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
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        if (path := getattr(settings, name)) is not None:
            options[name] = str(path)
    return options


@contextmanager
def reaching_broker(settings: Settings) -> Iterator[None]:
    """Turn the client's failure to connect into an error that says where to."""
    try:
        yield
    except KafkaError as error:
        raise BrokerUnavailableError(
            f"bootstrap_servers: no broker answered at {', '.join(settings.bootstrap_servers)} within "
            f"{settings.connect_timeout_s:g} s ({error}); start one with `online-lstm broker`, or name another"
        ) from error


def ours(source: Any) -> TopicPartition:
    """Turn the library's partition into ours."""
    return TopicPartition(source.topic, source.partition)


def theirs(source: TopicPartition) -> Any:
    """Turn our partition into the library's."""
    return kafka.TopicPartition(source.topic, source.partition)
