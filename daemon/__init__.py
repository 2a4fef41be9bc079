"""online-lstm: learn from a Kafka topic while predicting it."""

from importlib.metadata import version

__version__ = version("online-lstm")
