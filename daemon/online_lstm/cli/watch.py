"""``online-lstm watch``: follow committed predictions, in a live view or with one line each."""

import argparse
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from online_lstm import logs
from online_lstm.cli.options import add_settings, settings_of
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.settings import Settings
from online_lstm.shutdown import Shutdown, interrupt
from online_lstm.terminal.formatting import format_message
from online_lstm.terminal.live_view import LiveView

if TYPE_CHECKING:  # it loads the Kafka client
    from online_lstm.streaming.kafka.plain_clients import TopicTail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add options for start, limit and format of the output."""
    parser.add_argument(
        "--from-beginning", action="store_true", help="start with the oldest prediction [default: the next one]"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N predictions [default: never]")
    parser.add_argument("--json", action="store_true", help="write the messages unchanged, as JSON")
    parser.add_argument("--lines", action="store_true", help="write one line per prediction, even on a terminal")
    add_settings(parser, "bootstrap_servers", "connect_timeout_s", "output_topic", "log_level")


def main(arguments: argparse.Namespace) -> ExitCode:
    """Follow the predictions until the limit, or a signal."""
    if arguments.limit is not None and arguments.limit < 1:
        raise SettingsError(f"limit: received {arguments.limit}, expected 1 or more")
    from online_lstm.streaming.kafka.plain_clients import TopicTail

    settings = settings_of(arguments)
    logs.configure_command(level=settings.log_level, style=settings.log_format, secrets=settings.secrets())
    console = Console(highlight=False, soft_wrap=True)
    live = console.is_terminal and not (arguments.json or arguments.lines)
    write = write_message if arguments.json else line_writer(console)
    follow = partial(TopicTail, settings, settings.output_topic, from_beginning=arguments.from_beginning)
    try:
        with Shutdown(interrupt), closing(follow()) as follower:
            records = islice(follower.follow(lambda: _say_what_is_awaited(follower, settings)), arguments.limit)
            if live:
                _show(records, settings.output_topic)
            else:
                _write_all(records, write)
    except KeyboardInterrupt:
        pass
    return ExitCode.OK


def _say_what_is_awaited(follower: "TopicTail", settings: Settings) -> None:
    servers = ", ".join(settings.bootstrap_servers)
    if follower.broker_answers():
        said = f"no new prediction in {settings.output_topic} at {servers} yet: waiting for a daemon to publish one"
    else:
        said = f"no broker answers at {servers} any more: waiting for it"
    Console(stderr=True, highlight=False).print(f"{said} (Ctrl-C ends)", style="dim", markup=False, soft_wrap=True)


def _show(records: Iterable[Any], topic: str) -> None:
    """Show the records in a live view that is refreshed four times a second."""
    screen = LiveView(topic)
    with Live(get_renderable=screen.render, console=Console(highlight=False), refresh_per_second=4):
        _write_all(records, screen.add)


def _write_all(records: Iterable[Any], write: Callable[[Any], None]) -> None:
    for record in records:
        write(record)


def write_message(record: Any) -> None:
    """Write the value of a record unchanged."""
    sys.stdout.buffer.write((record.value or b"") + b"\n")
    sys.stdout.buffer.flush()


def line_writer(console: Console) -> Callable[[Any], None]:
    """Return the function that writes a record as a line, coloured on a terminal."""

    def write(record: Any) -> None:
        line = format_message(record.value, f"{record.topic}/{record.partition}/{record.offset}")
        if console.is_terminal:
            console.print(line)
        else:
            sys.stdout.write(line.plain + "\n")
            sys.stdout.flush()

    return write
