"""The table of the Kafka client's errors: the kind of each error, and advice for the user.

The client marks an error only as retriable or not. The remedy for a refusal may be time, a new producer, another form
of the record, another topic, or other settings. The table has every class of ``kafka.errors``; a test fails if the
installed client has a class that is missing from the table.
"""

import re
from collections.abc import Iterator
from enum import Enum

from kafka import errors


class FailureKind(Enum):
    """The remedy for a failure, most decisive kind first: that kind wins if the client wraps errors in others."""

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
            errors.CorruptRecordError,  # damaged in transit; the reader checks stored records
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

ADVICE: dict[type[errors.KafkaError], str] = {
    errors.AuthorizationError: "the broker's access rights: this user may not do this; grant the right",
    errors.ClusterAuthorizationFailedError: "output_topic, dead_letter_topic, or the topic of `produce`: this user "
    "lacks the right WRITE on the topics that it publishes to, or IDEMPOTENT_WRITE on the cluster; grant one",
    errors.DelegationTokenAuthorizationFailedError: "sasl_username: this user may not use delegation tokens",
    errors.GroupAuthorizationFailedError: "group_id: this user lacks the right READ on this group; grant it, or use "
    "another group_id",
    errors.GroupMaxSizeReachedError: "group_id: the group has as many members as the broker's group.max.size allows; "
    "start fewer, or raise it",
    errors.IllegalSaslStateError: "security_protocol: this listener of the broker asks for no login; use a protocol "
    "without SASL, or the address of another listener",
    errors.InconsistentGroupProtocolError: "group_id: other members of this group divide the partitions by another "
    "strategy; use another group_id",
    errors.InvalidCommitOffsetSizeError: "group_id: the commit is larger than the broker takes; start more instances",
    errors.InvalidConfigurationError: "create_topics: the broker does not accept the configuration of a topic",
    errors.InvalidGroupIdError: "group_id: the broker does not accept such a name",
    errors.InvalidPartitionsError: "create_topics: the broker does not accept this number of partitions; create the "
    "topics yourself",
    errors.InvalidPrincipalTypeError: "sasl_username: the broker does not accept this kind of user",
    errors.InvalidReplicationAssignmentError: "create_topics: the broker cannot place the replicas of a topic",
    errors.InvalidReplicationFactorError: "create_topics: the cluster has fewer brokers than a new topic would have "
    "replicas (the broker's default.replication.factor); lower that, or create the topics yourself",
    errors.InvalidSessionTimeoutError: "session_timeout_s: not between the broker's group.min.session.timeout.ms and "
    "group.max.session.timeout.ms",
    errors.InvalidTopicError: "input_topics, output_topic, dead_letter_topic: the broker does not accept such a name",
    errors.InvalidTransactionTimeoutError: "transaction_timeout_s: longer than the broker's transaction.max.timeout.ms",
    errors.KafkaConfigurationError: "the Kafka client does not accept an option",
    errors.OffsetMetadataTooLargeError: "group_id: the mark of a commit is larger than the broker's "
    "offset.metadata.max.bytes; raise it",
    errors.PrincipalDeserializationFailureError: "sasl_username: the broker cannot tell the user to its controller",
    errors.SaslAuthenticationFailedError: "sasl_username, sasl_password: the broker refused the login",
    errors.SecurityDisabledError: "the broker's authorizer.class.name: the broker has no access rights to ask for",
    errors.TopicAuthorizationFailedError: "input_topics, output_topic, dead_letter_topic: this user may not use one of "
    "them; grant READ on what is read and WRITE on what is published to",
    errors.TransactionalIdAuthorizationFailedError: "group_id, instance_id: this user lacks the right WRITE on "
    "transactional ids that begin with this group_id; grant it, or set delivery=at_least_once",
    errors.UnacceptableCredentialError: "sasl_username, sasl_password: the broker does not accept such credentials",
    errors.UnsupportedCodecError: "the topic's compression: no library for it is installed; install "
    "kafka-python[lz4,snappy,zstd]",
    errors.UnsupportedSaslMechanismError: "sasl_mechanism: the broker has not enabled it "
    "(sasl.enabled.mechanisms); use one that it has",
    errors.InvalidRequiredAcksError: "the topic's min.insync.replicas: the broker does not accept acks=all",
    errors.PolicyViolationError: "the broker's policy for topics refuses this; create the topics as it asks, and set "
    "create_topics=false",
    errors.UnsupportedCompressionTypeError: "the topic's compression.type: the broker does not support it",
    errors.UnsupportedForMessageFormatError: "the topic's message.format.version: too old for transactions and "
    "headers; raise it",
    errors.InvalidRecordError: "the topic refuses a record; a compacted topic (cleanup.policy) takes none without a "
    "key",
    errors.InvalidTimestampError: "the topic's message.timestamp.before.max.ms and after.max.ms: the timestamp of a "
    "record is out of them; widen them",
    errors.MessageSizeTooLargeError: "the topic's max.message.bytes: a record is larger; raise it",
    errors.RecordListTooLargeError: "the topic's segment.bytes: a batch of records is larger; raise it",
}
"""The cause and the way out, for each error that only other settings, rights, topics or records end."""

_KIND_OF_NAME = {error.__name__: kind for error, kind in KIND_OF_ERROR.items()}
_SEVERITY = {kind: index for index, kind in enumerate(FailureKind)}


def kind_of(error: BaseException) -> FailureKind:
    """Return the most decisive kind among an error, the errors that it wraps and the errors that its text names.

    The client wraps errors in others as causes, as arguments, and as words of a message. An exception without a class
    in ``kafka.errors`` (such as the ``ValueError`` for an unknown partition) is unexpected.

    >>> kind_of(errors.KafkaError("Unexpected error in EndTxnResponse: InvalidTransactionTimeoutError")).name
    'SETTINGS'
    """
    return min(_kinds(error), key=_SEVERITY.__getitem__, default=FailureKind.UNEXPECTED)


def advice_on(error: BaseException) -> str:
    """Return the advice for the error of the most decisive kind in a chain; empty if there is no advice.

    >>> advice_on(errors.KafkaError("failed: InvalidGroupIdError"))
    'group_id: the broker does not accept such a name'
    """
    kind = kind_of(error)
    named = {error_type.__name__: advice for error_type, advice in ADVICE.items() if KIND_OF_ERROR[error_type] == kind}
    for one in causes_of(error):
        words = [type(one).__name__, *re.findall(r"\w+", " ".join(map(str, one.args)))]
        words += [ancestor.__name__ for ancestor in type(one).__mro__]
        for word in words:
            if word in named:
                return named[word]
    return ""


def _kinds(error: BaseException) -> Iterator[FailureKind]:
    for one in causes_of(error):
        known = next((KIND_OF_ERROR[ancestor] for ancestor in type(one).__mro__ if ancestor in KIND_OF_ERROR), None)
        if known is not None:
            yield known
        for word in re.findall(r"\w+", " ".join(map(str, one.args))):
            if word in _KIND_OF_NAME:
                yield _KIND_OF_NAME[word]


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all errors that it wraps, as causes and as arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [inner for inner in (one.__cause__, *one.args) if isinstance(inner, BaseException)]
