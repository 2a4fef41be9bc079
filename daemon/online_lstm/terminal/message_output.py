"""Records of an output topic on standard output: as JSON, as lines, or in the live view."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.live import Live

from online_lstm.terminal.live_view import LiveView
from online_lstm.terminal.message_lines import format_message


def show_live(records: Iterable[Any], topic: str) -> None:
    """Show the records in a live view that is refreshed four times a second."""
    screen = LiveView(topic)
    with Live(get_renderable=screen.render, console=Console(highlight=False), refresh_per_second=4):
        for record in records:
            screen.add(record)


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
