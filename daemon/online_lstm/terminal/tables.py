"""Tables for a person, on a terminal or in a pipe."""

from rich.console import Console
from rich.table import Column, Table

PIPE_WIDTH = 180
"""Columns of a table that goes to no terminal."""


def make_console(*, stderr: bool) -> Console:
    """Give a console for tables; what reads a pipe is not made to do with 80 columns."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def make_table(*titles: str) -> Table:
    """Make a table; columns whose title ends in `` >`` are of figures."""
    columns = [
        Column(title.removesuffix(" >"), justify="right" if title.endswith(" >") else "left", overflow="fold")
        for title in titles
    ]
    return Table(*columns)
