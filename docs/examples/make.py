"""Makes the input of the examples in `docs`; run in this directory, it writes the same files again."""

import csv
import json
from itertools import cycle, islice
from pathlib import Path

from sequences import Labelled, gestures, lines_of, runs

PERIOD = [*[4] * 6, 8, *[4] * 5, 8, *[4] * 6, 8, *[4] * 6, 28]
"""The sequence of the question "Keras LSTM online learning": runs of 4, each third one longer, up to a 28."""
WINDOW = 129
GOING = 5
"""So many gestures go on at a time."""
PRINTED = (7, 24, 25, 0, 1, 2, 3, 4, 5, 7)
"""Where in the period the ten windows begin that the question prints."""


def online_loop(path: Path) -> None:
    """Write the ten windows that the question prints."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["window", "value"])
        for number, first in enumerate(PRINTED, 1):
            values = islice(cycle(PERIOD), first, first + WINDOW)
            writer.writerows((number, value) for value in values)


def by_position(path: Path) -> None:
    """Write the sequence 0, 1, 0, 2 again and again: the same value with another one after it, by its position."""
    lines = [{"value": 0}, {"value": 1}, {"value": 0}, {"value": 2, "end": True}] * 300
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def labelled_runs(path: Path) -> None:
    """Write runs of a machine, one after another, each with its label at the end."""
    path.write_text("".join(line + "\n" for line in lines_of(runs(0, 400))))


def labelled_gestures(path: Path) -> None:
    """Write gestures of which several go on at a time: a row a sample, told apart by the column ``gesture``."""
    waiting = list(enumerate(gestures(0, 260), 1))
    going: list[tuple[int, Labelled, int]] = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["gesture", "x", "y", "z", "kind"])
        while waiting or going:
            if waiting and len(going) < GOING:
                number, gesture = waiting.pop(0)
                going.append((number, gesture, 0))
            number, (samples, label), place = going.pop(0)
            writer.writerow([number, *samples[place], label])
            if place + 1 < len(samples):
                going.append((number, Labelled(samples, label), place + 1))


def late_labels(path: Path) -> None:
    """Write runs of which one gets its label when the next one has begun."""
    lines = [
        {"value": [1, 20], "label": "cold", "end": True},
        {"value": [1, 30], "label": "warm", "end": True},
        {"value": [1, 21]},
        {"value": [1, 22], "end": True},
        {"value": [1, 31]},
        {"label": "cold"},
        {"value": [1, 32], "label": "warm", "end": True},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    online_loop(Path("online-loop.csv"))
    by_position(Path("by-position.jsonl"))
    labelled_runs(Path("runs.jsonl"))
    labelled_gestures(Path("gestures.csv"))
    late_labels(Path("late.jsonl"))
