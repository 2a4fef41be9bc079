"""The learner of numbers: what is predicted, when it is judged, and that no call, no restart and no future shows."""

import json
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from online_lstm.events import InputRecord, OutputRecord
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import NetworkFactory, Partition, initial_metadata, next_metadata
from online_lstm.settings import Settings
from support.fakes import SOURCES, record, small_settings

pytestmark = pytest.mark.long

RANDOM = np.random.default_rng(3)
NOISE = RANDOM.normal(size=2000)
HORIZONS = (1, 5)


@cache
def number_settings(horizon: int = 1, **given: Any) -> Settings:
    return small_settings(task="number", lookback=256, horizons=horizon, **given)


@cache
def networks_for(settings: Settings) -> NetworkFactory:
    return model_factory(settings)


def season(event: int) -> float:
    """A day of 24 events, with noise of a standard deviation of 0.2."""
    return 10 + 4 * math.sin(event / 24 * 2 * math.pi) + 0.2 * float(NOISE[event])


def records_of(values: Sequence[float | None], key: bytes | None = None) -> list[InputRecord]:
    return [
        record(place, b"?" if value is None else json.dumps(value).encode(), key) for place, value in enumerate(values)
    ]


def partition_of(settings: Settings) -> Partition:
    return Partition(
        settings, SOURCES[0], next_metadata(settings, SOURCES[0], 0, initial_metadata(1)), networks_for(settings)
    )


def outputs_of(settings: Settings, *calls: list[InputRecord]) -> list[OutputRecord]:
    partition = partition_of(settings)
    return [output for records in calls for output in partition.process(records).outputs]


def messages_of(settings: Settings, values: Sequence[float | None]) -> list[dict[str, Any]]:
    return [json.loads(output.value or b"") for output in outputs_of(settings, records_of(values))]


VALUES: list[float] = [season(event) for event in range(700)]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_a_verdict_is_about_the_prediction_made_a_horizon_before(horizon: int) -> None:
    """It repeats it, with the error that it turned out to have; the first events have none."""
    messages = messages_of(number_settings(horizon), VALUES)
    for before, after in zip(messages, messages[horizon:], strict=False):
        assert before["prediction"] == after["evaluation"]["predicted"]
        assert after["value"] - before["prediction"] == pytest.approx(after["evaluation"]["error"], abs=1e-6)
    assert [None] * horizon == [message["evaluation"] for message in messages[:horizon]]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_a_season_is_learned(horizon: int) -> None:
    """The mean error is near that of the noise, 0.16, and below that of yesterday's value, 0.23."""
    evaluation = messages_of(number_settings(horizon, score_window=200), VALUES)[-1]["evaluation"]
    assert evaluation["mean_absolute_error"] < 0.19
    assert evaluation["mean_absolute_error"] < evaluation["baseline_mean_absolute_error"] - 0.03


def test_a_hit_is_what_is_near_enough() -> None:
    """Within the tolerance that was asked for, else within a tenth of the mean distance from the centre."""
    messages = messages_of(number_settings(tolerance=0.25), VALUES)
    evaluations = [message["evaluation"] for message in messages[1:]]
    assert all(
        evaluation["hit"] == (abs(evaluation["error"]) <= 0.25)
        for evaluation in evaluations
        if evaluation["error"] != 0.25
    )
    evaluations = [message["evaluation"] for message in messages_of(number_settings(), VALUES)[300:]]
    errors = {hit: [abs(v["error"]) for v in evaluations if v["hit"] is hit] for hit in (False, True)}
    assert max(errors[True]) <= 0.1 * 4 * 2 / math.pi * 1.2  # the mean distance of a sine from its centre, and noise
    assert max(errors[True]) > 0.8 * min(errors[False])


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize(
    "given", [{}, {"calendar": True}, {"experts": "lstm"}, {"lags": "6,24", "seasonal_periods": "24"}], ids=str
)
def test_calls_of_any_length_give_the_same_bytes(horizon: int, given: dict[str, Any]) -> None:
    """Outputs and state do not show how the records were handed over."""
    settings = number_settings(horizon, **given)
    records = records_of([*VALUES[:300], None, *VALUES[300:400]])
    whole, split = partition_of(settings), partition_of(settings)
    outputs = whole.process(records).outputs
    others = [out for first in range(0, len(records), 13) for out in split.process(records[first:][:13]).outputs]
    assert outputs == others
    assert flat(whole.state().to_arrays()) == flat(split.state().to_arrays())


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("cut", [0, 1, 4, 129, 256, 399])
def test_a_restored_partition_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    """The same bytes come from a state that was saved and restored at any place."""
    settings = number_settings(5)
    records = records_of(VALUES[:400])
    first, second = partition_of(settings), partition_of(settings)
    before = first.process(records[:cut]).outputs
    second.restore(first.state())
    assert outputs_of(settings, records) == before + second.process(records[cut:]).outputs


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("given", [{}, {"calendar": True}, {"experts": "lstm,linear"}, {"experts": "lstm"}], ids=str)
@pytest.mark.parametrize("horizon", HORIZONS)
def test_no_future_shows(horizon: int, given: dict[str, Any]) -> None:
    """A future that tells everything changes nothing of what was said before it, and its first value does at once."""
    settings = number_settings(horizon, **given)
    for cut in (200, 383):
        planted = [*VALUES[:cut], *(1000.0 + (event % 2) for event in range(60))]
        outputs, others = (outputs_of(settings, records_of(values)) for values in (VALUES[: cut + 60], planted))
        assert outputs[:cut] == others[:cut]
        assert outputs[cut] != others[cut]


def test_a_sequence_that_ends_is_not_predicted_on() -> None:
    """After an end nothing is pending, and what comes first is not judged."""
    values = [json.dumps(value).encode() for value in VALUES[:60]]
    values[29] = b'{"value": 12.5, "end": true}'
    for horizon in HORIZONS:
        outputs = outputs_of(number_settings(horizon), [record(place, value) for place, value in enumerate(values)])
        messages = [json.loads(output.value or b"") for output in outputs]
        assert messages[29]["evaluation"] is not None
        assert messages[29]["prediction"] is None
        assert [None] * horizon == [message["evaluation"] for message in messages[30 : 30 + horizon]]
        assert messages[30]["prediction"] is not None
        assert messages[30 + horizon]["evaluation"] is not None


def test_each_expert_tells_what_it_predicts_and_its_weight() -> None:
    """In the order of the settings; what is left is the baselines'. Alone the network is published as it is."""
    messages = messages_of(number_settings(), VALUES[:200])
    assert ["lstm", "linear", "neighbours"] == list(messages[-1]["experts"])
    assert 0.9 < sum(weight for _, weight in messages[-1]["experts"].values()) < 1.001
    alone = messages_of(number_settings(experts="lstm"), VALUES[:200])
    assert alone[-1]["experts"] == {"lstm": [alone[-1]["prediction"], 1.0]}


def test_what_is_no_number_is_refused_and_nothing_else() -> None:
    """Words go to the dead letters with a reason; numbers in any writing are learned."""
    values = [b"1", b'"warm"', b"2.5e0", b'{"value": -3}', b"null", b"[1, 2]", b"true"]
    outputs = outputs_of(number_settings(), [record(place, value) for place, value in enumerate(values)])
    reasons = [dict(output.headers)["online_lstm_reason"] for output in outputs if output.dead_letter]
    assert [b"not_a_number", b"wrong_length"] == reasons
    assert 5 == sum(not output.dead_letter for output in outputs)  # of these one is missing, and true is 1


@pytest.mark.parametrize(
    "unread", [b"NA", b"NaN", b"", b"null", b"ERR", b'"warm"', b"Infinity", b'{"value": 1', b"\xff"]
)
def test_what_is_not_read_keeps_its_place(unread: bytes) -> None:
    """Later values do not move up: all is said as where null came; what is refused is a dead letter as well."""
    values = [b"%.2f" % value for value in VALUES[:80]]
    told, expected = (
        outputs_of(number_settings(), [record(place, value) for place, value in enumerate(values)])
        for values in ([*values[:40], unread, *values[41:]], [*values[:40], b"null", *values[41:]])
    )
    assert expected[:40] + expected[41:] == told[:40] + told[41:]
    refused = [place for place, output in enumerate(told) if output.dead_letter]
    assert ([] if unread in {b"NA", b"NaN", b"", b"null"} else [40]) == refused


def test_what_is_no_measurement_takes_no_place() -> None:
    """A message of another kind, without the value or with several, is not one of the stream's moments."""
    messages = [b"1", b'{"type": "hello"}', b"[1, 2]", b"2"]
    outputs = outputs_of(number_settings(), [record(place, value) for place, value in enumerate(messages)])
    assert [1, 2] == [json.loads(output.value or b"")["event"] for output in outputs if not output.dead_letter]


def test_digits_suffice_at_any_level() -> None:
    """A meter that counts from a million millions: what is published still tells the predictions apart."""
    messages = messages_of(number_settings(), [1e12 + place for place in range(200)])
    for message in messages[1:]:
        evaluation = message["evaluation"]
        assert message["value"] - evaluation["predicted"] == evaluation["error"]
    assert abs(messages[-1]["evaluation"]["error"]) < 0.5


def test_streams_do_not_disturb_each_other() -> None:
    """Two streams in one partition give what each gives alone."""
    settings = number_settings()
    mixed = [
        r for pair in zip(records_of(VALUES[:200], b"a"), records_of(VALUES[300:500], b"b"), strict=True) for r in pair
    ]
    outputs = outputs_of(settings, mixed)
    for key, values in ((b"a", VALUES[:200]), (b"b", VALUES[300:500])):
        assert [o.value for o in outputs if o.key == key] == [
            o.value for o in outputs_of(settings, records_of(values, key))
        ]


def flat(node: Any) -> Any:
    """Give nested state as what can be compared."""
    if isinstance(node, dict):
        return {name: flat(below) for name, below in node.items()}
    return (node.dtype, node.shape, node.tobytes()) if isinstance(node, np.ndarray) else node
