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

    ``shared`` is a vocabulary that streams share, or None. With it, the codes are the codes of the shared vocabulary:
    it admits values, and the stream's vocabulary follows. A shared code is never reassigned to another value, so a
    full shared vocabulary admits no more values.
    """

    def __init__(self, settings: Settings, shared: Vocabulary | None = None) -> None:
        min_occurrences = settings.min_occurrences if shared is None else 1
        self.vocabulary = Vocabulary(max_codes=settings.max_vocabulary, min_occurrences=min_occurrences)
        self._shared = shared
        self._learns = settings.learn
        self._names: dict[int, str] = {}
        self._ids = np.zeros(settings.max_vocabulary + 1, np.int32)  # by code

    @property
    def known(self) -> int:
        """The number of known codes, including 0."""
        return self.vocabulary.known

    def encode(self, event: SymbolEvent) -> EncodedEvent:
        """Encode an event, and count its value in the vocabulary."""
        known_before, admits = self.vocabulary.known, self._learns
        if self._shared is not None:
            self._adopt(self._shared)
            if self._learns:
                admits = self._shared.observe(event.symbol, event.literal, admits=not self._shared.full).admitted
        lookup = self.vocabulary.observe(event.symbol, event.literal, admits=admits)
        return EncodedEvent(event, lookup, known_before, self.vocabulary.known)

    def _adopt(self, shared: Vocabulary) -> None:
        """Adopt the values that other streams admitted since the last event; the prediction after it has been read."""
        for code in range(self.vocabulary.known, shared.known):
            literal = shared.literal_of(code)
            self._ids[code] = value_id = self.vocabulary.adopt(literal)
            self._names[value_id] = literal

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
            np.array([lookup.adopted for lookup in sightings], np.bool_),
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
            if run and (run[number].lookup.fresh or run[number].lookup.admitted):
                self._names[run[number].lookup.value_id] = run[number].event.literal
            names = self._names
            if top[0] < 0:
                read.append(None)
                continue
            read.append(
                SymbolPrediction(
                    tuple([(names[v], p) for v, p in zip(top, probabilities, strict=True) if v >= 0]),
                    tuple(
                        [
                            (names[v] if v >= 0 else None, p, w)
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
        """Return the state of the vocabulary."""
        return self.vocabulary.state()

    def restore(self, state: VocabularyState) -> None:
        """Restore a state that ``state`` returned.

        Raises:
            StateMismatchError: The state is invalid for the vocabulary's bounds, or differs from the shared codes.
        """
        self.vocabulary.restore(state)
        if self._shared is not None:
            require_same("vocabulary: codes known", min(self.known, self._shared.known), self.known)
            for code in range(1, self.known):
                received, expected = self.vocabulary.literal_of(code), self._shared.literal_of(code)
                require_same(f"vocabulary: value of code {code}", received, expected)
        self._names = self.vocabulary.literals()
        for code, value_id in self.vocabulary.ids().items():
            self._ids[code] = value_id


def surprise_bits(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute -log2 of the predicted probabilities of the values that came, float64 of the same shape."""
    bits: NDArray[np.float64] = -np.log2(np.maximum(probability, MIN_PROBABILITY, dtype=np.float64))
    return bits
