"""The Kafka clients of the loop: a consumer that polls batches and producers that commit them.

Only this package of the daemon communicates with Kafka. It contains all workarounds for the client library, and it
must not know about learning or checkpoints.
"""

from online_lstm.streaming.kafka.at_least_once_producer import AtLeastOnceProducer
from online_lstm.streaming.kafka.connection import close_without_flush
from online_lstm.streaming.kafka.consumer import GroupConsumer
from online_lstm.streaming.kafka.topics import ensure_input_topics, ensure_topics
from online_lstm.streaming.kafka.transactional_producer import TransactionalProducer
from online_lstm.streaming.kafka.translating_client import Client, plain_producer

__all__ = [
    "AtLeastOnceProducer",
    "Client",
    "GroupConsumer",
    "TransactionalProducer",
    "close_without_flush",
    "ensure_input_topics",
    "ensure_topics",
    "plain_producer",
]
