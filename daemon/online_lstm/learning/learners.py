"""Learners: everything that is needed to learn and to predict, a module for each task.

Symbols and numbers have a learner for each stream, with a network of its own or with one that the streams of a
partition share; of labels all streams share one learner. A learner turns a run of events into outcomes, the same ones
however the events are split into runs.
"""

from collections.abc import Mapping
from functools import partial

from online_lstm.events import Event, InputRecord
from online_lstm.learning.label.label_learner import LabelLearner
from online_lstm.learning.learner_protocol import BatchResult, Learner, LearnerStats
from online_lstm.learning.model_states import AnyModel
from online_lstm.learning.network import LabelModel
from online_lstm.learning.number.number_learner import NumberLearner
from online_lstm.learning.stream_learners import StreamLearner, StreamLearners
from online_lstm.learning.symbol.symbol_learner import SymbolLearner
from online_lstm.learning.warm_start import WarmStart
from online_lstm.settings import Settings

__all__ = ["AnyModel", "BatchResult", "Learner", "LearnerStats", "make_learner", "warm_up"]

REHEARSED = 130
"""After so many events everything has been used once: periods of numbers are looked for after 128."""

_OF_STREAMS: Mapping[str, type[StreamLearner]] = {"symbol": SymbolLearner, "number": NumberLearner}


def make_learner(settings: Settings, network: AnyModel, warm_start: WarmStart | None = None) -> Learner:
    """Give what a partition learns the task with, with nothing learned yet but what a warm start has."""
    if settings.task == "label":
        assert isinstance(network, LabelModel)
        return LabelLearner(settings, network, warm_start)
    assert not isinstance(network, LabelModel)
    return StreamLearners(settings, network, _OF_STREAMS[settings.task], warm_start)


def warm_up(settings: Settings, network: AnyModel) -> None:
    """Learn some events and forget them: what is compiled when first used is compiled now."""
    learners = make_learner(settings, network)
    event = partial(Event, InputRecord("", 0, 0, -1, None, None), None, 0, "0", vector=(0.0,) * settings.features)
    learners.learn([event()] * (REHEARSED - 1))
    learners.learn([event(ends=True, label=(0, "0"))])
