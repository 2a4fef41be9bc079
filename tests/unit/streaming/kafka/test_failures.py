import inspect

import pytest
from kafka import errors
from online_lstm.streaming.kafka.failures import KIND_OF_ERROR, FailureKind, kind_of

CLASSES = {found for found in vars(errors).values() if inspect.isclass(found) and issubclass(found, errors.KafkaError)}


def test_every_error_of_the_client_has_a_kind() -> None:
    """A version of the client with an error that the table does not have fails here."""
    assert set() == CLASSES ^ set(KIND_OF_ERROR)


def test_what_the_client_retries_is_not_refused() -> None:
    """Errors that the client may retry are retriable here too, or of requests that we do not make, or of a topic."""
    refused = {
        error.__name__
        for error, kind in KIND_OF_ERROR.items()
        if error.retriable and kind not in {FailureKind.RETRIABLE, FailureKind.MISSING_TOPIC}
    }
    assert {"ElectionNotNeededError", "InvalidShareSessionEpochError", "ShareSessionNotFoundError"} == refused


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.NotEnoughReplicasError(), FailureKind.RETRIABLE),
        (errors.ThrottlingQuotaExceededError(), FailureKind.RETRIABLE),
        (errors.UnsupportedCompressionTypeError(), FailureKind.TOPIC),
        (errors.PolicyViolationError(), FailureKind.TOPIC),
        (errors.InvalidTimestampError(), FailureKind.RECORD),
        (errors.MessageSizeTooLargeError(), FailureKind.RECORD),
        (errors.OutOfOrderSequenceNumberError(), FailureKind.PRODUCER),
        (errors.KafkaError(errors.InvalidTxnStateError()), FailureKind.PRODUCER),
        (errors.KafkaError("Unexpected error: InvalidTransactionTimeoutError"), FailureKind.SETTINGS),
        (errors.KafkaTimeoutError("no bootstrap: SaslAuthenticationFailedError: bad"), FailureKind.SETTINGS),
        (errors.KafkaError("{'a': UnknownTopicOrPartitionError, 'b': NoError}"), FailureKind.MISSING_TOPIC),
        (ValueError("Unrecognized partition 3"), FailureKind.UNEXPECTED),
    ],
)
def test_the_most_decisive_of_wrapped_errors(error: Exception, kind: FailureKind) -> None:
    """An error within an argument or the text of another one decides."""
    assert kind == kind_of(error)


def test_causes_are_looked_through() -> None:
    """An error that is the cause of another one decides."""
    error = errors.KafkaTimeoutError()
    error.__cause__ = errors.ProducerFencedError()
    assert FailureKind.FENCED == kind_of(error)


def test_an_error_of_a_later_client_is_like_its_base() -> None:
    """A class that the table does not have is of the kind of the nearest base that it has."""
    later = type("LaterError", (errors.RetriableError,), {})
    assert FailureKind.RETRIABLE == kind_of(later())
