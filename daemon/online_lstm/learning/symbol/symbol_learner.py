"""The learner of a stream of symbols: vocabulary, network, suffix memories and their mixture."""

from collections.abc import Sequence

import numpy as np

from online_lstm.events import SymbolEvent, SymbolPrediction, SymbolResult
from online_lstm.learning.learner_state import ModelStates, score, score_fields
from online_lstm.learning.network import ReplayBuffer, SymbolModel
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, PackedArrays
from online_lstm.learning.state.vocabulary import VocabularyState
from online_lstm.learning.symbol.symbol_ensemble import SymbolEnsemble
from online_lstm.learning.symbol.symbol_task import EncodedEvent, SymbolTask, surprise_bits
from online_lstm.settings import Settings


class SymbolLearner:
    """One stream's view of its rows in ``streams`` and in ``networks[classes]``, by the size of its vocabulary."""

    @staticmethod
    def stream_fields(settings: Settings) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream that do not depend on the size of its vocabulary."""
        return {
            "events": ArraySpec((1,), "int64"),
            "known": ArraySpec((1,), "int32", 1),
            "window": ArraySpec((settings.window,), "int32", -1),
            **SymbolEnsemble(settings).fields(),
            **score_fields(settings, losses=1),
        }

    @staticmethod
    def network_fields(settings: Settings, network: SymbolModel, classes: int) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream whose network has this many classes.

        ``pending`` has the network's probabilities of the next value. ``replay_codes`` and ``replay_states`` are the
        replay buffer, with the same shapes for any number of classes.
        """
        return {
            "network": ArraySpec((network.state_size(classes),), "float32"),
            "pending": ArraySpec((classes,), "float32"),
            **SymbolEnsemble(settings).pending_fields(classes),
            **_replay_fields(network),
        }

    @staticmethod
    def shared_fields(settings: Settings, network: SymbolModel) -> dict[str, ArraySpec]:
        """Describe the arrays that streams with shared weights have in common; ``replay_events`` counts their events.

        They include the replay buffer, which then has the windows of all streams.
        """
        return {
            "replay_events": ArraySpec((1,), "int64"),
            **_replay_fields(network),
            **SymbolEnsemble(settings).shared_fields(),
        }

    def __init__(
        self, settings: Settings, network: SymbolModel, *, streams: PackedArrays, networks: ModelStates
    ) -> None:
        self._settings = settings
        self._network = network
        self._streams = streams
        self._networks = networks
        self._pending: SymbolPrediction | None = None
        self._scope = networks.scope
        self._ensemble = SymbolEnsemble(settings)
        self.task = SymbolTask(settings, self._scope.shared_vocabulary)
        self.row = streams.add()
        self._take_network_row(network.classes_for(self.task.known))
        self._scope.begin(self._network_rows.view(self.network_row), network.initial(self.classes))

    def close(self) -> None:
        """Release the rows."""
        self._streams.remove(self.row)
        self._network_rows.remove(self.network_row)

    def resume(self, classes: int, vocabulary: VocabularyState) -> None:
        """Restore a vocabulary and add a row of ``classes``, before the arrays are written.

        Call ``recall`` after the arrays are written.
        """
        self._network_rows.remove(self.network_row)
        self._take_network_row(classes)
        self.task.restore(vocabulary)

    @property
    def symbols(self) -> int:
        """The number of symbols in the vocabulary."""
        return self.task.known - 1

    def vocabulary(self) -> VocabularyState:
        """Return the state of the vocabulary."""
        return self.task.state()

    def pending(self) -> SymbolPrediction | None:
        """Return the pending prediction; None if there is none."""
        return self._pending

    def recall(self) -> None:
        """Read the pending prediction from the restored arrays."""
        stream = self._streams.view(self.row)
        self.task.known = int(stream["known"][0])
        if stream["window"][-1] >= 0:
            pending = self._network_rows.view(self.network_row)["pending"]
            codes = self.task.codes([], pending[None], stream["known"])
            (self._pending,) = self.task.predictions(self._ensemble.pending(stream, codes), [])

    def break_sequence(self) -> None:
        """Start a new sequence: the next event has no pending prediction, and earlier events are no context for it."""
        self._streams.view(self.row)["window"][:] = -1
        self._ensemble.break_sequence(self._streams.view(self.row))
        network = self._network_rows.view(self.network_row)
        state = self._scope.state_of(network)
        self._network.reset_states(state)
        self._scope.keep(network, state)
        self._pending = None

    def learn(self, events: Sequence[SymbolEvent]) -> list[SymbolResult]:
        """Score, fit and predict, one event after another."""
        outcomes: list[SymbolResult] = []
        run: list[EncodedEvent] = []
        for event in events:
            encoded = self.task.encode(event)
            if encoded.lookup.replaced or encoded.known > self.classes:
                # a class is reassigned or added: learn the earlier events before this change
                outcomes += self._learn_run(run)
                run = []
                self._make_room(encoded)
            run.append(encoded)
            if event.ends or len(run) == self._network.events:
                outcomes += self._learn_run(run)
                run = []
        return outcomes + self._learn_run(run)

    def _learn_run(self, run: list[EncodedEvent]) -> list[SymbolResult]:
        """Learn up to ``network.events`` events in one call of the network."""
        if not run:
            return []
        stream, network = self._streams.view(self.row), self._network_rows.view(self.network_row)
        codes = np.concatenate([stream["window"], np.array([e.lookup.code for e in run], np.int32)])
        known = np.array([run[0].known_before, *(e.known for e in run)], np.int32)
        row = {**self._scope.arrays, **stream, **network}
        past = _past(row)
        result = self._network.run(self._scope.state_of(network), codes, known, past)
        if self._settings.learn or not self._scope.shared:
            past.keep(result.windows, result.edges)
        # the published prediction of the first event is scored, even if the classes have changed since
        probabilities = np.concatenate([network["pending"][None], result.probabilities[1:]])
        forecast, hits = self._ensemble.observe(
            row, self.task.values(run), self.task.codes(run, probabilities, known), pending=self._pending is not None
        )
        predictions = [self._pending, *self.task.predictions(forecast, run)]
        if run[-1].event.ends:
            predictions[-1] = None  # the sequence is over
        first = int(stream["events"][0]) + 1
        scores = score(
            stream,
            self._settings,
            first=first,
            scored=np.array([prediction is not None for prediction in predictions[:-1]]),
            hits=hits,
            losses=surprise_bits(forecast.probability)[:, None],
        )
        evaluations = self.task.evaluations(predictions[:-1], hits[:, 0], forecast, scores.drifts)
        stream["events"][0] += len(run)
        if self._settings.learn and self._scope.shared:
            row["replay_events"][0] += len(run)
        stream["known"][0] = known[-1]
        stream["window"][:] = codes[len(run) :]
        self._scope.keep(network, result.state)
        network["pending"][:] = probabilities[-1]
        self._pending = predictions[-1]
        if run[-1].event.ends:
            self.break_sequence()
        return [
            SymbolResult(
                first + i,
                fitted,
                skipped,
                evaluations[i],
                predictions[i + 1],
                scores.hits[i],
                scores.rates[i],
            )
            for i, (fitted, skipped) in enumerate(
                zip(result.fit_steps.tolist(), result.skipped_steps.tolist(), strict=True)
            )
        ]

    def _make_room(self, encoded: EncodedEvent) -> None:
        """Reassign a class to another symbol, or move to a row with more classes."""
        code = encoded.lookup.code
        if encoded.lookup.replaced:
            stream, network = self._streams.view(self.row), self._network_rows.view(self.network_row)
            window = stream["window"]
            window[window == code] = 0
            _past({**stream, **network}).forget(code)
            self._network.forget_class(self._scope.state_of(network), code)
            return
        smaller, old_row, old_rows = self.classes, self.network_row, self._network_rows
        old = old_rows.view(old_row)
        self._take_network_row(self._network.classes_for(encoded.known))
        new = self._network_rows.view(self.network_row)
        self._scope.move(self._network, old, new, self.classes)
        for grown in ("pending", "published_codes"):
            if grown in new:
                new[grown][..., :smaller] = old[grown]
        for kept in ("replay_codes", "replay_states"):
            if kept in new:
                new[kept][:] = old[kept]
        old_rows.remove(old_row)

    def _take_network_row(self, classes: int) -> None:
        self.classes = classes
        self._network_rows = self._networks[classes]
        self.network_row = self._network_rows.add()


def _replay_fields(network: SymbolModel) -> dict[str, ArraySpec]:
    codes, states = network.kept_windows()
    return {"replay_codes": ArraySpec(codes, "int32", -1), "replay_states": ArraySpec(states, "float32")}


def _past(row: ArrayViews) -> ReplayBuffer:
    """Return the replay buffer of a stream, or of all streams if they share it, with views of its arrays."""
    events = int(row.get("replay_events", row["events"])[0])
    return ReplayBuffer(events, row["replay_codes"], row["replay_states"])
