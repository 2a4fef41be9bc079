"""``learn = false``: what was learned predicts, and stays as it is."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from online_lstm.checkpoint import digest_of
from online_lstm.events import InputRecord
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import Partition, initial_metadata, learning_settings, next_metadata
from online_lstm.learning.state.schema import PartitionState
from support.fakes import SOURCES, record, small_network, small_settings
from support.states import streams_learned

pytestmark = pytest.mark.long

LOOP = [1, 2, 3, 1, 2, 4] * 60
ROOMY: dict[str, Any] = {"suffix_contexts": 1024}


def partition_of(**given: Any) -> Partition:
    chosen = small_settings(**ROOMY, **given)
    return Partition(chosen, SOURCES[0], next_metadata(chosen, SOURCES[0], 0, initial_metadata(1)), small_network)


def records(values: Sequence[object], first: int = 0) -> list[InputRecord]:
    return [record(first + place, json.dumps(value).encode()) for place, value in enumerate(values)]


def frozen(partition: Partition) -> Partition:
    partition.learn_with(replace(partition.learning, learn=False))
    return partition


def messages(partition: Partition, values: Sequence[object], first: int, size: int = 500) -> list[dict[str, Any]]:
    given = records(values, first)
    outputs = [
        output
        for start in range(0, len(given), size)
        for output in partition.process(given[start : start + size]).outputs
    ]
    return [json.loads(output.value or b"") for output in outputs]


def learned(partition: Partition) -> dict[str, np.ndarray[Any, Any]]:
    """Give weights with their moments, what the memories hold, and how experts are weighed."""
    state = partition.state()
    (network,) = streams_learned(state).networks.values()
    arrays = state.learned.arrays
    rest = 1 + 2 * 4  # what is spent of the budget of extra steps, and the states at the window's left edge
    kept = {
        name: arrays[name]
        for name in arrays
        if name.startswith(("mixer_", "suffix_"))
        and name.removeprefix("suffix_") not in {"prediction", "coming", "used", "history", "since"}
    }
    return kept | {
        "weights": network["network"][:, :-rest],
        "codes": np.concatenate([known.codes for known in streams_learned(state).vocabularies]),
    }


@pytest.fixture(scope="module")
def trained() -> PartitionState:
    partition = partition_of()
    partition.process(records(LOOP))
    return partition.state()


def resumed(state: PartitionState) -> Partition:
    partition = partition_of()
    partition.restore(state)
    return partition


def test_what_was_learned_predicts_and_stays_as_it_is(trained: PartitionState) -> None:
    """A loop that is known goes on being predicted; no array of what was learned changes."""
    partition = frozen(resumed(trained))
    before = learned(partition)
    said = messages(partition, LOOP[:60], len(LOOP))
    assert all(message["evaluation"]["hit"] for message in said)
    after = learned(partition)
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], name)


def test_other_values_are_not_learned(trained: PartitionState) -> None:
    """Another loop is missed for ever while frozen, and learned once it may be; the baselines go on meanwhile."""
    other = [1, 3, 2, 4, 7, 8] * 20
    still = messages(frozen(resumed(trained)), other, len(LOOP))
    free = messages(resumed(trained), other, len(LOOP))
    assert 0.5 > np.mean([message["evaluation"]["hit"] for message in still[-60:]])
    assert 0.9 < np.mean([message["evaluation"]["hit"] for message in free[-60:]])
    assert not {7, 8} & {message["prediction"] for message in still}
    assert still[0]["value"] == free[0]["value"]


def test_a_stream_of_which_nothing_is_known_has_no_prediction() -> None:
    """There is nothing to be predicted from; nothing is scored, and nothing breaks."""
    said = messages(frozen(partition_of()), LOOP[:30], 0)
    assert [None] * 30 == [message["prediction"] for message in said] == [message["evaluation"] for message in said]


def test_each_output_says_that_nothing_was_learned(trained: PartitionState) -> None:
    """The name of the model says so, and no fit step is counted."""
    partition = resumed(trained)
    assert f"@{len(LOOP) + 1}" in messages(partition, [1], len(LOOP))[0]["model"]
    processed = frozen(partition).process(records([2], len(LOOP) + 1))
    assert json.loads(processed.outputs[0].value or b"")["model"].endswith(f"@{len(LOOP) + 2} frozen")
    assert 0 == processed.tally.fit_steps


@pytest.mark.parametrize("size", [1, 7])
def test_the_size_of_the_calls_does_not_show(trained: PartitionState, size: int) -> None:
    """Outputs and state are the same bytes in pieces of any size, with values that come and leave."""
    values = [*LOOP[:40], "new", *range(40), *LOOP[:40], *range(30, 60)]
    whole, pieces = frozen(resumed(trained)), frozen(resumed(trained))
    assert messages(whole, values, len(LOOP)) == messages(pieces, values, len(LOOP), size=size)
    assert digest_of(whole.state().to_arrays()) == digest_of(pieces.state().to_arrays())


def test_learning_goes_on_where_it_had_stopped(trained: PartitionState) -> None:
    """What is seen while frozen is no hindrance: a new value is learned as soon as it may be."""
    partition = frozen(resumed(trained))
    messages(partition, [7] * 10, len(LOOP))
    partition.learn_with(learning_settings(small_settings()))
    said = messages(partition, [1, 2, 7] * 30, len(LOOP) + 10)
    assert all(message["evaluation"]["hit"] for message in said[-9:])


# numbers

WAVE = [20 + 8 * math.sin(place / 4) + 0.3 * math.cos(7 * place) for place in range(700)]


def number_partition(**given: Any) -> Partition:
    chosen = small_settings(task="number", lookback=256, network="lstm 4", **given)
    return Partition(
        chosen, SOURCES[0], next_metadata(chosen, SOURCES[0], 0, initial_metadata(1)), model_factory(chosen)
    )


NUMBERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "vectors at two horizons": {"features": 2, "horizons": "1,3"},
    "calendar": {"calendar": True},
}


def events_of(values: Sequence[float], given: dict[str, Any]) -> list[object]:
    return [[value, -value] for value in values] if "features" in given else list(values)


@pytest.mark.parametrize("case", NUMBERS)
def test_what_was_learned_of_numbers_stays_as_it_is(case: str) -> None:
    """Regression, profile, scale, stack, intervals and network; only where the stream is moves on."""
    given = NUMBERS[case]
    partition = number_partition(**given)
    partition.process(records(events_of(WAVE[:600], given)))
    frozen(partition)
    arrays = partition.state().learned.arrays
    kept = {name for name in arrays if name.startswith(("linear_", "stack_", "mixture_", "scale_", "season_periods"))}
    kept |= {name for name in arrays if "profile_" in name} | {"interval_residuals", "interval_missed"}
    moving = ("pending", "waiting", "_latest", "profile_missing")
    kept = {name for name in kept if not name.endswith(moving)}
    assert len(kept) > 15
    said = messages(partition, events_of([5 * value for value in WAVE[600:]], given), 600)
    after = partition.state().learned.arrays
    for name in kept:
        np.testing.assert_array_equal(arrays[name], after[name], name)
    assert not np.any([np.all(message["evaluation"]["hit"]) for message in said[20:]])
    assert all(message["model"].endswith(" frozen") for message in said)


def test_numbers_go_on_being_predicted() -> None:
    """A wave that is known is predicted much better than by its last value, though nothing more is learned."""
    partition = number_partition()
    partition.process(records(WAVE[:600]))
    said = messages(frozen(partition), WAVE[600:], 600)
    error = np.mean([abs(message["evaluation"]["error"]) for message in said])
    assert error < 0.1 * np.mean(np.abs(np.diff(WAVE[599:])))


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("case", NUMBERS)
def test_the_size_of_the_calls_does_not_show_in_numbers(case: str, size: int) -> None:
    """Outputs and state are the same bytes in pieces of any size, also of what is missing."""
    given = NUMBERS[case]
    whole, pieces = number_partition(**given), number_partition(**given)
    values = events_of(WAVE[300:360], given)
    if "features" in given:
        values[5:8] = [[None, 1.0], [None, None], [2.0, None]]
    for partition in (whole, pieces):
        partition.process(records(events_of(WAVE[:300], given)))
        frozen(partition)
    assert messages(whole, values, 300) == messages(pieces, values, 300, size=size)
    assert digest_of(whole.state().to_arrays()) == digest_of(pieces.state().to_arrays())


def test_unlearned_numbers_are_predicted_by_the_last_value() -> None:
    """Nothing breaks, and nothing is learned."""
    said = messages(frozen(number_partition()), WAVE[:50], 0)
    assert [message["value"] for message in said] == pytest.approx([message["prediction"] for message in said])
