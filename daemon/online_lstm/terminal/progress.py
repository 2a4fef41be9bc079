"""A progress bar on standard error, shown on a terminal only."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

SHOWN_EVERY_S = 0.1
"""Minimum time between two updates of the bar; the caller may report more often."""


@contextmanager
def progress_bar(description: str, total: int | None, *, unit: str = "values") -> Iterator[Callable[[int], None]]:
    """Show a bar with count and rate, and yield the function that updates the count.

    Args:
        description: Description of the work.
        total: Total count; without it, the bar is indeterminate.
        unit: Unit of the count; ``bytes`` are shown as kB, MB …
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _Figures(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        due = 0.0

        def show(completed: int) -> None:
            nonlocal due
            if (now := time.monotonic()) >= due:
                due = now + SHOWN_EVERY_S
                progress.update(task, completed=completed)

        yield show


class _Figures(ProgressColumn):
    """The column with count, total and rate per second."""

    def __init__(self, unit: str) -> None:
        super().__init__(table_column=Column(no_wrap=True))  # otherwise the bar would keep its width
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Render the figures of a task."""
        done = self._amount(task.completed)
        whole = "" if task.total is None else f"/{self._amount(task.total)}"
        unit = "" if self._unit == "bytes" else f" {self._unit}"
        speed = task.finished_speed or task.speed
        rate = "" if speed is None else f", {self._amount(speed)}/s"
        return Text(f"{done}{whole}{unit}{rate}")

    def _amount(self, count: float) -> str:
        return filesize.decimal(int(count)) if self._unit == "bytes" else f"{count:,.0f}"
