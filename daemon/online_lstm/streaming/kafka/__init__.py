"""Kafka as the loop sees it: a source of polled batches and a sink that commits each.

This is the only package of the daemon that speaks to Kafka. It knows the client's traps and keeps them to itself;
it knows nothing of learning or of checkpoints.
"""

from online_lstm.streaming.kafka.client import Client, plain_producer
from online_lstm.streaming.kafka.connection import close_without_flush
from online_lstm.streaming.kafka.consumer import GroupConsumer
from online_lstm.streaming.kafka.producer import AtLeastOnceProducer, TransactionalProducer
from online_lstm.streaming.kafka.topics import ensure_input_topics, ensure_topics

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
