"""Streams that nothing can be learned from, or that are beyond all measure: what is said stays finite and bounded."""

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import NetworkFactory, Partition, initial_metadata, next_metadata
from online_lstm.settings import Settings
from support.fakes import LABELS, SOURCES, record, small_classifier, small_network, small_settings
from support.states import stream_learners

pytestmark = pytest.mark.long

EVENTS = 3000
RANDOM = np.random.default_rng(7)
SYMBOLS: dict[str, Sequence[object]] = {
    "random": RANDOM.integers(0, 8, EVENTS).tolist(),
    "constant": [4] * EVENTS,
    "one other in a long constant": [4] * 2000 + [5] + [4] * 999,
    "all different": list(range(EVENTS)),
    "ten thousand": RANDOM.integers(0, 10_000, EVENTS).tolist(),
    "huge, tiny and strings": [1e300, 5e-324, -1e300, 0.0, "1e300"] * (EVENTS // 5),
}
NUMBERS: dict[str, Sequence[float]] = {
    "noise": RANDOM.normal(size=EVENTS).tolist(),
    "constant": [4.0] * EVENTS,
    "zero": [0.0] * EVENTS,
    "one other in a long constant": [4.0] * 2000 + [5.0] + [4.0] * 999,
    "huge": [1e300 if event % 97 == 0 else float(event % 24) for event in range(EVENTS)],
    "all huge": (RANDOM.choice([-1.7e308, 1.7e308], EVENTS)).tolist(),
    "denormal": (5e-324 * RANDOM.integers(0, 1000, EVENTS)).tolist(),
    "jumps": [math.sin(event / 4) + 1e6 * (event // 500) for event in range(EVENTS)],
    "growing": [1.3 ** min(event, 2600) for event in range(EVENTS)],
    "random walk": RANDOM.normal(size=EVENTS).cumsum().tolist(),
}


def learned(settings: Settings, values: Sequence[object], network_for: NetworkFactory) -> tuple[Partition, list[Any]]:
    """Learn the values; give the partition, and the messages."""
    partition = Partition(
        settings, SOURCES[0], next_metadata(settings, SOURCES[0], 0, initial_metadata(1)), network_for
    )
    records = [record(place, json.dumps(value).encode()) for place, value in enumerate(values)]
    outputs = [
        output for first in range(0, len(records), 500) for output in partition.process(records[first:][:500]).outputs
    ]
    assert not any(output.dead_letter for output in outputs)
    return partition, [json.loads(output.value or b"", parse_constant=pytest.fail) for output in outputs]


def arrays_of(state: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    for name, node in state.items():
        if isinstance(node, dict):
            yield from arrays_of(node)
        elif isinstance(node, np.ndarray):
            yield name, node


def require_finite(partition: Partition, but: Sequence[str] = ()) -> None:
    """No array of the state has a value that is not finite, but those where that says that there is none."""
    for name, array in arrays_of(partition.state().to_arrays()):
        if array.dtype.kind == "f" and name not in but:
            assert np.isfinite(array).all(), name


def sizes_of(partition: Partition) -> dict[str, int]:
    """Give the bytes of all arrays but those that grow with the vocabulary, up to its bound."""
    growing = {"ids", "codes", "sightings", "network", "pending"}
    return {name: array.nbytes for name, array in arrays_of(partition.state().to_arrays()) if name not in growing}


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("name", SYMBOLS)
def test_symbols_leave_a_finite_state_of_the_same_size(name: str) -> None:
    """The state is as large after all values as after some, and nobody has more names than it may."""
    settings = small_settings()
    partition, messages = learned(settings, SYMBOLS[name], small_network)
    require_finite(partition)
    some, _ = learned(settings, SYMBOLS[name][: EVENTS // 2], small_network)
    assert sizes_of(partition) == sizes_of(some)
    (learner,) = stream_learners(partition).values()
    assert len(learner.task._names) <= 2 * settings.max_vocabulary
    assert EVENTS == messages[-1]["event"]


@pytest.mark.parametrize(("name", "lift"), [("random", 0.1), ("constant", 0.0), ("all different", 0.0)])
def test_where_nothing_can_be_learned_there_is_no_lift(name: str, lift: float) -> None:
    """The hit rate is what it is for the best baseline as well, up to chance."""
    _, messages = learned(small_settings(score_window=1000), SYMBOLS[name], small_network)
    assert abs(messages[-1]["hit_rate"] - messages[-1]["baseline_hit_rate"]) <= lift


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("name", SYMBOLS)
def test_steps_are_bounded_whatever_is_missed(name: str) -> None:
    """There is one a value, and further ones from the budget and its refills."""
    settings = small_settings(retry_steps=7, retry_budget=50, retry_refill=0.25)
    mark = next_metadata(settings, SOURCES[0], 0, initial_metadata(1))
    partition = Partition(settings, SOURCES[0], mark, small_network)
    records = [record(place, json.dumps(value).encode()) for place, value in enumerate(SYMBOLS[name])]
    steps = np.cumsum([outcome.fit_steps for outcome in partition.process(records).outcomes])
    assert (steps <= 1.25 * np.arange(1, EVENTS + 1) + 50).all()
    assert steps[-1] >= EVENTS - 1


@cache
def number_settings(**given: Any) -> Settings:
    return small_settings(task="number", lookback=256, **given)


@cache
def number_networks(settings: Settings) -> NetworkFactory:
    return model_factory(settings)


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_leave_a_finite_state_of_the_same_size(name: str, horizon: int) -> None:
    """Whatever comes, what is published is JSON without infinities, and nothing in the state is without bounds."""
    settings = number_settings(horizons=horizon)
    partition, messages = learned(settings, NUMBERS[name], number_networks(settings))
    require_finite(partition, but=("pending", "interval_pending", "season_outcomes"))
    assert sizes_of(partition) == sizes_of(learned(settings, NUMBERS[name][:100], number_networks(settings))[0])
    assert all(message["prediction"] is not None for message in messages)


@pytest.mark.parametrize(("name", "worse"), [("noise", 0.9), ("random walk", 1.05), ("constant", 1.0), ("jumps", 8.0)])
def test_numbers_are_predicted_as_well_as_by_the_best_baseline(name: str, worse: float) -> None:
    """Where there is nothing to learn it costs next to nothing to have tried; a jump costs some values."""
    settings = number_settings(horizons=1)
    _, messages = learned(settings, NUMBERS[name], number_networks(settings))
    errors = [abs(message["evaluation"]["error"]) for message in messages[1:]]
    last = [abs(b - a) for a, b in itertools.pairwise(NUMBERS[name])]
    assert np.mean(errors[500:]) <= worse * np.mean(last[500:])


def label_messages(name: str, events: int) -> list[Any]:
    """Take two numbers of the streams as samples, in sequences of one to twelve that end or not, with labels or not."""
    values = np.array(NUMBERS[name])
    pairs = np.column_stack([values, values[::-1]])[:events].tolist()
    ways: tuple[dict[str, object], ...] = (
        {},
        {},
        {},
        {"end": True, "label": 0},
        {"label": 1},
        {},
        {"end": True},
        {"end": True, "label": "two"},
        {},
        {},
    )
    return [{"value": pair, **ways[place % len(ways)]} for place, pair in enumerate(pairs)]


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("name", NUMBERS)
def test_labels_leave_a_finite_state_of_the_same_size(name: str) -> None:
    """Whatever the samples are: weights, scale and what is published are finite, and nothing grows without bounds."""
    settings = small_settings(**LABELS)
    partition, messages = learned(settings, label_messages(name, EVENTS), small_classifier)
    require_finite(partition, but=("scale_block",))
    growing = {"samples"}  # those of the sequence that is open
    sizes = [
        {array: size for array, size in sizes_of(one).items() if array not in growing}
        for one in (partition, learned(settings, label_messages(name, EVENTS // 2), small_classifier)[0])
    ]
    assert sizes[0] == sizes[1]
    assert all(message["prediction"] is not None for message in messages[20:])
