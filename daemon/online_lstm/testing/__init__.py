"""Kafka in memory, and the daemon on top of it, for tests that need no broker.

``run`` runs the service loop of the daemon itself, with its learners, checkpoints and commit protocol. Only the clients
are replaced; they keep to the interfaces of ``streaming.broker_protocol``, as the clients of a cluster do.
"""

from online_lstm.testing.memory_clients import MemoryConsumer, MemoryProducer, MemoryReader
from online_lstm.testing.memory_kafka import MemoryKafka
from online_lstm.testing.memory_run import run

__all__ = ["MemoryConsumer", "MemoryKafka", "MemoryProducer", "MemoryReader", "run"]
