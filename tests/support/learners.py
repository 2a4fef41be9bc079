"""Small learners of the Python API, one for each task and form of weights, and inputs for them."""

import json
import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from online_lstm import Learner
from online_lstm.checkpoint.hdf5 import digest_of

from support.fakes import LABELS, NUMBERS, SMALL

MODEL: dict[str, Any] = {name: value for name, value in SMALL.items() if name != "checkpoint_interval_s"}
TASKS: dict[str, dict[str, Any]] = {
    "symbol": MODEL,
    "symbol-shared": {**MODEL, "model_scope": "partition"},
    "number": {**MODEL, **NUMBERS},
    "number-shared": {**MODEL, **NUMBERS, "model_scope": "partition"},
    "number-plain": {**MODEL, "task": "number", "lookback": 256, "experts": "lstm"},
    "label": {**MODEL, **LABELS},
}
Arguments = dict[str, Any]
"""The arguments of ``learn_one``."""


def symbols(count: int) -> list[Arguments]:
    values = ["on", 4, "off", 8.5, "on", "on"]
    return [
        {"value": values[index % (3 + index // 12) % 6], "key": ("a", None, "b")[index % 3], "end": index % 17 == 16}
        for index in range(count)
    ]


def numbers(count: int) -> list[Arguments]:
    return [
        {
            "value": [None if index % 7 == 3 else 10 + 3 * math.sin(index / 4), 1000.0 * (index % 5)],
            "key": ("a", "b")[index % 2],
            "time": 1_000_000 + 60_000 * index,
            "end": index == 23,
        }
        for index in range(count)
    ]


def plain_numbers(count: int) -> list[Arguments]:
    return [{"value": float(index % 6)} for index in range(count)]


def labels(count: int) -> list[Arguments]:
    """Sequences of three samples under two keys: the label comes with the last sample, or alone and late."""
    given: list[Arguments] = []
    for index in range(2 * count):
        number, sample = divmod(index, 4)
        key, label = ("a", "b")[number % 2], "two" if number % 3 else 1
        vector = [math.sin(index) + number % 3, None if sample == 1 else 1.0]
        if sample < 2:
            given.append({"value": vector, "key": key})
        elif sample == 2:
            given.append({"value": vector, "key": key, "end": True, "label": None if number % 4 else label})
        elif number % 4:
            given.append({"value": None, "key": key, "label": label})
    return given[:count]


INPUTS = {
    "symbol": symbols,
    "symbol-shared": symbols,
    "number": numbers,
    "number-shared": numbers,
    "number-plain": plain_numbers,
    "label": labels,
}


def learn(learner: Learner[Any, Any], inputs: Sequence[Arguments]) -> list[Any]:
    return [learner.learn_one(**arguments) for arguments in inputs]


def content(learner: Learner[Any, Any]) -> str:
    """Return a digest of everything that was learned."""
    return digest_of(learner._partition.state().to_arrays())


def json_of(arguments: Arguments) -> bytes:
    """Return the record value that has the same meaning as the arguments of ``learn_one``."""
    value, label = arguments["value"], arguments.get("label")
    message = {"value": value, "end": arguments.get("end", False), "label": label}
    return json.dumps({name: part for name, part in message.items() if name != "value" or value is not None}).encode()


def key_of(arguments: Arguments) -> bytes | None:
    """Return the key of a record with these arguments."""
    key: str | None = arguments.get("key")
    return None if key is None else key.encode()


def learned_of(learner: Learner[Any, Any]) -> str:
    """Return a digest of what was learned, without the digest of the outputs, which a learner does not make."""
    return digest_of(learner._partition.state().learned.to_arrays())


def assert_same(message: Any, result: Any, name: str = "") -> None:
    """Compare a message with a result; messages have fewer digits of rates and weights."""
    if is_dataclass(result):
        for field in fields(result):
            assert_same(message[field.name], getattr(result, field.name), field.name)
    elif isinstance(result, dict):
        assert list(message) == list(result)
        for key, part in result.items():
            assert_same(message[key], part, name)
    elif isinstance(result, tuple):
        assert len(message) == len(result)
        for part, other in zip(message, result, strict=True):
            assert_same(part, other, name)
    elif isinstance(result, float):
        digits = 4 if name in {"surprise_bits", "experts"} else 6
        assert message in (result, round(result, digits), round(result, 6)), name
    else:
        assert (message, type(message)) == (result, type(result)), name
