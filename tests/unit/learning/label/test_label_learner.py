"""The learner of labels: what is said of a sequence, when it is over, what is learned, and that no call shows."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from online_lstm.checkpoint import digest_of
from online_lstm.checkpoint.hdf5 import pack
from online_lstm.codec import Decoder
from online_lstm.errors import SettingsError, StateMismatchError
from online_lstm.events import EventResult, InputRecord, LabelEvaluation, LabelEvent, LabelResult, OutputRecord
from online_lstm.learning.label.label_learner import LabelLearner
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import NetworkFactory, Partition, ProcessedBatch, initial_metadata, next_metadata
from online_lstm.learning.warm_start import WarmStart
from online_lstm.predictor_scores import PredictorScores
from online_lstm.settings import Settings
from sequences import gestures, lines_of, runs
from support.fakes import (
    LABELS,
    SOURCES,
    is_tombstone,
    label_traffic,
    record,
    small_settings,
)
from support.states import labels_learned

pytestmark = pytest.mark.long

TRAFFIC = label_traffic(500)


@cache
def label_settings(**given: Any) -> Settings:
    return small_settings(**{**LABELS, **given})


@cache
def networks_for(settings: Settings) -> NetworkFactory:
    return model_factory(settings)


def partition_of(**given: Any) -> Partition:
    settings = label_settings(**given)
    return Partition(
        settings, SOURCES[0], next_metadata(settings, SOURCES[0], 0, initial_metadata(1)), networks_for(settings)
    )


def in_calls(partition: Partition, records: Sequence[InputRecord], size: int) -> Iterator[ProcessedBatch]:
    for first in range(0, len(records), size):
        yield partition.process(records[first : first + size])


def messages_of(outputs: Sequence[OutputRecord]) -> list[dict[str, Any]]:
    return [json.loads(output.value or b"", parse_constant=pytest.fail) for output in outputs if not output.dead_letter]


def said(partition: Partition, *values: object, key: bytes | None = None, first: int = 0) -> list[dict[str, Any]]:
    """Give the messages that come of values under one key; none of them may be refused."""
    records = [record(first + place, json.dumps(value).encode(), key) for place, value in enumerate(values)]
    outputs = partition.process(records).outputs
    assert not any(output.dead_letter for output in outputs)
    return messages_of(outputs)


def refused(partition: Partition, value: object, key: bytes | None = None) -> dict[str, str]:
    """Give what the headers say of a value that is refused, and see to it that nothing changes."""
    before = digest_of(partition.state().learned.to_arrays())
    (output,) = partition.process([record(0, json.dumps(value).encode(), key)]).outputs
    assert output.dead_letter
    assert before == digest_of(partition.state().learned.to_arrays())
    return {name.removeprefix("online_lstm_"): content.decode() for name, content in output.headers}


def sequence(label: object, length: int = 3, level: float = 0.0) -> list[object]:
    """Make a sequence that ends with its label."""
    samples = [[level + place, 1.0] for place in range(length)]
    return [*samples[:-1], {"value": samples[-1], "label": label, "end": True}]


# what does not show


def figures_of(results: Sequence[ProcessedBatch]) -> tuple[int, ...]:
    tallies = [result.tally for result in results]
    counted = ("events", "scored", "fit_steps", "evicted_streams", "unlabelled_sequences")
    figures = [sum(getattr(tally, name) for tally in tallies) for name in counted]
    hits, refusals = (
        sum(tally.hits.published for tally in tallies),
        sum(tally.dead_letters.total() for tally in tallies),
    )
    return (*figures, hits, refusals)


def unpublished_evaluations(outcome: EventResult) -> Sequence[tuple[LabelEvaluation, PredictorScores[int]]]:
    assert isinstance(outcome, LabelResult)
    return outcome.unpublished_evaluations


def test_the_traffic_has_all_that_can_happen() -> None:
    """The other tests are about late labels, evictions, silence, sequences too long, and all that is refused."""
    partition = partition_of()
    results = list(in_calls(partition, TRAFFIC, 500))
    (tally,) = [result.tally for result in results]
    messages = messages_of(results[0].outputs)
    assert {"too_many_labels", "no_sequence", "wrong_length", "not_a_value"} == set(tally.dead_letters)
    assert min(tally.evicted_streams, tally.unlabelled_sequences, tally.fit_steps, tally.hits.published) > 5
    assert any(unpublished_evaluations(outcome) for outcome in results[0].outcomes)
    assert any(message["sample"] is None and message["evaluation"] for message in messages)
    assert any(message["sample"] == 6 for message in messages)
    assert any(is_tombstone(one) for one in TRAFFIC)


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize(
    "given", [{}, {"network": "lstm 4,lstm 3", "classes": 4, "position_weights": "linear"}], ids=str
)
def test_the_size_of_the_calls_does_not_show(size: int, given: dict[str, Any]) -> None:
    """Outputs, learned state and counts are the same bytes in calls of any size."""
    one, other = partition_of(**given), partition_of(**given)
    expected, found = list(in_calls(one, TRAFFIC, len(TRAFFIC))), list(in_calls(other, TRAFFIC, size))
    assert expected[0].outputs == [output for result in found for output in result.outputs]
    assert digest_of(one.state().to_arrays()) == digest_of(other.state().to_arrays())
    assert figures_of(expected) == figures_of(found)


def test_a_restored_state_goes_on_as_if_nothing_had_been() -> None:
    """At every cut, a state that is taken and restored elsewhere gives the rest of the outputs and the state."""
    whole, partition, outputs = partition_of(), partition_of(), []
    for one in TRAFFIC:
        outputs += partition.process([one]).outputs
        state = partition.state()
        partition = partition_of()
        partition.restore(state)
        assert digest_of(state.to_arrays()) == digest_of(partition.state().to_arrays()), one
    assert whole.process(TRAFFIC).outputs == outputs
    assert digest_of(whole.state().to_arrays()) == digest_of(partition.state().to_arrays())


@pytest.mark.parametrize("cut", [1, 150, 333])
def test_what_comes_later_changes_nothing_before(cut: int) -> None:
    """What is said of a sample does not depend on later ones, nor on the label that comes with them, or with it."""
    expected = partition_of().process(TRAFFIC).outputs
    others = [record(one.offset, b'{"value": [9, 9], "label": 1, "end": true}', one.key) for one in TRAFFIC[cut:]]
    outputs = partition_of().process([*TRAFFIC[:cut], *others]).outputs
    before = sum(not is_tombstone(one) for one in TRAFFIC[:cut])
    assert expected[:before] == outputs[:before]
    assert expected != outputs


def test_a_label_does_not_show_in_what_is_said_with_it() -> None:
    """A sample's own label is no part of its prediction, also when it came with an earlier one of the sequence."""
    told = []
    without: list[dict[str, object]] = [{}, {}, {}]
    for labels in (without, [{"label": 0}, {}, {"label": 1, "end": True}]):
        partition = partition_of()
        said(partition, *[value for place in range(6) for value in sequence(place % 2, level=place % 2)])
        messages = said(partition, *[{"value": [0.5, 1], **label} for label in labels])
        told.append([message["probabilities"] for message in messages])
    assert told[0] == told[1]
    assert 2 == len(told[0][-1])


def test_samples_of_other_sequences_do_not_show() -> None:
    """While nothing is learned, a sequence among others is told the same as alone."""
    values = [[place / 3, 2.0] for place in range(5)]
    learned = partition_of(max_streams=10)
    said(learned, *[value for place in range(6) for value in sequence(place % 2, level=place % 2)])
    told = []
    for keys in ((b"a",), (b"a", b"b", b"c")):
        partition = partition_of(max_streams=10, learn=False)
        partition.restore(replace(learned.state(), learning=partition.state().learning))
        records = [record(0, json.dumps(value).encode(), key) for value in values for key in keys]
        messages = messages_of(partition.process(records).outputs)
        told.append([m["probabilities"] for m in messages if m["stream"] == "a"])
    assert told[0] == told[1]


# what is said


def test_there_is_a_probability_of_the_label_at_every_sample() -> None:
    """Before any label was learned there is none; then they are of all that were, likeliest first, and sum to 1."""
    partition = partition_of()
    first, *_, last = said(partition, *sequence("up"))
    assert (None, None, [], 1) == tuple(
        first[name] for name in ("prediction", "probability", "probabilities", "sample")
    )
    assert (None, None) == (last["evaluation"], last["hit_rate"])
    (second, *_), (third, *_) = said(partition, *sequence("down")), said(partition, [1, 2], [3, 4])
    assert [["up", 1.0]] == second["probabilities"]
    assert {"up", "down"} == {label for label, _ in third["probabilities"]}
    assert 1 == pytest.approx(sum(p for _, p in third["probabilities"]), abs=2e-6)
    assert third["probabilities"][0] == [third["prediction"], third["probability"]]
    assert third["probabilities"][0][1] >= third["probabilities"][1][1]


def test_the_verdict_is_about_the_last_sample() -> None:
    """Its prediction is judged in the message of the event that ends the sequence, which is forgotten then."""
    partition = partition_of(classes=2)
    for place in range(60):
        *_, before, last = said(partition, *sequence(place % 2, length=4, level=3.0 * (place % 2)))
        if place > 1:
            evaluation, probabilities = last["evaluation"], dict(map(tuple, last["probabilities"]))
            assert (place % 2, last["prediction"], 4) == (
                evaluation["label"],
                evaluation["predicted"],
                evaluation["samples"],
            )
            assert evaluation["hit"] == (evaluation["predicted"] == evaluation["label"])
            assert evaluation["probability"] == probabilities[place % 2]
            assert evaluation["surprise_bits"] == pytest.approx(-np.log2(evaluation["probability"]), abs=1e-3)
            assert 1 <= evaluation["stable_since_sample"] <= 4
        assert before["evaluation"] is None
    assert last["evaluation"]["hit"]
    assert 1 == last["evaluation"]["stable_since_sample"]
    assert last["hit_rate"] > last["baseline_hit_rate"]
    assert ([], []) == keys_of(partition)


def test_settled_is_the_sample_from_which_the_prediction_stayed() -> None:
    """Counted from 1; the likeliest labels of the messages show it."""
    partition = partition_of()
    seen = set()
    for place, (samples, label) in enumerate(runs(5, 120)):
        values = [sample[1:] for sample in samples]
        messages = said(partition, *values[:5], {"value": values[5], "label": label, "end": True})
        if place > 2:
            favourites = [message["prediction"] for message in messages]
            stable_since_sample = max([n for n in range(2, 7) if favourites[n - 1] != favourites[n - 2]], default=1)
            assert stable_since_sample == messages[-1]["evaluation"]["stable_since_sample"]
            seen.add(stable_since_sample)
    assert len(seen) > 2


def test_a_sample_can_be_predicted_without_being_learned() -> None:
    """The prediction is the one that it then has, bit for bit; the state stays as it is."""
    partition, compared = partition_of(max_streams=50), 0  # nothing is learned to make room
    decoder = Decoder(label_settings())
    for one in TRAFFIC:
        ((_, event, _),) = decoder.decode(one)
        if isinstance(event, LabelEvent) and event.vector:
            before = digest_of(partition.state().to_arrays())
            predicted = partition.prediction_after(event)
            assert before == digest_of(partition.state().to_arrays())
            (result,) = partition.learn([event]).results
            assert not isinstance(result, LabelResult) or predicted == result.prediction
            compared += isinstance(result, LabelResult) and bool(predicted.probabilities)
            continue
        partition.process([one])
    assert compared > len(TRAFFIC) / 2


def test_a_missing_number_is_at_the_mean() -> None:
    """As if the mean of the samples before had come: neither nothing nor zero."""
    told = []
    for value in (None, 50.0):
        partition = partition_of()
        said(partition, *[value for place in range(6) for value in sequence(place % 2, level=50 + (place % 2))])
        assert isinstance(partition._learners, LabelLearner)
        partition._learners._shared["scale_means"][0] = 50.0
        told.append(said(partition, [value, 1.0])[0]["probabilities"])
    assert told[0] == told[1]


def test_equal_labels_are_one() -> None:
    """Numbers are compared as numbers, true is 1, and a text is never equal to one; as which it came first is told."""
    partition = partition_of(classes=2)
    for label in (1, 1.0, True, "1", "1"):
        *_, last = said(partition, *sequence(label))
    assert {(1, 1), ("1", "1")} == {(label, label) for label, _ in last["probabilities"]}
    assert 2 == partition.report(None).vocabulary


# when a sequence is over


def keys_of(partition: Partition) -> tuple[list[Any], list[Any]]:
    """Give the keys of the open sequences, and of those that wait for a label."""
    state = labels_learned(partition.state())
    return state.opened.keys, state.waiting.keys


def test_a_label_may_come_with_any_sample() -> None:
    """The latest one counts."""
    partition = partition_of()
    said(partition, *sequence(0), *sequence(1))
    *_, last = said(
        partition, {"value": [1, 1], "label": 0}, {"value": [2, 1], "label": 1}, {"value": [3, 1], "end": True}
    )
    assert (1, 3) == (last["evaluation"]["label"], last["evaluation"]["samples"])


def test_a_label_alone_ends_an_open_sequence() -> None:
    """Its message has the evaluation and no prediction."""
    partition = partition_of()
    said(partition, *sequence(0), *sequence(1))
    *_, before, last = said(partition, [1, 1], [2, 1], {"label": 1})
    assert (None, None, None, []) == tuple(last[n] for n in ("value", "sample", "prediction", "probabilities"))
    assert (1, 2, before["prediction"]) == tuple(last["evaluation"][n] for n in ("label", "samples", "predicted"))
    assert ([], []) == keys_of(partition)
    assert 1 == said(partition, [1, 1])[0]["sample"]


def test_a_label_may_come_late() -> None:
    """For a sequence that is over; its key may have begun another one, which goes on."""
    partition = partition_of()
    said(partition, *sequence(0), *sequence(1))
    *_, ended, _, label, second = said(partition, [1, 1], {"value": [2, 1], "end": True}, [3, 1], {"label": 1}, [4, 1])
    assert (1, 2, ended["prediction"]) == tuple(label["evaluation"][n] for n in ("label", "samples", "predicted"))
    assert (2, None) == (second["sample"], second["evaluation"])
    assert ([None], []) == keys_of(partition)


def test_a_label_that_ends_is_the_open_sequences() -> None:
    """With another one waiting, `end` says which of both is meant."""
    partition = partition_of()
    said(partition, *sequence(0), *sequence(1))
    *_, label = said(partition, [1, 1], {"value": [2, 1], "end": True}, [3, 1], {"label": 1, "end": True})
    assert 1 == label["evaluation"]["samples"]
    assert ([], [None]) == keys_of(partition)
    (late,) = said(partition, {"label": 0, "end": True})
    assert 2 == late["evaluation"]["samples"]


def test_a_label_waits_no_longer_than_it_is_waited_for() -> None:
    """``label_timeout_events`` after the end it is in time; one event later it is refused, and the sequence counted."""
    for events, late in ((19, False), (20, True)):
        partition = partition_of()
        said(partition, *sequence(0), [1, 1], {"value": [2, 1], "end": True})
        others = [record(0, b'{"value": [1, 1], "label": 0, "end": true}', b"other")] * events
        unlabelled = partition.process(others).tally.unlabelled_sequences
        assert late == unlabelled
        if late:
            assert "no_sequence" == refused(partition, {"label": 0})["reason"]
        else:
            assert 2 == said(partition, {"label": 0})[0]["evaluation"]["samples"]


def test_a_label_alone_for_nobody_is_refused() -> None:
    """The message says why, and which setting decides; the label itself is not taken note of."""
    partition = partition_of()
    told = refused(partition, {"label": "new"}, b"nobody")
    assert "no_sequence" == told["reason"]
    assert "at most 20 events ago (the setting label_timeout_events)" in told["error"]
    assert 0 == partition.report(None).vocabulary


def test_one_label_too_many_is_refused() -> None:
    """With its sample, which is not learned from; the labels that there are go on."""
    partition = partition_of(classes=2)
    said(partition, *sequence("a"), *sequence("b"), [1, 1])
    for value in ({"value": [2, 1], "label": "c", "end": True}, {"label": "c"}):
        told = refused(partition, value)
        assert "too_many_labels" == told["reason"]
        assert "expected one of 2 known labels: the setting classes" in told["error"]
    assert "a" == said(partition, {"label": "a"})[0]["evaluation"]["label"]


def test_a_sequence_is_not_longer_than_it_may_be() -> None:
    """Then it is over: it is learned from, or waits for its label; the next sample begins another one."""
    partition = partition_of()
    said(partition, *sequence(0), *sequence(1))
    messages = said(partition, {"value": [1, 1], "label": 0}, *[[2, 1]] * 12)
    assert [*range(1, 7), *range(1, 7), 1] == [message["sample"] for message in messages]
    assert [6] == [message["evaluation"]["samples"] for message in messages if message["evaluation"]]
    assert ([None], [None]) == keys_of(partition)


def test_a_silent_sequence_is_over() -> None:
    """If its label is known it is learned from, and scored though no message tells; else it waits."""
    partition = partition_of()
    said(partition, *sequence(0), *sequence(1))
    said(partition, {"value": [1, 1], "label": 1}, key=b"known")
    said(partition, [1, 1], key=b"unknown")
    other = record(0, b'{"value": [1, 1], "label": 0, "end": true}')
    results = [partition.process([other]) for _ in range(18)]
    assert (["known", "unknown"], []) == keys_of(partition)
    result = partition.process([other])
    ((evaluation, hits),) = unpublished_evaluations(result.outcomes[0])
    assert (1, 1) == (evaluation.samples, json.loads(evaluation.label))
    assert (2, 2) == (result.tally.scored, result.tally.fit_steps)
    assert hits.published + result.outcomes[0].evaluation.hit == result.tally.hits.published  # type: ignore[union-attr]
    assert not any(unpublished_evaluations(outcome) for one in results for outcome in one.outcomes)
    assert (["unknown"], []) == keys_of(partition)
    partition.process([other])
    assert ([], ["unknown"]) == keys_of(partition)
    assert 1 == said(partition, {"label": 0}, key=b"unknown")[0]["evaluation"]["samples"]


def test_the_sequence_seen_least_recently_makes_room() -> None:
    """Open or waiting; if its label is known it is learned from first, else it is counted as one without."""
    partition = partition_of()
    said(partition, *sequence(0), *sequence(1))
    said(partition, {"value": [1, 1], "end": True}, key=b"waits")
    said(partition, {"value": [1, 1], "label": 0}, key=b"labelled")
    said(partition, [1, 1], key=b"open")
    counts = []
    for key in (b"x", b"y", b"z"):
        tally = partition.process([record(0, b"[1, 1]", key)]).tally
        counts.append((tally.evicted_streams, tally.unlabelled_sequences, tally.scored, tally.fit_steps))
        assert 3 == partition.report(None).streams
    assert [(1, 1, 0, 0), (1, 0, 1, 1), (1, 1, 0, 0)] == counts
    assert (["x", "y", "z"], []) == keys_of(partition)


def test_a_tombstone_forgets_the_sequences_of_its_key() -> None:
    """The open one and the one that waits; what was learned stays."""
    partition = partition_of()
    said(partition, *sequence(0), {"value": [1, 1], "end": True}, [1, 1], key=b"a")
    assert (["a"], ["a"]) == keys_of(partition)
    partition.process([record(0, None, b"a")])
    assert ([], []) == keys_of(partition)
    assert [[0, 1.0]] == said(partition, [1, 1], key=b"a")[0]["probabilities"]


def test_a_break_forgets_open_sequences_only() -> None:
    """They miss samples; one that was over still may get its label."""
    partition = partition_of()
    said(partition, {"value": [1, 1], "end": True}, [1, 1])
    partition.break_sequences()
    assert ([], [None]) == keys_of(partition)


def test_a_report_says_how_many_sequences_there_are() -> None:
    """Open and waiting ones are streams; labels are the vocabulary."""
    partition = partition_of()
    said(partition, *sequence(0), *sequence(1), {"value": [1, 1], "end": True}, [1, 1])
    report = partition.report(None)
    assert (2, 1, 2) == (report.streams, report.waiting_sequences, report.vocabulary)
    assert report.hit_rates is not None
    assert report.hit_rates.published in {0.0, 1.0}
    assert report.log_loss_bits is not None


# what is learned


def scores_of(lines: Sequence[str], last: int, **given: Any) -> tuple[float, float]:
    """Give the hit rate over the last sequences, and that of the best baseline."""
    partition = partition_of(features=3, network="lstm 32", max_sequence_length=45, **given)
    records = [record(place, line.encode()) for place, line in enumerate(lines)]
    outcomes = [outcome for result in in_calls(partition, records, 500) for outcome in result.outcomes]
    hits = np.array([outcome.hits.columns for outcome in outcomes if outcome.hits])[-last:]
    return float(hits[:, 0].mean()), float(hits[:, 1:3].mean(axis=0).max())


@pytest.mark.parametrize("seed", range(5))
def test_two_labels_are_learned(seed: int) -> None:
    """Seven samples of three numbers: that the second one rises or falls is what counts, and neither level nor unit."""
    hit_rate, baseline = scores_of(list(lines_of(runs(seed, 500))), last=200, classes=2)
    assert hit_rate > 0.85
    assert baseline < 0.65


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("seed", range(5))
def test_thirteen_labels_of_varying_length_are_learned(seed: int) -> None:
    """From 5 to 45 samples."""
    hit_rate, baseline = scores_of(list(lines_of(gestures(seed, 500))), last=200, classes=13)
    assert hit_rate > 0.75
    assert baseline < 0.25


@pytest.mark.no_cover  # see pyproject.toml
def test_learning_without_end_takes_no_more_memory() -> None:
    """After many times as many sequences the state is as large, and there are as many programs."""
    given: dict[str, Any] = {"features": 3, "classes": 13, "max_sequence_length": 45}
    partition = partition_of(**given)
    network: Any = networks_for(label_settings(**given))(partition.learning)
    records = [record(place, line.encode()) for place, line in enumerate(lines_of(gestures(1, 200)))]
    sizes = []
    for _ in range(4):
        list(in_calls(partition, records, 500))
        sizes.append((len(pack(partition.state().to_arrays())), set(network._fits)))
    assert [sizes[0]] * 4 == sizes
    assert {8, 16, 32, 64} == sizes[0][1]
    assert 800 == partition.state().learned.arrays["label_counts"].sum()


def test_nothing_is_learned_without_learning() -> None:
    """What was learned predicts, is scored, and stays as it is; the messages say so."""
    partition = partition_of()
    said(partition, *[value for place in range(6) for value in sequence(place % 2, level=place % 2)])
    frozen = partition_of(learn=False)
    frozen.restore(replace(partition.state(), learning=frozen.state().learning))
    before = frozen.state().learned.arrays
    *_, last = said(frozen, *sequence(1), *sequence("new"))
    after = frozen.state().learned.arrays
    assert last["model"].endswith(" frozen")
    assert ("new", False, 0.0) == tuple(last["evaluation"][name] for name in ("label", "hit", "probability"))
    for name in ("network", "learned", "scale_means", "scale_samples"):
        assert before[name].tobytes() == after[name].tobytes()


def test_a_warm_start_has_what_was_learned_and_no_sequences() -> None:
    """Weights, labels and scale go on; sequences and scores were another topic's."""
    before = partition_of()
    said(before, *[value for place in range(6) for value in sequence(place % 2, level=place % 2)], [1, 1])
    settings = label_settings()
    mark = next_metadata(settings, SOURCES[0], 0, initial_metadata(1))
    partition = Partition(settings, SOURCES[0], mark, networks_for(settings), WarmStart(settings, before.state()))
    assert ([], []) == keys_of(partition)
    (first,) = said(partition, [0.5, 1])
    assert (1, 2, None) == (first["sample"], len(first["probabilities"]), first["hit_rate"])
    (network,) = before.state().learned.arrays["network"]
    assert network.tobytes() == partition.state().learned.arrays["network"].tobytes()


# what is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model_scope": "stream"}, "model_scope: received stream, expected partition, as task is label"),
        ({"value_format": "double"}, "value_format: received double, expected auto, as task is label"),
        ({"classes": 1}, "classes: received '?1'?, expected greater than or equal to 2"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused(given: dict[str, Any], message: str) -> None:
    """Before anything is read."""
    with pytest.raises(SettingsError, match=message):
        small_settings(**{**LABELS, **given})


def test_a_state_of_other_labels_is_refused() -> None:
    """One with a label twice, or with samples that are not those of its sequences."""
    partition = partition_of()
    said(partition, *sequence(0), *sequence(1), [1, 1])
    state = partition.state()
    with pytest.raises(StateMismatchError, match="number of different labels"):
        partition_of().restore(replace(state, learned=replace(labels_learned(state), labels=["1", "1.0"])))
    labels_learned(state).opened.arrays["samples"] = np.zeros((2, 2), np.float32)
    with pytest.raises(StateMismatchError, match="shape of samples"):
        partition_of().restore(state)
