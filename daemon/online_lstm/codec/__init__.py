"""The codec between Kafka's bytes and the daemon's records: decodes values, encodes predictions and dead letters.

Knows formats, limits and headers. Must not know the learners or the Kafka client library.
"""

from online_lstm.codec.decode import REASONS, Decoded, Decoder
from online_lstm.codec.encode import Encoder, extend_digest
from online_lstm.codec.python_values import json_value
from online_lstm.codec.record_fields import stream_of

__all__ = ["REASONS", "Decoded", "Decoder", "Encoder", "extend_digest", "json_value", "stream_of"]
