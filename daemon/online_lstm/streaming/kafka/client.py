"""Every call of a client of the Kafka library: the one place where its errors become errors of the daemon."""

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
"""The interfaces of a broker that only transactions use."""


def plain_producer(kind: Callable[..., Any], settings: Settings, **options: Any) -> "Client":
    """Make a producer without transactions: idempotent, or where the broker cannot have that, one request at a time."""
    client = Client(kind, settings, **options)
    try:
        client.require(InitProducerIdRequest)
    except UnsupportedByBrokerError:
        close_without_flush(client.library)
        plain = {"enable_idempotence": False, "max_in_flight_requests_per_connection": 1}
        client = Client(kind, settings, **plain, **options)
    return client


class Client:
    """A consumer, producer or admin client of the library, each of whose methods raises the daemon's errors.

    Args:
        kind: The library's class.
        settings: How to connect, and what the messages name.
        options: More options of the class.

    Raises:
        BrokerUnavailableError: No broker answers now.
        SettingsError: A broker answers, and refuses what the settings ask for.
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
        """Raise UnsupportedByBrokerError if the broker lacks one of these requests of Kafka's protocol."""
        with self.translated():
            for request in requests:
                self._connections.require(request)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the daemon's errors for the library's; for more than a call of one method."""
        try:
            yield
        except KafkaError as error:
            raise self.error_of(error) from error

    def error_of(self, error: BaseException) -> OnlineLstmError:
        """Return what the daemon raises for an error of the library, by its kind; for a timeout, by its reason's."""
        lost = self._connections.lost
        reason = error if lost is None or kind_of(error) is not FailureKind.RETRIABLE else lost.error
        servers = ", ".join(self._settings.bootstrap_servers)
        found: OnlineLstmError
        match kind_of(reason):
            case FailureKind.SETTINGS | FailureKind.TOPIC | FailureKind.RECORD:
                found = SettingsError(f"{advice_on(reason)} (the broker at {servers}: {reason})")
            case FailureKind.UNSUPPORTED if re.search(_TRANSACTIONS, str(reason)):
                found = UnsupportedByBrokerError(
                    f"delivery: the broker at {servers} does not support transactions ({reason}); set "
                    "delivery=at_least_once, or use a broker that does"
                )
            case FailureKind.UNSUPPORTED:
                found = UnsupportedByBrokerError(
                    f"bootstrap_servers: the broker at {servers} lacks an interface that is needed ({reason}); use "
                    "Kafka 2.4 or newer, or a broker with its interfaces"
                )
            case FailureKind.FENCED:
                found = FencedError(
                    f"another process took over this one's name ({reason}): give each process its own instance_id and "
                    "group_instance_id"
                )
            case FailureKind.MISSING_TOPIC:
                found = MissingTopicError(f"a topic does not exist at {servers} ({reason}): create it")
            case FailureKind.INPUT:
                found = InputGoneError(
                    f"the input topic no longer has the records to go on from ({reason}): they fell off its retention; "
                    "set on_gap to continue, or use another group_id to start afresh"
                )
            case FailureKind.MEMBER | FailureKind.UNEXPECTED | FailureKind.PRODUCER | FailureKind.RETRIABLE:
                found = BrokerUnavailableError(explain(self._settings, reason, lost))
        return found
