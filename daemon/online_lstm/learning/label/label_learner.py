"""The learner of labels: one network for all sequences of a partition, each with states of its own.

A sample moves its sequence's states one step on, and what its label may be is said at once. A sequence that is over
and has its label is judged, learned from in one fit step, and forgotten. Between two fit steps the weights stay, so
samples of many sequences go in one call of the network; nothing depends on which ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.errors import BadInputError
from online_lstm.events import Event, EventResult, LabelEvaluation, Tombstone
from online_lstm.learning.label.label_task import NONE, LabelTask
from online_lstm.learning.label.open_sequences import OpenSequences, stalest_of
from online_lstm.learning.learner_protocol import BatchResult, LearnerStats
from online_lstm.learning.model_states import score, score_fields
from online_lstm.learning.network import LabelModel
from online_lstm.learning.scoring import classification
from online_lstm.learning.state import scaler
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, PackedArrays
from online_lstm.learning.stream_table import Key, StreamTable
from online_lstm.learning.warm_start import WarmStart
from online_lstm.settings import Settings


@dataclass(frozen=True, slots=True)
class _Sample:
    """A sample that waits for its call: its place among the inputs, the event's number, and where it goes."""

    place: int
    event: Event
    count: int
    row: int
    number: int


@dataclass(frozen=True, slots=True)
class _Conclusion:
    """What came of a sequence that was over and had its label."""

    evaluation: LabelEvaluation | None
    hits: tuple[int, ...] | None
    fit_steps: int
    skipped_steps: int


class LabelLearner:
    """All sequences of a partition, and what they share.

    Open sequences and those that wait for a label count for ``max_streams``; the one that was seen least recently makes
    room, and is over with that.
    """

    @staticmethod
    def fields(settings: Settings, network: LabelModel) -> dict[str, ArraySpec]:
        """Describe the arrays that all sequences share.

        ``learned`` says of which labels some sequence was learned from, ``label_counts`` how many sequences had each,
        and ``last_label`` which one the last of them.
        """
        return {
            "events": ArraySpec((1,), "int64"),
            "network": ArraySpec((network.state_size,), "float32"),
            "learned": ArraySpec((settings.classes,), "bool"),
            "label_counts": ArraySpec((settings.classes,), "int64"),
            "last_label": ArraySpec((1,), "int32", NONE),
            **scaler.fields(settings.features),
            **score_fields(settings, losses=1),
        }

    def __init__(self, settings: Settings, network: LabelModel, warm_start: WarmStart | None = None) -> None:
        self._settings = settings
        self._network = network
        self._task = LabelTask(settings)
        self._rows = PackedArrays(self.fields(settings, network))
        self._row_number = self._rows.add()
        self._shared: ArrayViews = self._rows.view(self._row_number)
        self._shared["network"][:] = network.initial
        self._sequences = OpenSequences(settings, network)
        self._run: list[_Sample] = []
        self._room = 0
        self._concluded: list[_Conclusion] = []
        self._learned = BatchResult([])
        if warm_start is not None and warm_start.shared is not None:
            self._resume(warm_start.shared)

    def learn(self, inputs: Sequence[Event | Tombstone]) -> BatchResult:
        """Predict and learn, one event after another."""
        self._learned = learned = BatchResult([None] * len(inputs))
        for place, one in enumerate(inputs):
            if isinstance(one, Tombstone):
                self._predict()
                self._sequences.forget(one.stream)
                continue
            try:
                self._take(place, one)
            except BadInputError as error:
                learned.results[place] = error
        self._predict()
        return learned

    @property
    def _events(self) -> int:
        return int(self._shared["events"][0])

    # one event

    def _take(self, place: int, event: Event) -> None:
        """Take a sample, or a label that comes alone; afterwards, end what has been silent for too long."""
        if event.vector:
            self._take_sample(place, event)
        else:
            self._take_label(place, event)
        self._end_silent()
        if self._concluded:  # sequences of other streams
            self._predict()
            concluded, self._concluded = self._concluded, []
            outcome = self._outcome(place)
            self._learned.results[place] = replace(
                outcome,
                fit_steps=outcome.fit_steps + sum(one.fit_steps for one in concluded),
                skipped_steps=outcome.skipped_steps + sum(one.skipped_steps for one in concluded),
                unpublished_evaluations=tuple(
                    (one.evaluation, one.hits) for one in concluded if one.evaluation and one.hits
                ),
            )

    def _take_sample(self, place: int, event: Event) -> None:
        label, sequences = self._task.class_of(event.label), self._sequences.open
        if event.stream not in sequences:
            self._make_room()
            sequences.add(event.stream)
        self._shared["events"] += 1
        row = sequences.see(event.stream)
        sequences.column("seen")[row] = self._shared["events"]
        if label != NONE:
            sequences.column("label")[row] = label
        sequences.column("length")[row] += 1
        number = int(sequences.column("length")[row, 0])
        if not self._run:
            self._room = self._network.events
            if self._settings.learn:
                self._room = min(self._room, scaler.room(self._shared))
        self._run.append(_Sample(place, event, self._events, row, number))
        over = event.ends or number == self._settings.max_sequence_length
        if over or len(self._run) == self._room:
            self._predict()
        if over and self._sequences.label_of(event.stream) != NONE:
            self._tell(place, self._conclude(sequences, event.stream))
        elif over:
            self._wait(event.stream)

    def _take_label(self, place: int, event: Event) -> None:
        """Give a label to the sequence of the key that waits for it, else to the open one, which is over with that."""
        opened, waiting = self._sequences.open, self._sequences.waiting
        late = event.stream in waiting and not (event.ends and event.stream in opened)
        contexts = waiting if late else opened
        if event.stream not in contexts:
            raise BadInputError(
                "no_sequence",
                "received a label alone, expected one for a sequence of this key that is open, or was over at most "
                f"{self._settings.label_timeout_events} events ago: the setting label_timeout_events",
            )
        label = self._task.class_of(event.label)
        self._predict()
        self._shared["events"] += 1
        contexts.row(event.stream)["label"][:] = label
        self._learned.results[place] = EventResult(self._events, 0, 0, None, None, None, None)
        self._tell(place, self._conclude(contexts, event.stream))

    def _tell(self, place: int, conclusion: _Conclusion) -> None:
        """Say in an outcome what came of its own sequence."""
        self._learned.results[place] = replace(
            self._outcome(place),
            fit_steps=conclusion.fit_steps,
            skipped_steps=conclusion.skipped_steps,
            evaluation=conclusion.evaluation,
            hits=conclusion.hits,
            hit_rates=self._rates(),
        )

    def _outcome(self, place: int) -> EventResult:
        outcome = self._learned.results[place]
        assert isinstance(outcome, EventResult)
        return outcome

    def _rates(self) -> tuple[float, ...] | None:
        rates = classification.rates(self._shared)
        return None if rates is None else tuple(rates.tolist())

    # the samples of a call

    def _predict(self) -> None:
        """Move the sequences of the samples that wait one step on, and say what is predicted after each."""
        run, self._run = self._run, []
        if not run:
            return
        sequences, possible = self._sequences.open, self._shared["learned"]
        inputs = self._scaled(self._task.samples([sample.event for sample in run]))
        rows, numbers = np.array([sample.row for sample in run]), [sample.number for sample in run]
        sequences.column("samples")[rows, np.array(numbers) - 1] = inputs
        moving, places = np.unique(rows, return_inverse=True)
        states = sequences.column("states")
        moved = self._network.run(self._shared["network"], inputs, places, states[moving], possible)
        states[moving] = moved.states
        if possible.any():
            self._note(run, moved.probabilities)
        told = self._task.predictions(numbers, moved.probabilities, possible)
        rates = self._rates()
        for sample, prediction in zip(run, told, strict=True):
            self._learned.results[sample.place] = EventResult(sample.count, 0, 0, None, prediction, None, rates)

    def _scaled(self, samples: NDArray[np.float64]) -> NDArray[np.float32]:
        inputs = scaler.scaled(self._shared, samples)
        if self._settings.learn:
            scaler.observe(self._shared, samples)
        return inputs

    def _note(self, run: Sequence[_Sample], probabilities: NDArray[np.float32]) -> None:
        """Keep what is predicted of each sequence, and since when."""
        favourite, stable_since_sample, pending = map(
            self._sequences.open.column, ("favourite", "stable_since_sample", "pending")
        )
        for sample, line, likeliest in zip(run, probabilities, probabilities.argmax(axis=1).tolist(), strict=True):
            pending[sample.row] = line
            if favourite[sample.row, 0] != likeliest:
                favourite[sample.row], stable_since_sample[sample.row] = likeliest, sample.number

    # the end of a sequence

    def _conclude(self, contexts: StreamTable, key: Key) -> _Conclusion:
        """Judge a sequence that is over and has its label, learn from it, and forget it."""
        sequence, shared = contexts.row(key), self._shared
        label, length = int(sequence["label"][0]), int(sequence["length"][0])
        evaluation, hits = self._judge(sequence)
        shared["last_label"][:] = label
        shared["label_counts"][label] += 1
        steps, skipped = 0, 0
        if self._settings.learn:
            shared["learned"][label] = True
            number = int(shared["label_counts"].sum())
            samples, learned = sequence["samples"][:length], shared["learned"]
            fitted = self._network.fit(shared["network"], samples, label, learned, number=number)
            shared["network"][:] = fitted.state
            steps, skipped = fitted.fit_steps, fitted.skipped_steps
        contexts.remove(key)
        return _Conclusion(evaluation, hits, steps, skipped)

    def _judge(self, sequence: ArrayViews) -> tuple[LabelEvaluation | None, tuple[int, ...] | None]:
        """Score what was predicted after the last sample, if anything was; give a evaluation, and all hits."""
        label, predicted, shared = int(sequence["label"][0]), int(sequence["favourite"][0]), self._shared
        if predicted == NONE:
            return None, None
        evaluation = self._task.evaluation(
            label,
            predicted,
            sequence["pending"],
            samples=int(sequence["length"][0]),
            stable_since_sample=int(sequence["stable_since_sample"][0]),
        )
        # the published prediction, the baselines, and the one expert, whose prediction it is
        named = np.array([[predicted, shared["last_label"][0], shared["label_counts"].argmax(), predicted]])
        told = score(
            shared,
            self._settings,
            first=self._events,
            scored=np.array([True]),
            hits=named == label,
            losses=np.array([[evaluation.surprise_bits]]),
        )
        return replace(evaluation, drift=told.drifts[0]), told.hits[0]

    def _wait(self, key: Key) -> None:
        self._learned.unlabelled += self._sequences.wait(key, self._events)

    def _end_silent(self) -> None:
        """End open sequences that have been silent for too long, and give up those whose label does not come."""
        last = self._events - self._settings.label_timeout_events
        while (found := stalest_of(self._sequences.open)) and found.seen <= last:
            self._predict()
            if self._sequences.label_of(found.key) == NONE:
                self._wait(found.key)
            else:
                self._concluded.append(self._conclude(found.contexts, found.key))
        while (found := stalest_of(self._sequences.waiting)) and found.seen <= last:
            self._give_up(found.contexts, found.key)

    def _make_room(self) -> None:
        """Let the sequence that was seen least recently go if there are too many: learned from, if it has its label."""
        if len(self._sequences) < self._settings.max_streams:
            return
        self._predict()
        self._learned.evicted += 1
        found = self._sequences.stalest()
        if found.contexts.row(found.key)["label"][0] == NONE:
            self._give_up(found.contexts, found.key)
        else:
            self._concluded.append(self._conclude(found.contexts, found.key))

    def _give_up(self, contexts: StreamTable, key: Key) -> None:
        contexts.remove(key)
        self._learned.unlabelled += 1

    # everything

    def stats(self) -> LearnerStats:
        """Say how everything stands."""
        rows = self._rows.take([self._row_number], classification.NAMES)
        return LearnerStats(len(self._sequences), self._task.known, rows, waiting=len(self._sequences.waiting))

    def prepare(self) -> None:
        """Compile nothing: samples are compiled already, and a fit step when a sequence of its length is over."""

    def break_sequences(self) -> None:
        """Forget the open sequences, which miss samples; those that are over go on to wait for their labels."""
        self._sequences.open.clear()

    def state(self) -> dict[str, Any]:
        """Copy everything that was learned; sequences are in the order they were last seen."""
        learner = {"labels": self._task.state(), "arrays": self._rows.take([self._row_number])}
        return {**self._sequences.state(), "learner": learner}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` gave.

        Raises:
            StateMismatchError: It is not what ``state`` gives.
        """
        self._resume(state["learner"])
        self._sequences.restore(state)

    def _resume(self, learner: Mapping[str, Any]) -> None:
        self._task.restore(learner["labels"])
        self._rows.put([self._row_number], learner["arrays"])
