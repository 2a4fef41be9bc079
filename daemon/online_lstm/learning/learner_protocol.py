"""The protocol of a partition's learners, and the records that they return.

Behind the protocol is one learner for each stream, or one learner that all streams share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from online_lstm.errors import BadInputError
from online_lstm.events import EventResult, Prediction, Tombstone
from online_lstm.learning.state.packed import ArrayViews
from online_lstm.learning.state.schema import LearnedState

E_contra = TypeVar("E_contra", contravariant=True)
"""The events of a task."""


@dataclass(slots=True)
class BatchResult:
    """The results of some inputs, one for each, and the numbers of forgotten streams and sequences.

    A result is the ``EventResult`` of a learned event, the error of an event that was decoded but refused, or None for
    a tombstone. ``evicted`` counts the streams that were forgotten to stay within ``max_streams``. ``unlabelled``
    counts the sequences that were forgotten without a label.
    """

    results: list[EventResult | BadInputError | None]
    evicted: int = 0
    unlabelled: int = 0


@dataclass(frozen=True, slots=True)
class LearnerStats:
    """Statistics of learners: the number of remembered streams, and of symbols in the largest vocabulary.

    ``scores`` are the arrays of ``online_lstm.learning.scoring.classification``, with a leading axis over the learners
    that have their own scores. ``waiting`` counts the sequences that are over and have no label yet; ``streams``
    includes these sequences.
    """

    streams: int
    symbols: int
    scores: ArrayViews
    waiting: int | None = None


class PartitionLearner(Protocol[E_contra]):
    """Everything that a partition learns with; results and state do not depend on how inputs are split into calls."""

    def learn(self, inputs: Sequence[E_contra | Tombstone]) -> BatchResult:
        """Score, fit and predict, one event after another; forget the streams of tombstones.

        A refused event changes nothing.
        """

    def pending(self, stream: str | None) -> Prediction | None:
        """Return the pending prediction of a stream, read from its state; None if there is none."""

    def stats(self) -> LearnerStats:
        """Return the statistics of the learners."""

    def prepare(self) -> None:
        """Compile the programs that will be used, so that the next event does not wait for the compiler."""

    def break_sequences(self) -> None:
        """Start a new sequence in each stream: earlier events are no context for the next event."""

    def state(self) -> LearnedState:
        """Copy everything that was learned."""

    def restore(self, state: LearnedState) -> None:
        """Restore a state that ``state`` returned.

        Raises:
            StateMismatchError: The state does not have the structure that ``state`` returns.
        """
