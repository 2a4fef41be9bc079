"""Tables for a terminal or a pipe."""

from rich.console import Console
from rich.table import Column, Table

PIPE_WIDTH = 180
"""Width in characters of a table that is not written to a terminal."""


def make_console(*, stderr: bool) -> Console:
    """Return a console for tables; in a pipe it is wider than the usual 80 characters."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def make_table(*titles: str) -> Table:
    """Return an empty table; a title that ends in `` >`` marks a right-aligned column of figures."""
    columns = [
        Column(title.removesuffix(" >"), justify="right" if title.endswith(" >") else "left", overflow="fold")
        for title in titles
    ]
    return Table(*columns)
