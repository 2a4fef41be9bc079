"""Tasks: how values become what the network learns, and how its outputs become predictions and verdicts."""

from daemon.tasks.label import LabelTask
from daemon.tasks.number import NumberTask
from daemon.tasks.symbol import SymbolTask

__all__ = ["LabelTask", "NumberTask", "SymbolTask"]
