"""What each error of the Kafka client means for whoever made the call: the only table of them.

The client says of an error whether it may be retried, and no more. What ends a refusal is another matter: time, a new
producer, another form of the record, another topic, other settings. The table has every class of ``kafka.errors``;
a test fails when the installed client has one that is not in it.
"""

import re
from collections.abc import Iterator
from enum import Enum

from kafka import errors


class FailureKind(Enum):
    """What ends a failure, the most decisive kind first: it wins where the client wraps one error in others."""

    SETTINGS = "only other settings or other rights end it"
    UNSUPPORTED = "the broker does not have the request, or not in a version that the client speaks"
    FENCED = "a younger producer or a younger member took this one's name"
    MISSING_TOPIC = "the topic or the partition does not exist, or not yet"
    TOPIC = "the topic takes no such records as it is configured now"
    RECORD = "this record is refused in this form; others are accepted"
    INPUT = "the topic does not have the record to read next"
    MEMBER = "the group has moved on: this member must join again, and its batch is not its own"
    UNEXPECTED = "an answer to a request that the daemon does not make, or a fault of the client"
    PRODUCER = "this producer or its transaction is unusable; a new one may succeed"
    RETRIABLE = "the same request may succeed later"


KIND_OF_ERROR: dict[type[errors.KafkaError], FailureKind] = {
    kind_error: kind
    for kind, kind_errors in {
        FailureKind.SETTINGS: (
            errors.AuthorizationError,
            errors.ClusterAuthorizationFailedError,
            errors.DelegationTokenAuthorizationFailedError,
            errors.GroupAuthorizationFailedError,
            errors.GroupMaxSizeReachedError,
            errors.IllegalSaslStateError,
            errors.InconsistentGroupProtocolError,
            errors.InvalidCommitOffsetSizeError,
            errors.InvalidConfigurationError,
            errors.InvalidGroupIdError,
            errors.InvalidPartitionsError,
            errors.InvalidPrincipalTypeError,
            errors.InvalidReplicationAssignmentError,
            errors.InvalidReplicationFactorError,
            errors.InvalidSessionTimeoutError,
            errors.InvalidTopicError,
            errors.InvalidTransactionTimeoutError,
            errors.KafkaConfigurationError,
            errors.OffsetMetadataTooLargeError,
            errors.PrincipalDeserializationFailureError,
            errors.SaslAuthenticationFailedError,
            errors.SecurityDisabledError,
            errors.TopicAuthorizationFailedError,
            errors.TransactionalIdAuthorizationFailedError,
            errors.UnacceptableCredentialError,
            errors.UnsupportedCodecError,
            errors.UnsupportedSaslMechanismError,
        ),
        FailureKind.UNSUPPORTED: (
            errors.IncompatibleBrokerVersion,
            errors.UnrecognizedBrokerVersion,
            errors.UnsupportedVersionError,
        ),
        FailureKind.FENCED: (
            errors.FencedInstanceIdError,
            errors.InvalidProducerEpochError,
            errors.ProducerFencedError,
        ),
        FailureKind.MISSING_TOPIC: (
            errors.InconsistentTopicIdError,
            errors.UnknownTopicIdError,
            errors.UnknownTopicOrPartitionError,
        ),
        FailureKind.TOPIC: (
            errors.InvalidRequiredAcksError,
            errors.PolicyViolationError,
            errors.UnsupportedCompressionTypeError,
            errors.UnsupportedForMessageFormatError,
        ),
        FailureKind.RECORD: (
            errors.InvalidRecordError,
            errors.InvalidTimestampError,
            errors.MessageSizeTooLargeError,
            errors.RecordListTooLargeError,
        ),
        FailureKind.INPUT: (
            errors.LogTruncationError,
            errors.NoOffsetForPartitionError,
            errors.OffsetMovedToTieredStorageError,
            errors.OffsetOutOfRangeError,
            errors.PositionOutOfRangeError,
        ),
        FailureKind.MEMBER: (
            errors.CommitFailedError,
            errors.FencedMemberEpochError,
            errors.IllegalGenerationError,
            errors.MemberIdRequiredError,
            errors.RebalanceInProgressError,
            errors.StaleMemberEpochError,
            errors.UnknownMemberIdError,
            errors.UnreleasedInstanceIdError,
        ),
        FailureKind.UNEXPECTED: (
            errors.BrokerIdNotRegisteredError,
            errors.DelegationTokenAuthDisabledError,
            errors.DelegationTokenExpiredError,
            errors.DelegationTokenNotFoundError,
            errors.DelegationTokenOwnerMismatchError,
            errors.DelegationTokenRequestNotAllowedError,
            errors.DuplicateBrokerRegistrationError,
            errors.DuplicateResourceError,
            errors.DuplicateVoterError,
            errors.ElectionNotNeededError,
            errors.FeatureUpdateFailedError,
            errors.FencedStateEpochError,
            errors.GroupIdNotFoundError,
            errors.GroupSubscribedToTopicError,
            errors.IllegalArgumentError,
            errors.IllegalStateError,
            errors.InconsistentClusterIdError,
            errors.InconsistentVoterSetError,
            errors.IneligibleReplicaError,
            errors.InvalidFetchRequestError,
            errors.InvalidRecordStateError,
            errors.InvalidRegistrationError,
            errors.InvalidRequestError,
            errors.InvalidShareSessionEpochError,
            errors.InvalidUpdateVersionError,
            errors.InvalidVoterKeyError,
            errors.MismatchedEndpointTypeError,
            errors.NoReassignmentInProgressError,
            errors.NonEmptyGroupError,
            errors.ResourceNotFoundError,
            errors.ShareSessionNotFoundError,
            errors.SnapshotNotFoundError,
            errors.TelemetryTooLargeError,
            errors.TopicAlreadyExistsError,
            errors.TopicDeletionDisabledError,
            errors.UnknownControllerIdError,
            errors.UnknownSubscriptionIdError,
            errors.UnsupportedAssignorError,
            errors.UnsupportedEndpointTypeError,
            errors.VoterNotFoundError,
        ),
        FailureKind.PRODUCER: (
            errors.DuplicateSequenceNumberError,
            errors.InvalidProducerIdMappingError,
            errors.InvalidTxnStateError,
            errors.KafkaError,
            errors.OperationNotAttemptedError,
            errors.OutOfOrderSequenceNumberError,
            errors.TransactionAbortableError,
            errors.TransactionAbortedError,
            errors.TransactionCoordinatorFencedError,
            errors.TransactionalIdNotFoundError,
            errors.UnknownProducerIdError,
        ),
        FailureKind.RETRIABLE: (
            errors.BrokerNotAvailableError,
            errors.BrokerResponseError,
            errors.Cancelled,
            errors.ConcurrentTransactionsError,
            errors.CoordinatorLoadInProgressError,
            errors.CoordinatorNotAvailableError,
            errors.CorrelationIdError,
            errors.CorruptRecordError,  # damaged on its way; what is stored is checked by the reader
            errors.EligibleLeadersNotAvailableError,
            errors.FencedLeaderEpochError,
            errors.FetchSessionIdNotFoundError,
            errors.FetchSessionTopicIdError,
            errors.InvalidFetchSessionEpochError,
            errors.InvalidMetadataError,
            errors.InvalidReceiveError,
            errors.KafkaConnectionError,
            errors.KafkaProtocolError,
            errors.KafkaStorageError,
            errors.KafkaTimeoutError,
            errors.LeaderNotAvailableError,
            errors.ListenerNotFoundError,
            errors.LogDirNotFoundError,
            errors.MetadataEmptyBrokerList,
            errors.NetworkExceptionError,
            errors.NewLeaderElectedError,
            errors.NoError,
            errors.NodeNotReadyError,
            errors.NotControllerError,
            errors.NotCoordinatorError,
            errors.NotEnoughReplicasAfterAppendError,
            errors.NotEnoughReplicasError,
            errors.NotLeaderForPartitionError,
            errors.OffsetNotAvailableError,
            errors.PreferredLeaderNotAvailableError,
            errors.QuotaViolationError,
            errors.ReassignmentInProgressError,
            errors.ReplicaNotAvailableError,
            errors.RequestTimedOutError,
            errors.RetriableError,
            errors.StaleBrokerEpochError,
            errors.StaleControllerEpochError,
            errors.StaleMetadata,
            errors.ThrottlingQuotaExceededError,
            errors.TooManyInFlightRequests,
            errors.UnknownBrokerIdError,
            errors.UnknownError,
            errors.UnknownLeaderEpochError,
            errors.UnstableOffsetCommitError,
        ),
    }.items()
    for kind_error in kind_errors
}

_KIND_OF_NAME = {error.__name__: kind for error, kind in KIND_OF_ERROR.items()}
_SEVERITY = {kind: index for index, kind in enumerate(FailureKind)}


def kind_of(error: BaseException) -> FailureKind:
    """Return the kind of an error, of what it wraps and of what its text names: the most decisive one.

    The client wraps errors in others as causes, as arguments, and as words of a message. What the client raises
    without a class of its own (``ValueError`` of an unknown partition, say) is unexpected.

    >>> kind_of(errors.KafkaError("Unexpected error in EndTxnResponse: InvalidTransactionTimeoutError")).name
    'SETTINGS'
    """
    return min(_kinds(error), key=_SEVERITY.__getitem__, default=FailureKind.UNEXPECTED)


def _kinds(error: BaseException) -> Iterator[FailureKind]:
    for one in chain_of(error):
        known = next((KIND_OF_ERROR[ancestor] for ancestor in type(one).__mro__ if ancestor in KIND_OF_ERROR), None)
        if known is not None:
            yield known
        for word in re.findall(r"\w+", " ".join(map(str, one.args))):
            if word in _KIND_OF_NAME:
                yield _KIND_OF_NAME[word]


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it wraps, as causes and as arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [inner for inner in (one.__cause__, *one.args) if isinstance(inner, BaseException)]
