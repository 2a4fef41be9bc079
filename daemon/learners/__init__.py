"""Learners: everything that is needed to learn and to predict, a module for each task.

Symbols and numbers have a learner for each stream, with a network of its own or with one that the streams of a
partition share; of labels all streams share one learner. A learner turns a run of events into outcomes, the same ones
however the events are split into runs.
"""

from collections.abc import Mapping
from functools import partial

from daemon.learners.label import LabelLearner
from daemon.learners.number import NumberLearner
from daemon.learners.protocol import Learned, Learners, Standing
from daemon.learners.rows import AnyNetwork
from daemon.learners.streams import StreamLearner, StreamLearners
from daemon.learners.symbol import SymbolLearner
from daemon.network import Classifier
from daemon.records import Event, InputRecord
from daemon.settings import Settings
from daemon.warm_start import WarmStart

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
