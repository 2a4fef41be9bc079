"""``online-lstm watch``: follow committed predictions, in a live view or with one line each."""

import argparse
from contextlib import closing
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from rich.console import Console

from online_lstm import logs
from online_lstm.cli.options import add_settings, settings_of
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.settings import Settings
from online_lstm.shutdown import Shutdown, interrupt
from online_lstm.terminal.message_output import line_writer, show_live, write_message

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
            records = islice(follower.follow(lambda: _print_waiting(follower, settings)), arguments.limit)
            if live:
                show_live(records, settings.output_topic)
            else:
                for record in records:
                    write(record)
    except KeyboardInterrupt:
        pass
    return ExitCode.OK


def _print_waiting(follower: "TopicTail", settings: Settings) -> None:
    servers = ", ".join(settings.bootstrap_servers)
    if follower.broker_answers():
        message = f"no new prediction in {settings.output_topic} at {servers} yet: waiting for a daemon to publish one"
    else:
        message = f"no broker answers at {servers} any more: waiting for it"
    Console(stderr=True, highlight=False).print(f"{message} (Ctrl-C ends)", style="dim", markup=False, soft_wrap=True)
