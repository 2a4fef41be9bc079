"""``online-lstm watch``: follow the predictions as they are committed, a line for each."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from daemon import logs
from daemon.commands.options import add_settings, settings_of
from daemon.errors import ExitCode, SettingsError
from daemon.settings import Settings

if TYPE_CHECKING:  # it loads the Kafka client
    from daemon.commands.clients import Follower

HELP = "follow the predictions, until Ctrl-C"
MAX_SHOWN = 40
"""Characters of a value or a stream's name that a line has room for."""

_STYLES = {"hit": "green", "miss": "red", "first": "dim", "open": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where to begin and end, and how it is shown."""
    parser.add_argument(
        "--from-beginning", action="store_true", help="begin with the oldest prediction [default: with the next]"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="end after N predictions [default: never]")
    parser.add_argument("--json", action="store_true", help="write the messages as they are")
    add_settings(parser, "bootstrap_servers", "connect_timeout_s", "output_topic")


def main(arguments: argparse.Namespace) -> ExitCode:
    """Follow until the limit, or SIGINT."""
    if arguments.limit is not None and arguments.limit < 1:
        raise SettingsError(f"limit: received {arguments.limit}, expected 1 or more")
    from daemon.commands.clients import Follower

    settings = settings_of(arguments)
    logs.configure(level="WARNING", style=settings.log_format)
    write = write_message if arguments.json else line_writer(Console(highlight=False, soft_wrap=True))
    try:
        with closing(Follower(settings, settings.output_topic, from_beginning=arguments.from_beginning)) as follower:
            records = follower.follow(lambda: _say_what_is_awaited(follower, settings))
            _write_all(islice(records, arguments.limit), write)
    except KeyboardInterrupt:
        pass
    return ExitCode.OK


def _say_what_is_awaited(follower: "Follower", settings: Settings) -> None:
    servers = ", ".join(settings.bootstrap_servers)
    if follower.broker_answers():
        said = f"no new prediction in {settings.output_topic} at {servers} yet: waiting for a daemon to publish one"
    else:
        said = f"no broker answers at {servers} any more: waiting for it"
    Console(stderr=True, highlight=False).print(f"{said} (Ctrl-C ends)", style="dim", markup=False, soft_wrap=True)


def _write_all(records: Iterable[Any], write: Callable[[Any], None]) -> None:
    for record in records:
        write(record)


def write_message(record: Any) -> None:
    """Write a record's value as it is."""
    sys.stdout.buffer.write((record.value or b"") + b"\n")
    sys.stdout.buffer.flush()


def line_writer(console: Console) -> Callable[[Any], None]:
    """Give the function that writes a record as a line, in colour where the console has any."""

    def write(record: Any) -> None:
        line = line_of(record.value, f"{record.topic}/{record.partition}/{record.offset}")
        if console.is_terminal:
            console.print(line)
        else:
            sys.stdout.write(line.plain + "\n")
            sys.stdout.flush()

    return write


def line_of(value: bytes | None, place: str) -> Text:
    """Describe one message in one line; ``place`` names it if it is none of the daemon's.

    What comes from the stream is shown with its control characters escaped.
    """
    try:
        message = json.loads(value or b"")
        return _describe(message)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Text(f"{place}  not a prediction: {printable(repr(value))}", style="yellow")


def _describe(message: dict[str, Any]) -> Text:
    verdict = message["verdict"]
    of_label = "sample" in message  # that of a sequence, and not the next value
    none = "open" if of_label else "first"
    outcome = none if verdict is None else "hit" if _all_hit(verdict["hit"]) else "miss"
    said = "label" if of_label else "next"
    stream = "-" if message["stream"] is None else message["stream"]
    if message["prediction"] is None:
        forecast = f"{said} ?"
    else:
        sure = f" ({message['probability']:.2f})" if "probability" in message else ""
        forecast = f"{said} {_literal(message['prediction'])}{sure}"
    missed = f"  predicted {_literal(verdict['predicted'])}" if outcome == "miss" else ""
    return Text.assemble(
        f"{message['topic']}/{message['partition']}/{message['offset']}  {printable(stream)}  ",
        f"{_literal(message['value'])}  ",
        (f"{outcome:5}", _STYLES[outcome]),
        f"{missed}  {forecast}",
        f"  hit rate {_share(message['hit_rate'])}  baseline {_share(message['baseline_hit_rate'])}",
    )


def _all_hit(hit: Any) -> bool:
    """Say whether all were hits that were judged, of one prediction or of several."""
    if isinstance(hit, list):
        return all(_all_hit(one) for one in hit)
    return hit is not False


def _literal(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))


def _share(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.3f}"


def printable(text: str) -> str:
    r"""Escape whatever could move a terminal's cursor or change its state, and cut what is long.

    >>> printable("caf\u00e9 \x1b[2J\x9b")
    'café \\x1b[2J\\x9b'
    """
    shown = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in shown
    )
