"""Kafka as the loop sees it: a source of polled batches and a sink that commits each.

This is the only package of the daemon that speaks to Kafka. It knows the client's traps and keeps them to itself;
it knows nothing of learning or of checkpoints.
"""

from daemon.broker.client import Client, plain_producer
from daemon.broker.connection import abandon
from daemon.broker.sink import AtLeastOnceSink, TransactionalSink
from daemon.broker.source import KafkaSource
from daemon.broker.topics import ensure_input_topics, ensure_topics

__all__ = [
    "AtLeastOnceSink",
    "Client",
    "KafkaSource",
    "TransactionalSink",
    "abandon",
    "ensure_input_topics",
    "ensure_topics",
    "plain_producer",
]
