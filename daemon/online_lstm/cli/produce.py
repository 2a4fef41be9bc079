"""``online-lstm produce``: publish the lines of a file, or a demo stream, to an input topic."""

import argparse
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from online_lstm import logs
from online_lstm.backtest.input_files import STANDARD_INPUT, open_input, read_lines
from online_lstm.cli.backtest_options import add_encoding
from online_lstm.cli.options import add_settings, settings_of
from online_lstm.devtools.sample_data import demo_stream
from online_lstm.errors import ExitCode
from online_lstm.shutdown import Shutdown
from online_lstm.terminal.progress import progress_bar

if TYPE_CHECKING:  # it loads the Kafka client
    from online_lstm.devtools.publishing import Message
    from online_lstm.streaming.kafka.plain_clients import PlainProducer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the source of the values, and options for rate, keys and topic."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "file",
        nargs="?",
        default=STANDARD_INPUT,
        metavar="FILE",
        help="file with one value per line [default: -, standard input]",
    )
    source.add_argument(
        "--demo-stream",
        type=_count,
        metavar="N",
        help="publish N values of a sequence that repeats after 27 values; 0: without end",
    )
    add_encoding(parser)
    parser.add_argument(
        "--rate",
        type=_rate,
        default=0.0,
        metavar="EVENTS_PER_S",
        help="values per second; 0: as fast as possible [default: 0]",
    )
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--key", help="key of all values, which identifies their stream [default: none]")
    keys.add_argument("--key-separator", metavar="SEP", help="separator between key and value in each line")
    parser.add_argument("--topic", help="topic to publish to [default: the first of input_topics]")
    add_settings(parser, "bootstrap_servers", "connect_timeout_s", "create_topics", "log_level")


def main(arguments: argparse.Namespace) -> ExitCode:
    """Publish until the input ends or a signal arrives, then wait for the acknowledgements."""
    from online_lstm.devtools.publishing import publish
    from online_lstm.streaming.kafka import ensure_input_topics
    from online_lstm.streaming.kafka.plain_clients import PlainProducer

    given = {} if arguments.topic is None else {"input_topics": [arguments.topic]}
    settings = settings_of(arguments, **given)
    logs.configure_command(level=settings.log_level, style=settings.log_format, secrets=settings.secrets())
    with _messages(arguments) as messages:
        ensure_input_topics(settings)
        with PlainProducer(settings, settings.input_topics[0]) as publisher:
            started = time.perf_counter()
            try:
                with Shutdown() as shutdown, progress_bar("publishing", arguments.demo_stream or None) as show:
                    publish(messages, publisher, rate=arguments.rate, shutdown=shutdown, show=show)
            finally:
                _report(publisher, time.perf_counter() - started)
    return ExitCode.OK


@contextmanager
def _messages(arguments: argparse.Namespace) -> Iterator[Iterator["Message"]]:
    """Open the source of the messages and yield an iterator over them."""
    from online_lstm.devtools.publishing import split_keys

    key = None if arguments.key is None else os.fsencode(arguments.key)
    if arguments.demo_stream is not None:
        yield ((key, value) for value in demo_stream(arguments.demo_stream))
        return
    with open_input(arguments.file) as file:
        lines = (line.value for line in read_lines(file, arguments.encoding))
        if arguments.key_separator:
            yield split_keys(lines, arguments.key_separator, arguments.file)
        else:
            yield ((key, value) for value in lines)


def _report(publisher: "PlainProducer", seconds: float) -> None:
    count = publisher.acknowledged
    rate = f" ({count / seconds:,.0f}/s)" if seconds > 0 else ""
    Console(highlight=False).print(
        f"published {count:,} values to {publisher.topic} in {seconds:.2f} s{rate}", markup=False, soft_wrap=True
    )


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError(f"received {text}, expected 0 or more")
    return count


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate < math.inf:
        raise argparse.ArgumentTypeError(f"received {text}, expected 0 or a number of values a second")
    return rate
