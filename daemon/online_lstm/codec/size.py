"""Upper bounds of a record's size in a produce request: a record that fits by these sizes is never refused."""

from collections.abc import Iterable

from online_lstm.events import Header

# Kafka's message format 2: 61 bytes of batch and at most 32 of record framing, two varints per header.
RECORD_OVERHEAD_BYTES = 200
HEADER_OVERHEAD_BYTES = 20


def headers_bytes(headers: Iterable[Header]) -> int:
    """Return an upper bound of the bytes that these headers take."""
    return sum([len(name.encode()) + len(value) + HEADER_OVERHEAD_BYTES for name, value in headers])


def record_bytes(key: bytes | None, value: bytes | None, headers: Iterable[Header]) -> int:
    """Return an upper bound of the bytes that a batch of this one record takes."""
    return RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"") + headers_bytes(headers)
