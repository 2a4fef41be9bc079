"""One learner for each stream; streams do not influence each other unless they share a network.

The module owns the packed arrays of all streams, and decides which stream is evicted when there are too many.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from online_lstm.events import EventResult, NumberEvent, Prediction, SymbolEvent, Tombstone
from online_lstm.learning.learner_protocol import BatchResult, E_contra, LearnerStats
from online_lstm.learning.learner_state import ModelStates
from online_lstm.learning.network import Model
from online_lstm.learning.scoring import classification
from online_lstm.learning.state.packed import ArraySpec, PackedArrays, require_same
from online_lstm.learning.state.schema import LearnedState, StreamsState
from online_lstm.learning.state.vocabulary import VocabularyState
from online_lstm.learning.warm_start import WarmStart
from online_lstm.learning.weight_sharing import PerStreamWeights, SharedWeights
from online_lstm.settings import Settings

E = TypeVar("E", bound=SymbolEvent | NumberEvent)


class StreamLearner(Protocol[E_contra]):
    """One stream's view of its rows: ``row`` of the streams, ``network_row`` of the networks with ``classes``."""

    row: int
    network_row: int
    classes: int

    def __init__(self, settings: Settings, network: Any, *, streams: PackedArrays, networks: ModelStates) -> None: ...

    @staticmethod
    def stream_fields(settings: Settings) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream that do not depend on its network."""

    @staticmethod
    def network_fields(settings: Settings, network: Any, classes: int, /) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream whose network has this many classes."""

    @staticmethod
    def shared_fields(settings: Settings, network: Any, /) -> dict[str, ArraySpec]:
        """Describe the arrays that streams with shared weights have in common, besides the network."""

    @property
    def symbols(self) -> int:
        """The number of symbols in the vocabulary."""

    def vocabulary(self) -> VocabularyState:
        """Return the state of the vocabulary."""

    def close(self) -> None:
        """Release the rows."""

    def resume(self, classes: int, vocabulary: VocabularyState) -> None:
        """Restore a vocabulary and add a row of ``classes``, before the arrays are written."""

    def pending(self) -> Prediction | None:
        """Return the pending prediction; None if there is none."""

    def recall(self) -> None:
        """Read the restored arrays, after they are written."""

    def break_sequence(self) -> None:
        """Start a new sequence: the next event has no pending prediction, and earlier events are no context for it."""

    def learn(self, events: Sequence[E_contra]) -> Sequence[EventResult]:
        """Score, fit and predict, one event after another."""


class StreamLearners(Generic[E]):
    """The learners of all streams of a partition, at most ``max_streams``; each is a ``learner`` of the task.

    If the streams share a network (``model_scope``), events are learned in the order of the input: one call of the
    network contains consecutive events of one stream. Otherwise, the events of a stream in one call are learned
    together. ``warm_start`` has the state that streams start from; without it, streams start untrained.
    """

    def __init__(
        self,
        settings: Settings,
        network: Model,
        learner: type[StreamLearner[E]],
        warm_start: WarmStart | None = None,
    ) -> None:
        self._settings = settings
        self._warm_start = warm_start
        self._network = network
        self._learner = learner
        self._clear()

    def _clear(self) -> None:
        self._streams = PackedArrays(self._learner.stream_fields(self._settings))
        self._shared = None
        if self._settings.model_scope == "partition":
            common = self._learner.shared_fields(self._settings, self._network)
            self._shared = SharedWeights(self._settings, self._network, common)
            if self._warm_start is not None and self._warm_start.shared is not None:
                self._shared.restore(self._warm_start.shared)
        self._networks = ModelStates(self._learner, self._settings, self._network, self._shared or PerStreamWeights())
        self.by_stream: OrderedDict[str | None, StreamLearner[E]] = OrderedDict()  # least recently seen first

    def learn(self, inputs: Sequence[E | Tombstone]) -> BatchResult:
        """Learn from the events of all streams."""
        call: _Call[E] = _Call(BatchResult([None] * len(inputs)))
        for index, one in enumerate(inputs):
            if self._shared and one.stream not in call.waiting:
                self._learn_waiting(call)
            if isinstance(one, Tombstone):
                self._forget(call, one.stream)
                continue
            if one.stream not in self.by_stream:
                if len(self.by_stream) >= self._settings.max_streams:
                    self._forget(call, next(iter(self.by_stream)))
                    call.learned.evicted += 1
                self._warm_up(self._add(one.stream), one.stream)
            self.by_stream.move_to_end(one.stream)
            call.waiting.setdefault(one.stream, []).append((index, one))
        self._learn_waiting(call)
        return call.learned

    def _learn_waiting(self, call: "_Call[E]") -> None:
        for stream in list(call.waiting):
            self._learn_stream(call, stream)

    def _learn_stream(self, call: "_Call[E]", stream: str | None) -> None:
        waiting = call.waiting.pop(stream, [])
        if waiting:
            outcomes = self.by_stream[stream].learn([event for _, event in waiting])
            for (index, _), outcome in zip(waiting, outcomes, strict=True):
                call.learned.results[index] = outcome

    def _forget(self, call: "_Call[E]", stream: str | None) -> None:
        """Forget a stream, after learning its waiting events of this call."""
        self._learn_stream(call, stream)
        learner = self.by_stream.pop(stream, None)
        if learner is not None:
            learner.close()

    def _add(self, stream: str | None) -> StreamLearner[E]:
        learner = self._learner(self._settings, self._network, streams=self._streams, networks=self._networks)
        self.by_stream[stream] = learner
        return learner

    def _warm_up(self, learner: StreamLearner[E], stream: str | None) -> None:
        begins = self._warm_start and self._warm_start.of(stream)
        if not begins:
            return
        learner.resume(begins.classes, begins.vocabulary)
        self._streams.put([learner.row], {name: array[None] for name, array in begins.row.items()})
        rows = self._networks[begins.classes]
        rows.put([learner.network_row], {name: array[None] for name, array in begins.network.items()})
        learner.recall()
        learner.break_sequence()

    def pending(self, stream: str | None) -> Prediction | None:
        """Return the pending prediction of a stream; None if there is none."""
        learner = self.by_stream.get(stream)
        return None if learner is None else learner.pending()

    def stats(self) -> LearnerStats:
        """Return the statistics of the learners."""
        learners = self.by_stream.values()
        rows = self._streams.take([learner.row for learner in learners], classification.NAMES)
        return LearnerStats(len(learners), max((learner.symbols for learner in learners), default=0), rows)

    def prepare(self) -> None:
        """Compile the programs that the existing streams will use."""
        for classes in sorted({learner.classes for learner in self.by_stream.values()}):
            self._network.prepare(classes)

    def break_sequences(self) -> None:
        """Start a new sequence in each stream."""
        for learner in self.by_stream.values():
            learner.break_sequence()

    def state(self) -> StreamsState:
        """Copy everything that was learned; the least recently seen stream is first."""
        learners = list(self.by_stream.values())
        by_classes: dict[int, list[int]] = {}
        for learner in learners:
            by_classes.setdefault(learner.classes, []).append(learner.network_row)
        return StreamsState(
            keys=list(self.by_stream),
            classes=[learner.classes for learner in learners],
            arrays=self._streams.take([learner.row for learner in learners]),
            vocabularies=[learner.vocabulary() for learner in learners],
            networks={classes: self._networks[classes].take(rows) for classes, rows in by_classes.items()},
            shared=self._shared.state() if self._shared else None,
        )

    def restore(self, state: LearnedState) -> None:
        """Restore a state that ``state`` returned.

        Raises:
            StateMismatchError: The state does not have the structure that ``state`` returns.
        """
        assert isinstance(state, StreamsState)  # the task is a shape setting
        self._clear()
        require_same("shared weights", state.shared is not None, self._shared is not None)
        if self._shared and state.shared:
            self._shared.restore(state.shared)
        by_classes: dict[int, list[int]] = {}
        for key, classes, vocabulary in zip(state.keys, state.classes, state.vocabularies, strict=True):
            learner = self._add(key)
            learner.resume(classes, vocabulary)
            by_classes.setdefault(classes, []).append(learner.network_row)
        self._streams.put([learner.row for learner in self.by_stream.values()], state.arrays)
        require_same("class counts", sorted(state.networks), sorted(by_classes))
        for classes, rows in by_classes.items():
            self._networks[classes].put(rows, state.networks[classes])
        for learner in self.by_stream.values():
            learner.recall()


@dataclass(frozen=True, slots=True)
class _Call(Generic[E]):
    """The work of one call: its results, and the waiting events by stream, with their indices among the inputs."""

    learned: BatchResult
    waiting: dict[str | None, list[tuple[int, E]]] = field(default_factory=dict)
