"""The task ``symbol``: predict the next symbol of a vocabulary that is found while running.

It owns one stream's vocabulary and the names of its values, encodes events and reads forecasts; it knows neither
network nor experts, nor where anything is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import Event, SymbolEvaluation, SymbolPrediction
from online_lstm.learning.state.packed import require_same
from online_lstm.learning.state.vocabulary import Vocabulary, VocabularyLookup
from online_lstm.learning.symbol.symbol_ensemble import MIN_PROBABILITY, Forecast, ModelBeliefs, ObservedRun
from online_lstm.settings import Settings


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """One event as the network sees it; ``known_before`` and ``known`` count the codes before and after it."""

    event: Event
    lookup: VocabularyLookup
    known_before: int
    known: int

    @property
    def predictable_code(self) -> int:
        """The code that a prediction could have named: 0, unknown, for a value that had none when it was made."""
        unknown = self.lookup.admitted or self.lookup.code >= self.known_before
        return 0 if unknown else self.lookup.code


class SymbolTask:
    """Encode and score the symbols of one stream.

    Code 0 is "unknown" and is never predicted. Names and codes of values follow the vocabulary event by event as
    forecasts are read, so that a prediction made before an id or a code changed hands keeps its name.

    With a ``book`` the codes are those of all streams that share it: it admits, the vocabulary follows. A code of the
    book is never another value's, so a full one admits no more.
    """

    def __init__(self, settings: Settings, book: Vocabulary | None = None) -> None:
        min_occurrences = settings.min_occurrences if book is None else 1
        self.vocabulary = Vocabulary(max_codes=settings.max_vocabulary, min_occurrences=min_occurrences)
        self._book = book
        self._learns = settings.learn
        self._names: dict[int, str] = {}
        self._ids = np.zeros(settings.max_vocabulary + 1, np.int32)  # by code

    @property
    def known(self) -> int:
        """How many codes there are, with 0."""
        return self.vocabulary.known

    def encode(self, event: Event) -> EncodedEvent:
        """See an event's value."""
        known_before, admits = self.vocabulary.known, self._learns
        if self._book is not None:
            self._adopt(self._book)
            if self._learns:
                admits = self._book.observe(event.symbol, event.literal, admits=not self._book.full).admitted
        lookup = self.vocabulary.observe(event.symbol, event.literal, admits=admits)
        return EncodedEvent(event, lookup, known_before, self.vocabulary.known)

    def _adopt(self, book: Vocabulary) -> None:
        """Take over what other streams brought since the last event; what was predicted after that has been read."""
        for code in range(self.vocabulary.known, book.known):
            literal = book.literal_of(code)
            self._ids[code] = value_id = self.vocabulary.adopt(literal)
            self._names[value_id] = literal

    def codes(
        self, run: Sequence[EncodedEvent], probabilities: NDArray[np.float32], known: NDArray[np.int32]
    ) -> ModelBeliefs:
        """Say what the rows of probabilities are about; the codes that the run admits are known from now on."""
        before = self._ids.copy()
        for encoded in run:
            if encoded.lookup.admitted:
                self._ids[encoded.lookup.code] = encoded.lookup.value_id
        came = np.array([encoded.predictable_code for encoded in run], np.int32)
        return ModelBeliefs(probabilities, known, np.stack([before, self._ids]), came)

    @staticmethod
    def values(run: Sequence[EncodedEvent]) -> ObservedRun:
        """Give the values of a run as experts know them."""
        sightings = [encoded.lookup for encoded in run]
        return ObservedRun(
            np.array([lookup.value_id for lookup in sightings], np.int32),
            np.array([lookup.fresh for lookup in sightings], np.bool_),
            np.array([lookup.left for lookup in sightings], np.int32),
            np.array([lookup.adopted for lookup in sightings], np.bool_),
        )

    def predictions(self, forecast: Forecast, run: Sequence[EncodedEvent]) -> list[SymbolPrediction | None]:
        """Read what is forecast after each event of a run, None while nothing is known; without events, before it."""
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
        """Judge K predictions by the probability that had been given to the values that came."""
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

    def state(self) -> dict[str, Any]:
        """Give the vocabulary as plain data."""
        return self.vocabulary.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` gave.

        Raises:
            StateMismatchError: It is none of a vocabulary with these bounds, or its codes are not those of the book.
        """
        self.vocabulary.restore(state)
        if self._book is not None:
            require_same("vocabulary: codes known", min(self.known, self._book.known), self.known)
            for code in range(1, self.known):
                received, expected = self.vocabulary.literal_of(code), self._book.literal_of(code)
                require_same(f"vocabulary: value of code {code}", received, expected)
        self._names = self.vocabulary.literals()
        for code, value_id in self.vocabulary.ids().items():
            self._ids[code] = value_id


def surprise_bits(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give -log2 of what had been given to the values that came, float64 of the same shape."""
    bits: NDArray[np.float64] = -np.log2(np.maximum(probability, MIN_PROBABILITY, dtype=np.float64))
    return bits
