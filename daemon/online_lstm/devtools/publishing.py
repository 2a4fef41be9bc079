"""Publishing of messages to a topic: their keys, their pace, and the end by a signal."""

import os
import time
from collections.abc import Callable, Iterable, Iterator

from online_lstm.errors import InputFileError
from online_lstm.shutdown import Shutdown
from online_lstm.streaming.kafka.plain_clients import PlainProducer

Message = tuple[bytes | None, bytes]
"""Key and value of a record."""


def publish(
    messages: Iterator[Message],
    publisher: PlainProducer,
    *,
    rate: float,
    shutdown: Shutdown,
    show: Callable[[int], None],
) -> None:
    """Publish messages until a stop is requested, and wait until all of them are acknowledged.

    Args:
        messages: The messages.
        publisher: The producer of the topic.
        rate: Messages per second, or 0 for no limit.
        shutdown: A stop request ends the publishing before the next message.
        show: Called with the number of published messages.

    Raises:
        InputFileError: A message is invalid; the messages before it are published.
    """
    try:
        for number, (key, value) in enumerate(until_requested(shutdown, paced(messages, rate)), 1):
            publisher.send(value, key)
            show(number)
    except InputFileError:
        publisher.flush()
        raise
    publisher.flush()


def paced(messages: Iterator[Message], rate: float) -> Iterator[Message]:
    """Yield messages at a rate in messages per second, or without delay with 0."""
    if rate == 0:
        yield from messages
        return
    started = time.monotonic()
    for number, message in enumerate(messages):
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        yield message


def until_requested(shutdown: Shutdown, messages: Iterator[Message]) -> Iterator[Message]:
    """Yield messages until a stop is requested; a stop ends the wait for a message, never the sending of one."""
    while taken := shutdown.take(messages, 1):
        yield from taken


def split_keys(lines: Iterable[bytes], separator: str, name: str) -> Iterator[Message]:
    """Yield key and value of each line, split at the first separator.

    >>> list(split_keys([b"pump-7:4", b"pump-8:a:b"], ":", "-"))
    [(b'pump-7', b'4'), (b'pump-8', b'a:b')]

    Raises:
        InputFileError: A line has no separator.
    """
    for number, line in enumerate(lines, 1):
        key, match, value = line.partition(os.fsencode(separator))
        if not match:
            raise InputFileError(f"{name}: line {number}: received {line[:60]!r}, expected KEY{separator}VALUE")
        yield key, value
