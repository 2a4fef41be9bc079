"""A wrapper around the Kafka library's clients that translates every error of the library into a daemon error."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from kafka.errors import KafkaError
from kafka.protocol.producer import InitProducerIdRequest

from online_lstm.errors import (
    BrokerUnavailableError,
    FencedError,
    InputGoneError,
    MissingTopicError,
    OnlineLstmError,
    SettingsError,
    UnsupportedByBrokerError,
)
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.connection import Connections, client_options, close_without_flush, explain
from online_lstm.streaming.kafka.failures import FailureKind, advice_on, kind_of

_TRANSACTIONS = r"InitProducerId|AddPartitionsToTxn|AddOffsetsToTxn|EndTxn|TxnOffsetCommit|[Tt]ransactional producer"
"""Pattern of the protocol requests that only transactions use."""


def plain_producer(kind: Callable[..., Any], settings: Settings, **options: Any) -> "Client":
    """Return a producer without transactions: idempotent, or one request at a time if the broker lacks idempotence."""
    client = Client(kind, settings, **options)
    try:
        client.require(InitProducerIdRequest)
    except UnsupportedByBrokerError:
        close_without_flush(client.library)
        plain = {"enable_idempotence": False, "max_in_flight_requests_per_connection": 1}
        client = Client(kind, settings, **plain, **options)
    return client


class Client:
    """A consumer, producer or admin client of the library whose methods raise the daemon's errors.

    Args:
        kind: The library's class.
        settings: The connection settings, which also appear in error messages.
        options: Further options of the class.

    Raises:
        BrokerUnavailableError: No broker answers.
        SettingsError: A broker answers and refuses the settings.
    """

    def __init__(self, kind: Callable[..., Any], settings: Settings, **options: Any) -> None:
        self._settings = settings
        self._connections = Connections()
        connected = False
        try:
            with self.translated():
                given = {**client_options(settings), "kafka_client": self._connections.connect, **options}
                self.library = kind(**given)
            connected = True
        finally:
            if not connected:
                self._connections.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.library, name)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except KafkaError as error:
                raise self.error_of(error) from error

        setattr(self, name, call)
        return call

    def require(self, *requests: Any) -> None:
        """Raise UnsupportedByBrokerError if the broker lacks any of these requests of Kafka's protocol."""
        with self.translated():
            for request in requests:
                self._connections.require(request)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Translate the library's errors within a ``with`` block, for several calls or calls outside this wrapper."""
        try:
            yield
        except KafkaError as error:
            raise self.error_of(error) from error

    def error_of(self, error: BaseException) -> OnlineLstmError:
        """Return the daemon's error for an error of the library, by its kind.

        For a retriable error, such as a timeout, the reason of the last failed connection decides, if there is one.
        """
        lost = self._connections.lost
        reason = error if lost is None or kind_of(error) is not FailureKind.RETRIABLE else lost.error
        servers = ", ".join(self._settings.bootstrap_servers)
        translated: OnlineLstmError
        match kind_of(reason):
            case FailureKind.SETTINGS | FailureKind.TOPIC | FailureKind.RECORD:
                translated = SettingsError(f"{advice_on(reason)} (the broker at {servers}: {reason})")
            case FailureKind.UNSUPPORTED if re.search(_TRANSACTIONS, str(reason)):
                translated = UnsupportedByBrokerError(
                    f"delivery: the broker at {servers} does not support transactions ({reason}); set "
                    "delivery=at_least_once, or use a broker that does"
                )
            case FailureKind.UNSUPPORTED:
                translated = UnsupportedByBrokerError(
                    f"bootstrap_servers: the broker at {servers} lacks an interface that is needed ({reason}); use "
                    "Kafka 2.4 or newer, or a broker with its interfaces"
                )
            case FailureKind.FENCED:
                translated = FencedError(
                    f"another process has taken over the name of this one ({reason}): give each process its own "
                    "instance_id and group_instance_id"
                )
            case FailureKind.MISSING_TOPIC:
                translated = MissingTopicError(f"a topic does not exist at {servers} ({reason}): create it")
            case FailureKind.INPUT:
                translated = InputGoneError(
                    f"the input topic no longer has the records to go on from ({reason}): its retention has removed "
                    "them; set on_gap to continue, or use another group_id to start from nothing"
                )
            case FailureKind.MEMBER | FailureKind.UNEXPECTED | FailureKind.PRODUCER | FailureKind.RETRIABLE:
                translated = BrokerUnavailableError(explain(self._settings, reason, lost))
        return translated
