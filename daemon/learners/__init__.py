"""Learners: everything that one stream needs to learn and to predict, a module for each task.

A learner owns no arrays: it is a view on one row of the partition's packed arrays. It turns a run of events into
outcomes, the same ones however the events are split into runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from daemon.learners.number import NumberLearner
from daemon.learners.rows import AnyNetwork, NetworkRows
from daemon.learners.symbol import SymbolLearner
from daemon.records import Event, InputRecord, Outcome
from daemon.rows import Field, Rows
from daemon.settings import Settings

__all__ = ["AnyNetwork", "Learner", "NetworkRows", "learner_class", "rehearse"]

REHEARSED = 130
"""After so many events everything has been used once: periods of numbers are looked for after 128."""


class Learner(Protocol):
    """One stream's view on its rows: ``row`` of the streams, ``network_row`` of the networks of ``classes``."""

    row: int
    network_row: int
    classes: int

    def __init__(self, settings: Settings, network: Any, *, streams: Rows, networks: NetworkRows) -> None: ...

    @staticmethod
    def stream_fields(settings: Settings) -> dict[str, Field]:
        """Describe the arrays of one stream, whatever its network is like."""

    @staticmethod
    def network_fields(network: Any, classes: int) -> dict[str, Field]:
        """Describe the arrays of one stream whose network has this many classes."""

    @property
    def symbols(self) -> int:
        """How many symbols the vocabulary has."""

    def vocabulary(self) -> dict[str, Any]:
        """Give the vocabulary as plain data."""

    def close(self) -> None:
        """Give the rows back."""

    def resume(self, classes: int, vocabulary: dict[str, Any]) -> None:
        """Take over a restored vocabulary and a row of ``classes``, before the arrays are written."""

    def recall(self) -> None:
        """Take note of the restored arrays."""

    def break_sequence(self) -> None:
        """Let the next event begin a sequence: nothing is predicted for it, and nothing of before leads up to it."""

    def learn(self, events: Sequence[Event]) -> list[Outcome]:
        """Score, fit and predict, one event after another."""


_LEARNERS: Mapping[str, type[Learner]] = {"symbol": SymbolLearner, "number": NumberLearner}


def learner_class(settings: Settings) -> type[Learner]:
    """Give the learner of the task."""
    return _LEARNERS[settings.task]


def rehearse(settings: Settings, network: AnyNetwork) -> None:
    """Learn some events and forget them: what is compiled when first used is compiled now."""
    learner = learner_class(settings)
    vector = (0.0,) * settings.features
    rehearsal = Event(InputRecord("", 0, 0, -1, None, None), stream=None, symbol=0, literal="0", vector=vector)
    streams = Rows(learner.stream_fields(settings))
    learner(settings, network, streams=streams, networks=NetworkRows(learner, network)).learn([rehearsal] * REHEARSED)
