"""Sequences with labels, for the examples and for tests.

Of two kinds: as in the question "Stateful LSTM and stream predictions" (seven samples of three numbers, and one of two
labels), and as in the one about Keras and sequences of varying length (13 labels).
"""

import json
import math
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

LABELS = 13
LENGTHS = range(5, 46)


class Labelled(NamedTuple):
    """One sequence: its samples and its label."""

    samples: list[list[float]]
    label: object


def runs(seed: int, count: int) -> Iterator[Labelled]:
    """Give runs of a machine: pressure, temperature and load at seven moments, and whether it failed (1) or not (0).

    In a run that fails the temperature rises, in another one it falls; where it begins says nothing, nor does the load.
    """
    chance = random.Random(f"runs {seed}")
    for _ in range(count):
        failed = chance.randrange(2)
        begin, slope = chance.gauss(70, 8), 1.5 if failed else -1.5
        samples = [
            [
                round(chance.gauss(1, 0.2), 3),
                round(begin + slope * moment + chance.gauss(0, 1), 2),
                round(chance.uniform(0, 2000)),
            ]
            for moment in range(7)
        ]
        yield Labelled(samples, failed)


def gestures(seed: int, count: int) -> Iterator[Labelled]:
    """Give 13 movements of three coordinates, each drawn with a pace, a beginning and a length of its own."""
    chance = random.Random(f"gestures {seed}")
    forms = [
        [(chance.uniform(-1, 1), chance.uniform(0.5, 1.5), chance.uniform(0, 2 * math.pi)) for _ in range(3)]
        for _ in range(LABELS)
    ]
    for _ in range(count):
        label = chance.randrange(LABELS)
        pace, length = chance.uniform(0.25, 0.35), chance.choice(LENGTHS)
        samples = [
            [
                round(level + size * math.sin(pace * moment + phase) + chance.gauss(0, 0.1), 3)
                for level, size, phase in forms[label]
            ]
            for moment in range(length)
        ]
        yield Labelled(samples, f"gesture {label}")


def lines_of(sequences: Iterable[Labelled]) -> Iterator[str]:
    """Give sequences as messages, the label with the last sample of each."""
    for samples, label in sequences:
        for number, sample in enumerate(samples, 1):
            last = {"label": label, "end": True} if number == len(samples) else {}
            yield json.dumps({"value": sample, **last})
