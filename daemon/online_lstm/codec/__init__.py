"""The codec between Kafka's bytes and the daemon's records: decodes values, encodes predictions and dead letters.

Knows formats, limits and headers. Must not know the learners or the Kafka client library.
"""

from online_lstm.codec.decode import REASONS, Decoder, stream_of
from online_lstm.codec.encode import Encoder, extend_digest
from online_lstm.codec.python_values import json_value

__all__ = ["REASONS", "Decoder", "Encoder", "extend_digest", "json_value", "stream_of"]
