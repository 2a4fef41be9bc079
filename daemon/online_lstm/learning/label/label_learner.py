"""The learner of labels: one network for all sequences of a partition, with separate recurrent states for each.

A sample advances the states of its sequence by one step, and the label is predicted immediately. When a sequence is
over and its label is known, the learner scores the prediction, runs one fit step on the sequence, and forgets the
sequence. Between two fit steps the weights are constant, so one call of the network processes samples of many
sequences. The results do not depend on how samples are grouped into calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from online_lstm.errors import BadInputError
from online_lstm.events import LabelEvaluation, LabelEvent, LabelPrediction, LabelResult, Tombstone
from online_lstm.learning.label.label_task import NONE, LabelTask
from online_lstm.learning.label.open_sequences import OpenSequences, stalest_of
from online_lstm.learning.learner_protocol import BatchResult, LearnerStats
from online_lstm.learning.learner_state import score, score_fields
from online_lstm.learning.network import LabelModel
from online_lstm.learning.scoring import classification
from online_lstm.learning.state import scaler
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, PackedArrays
from online_lstm.learning.state.schema import LabelsState, LearnedState
from online_lstm.learning.stream_table import Key, StreamTable
from online_lstm.learning.warm_start import WarmStart
from online_lstm.predictor_scores import PredictorScores
from online_lstm.settings import Settings


@dataclass(frozen=True, slots=True)
class _Sample:
    """A sample that waits for its call: its index in the batch, its event, the event's number, row, sample number."""

    index: int
    event: LabelEvent
    count: int
    row: int
    number: int


@dataclass(frozen=True, slots=True)
class _Conclusion:
    """The result of a sequence that was over and had its label."""

    evaluation: LabelEvaluation | None
    hits: PredictorScores[int] | None
    fit_steps: int
    skipped_steps: int


class LabelLearner:
    """All sequences of a partition, and their shared state.

    ``max_streams`` limits the number of open and waiting sequences together. At the limit, the least recently seen
    sequence is evicted, and is over then.
    """

    @staticmethod
    def fields(settings: Settings, network: LabelModel) -> dict[str, ArraySpec]:
        """Describe the arrays that all sequences share.

        ``learned`` is true for the labels with at least one learned sequence, ``label_counts`` has the number of
        sequences with each label, and ``last_label`` is the label of the last sequence.
        """
        return {
            "events": ArraySpec((1,), "int64"),
            "network": ArraySpec((network.state_size(),), "float32"),
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
        self._shared["network"][:] = network.initial()
        self._sequences = OpenSequences(settings, network)
        self._run: list[_Sample] = []
        self._room = 0
        self._concluded: list[_Conclusion] = []
        self._learned = BatchResult([])
        if warm_start is not None and warm_start.labels is not None:
            self._resume(warm_start.labels)

    def learn(self, inputs: Sequence[LabelEvent | Tombstone]) -> BatchResult:
        """Predict and learn, event by event."""
        self._learned = learned = BatchResult([None] * len(inputs))
        for index, one in enumerate(inputs):
            if isinstance(one, Tombstone):
                self._predict()
                self._sequences.forget(one.stream)
                continue
            try:
                self._take(index, one)
            except BadInputError as error:
                learned.results[index] = error
        self._predict()
        return learned

    @property
    def _events(self) -> int:
        return int(self._shared["events"][0])

    # one event

    def _take(self, index: int, event: LabelEvent) -> None:
        """Process a sample or a label without a sample; then end the sequences that have been idle for too long."""
        if event.vector:
            self._take_sample(index, event)
        else:
            self._take_label(index, event)
        self._end_silent()
        if self._concluded:  # sequences of other streams
            self._predict()
            concluded, self._concluded = self._concluded, []
            outcome = self._outcome(index)
            self._learned.results[index] = replace(
                outcome,
                fit_steps=outcome.fit_steps + sum(one.fit_steps for one in concluded),
                skipped_steps=outcome.skipped_steps + sum(one.skipped_steps for one in concluded),
                unpublished_evaluations=tuple(
                    (one.evaluation, one.hits) for one in concluded if one.evaluation and one.hits
                ),
            )

    def _take_sample(self, index: int, event: LabelEvent) -> None:
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
        self._run.append(_Sample(index, event, self._events, row, number))
        over = event.ends or number == self._settings.max_sequence_length
        if over or len(self._run) == self._room:
            self._predict()
        if over and self._sequences.label_of(event.stream) != NONE:
            self._add_conclusion(index, self._conclude(sequences, event.stream))
        elif over:
            self._wait(event.stream)

    def _take_label(self, index: int, event: LabelEvent) -> None:
        """Assign a label to the waiting sequence of the key, or else to the open sequence, which is over then."""
        opened, waiting = self._sequences.open, self._sequences.waiting
        late = event.stream in waiting and not (event.ends and event.stream in opened)
        contexts = waiting if late else opened
        if event.stream not in contexts:
            raise BadInputError(
                "no_sequence",
                "received a label without a sample, expected an open sequence of this key, or one that ended at most "
                f"{self._settings.label_timeout_events} events ago (the setting label_timeout_events)",
            )
        label = self._task.class_of(event.label)
        self._predict()
        self._shared["events"] += 1
        contexts.row(event.stream)["label"][:] = label
        self._learned.results[index] = LabelResult(self._events, 0, 0, None, None, None, None)
        self._add_conclusion(index, self._conclude(contexts, event.stream))

    def _add_conclusion(self, index: int, conclusion: _Conclusion) -> None:
        """Add the result of the event's own sequence to the event's result."""
        self._learned.results[index] = replace(
            self._outcome(index),
            fit_steps=conclusion.fit_steps,
            skipped_steps=conclusion.skipped_steps,
            evaluation=conclusion.evaluation,
            hits=conclusion.hits,
            hit_rates=self._rates(),
        )

    def _outcome(self, index: int) -> LabelResult:
        outcome = self._learned.results[index]
        assert isinstance(outcome, LabelResult)
        return outcome

    def _rates(self) -> PredictorScores[float] | None:
        rates = classification.rates(self._shared)
        return None if rates is None else self._settings.predictors.named(rates.tolist())

    # the samples of a call

    def _predict(self) -> None:
        """Advance the sequences of the waiting samples, and write the prediction after each sample to the results."""
        run, self._run = self._run, []
        if not run:
            return
        sequences, possible = self._sequences.open, self._shared["learned"]
        inputs = self._scaled(self._task.samples([sample.event for sample in run]))
        rows, numbers = np.array([sample.row for sample in run]), [sample.number for sample in run]
        sequences.column("samples")[rows, np.array(numbers) - 1] = inputs
        moving, indices = np.unique(rows, return_inverse=True)
        states = sequences.column("states")
        moved = self._network.run(self._shared["network"], inputs, indices, states[moving], possible)
        states[moving] = moved.states
        if possible.any():
            self._sequences.note(rows, numbers, moved.probabilities)
        predictions = self._task.predictions(numbers, moved.probabilities, possible)
        rates = self._rates()
        for sample, prediction in zip(run, predictions, strict=True):
            self._learned.results[sample.index] = LabelResult(sample.count, 0, 0, None, prediction, None, rates)

    def _scaled(self, samples: NDArray[np.float64]) -> NDArray[np.float32]:
        inputs = scaler.scaled(self._shared, samples)
        if self._settings.learn:
            scaler.observe(self._shared, samples)
        return inputs

    # the end of a sequence

    def _conclude(self, contexts: StreamTable, key: Key) -> _Conclusion:
        """Score a sequence that is over and has its label, learn it, and forget it."""
        sequence, shared = contexts.row(key), self._shared
        label, length = int(sequence["label"][0]), int(sequence["length"][0])
        evaluation, hits = self._evaluate(sequence)
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

    def _evaluate(self, sequence: ArrayViews) -> tuple[LabelEvaluation | None, PredictorScores[int] | None]:
        """Score the prediction after the last sample, if any; return the evaluation and the hits of all predictors."""
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
        # the published prediction, the two baselines, and the only expert, whose prediction is the published one
        named = np.array([[predicted, shared["last_label"][0], shared["label_counts"].argmax(), predicted]])
        result = score(
            shared,
            self._settings,
            first=self._events,
            scored=np.array([True]),
            hits=named == label,
            losses=np.array([[evaluation.surprise_bits]]),
        )
        return replace(evaluation, drift=result.drifts[0]), result.hits[0]

    def _wait(self, key: Key) -> None:
        self._learned.unlabelled += self._sequences.wait(key, self._events)

    def _end_silent(self) -> None:
        """End open sequences that have been idle for too long, and drop waiting sequences whose label is overdue."""
        last = self._events - self._settings.label_timeout_events
        while (stalest := stalest_of(self._sequences.open)) and stalest.seen <= last:
            self._predict()
            if self._sequences.label_of(stalest.key) == NONE:
                self._wait(stalest.key)
            else:
                self._concluded.append(self._conclude(stalest.contexts, stalest.key))
        while (stalest := stalest_of(self._sequences.waiting)) and stalest.seen <= last:
            self._give_up(stalest.contexts, stalest.key)

    def _make_room(self) -> None:
        """Evict the least recently seen sequence if ``max_streams`` is reached; learn it first if it has its label."""
        if len(self._sequences) < self._settings.max_streams:
            return
        self._predict()
        self._learned.evicted += 1
        stalest = self._sequences.stalest()
        if stalest.contexts.row(stalest.key)["label"][0] == NONE:
            self._give_up(stalest.contexts, stalest.key)
        else:
            self._concluded.append(self._conclude(stalest.contexts, stalest.key))

    def _give_up(self, contexts: StreamTable, key: Key) -> None:
        contexts.remove(key)
        self._learned.unlabelled += 1

    # everything

    def pending(self, stream: str | None) -> LabelPrediction | None:
        """Return the prediction after the last sample of the open sequence, else of the waiting one, else None."""
        for contexts in (self._sequences.open, self._sequences.waiting):
            if stream in contexts:
                sequence = contexts.row(stream)
                probabilities = sequence["pending"][None]
                possible = probabilities[0] > 0  # labels that were learned before the last sample
                (prediction,) = self._task.predictions(sequence["length"].tolist(), probabilities, possible)
                return prediction
        return None

    def prediction_after(self, event: LabelEvent) -> LabelPrediction:
        """Return the prediction that a sample would have as the next one of its sequence; the state is unchanged."""
        states, number = self._sequences.before_next(event.stream)
        inputs = scaler.scaled(self._shared, self._task.samples([event]))
        possible = self._shared["learned"]
        moved = self._network.run(self._shared["network"], inputs, np.zeros(1, np.int64), states, possible)
        (prediction,) = self._task.predictions([number], moved.probabilities, possible)
        return prediction

    def stats(self) -> LearnerStats:
        """Return the statistics of the learner."""
        rows = self._rows.take([self._row_number], classification.NAMES)
        return LearnerStats(len(self._sequences), self._task.known, rows, waiting=len(self._sequences.waiting))

    def prepare(self) -> None:
        """Do nothing: samples are compiled already, a fit step when the first sequence of its length is over."""

    def break_sequences(self) -> None:
        """Forget the open sequences, which miss samples; sequences that are over continue to wait for their labels."""
        self._sequences.open.clear()

    def state(self) -> LabelsState:
        """Return a copy of the learned state; the sequences are in the order in which they were last seen."""
        return LabelsState(*self._sequences.state(), self._task.state(), self._rows.take([self._row_number]))

    def restore(self, state: LearnedState) -> None:
        """Restore the learner from the result of ``state``.

        Raises:
            StateMismatchError: The state does not match the settings.
        """
        assert isinstance(state, LabelsState)  # the task is a shape setting
        self._resume(state)
        self._sequences.restore(state.opened, state.waiting)

    def _resume(self, state: LabelsState) -> None:
        self._task.restore(state.labels)
        self._rows.put([self._row_number], state.arrays)
