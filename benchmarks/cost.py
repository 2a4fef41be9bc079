"""What a value costs, as a ratio to a C program of the same recipe, measured by turns in one run.

The program is not part of this project: `make cost REFERENCE=lstm.c` compiles one whose function is

    int run(const int *codes, const int *known, int n, const float *settings, int seed, float *out, int *steps)

with the 26 settings of ``SETTINGS``, for n codes of the counting loop. The least of many turns of each is taken, since
others use the machine too.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from online_lstm.devtools.sample_data import DEMO_PERIOD, demo_stream
from online_lstm.evaluation.speed import machine
from online_lstm.events import InputRecord, TopicPartition
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.network import SymbolModel
from online_lstm.learning.partition import Partition, initial_metadata, learning_settings, next_metadata
from online_lstm.settings import Settings, read_settings
from rich.console import Console
from rich.table import Column, Table

SETTINGS = (
    *("cells", "classes", "window", "learning_rate", "beta_1", "beta_2", "epsilon", "clip_norm", "decay", "optimizer"),
    *("retry_steps", "retry_budget", "replayed", "replay_buffer_size", "replay_window", "lr_gate_loss", "forget_bias"),
    *("smoothing", "retry_refill", "least_rate", "recurrent_scale", "steps", "confidence", "replay_power", "burn_in"),
    "replay_once",
)
CFLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")
TURNS = 60
WARM_UP = 2048
A_TURN = 256
"""Values of ours in a turn; the C program begins anew each time, with so many codes."""

Timed = Callable[[], float]
"""Takes a turn and gives the seconds of a value."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is measured against the reference with the same settings, and what is expected of the ratio."""

    what: str
    preset: str
    most: float
    whole: bool = False


TARGETS = (
    Target("LSTM alone", "default", 1.2),
    Target("all experts, from records to outputs", "default", 1.6, whole=True),
    Target("preset plain, LSTM alone", "plain", 3.0),
)


def reference(library: ctypes.CDLL, settings: Settings) -> Timed:
    """Give the turns of the C program."""
    codes = np.resize(np.unique(DEMO_PERIOD, return_inverse=True)[1] + 1, A_TURN + settings.window).astype(np.int32)
    given = {
        "cells": int(settings.network[0].split()[1]),
        "classes": 16,
        "retry_steps": settings.retry_steps,
        "replayed": float(settings.replay_buffer_size > 0),
        "replay_window": settings.window,
        "forget_bias": 1,
        "recurrent_scale": 1,
        "steps": 1,
        "replay_power": 2,
        "replay_once": 1,
    }
    fields = np.array([given.get(name, getattr(settings, name, 0.0)) for name in SETTINGS], np.float32)
    known = np.full(len(codes), 4, np.int32)
    out, steps = np.zeros((len(codes), 16), np.float32), np.zeros(len(codes), np.int32)
    arrays = [array.ctypes.data_as(ctypes.c_void_p) for array in (codes, known, fields, out, steps)]

    def turn() -> float:
        started = time.perf_counter()
        library.run(arrays[0], arrays[1], len(codes), arrays[2], 0, arrays[3], arrays[4])
        # the first windows are not full
        return (time.perf_counter() - started) / (int(steps.sum()) - settings.window / 2)

    return turn


def engine(settings: Settings) -> Timed:
    """Give the turns of the network alone, as many values a call as it carries."""
    network = model_factory(settings)(learning_settings(settings))
    assert isinstance(network, SymbolModel)
    period, classes = (np.unique(DEMO_PERIOD, return_inverse=True)[1] + 1).astype(np.int32), 4
    codes = np.resize(period, 27 * network.events + settings.window)
    known = np.full(network.events + 1, classes, np.int32)
    state, past, place = network.initial(classes), network.no_past(), 0

    def turn() -> float:
        nonlocal state, past, place
        started = time.perf_counter()
        for _ in range(A_TURN // network.events):
            run = network.run(state, codes[place : place + settings.window + network.events], known, past)
            past.keep(run.windows, run.edges)
            past = replace(past, events=past.events + network.events)
            state, place = run.state, (place + network.events) % (26 * network.events)
        return (time.perf_counter() - started) / A_TURN

    return turn


def partition(settings: Settings) -> Timed:
    """Give the turns from records to outputs."""
    source = TopicPartition("numbers", 0)
    learners = Partition(
        settings, source, next_metadata(settings, source, 0, initial_metadata(1)), model_factory(settings)
    )
    values = enumerate(demo_stream(0))

    def turn() -> float:
        records = [
            InputRecord(source.topic, 0, offset, 0, None, value)
            for (offset, value), _ in zip(values, range(A_TURN), strict=False)
        ]
        started = time.perf_counter()
        learners.process(records)
        return (time.perf_counter() - started) / A_TURN

    return turn


def main() -> int:
    """Measure all targets; exit code 1 if one is not reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("reference", type=Path, metavar="REFERENCE.c")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "reference.so"
        subprocess.run(["cc", *CFLAGS, "-o", compiled, arguments.reference, "-lm"], check=True)
        library = ctypes.CDLL(str(compiled))
    found = [measure(library, target) for target in TARGETS]
    table = Table("what", *(Column(title, justify="right") for title in ("C, ms", "ours, ms", "ratio", "at most")), "")
    for target, (theirs, ours) in zip(TARGETS, found, strict=True):
        reached = "reached" if ours / theirs <= target.most else "not reached"
        figures = (f"{1000 * theirs:.3f}", f"{1000 * ours:.3f}", f"{ours / theirs:.2f}", f"{target.most:.1f}")
        table.add_row(target.what, *figures, reached)
    Console().print(table)
    if arguments.json:
        ratios = [
            {"what": t.what, "ratio": ours / theirs, "most": t.most}
            for t, (theirs, ours) in zip(TARGETS, found, strict=True)
        ]
        arguments.json.write_text(json.dumps({"figures": ratios, "machine": machine()}, indent=2))
    return int(any(ours / theirs > target.most for target, (theirs, ours) in zip(TARGETS, found, strict=True)))


def measure(library: ctypes.CDLL, target: Target) -> tuple[float, float]:
    """Give the least seconds of a value, of the reference and ours."""
    settings = read_settings({"preset": target.preset})
    turns = reference(library, settings), (partition if target.whole else engine)(settings)
    for _ in range(WARM_UP // A_TURN):
        turns[1]()
    both = [[turn() for turn in turns] for _ in range(TURNS)]
    theirs, ours = map(min, zip(*both, strict=True))
    return theirs, ours


if __name__ == "__main__":
    sys.exit(main())
