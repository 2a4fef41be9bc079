"""Learners: everything that is needed to learn and to predict, a module for each task.

Symbols and numbers have a learner for each stream, with a network of its own or with one that the streams of a
partition share; of labels all streams share one learner. A learner turns a run of events into outcomes, the same ones
however the events are split into runs.
"""

from collections.abc import Mapping
from functools import partial

from online_lstm.events import Event, InputRecord
from online_lstm.learning.label.label_learner import LabelLearner
from online_lstm.learning.learner_protocol import Learned, Learners, Standing
from online_lstm.learning.model_states import AnyNetwork
from online_lstm.learning.network import Classifier
from online_lstm.learning.number.number_learner import NumberLearner
from online_lstm.learning.stream_learners import StreamLearner, StreamLearners
from online_lstm.learning.symbol.symbol_learner import SymbolLearner
from online_lstm.learning.warm_start import WarmStart
from online_lstm.settings import Settings

__all__ = ["AnyNetwork", "Learned", "Learners", "Standing", "learners_of", "rehearse"]

REHEARSED = 130
"""After so many events everything has been used once: periods of numbers are looked for after 128."""

_OF_STREAMS: Mapping[str, type[StreamLearner]] = {"symbol": SymbolLearner, "number": NumberLearner}


def learners_of(settings: Settings, network: AnyNetwork, warm_start: WarmStart | None = None) -> Learners:
    """Give what a partition learns the task with, with nothing learned yet but what a warm start has."""
    if settings.task == "label":
        assert isinstance(network, Classifier)
        return LabelLearner(settings, network, warm_start)
    assert not isinstance(network, Classifier)
    return StreamLearners(settings, network, _OF_STREAMS[settings.task], warm_start)


def rehearse(settings: Settings, network: AnyNetwork) -> None:
    """Learn some events and forget them: what is compiled when first used is compiled now."""
    learners = learners_of(settings, network)
    event = partial(Event, InputRecord("", 0, 0, -1, None, None), None, 0, "0", vector=(0.0,) * settings.features)
    learners.learn([event()] * (REHEARSED - 1))
    learners.learn([event(ends=True, label=(0, "0"))])
