"""What a partition needs of whatever learns its events: one learner for each stream, or one that all streams share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from online_lstm.errors import BadInputError
from online_lstm.events import Event, EventResult, Tombstone
from online_lstm.learning.state.packed import ArrayViews


@dataclass(slots=True)
class BatchResult:
    """What came of some inputs: a result for each, and who had to leave.

    The result is the outcome of an event, or why it is refused although it could be read; it is None for a tombstone.
    ``evicted`` counts streams that were forgotten to stay within ``max_streams``, ``unlabelled`` sequences that were
    forgotten without a label.
    """

    results: list[EventResult | BadInputError | None]
    evicted: int = 0
    unlabelled: int = 0


@dataclass(frozen=True, slots=True)
class LearnerStats:
    """How learners stand: how many streams are remembered, and how many symbols the largest vocabulary has.

    ``scores`` are the arrays of ``online_lstm.learning.scoring.classification``, with a leading axis over whatever has
    scores of its own; ``waiting`` are the sequences that are over and have no label yet, which count as streams as
    well.
    """

    streams: int
    symbols: int
    scores: ArrayViews
    waiting: int | None = None


class Learner(Protocol):
    """All that one partition learns with; what it gives and holds does not depend on how inputs come in calls."""

    def learn(self, inputs: Sequence[Event | Tombstone]) -> BatchResult:
        """Score, fit and predict, one event after another; forget the streams of tombstones.

        An event that is refused changes nothing.
        """

    def stats(self) -> LearnerStats:
        """Say how everything stands."""

    def prepare(self) -> None:
        """Compile what will be used, so that the next event does not wait for it."""

    def break_sequences(self) -> None:
        """Let the next event of each stream begin a sequence: nothing of before leads up to it."""

    def state(self) -> dict[str, Any]:
        """Copy everything that was learned, as nested plain data; ``streams`` of it has their ``keys``."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` gave; what is beside it is ignored.

        Raises:
            StateMismatchError: It is not what ``state`` gives.
        """
