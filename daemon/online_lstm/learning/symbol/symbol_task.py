"""The task ``symbol``: predict the next symbol, with a vocabulary that is learned online.

The module owns one stream's vocabulary and the names of its values; it encodes events and reads forecasts. It must not
know the network, the experts or the storage of the state.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import SymbolEvaluation, SymbolEvent, SymbolPrediction
from online_lstm.learning.state.packed import require_same
from online_lstm.learning.state.vocabulary import Vocabulary, VocabularyLookup, VocabularyState
from online_lstm.learning.symbol.symbol_ensemble import MIN_PROBABILITY, Forecast, ModelBeliefs, ObservedRun
from online_lstm.settings import Settings


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """One event as the network sees it; ``known_before`` and ``known`` count the codes before and after it."""

    event: SymbolEvent
    lookup: VocabularyLookup
    known_before: int
    known: int

    @property
    def predictable_code(self) -> int:
        """The code that a prediction could have named: 0 (unknown) if the value had no code at the prediction."""
        unknown = self.lookup.admitted or self.lookup.code >= self.known_before
        return 0 if unknown else self.lookup.code


class SymbolTask:
    """Encoder and scorer of the symbols of one stream.

    Code 0 stands for unknown symbols and is never predicted. Names and codes of values follow the vocabulary event by
    event while forecasts are read, so that a prediction made before an id or a code was reassigned keeps its name.

    ``shared`` is a vocabulary that streams share, or None. A code of a shared vocabulary is never reassigned to another
    value, so a full one admits no more values, and experts know the values with a code only. ``known`` is the number of
    codes, including 0, that the pending prediction of the stream could name.
    """

    def __init__(self, settings: Settings, shared: Vocabulary | None = None) -> None:
        self.vocabulary = shared or Vocabulary(
            max_codes=settings.max_vocabulary, min_occurrences=settings.min_occurrences
        )
        self._shares = shared is not None
        self._learns = settings.learn
        self._names: dict[int, str] = {}
        self._ids = self.vocabulary.value_ids if self._shares else np.zeros(settings.max_vocabulary + 1, np.int32)
        self.known = self.vocabulary.known

    def encode(self, event: SymbolEvent) -> EncodedEvent:
        """Encode an event, and count its value in the vocabulary."""
        lookup = self._shared_lookup(event) if self._shares else self._own_lookup(event)
        known_before, self.known = self.known, self.vocabulary.known
        return EncodedEvent(event, lookup, known_before, self.known)

    def _own_lookup(self, event: SymbolEvent) -> VocabularyLookup:
        return self.vocabulary.observe(event.symbol, event.literal, admits=self._learns)

    def _shared_lookup(self, event: SymbolEvent) -> VocabularyLookup:
        """Return the integers of a value with a code, else id -1; without learning, count nothing."""
        shared = self.vocabulary
        if not self._learns:
            return shared.admitted(event.symbol) or VocabularyLookup(-1)
        lookup = shared.observe(event.symbol, event.literal, admits=not shared.full)
        return VocabularyLookup(
            lookup.value_id if lookup.code else -1, fresh=lookup.admitted, code=lookup.code, admitted=lookup.admitted
        )

    def _name(self, value_id: int) -> str:
        return self.vocabulary.literal_of(value_id) if self._shares else self._names[value_id]

    def codes(
        self, run: Sequence[EncodedEvent], probabilities: NDArray[np.float32], known: NDArray[np.int32]
    ) -> ModelBeliefs:
        """Combine rows of probabilities with the ids of their codes; learn the codes that the run admits."""
        before = self._ids.copy()
        for encoded in run:
            if encoded.lookup.admitted:
                self._ids[encoded.lookup.code] = encoded.lookup.value_id
        came = np.array([encoded.predictable_code for encoded in run], np.int32)
        return ModelBeliefs(probabilities, known, np.stack([before, self._ids]), came)

    @staticmethod
    def values(run: Sequence[EncodedEvent]) -> ObservedRun:
        """Return the values of a run by id, as experts know them."""
        sightings = [encoded.lookup for encoded in run]
        return ObservedRun(
            np.array([lookup.value_id for lookup in sightings], np.int32),
            np.array([lookup.fresh for lookup in sightings], np.bool_),
            np.array([lookup.left for lookup in sightings], np.int32),
        )

    def predictions(self, forecast: Forecast, run: Sequence[EncodedEvent]) -> list[SymbolPrediction | None]:
        """Read the forecast after each event of a run, None while nothing is known; without events, the forecast."""
        first = 1 if run else 0
        rows = zip(
            *(array[first:].tolist() for array in (forecast.top, forecast.top_probabilities)),
            *(array[first:].tolist() for array in (forecast.favourites, forecast.confidences, forecast.weights)),
            strict=True,
        )
        read: list[SymbolPrediction | None] = []
        for number, (top, probabilities, favourites, confidences, weights) in enumerate(rows):
            if run and not self._shares and (run[number].lookup.fresh or run[number].lookup.admitted):
                self._names[run[number].lookup.value_id] = run[number].event.literal
            if top[0] < 0:
                read.append(None)
                continue
            read.append(
                SymbolPrediction(
                    tuple([(self._name(v), p) for v, p in zip(top, probabilities, strict=True) if v >= 0]),
                    tuple(
                        [
                            (self._name(v) if v >= 0 else None, p, w)
                            for v, p, w in zip(favourites, confidences, weights, strict=True)
                        ]
                    ),
                )
            )
        return read

    @staticmethod
    def evaluations(
        predictions: Sequence[SymbolPrediction | None],
        hits: NDArray[np.bool_],
        forecast: Forecast,
        drifts: Sequence[bool],
    ) -> list[SymbolEvaluation | None]:
        """Score K predictions by the probabilities that they gave to the values that came."""
        given = zip(
            predictions,
            hits.tolist(),
            forecast.probability.tolist(),
            surprise_bits(forecast.probability).tolist(),
            forecast.bits.tolist(),
            drifts,
            strict=True,
        )
        return [
            None
            if prediction is None
            else SymbolEvaluation(
                prediction.literal,
                hit,
                probability,
                bits,
                tuple(expert_bits),
                confidence=prediction.probability,
                drift=drift,
            )
            for prediction, hit, probability, bits, expert_bits, drift in given
        ]

    def state(self) -> VocabularyState:
        """Return the state of the stream's own vocabulary, empty if streams share one."""
        return Vocabulary(max_codes=1, min_occurrences=1).state() if self._shares else self.vocabulary.state()

    def restore(self, state: VocabularyState) -> None:
        """Restore a state that ``state`` returned.

        Raises:
            StateMismatchError: The state is invalid for the vocabulary's bounds.
        """
        if self._shares:
            require_same("values that a stream does not share", len(state.literals), 0)
            return
        self.vocabulary.restore(state)
        self.known = self.vocabulary.known
        self._names = self.vocabulary.literals()
        for code, value_id in self.vocabulary.ids().items():
            self._ids[code] = value_id


def surprise_bits(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute -log2 of the predicted probabilities of the values that came, float64 of the same shape."""
    bits: NDArray[np.float64] = -np.log2(np.maximum(probability, MIN_PROBABILITY, dtype=np.float64))
    return bits
