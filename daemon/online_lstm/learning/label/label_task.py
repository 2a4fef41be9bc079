"""The task ``label``: predict the label of the sequence that a sample belongs to.

It names the labels, which become classes in the order of their first appearance, and turns arrays into predictions and
evaluations; it knows neither network nor sequences.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.errors import BadInputError
from online_lstm.events import Event, Label, LabelEvaluation, LabelPrediction, Symbol
from online_lstm.learning.state.packed import require_same
from online_lstm.learning.symbol.symbol_task import surprise_bits
from online_lstm.settings import Settings

NONE = -1
"""The class of a label that is not known."""


class LabelTask:
    """Name and score the labels of a partition."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.classes
        self._top = settings.top
        self._classes: dict[Symbol, int] = {}
        self._literals: list[str] = []

    @property
    def known(self) -> int:
        """How many labels there are."""
        return len(self._literals)

    def class_of(self, label: Label | None) -> int:
        """Give the class of a label, ``NONE`` for none; a new label gets the next one.

        Raises:
            BadInputError: There are as many labels already as the setting ``classes`` says.
        """
        if label is None:
            return NONE
        symbol, literal = label
        number = self._classes.get(symbol)
        if number is None:
            number = self.known
            if number == self._most:
                raise BadInputError(
                    "too_many_labels",
                    f"received the label {literal[:64]!a}, expected one of {self._most} that came before: the setting "
                    "classes, which is part of the model, says how many there are",
                )
            self._classes[symbol] = number
            self._literals.append(literal)
        return number

    @staticmethod
    def samples(events: Sequence[Event]) -> NDArray[np.float64]:
        """Give the numbers of K samples, (K, features), NaN for one that is missing."""
        return np.array([event.vector for event in events], np.float64)

    def predictions(
        self, numbers: Sequence[int], probabilities: NDArray[np.float32], possible: NDArray[np.bool_]
    ) -> list[LabelPrediction]:
        """Read K lines of probabilities, (K, classes), of which some are ``possible``; ``numbers`` count the samples.

        Of labels that are equally likely the one that was there first comes first.
        """
        most = min(self._top, int(possible.sum()))
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :most]
        given = np.take_along_axis(probabilities, order, axis=1)
        literals = self._literals
        return [
            LabelPrediction(number, tuple([(literals[c], p) for c, p in zip(classes, line, strict=True)]))
            for number, classes, line in zip(numbers, order.tolist(), given.tolist(), strict=True)
        ]

    def evaluation(
        self, label: int, predicted: int, probabilities: NDArray[np.float32], *, samples: int, stable_since_sample: int
    ) -> LabelEvaluation:
        """Judge what was predicted after the last sample, where the labels had been given ``probabilities``."""
        probability = probabilities[label]
        return LabelEvaluation(
            label=self._literals[label],
            predicted=self._literals[predicted],
            hit=label == predicted,
            probability=float(probability),
            surprise_bits=float(surprise_bits(np.array(probability))),
            samples=samples,
            stable_since_sample=stable_since_sample,
            confidence=float(probabilities[predicted]),
        )

    def state(self) -> list[str]:
        """Give the labels as JSON text, in the order of their classes."""
        return list(self._literals)

    def restore(self, literals: list[str]) -> None:
        """Take over what ``state`` gave.

        Raises:
            StateMismatchError: There is one twice, or more than the settings have room for.
        """
        found: dict[Any, int] = {json.loads(literal): number for number, literal in enumerate(literals)}
        require_same("number of different labels", len(found), len(literals))
        require_same(f"room for all labels in `classes` {self._most}", len(literals) <= self._most, expected=True)
        self._classes, self._literals = found, list(literals)
