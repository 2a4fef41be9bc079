"""A network, settings, files and a disk that take no time, for tests of how they are used."""

import hashlib
import pickle
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from online_lstm.checkpoint import store
from online_lstm.errors import CheckpointDamagedError
from online_lstm.learning.network import LearningSettings, ModelShape, SymbolModel, SymbolRun

from support import fakes


class ToyNetwork(SymbolModel):
    """Its state is a number that depends on every event, their order, and how it learns; so do its predictions."""

    def run(self, state: Any, codes: Any, known: Any, past: Any) -> SymbolRun:  # noqa: ARG002
        count, classes, learning = len(known) - 1, self._layout_of(state).classes, self._learning
        rate = round(1e6 * learning.learning_rate)
        number, probabilities = int(state[0]), np.zeros((count + 1, classes), np.float32)
        for k, code in enumerate([*codes[len(codes) - count :], None]):
            probabilities[k, : known[k]] = 0.5 / known[k]
            probabilities[k, number % known[k]] += 0.5
            if code is not None and learning.learn:
                number = (31 * number + int(code) + rate) % 65_521  # a float32 holds it
        after = state.copy()
        after[0] = number
        return SymbolRun(
            state=after,
            probabilities=probabilities,
            fit_steps=np.full(count, learning.learn, np.int32),
            skipped_steps=np.zeros(count, np.int32),
            losses=np.zeros(count, np.float32),
            windows=np.zeros((count, 9), np.int32),
            edges=np.zeros((count, 8), np.float32),
        )


@cache
def toy_network(learning: LearningSettings) -> SymbolModel:
    return ToyNetwork(ModelShape(layers=("lstm 4",), window=8, stateful=True, seed=0), learning)


def pack(state: Mapping[str, Any], _: Mapping[str, str]) -> bytes:
    content = pickle.dumps(state)
    return hashlib.sha256(content).digest() + content


def unpack(data: bytes, name: str) -> dict[str, Any]:
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        raise CheckpointDamagedError(f"{name}: damaged")
    state: dict[str, Any] = pickle.loads(data[32:])
    return state


def replace_by_toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "small_network", toy_network)
    monkeypatch.setattr(fakes, "small_settings", cache(fakes.small_settings))
    monkeypatch.setattr(store, "pack", pack)
    monkeypatch.setattr(store, "unpack", unpack)
    monkeypatch.setattr("os.fsync", lambda _: None)
