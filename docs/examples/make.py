"""Makes the input of the examples in `docs`; run in this directory, it writes the same files again."""

import csv
import json
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path

from sequences import Labelled, gestures, lines_of, runs

PERIOD = [*[4] * 6, 8, *[4] * 5, 8, *[4] * 6, 8, *[4] * 6, 28]
"""The sequence of the question "Keras LSTM online learning": runs of 4, each third one longer, up to a 28."""
WINDOW = 129
CYCLE = ["load", "heat", "heat", "press", "cool", "cool", "unload"]
"""What a machine does with each piece; after every third one it is cleaned, and one pressing in fifteen jams."""
GOING = 5
"""So many gestures, or sessions, go on at a time."""
LOOP = [3, 1, 1, 2, 3, 4, 1, 2, 5, 1, 4, 6]
"""What sessions are pieces of."""
SESSIONS, SESSION = 60, 40
"""How many there are, and how many values each has."""
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


def machine(path: Path) -> None:
    """Write the states of a machine, a JSON text a line."""
    chance = random.Random("machine")
    states: list[str] = []
    for piece in range(1, 85):
        jammed = chance.random() < 1 / 15
        states += ["jam" if jammed and state == "press" else state for state in CYCLE]
        states += ["clean"] if piece % 3 == 0 else []
    path.write_text("".join(json.dumps(state) + "\n" for state in states))


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


def visitors(path: Path) -> None:
    """Write the visitors of a shop by the hour, ten weeks from a Monday on: days, weekends, and some luck."""
    chance = random.Random("visitors")
    first = datetime(2026, 3, 2, tzinfo=UTC)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time", "visitors"])
        for hour in range(10 * 7 * 24):
            time = first + timedelta(hours=hour)
            open_today = 0.4 if time.weekday() == 6 else 1.5 if time.weekday() == 5 else 1.0
            usual = 20 + 180 * open_today * max(0.0, math.sin(math.pi * (time.hour - 7) / 14))
            writer.writerow([f"{time:%Y-%m-%dT%H:%M}", max(0, round(usual * (1 + 0.1 * chance.gauss(0, 1))))])


def pump(path: Path) -> None:
    """Write what a pump's sensors say: the flow follows the pressure a step later; one value in eight is missing."""
    chance = random.Random("pump")
    pressure, before, temperature = 3.0, 3.0, 70.0
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pressure", "temperature", "flow"])
        for _ in range(1500):
            before, pressure = pressure, 3 + 0.5 * (pressure - 3) + 0.4 * chance.gauss(0, 1)
            temperature += 0.3 * (70 - temperature) + 0.5 * chance.gauss(0, 1)
            flow = 120 * before + 4 * chance.gauss(0, 1)
            cells = [f"{pressure:.3f}", f"{temperature:.1f}", f"{flow:.0f}"]
            writer.writerow(["" if chance.random() < 1 / 8 else cell for cell in cells])


def short_sessions(path: Path) -> None:
    """Write sessions of which a few go on at a time, each a short piece of the same loop, from anywhere on."""
    chance = random.Random(11)
    waiting = [(number, chance.randrange(len(LOOP))) for number in range(1, SESSIONS + 1)]
    going: list[tuple[int, Iterator[int]]] = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["session", "value"])
        while waiting or going:
            while waiting and len(going) < GOING:
                number, first = waiting.pop(0)
                going.append((number, islice(cycle(LOOP), first, first + SESSION)))
            number, values = going[chance.randrange(len(going))]
            value = next(values, None)
            if value is None:
                going = [one for one in going if one[0] != number]
            else:
                writer.writerow([number, value])


if __name__ == "__main__":
    online_loop(Path("online-loop.csv"))
    machine(Path("machine.txt"))
    by_position(Path("by-position.jsonl"))
    labelled_runs(Path("runs.jsonl"))
    labelled_gestures(Path("gestures.csv"))
    late_labels(Path("late.jsonl"))
    short_sessions(Path("short-sessions.csv"))
    visitors(Path("visitors.csv"))
    pump(Path("pump.csv"))
