"""The task ``symbol``: predict the next symbol of a vocabulary that is found while running.

It owns one stream's vocabulary and the names of its codes, encodes events and reads probability rows; it knows
neither the network nor where anything is stored.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.records import Event, Prediction, Verdict
from daemon.settings import Settings
from daemon.vocabulary import Sighting, Vocabulary

_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class Encoded:
    """One event as the network sees it; ``known_before`` and ``known`` count the codes before and after it."""

    event: Event
    sighting: Sighting
    known_before: int
    known: int

    @property
    def predictable_code(self) -> int:
        """The code that a prediction could have named: 0, unknown, for a value admitted just now."""
        return 0 if self.sighting.admitted else self.sighting.code


class SymbolTask:
    """Encode and score the symbols of one stream.

    Code 0 is "unknown" and is never predicted. ``names`` follows the vocabulary only when told to (``name``), so
    that predictions made before a code changed hands keep their names.
    """

    def __init__(self, settings: Settings) -> None:
        self._top = settings.top
        self.vocabulary = Vocabulary(max_codes=settings.max_vocabulary, admit_after=settings.admit_after)
        self._names: dict[int, str] = {}

    @property
    def known(self) -> int:
        """How many codes there are, with 0."""
        return self.vocabulary.known

    def encode(self, event: Event) -> Encoded:
        """See an event's value."""
        known_before = self.vocabulary.known
        sighting = self.vocabulary.observe(event.symbol, event.literal)
        return Encoded(event, sighting, known_before, self.vocabulary.known)

    def name(self, encoded: Encoded) -> None:
        """Let a code that was admitted with this event be known by its name."""
        self._names[encoded.sighting.code] = encoded.event.literal

    def predictions(self, probabilities: NDArray[np.float32], known: NDArray[np.int32]) -> list[Prediction | None]:
        """Read rows of probabilities, shape ``(N, classes)``; row i speaks of the codes below ``known[i]``.

        Equal probabilities keep the order of admission. None where no symbol is known yet.
        """
        order = np.argsort(-probabilities[:, 1:], axis=1, kind="stable")[:, : self._top] + 1
        best = np.take_along_axis(probabilities, order, axis=1)
        return [
            Prediction(
                tuple((self._names[code], p) for code, p in zip(codes, row, strict=True) if code < limit),
                codes[0],
            )
            if limit > 1
            else None
            for codes, row, limit in zip(order.tolist(), best.tolist(), known.tolist(), strict=True)
        ]

    @staticmethod
    def verdict(prediction: Prediction, encoded: Encoded, probabilities: NDArray[np.float32]) -> Verdict:
        """Judge a prediction by the value that came; ``probabilities`` is the row it was read from."""
        probability = float(probabilities[encoded.predictable_code])
        return Verdict(
            predicted=prediction.literal,
            hit=prediction.code == encoded.predictable_code,
            probability=probability,
            surprise_bits=-math.log2(max(probability, _LEAST_PROBABILITY)),
        )

    def state(self) -> dict[str, Any]:
        """Give the vocabulary as plain data."""
        return self.vocabulary.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` gave."""
        self.vocabulary.restore(state)
        self._names = {code: self.vocabulary.literal_of_code(code) for code in range(1, self.known)}
