"""The learner of each task: everything that is needed to learn and to predict.

The tasks ``symbol`` and ``number`` have a learner for each stream, with its own network or with a network that the
streams of a partition share. The task ``label`` has one learner for all streams. A learner turns a run of events into
results; the results do not depend on how the events are split into runs.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from online_lstm.events import Event, InputRecord, LabelEvent, NumberEvent, SymbolEvent
from online_lstm.learning.label.label_learner import LabelLearner
from online_lstm.learning.learner_protocol import BatchResult, LearnerStats, PartitionLearner
from online_lstm.learning.network import Model, trim_heap
from online_lstm.learning.number.number_learner import NumberLearner
from online_lstm.learning.stream_learners import StreamLearners
from online_lstm.learning.symbol.symbol_learner import SymbolLearner
from online_lstm.learning.warm_start import WarmStart
from online_lstm.settings import Settings

__all__ = ["BatchResult", "LearnerStats", "PartitionLearner", "make_learner", "warm_up"]

REHEARSED = 130
"""After this many events, everything has been used once: periods of numbers are searched after 128 events."""

_LEARNERS: Mapping[str, Callable[..., PartitionLearner[Any]]] = {
    "symbol": partial(StreamLearners, learner=SymbolLearner),
    "number": partial(StreamLearners, learner=NumberLearner),
    "label": LabelLearner,
}


def make_learner(settings: Settings, network: Model, warm_start: WarmStart | None = None) -> PartitionLearner[Any]:
    """Return a partition's learner for the events of the task, untrained except for the state of a warm start."""
    return _LEARNERS[settings.task](settings, network, warm_start=warm_start)


def warm_up(settings: Settings, network: Model) -> None:
    """Learn some events and forget them, so that everything compiled at its first use is compiled now."""
    learners = make_learner(settings, network)
    record, vector = InputRecord("", 0, 0, -1, None, None), (0.0,) * settings.features
    events: dict[str, Callable[..., Event]] = {
        "symbol": partial(SymbolEvent, record, None, 0, "0"),
        "number": partial(NumberEvent, record, None, vector, "0"),
        "label": partial(LabelEvent, record, None, vector, "0", label=(0, "0")),
    }
    event = events[settings.task]
    learners.learn([event()] * (REHEARSED - 1))
    learners.learn([event(ends=True)])
    trim_heap()
