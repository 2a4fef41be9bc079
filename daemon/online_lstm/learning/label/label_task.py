"""The task ``label``: predict the label of the sequence that a sample belongs to.

It maps labels to classes, in the order of their first appearance, and converts arrays to predictions and evaluations.
It knows neither network nor sequences.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.errors import BadInputError
from online_lstm.events import Label, LabelEvaluation, LabelEvent, LabelPrediction, Symbol
from online_lstm.learning.state.packed import require_same
from online_lstm.learning.symbol.symbol_task import surprise_bits
from online_lstm.settings import Settings

NONE = -1
"""The class of an unknown label."""


class LabelTask:
    """The classes and the scorer of the labels of a partition."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.classes
        self._top = settings.top_k
        self._classes: dict[Symbol, int] = {}
        self._literals: list[str] = []

    @property
    def known(self) -> int:
        """The number of known labels."""
        return len(self._literals)

    def class_of(self, label: Label | None) -> int:
        """Return the class of a label, ``NONE`` for no label; a new label gets the next free class.

        Raises:
            BadInputError: The label is new, and the number of known labels has reached the setting ``classes``.
        """
        if label is None:
            return NONE
        symbol, literal = label
        number = self._classes.get(symbol)
        if number is None:
            number = self.known
            if number == self._limit:
                raise BadInputError(
                    "too_many_labels",
                    f"received the label {literal[:64]!a}, expected one of {self._limit} known labels: the setting "
                    "classes, which is part of the model, limits their number",
                )
            self._classes[symbol] = number
            self._literals.append(literal)
        return number

    @staticmethod
    def samples(events: Sequence[LabelEvent]) -> NDArray[np.float64]:
        """Return the features of K samples, float64 (K, features), NaN for a missing number."""
        return np.array([event.vector for event in events], np.float64)

    def predictions(
        self, numbers: Sequence[int], probabilities: NDArray[np.float32], possible: NDArray[np.bool_]
    ) -> list[LabelPrediction]:
        """Return the predictions after K samples; equally likely labels are in the order of their first appearance.

        Args:
            numbers: The numbers of the samples in their sequences.
            probabilities: Float32 (K, classes).
            possible: Which classes may be predicted, bool (classes,).
        """
        count = min(self._top, int(possible.sum()))
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
        likeliest = np.take_along_axis(probabilities, order, axis=1)
        literals = self._literals
        return [
            LabelPrediction(number, tuple([(literals[c], p) for c, p in zip(classes, row, strict=True)]))
            for number, classes, row in zip(numbers, order.tolist(), likeliest.tolist(), strict=True)
        ]

    def evaluation(
        self, label: int, predicted: int, probabilities: NDArray[np.float32], *, samples: int, stable_since_sample: int
    ) -> LabelEvaluation:
        """Return the evaluation of the prediction after the last sample, with its ``probabilities`` of all labels."""
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
        """Return the labels as JSON literals, in the order of their classes."""
        return list(self._literals)

    def restore(self, literals: list[str]) -> None:
        """Restore the labels from the result of ``state``.

        Raises:
            StateMismatchError: A label occurs twice, or there are more labels than the setting ``classes``.
        """
        classes: dict[Any, int] = {json.loads(literal): number for number, literal in enumerate(literals)}
        require_same("number of different labels", len(classes), len(literals))
        require_same(f"room for all labels in `classes` {self._limit}", len(literals) <= self._limit, expected=True)
        self._classes, self._literals = classes, list(literals)
