"""Between Kafka's bytes and the daemon's records: input values decoded, predictions and dead letters encoded.

The codec knows formats, limits and headers; it knows nothing of what is learned, or of the client library.
"""

from online_lstm.codec.decode import REASONS, Decoder, stream_of
from online_lstm.codec.encode import Encoder, extend_digest

__all__ = ["REASONS", "Decoder", "Encoder", "extend_digest", "stream_of"]
