"""``model_scope = partition``: one network for all streams of a partition, and what each has of its own."""

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import cycle, islice, pairwise
from typing import Any

import numpy as np
import pytest
from online_lstm.audit.state_description import streams_of
from online_lstm.checkpoint import digest_of
from online_lstm.checkpoint.hdf5 import pack, unpack
from online_lstm.errors import SettingsError, StateMismatchError
from online_lstm.events import InputRecord
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.network import SymbolModel
from online_lstm.learning.partition import NetworkFactory, Partition, initial_metadata, learning_settings, next_metadata
from online_lstm.learning.state.schema import PartitionState, SharedState
from online_lstm.learning.warm_start import WarmStart
from online_lstm.settings import Settings, read_settings
from support.fakes import SOURCES, record, small_network, small_settings, traffic
from support.states import streams_learned

pytestmark = pytest.mark.long

LOOP = [1, 2, 3, 1, 2, 4]
LONG_LOOP = [1, 2, 3, 1, 2, 4, 5, 1, 2, 3, 3, 6]
Message = dict[str, Any]


def shared_settings(**given: Any) -> Settings:
    return small_settings(**{"model_scope": "partition", "suffix_contexts": 1024, "max_streams": 300, **given})


@cache
def number_networks(settings: Settings) -> NetworkFactory:
    return model_factory(settings)


def partition_of(warm: PartitionState | None = None, **given: Any) -> Partition:
    settings = shared_settings(**given)
    network_for = number_networks(settings) if settings.task == "number" else small_network
    warm_start = WarmStart(settings, warm) if warm else None
    return Partition(
        settings, SOURCES[0], next_metadata(settings, SOURCES[0], 0, initial_metadata(1)), network_for, warm_start
    )


def records(values: Sequence[object], key: bytes | None = None) -> list[InputRecord]:
    return [record(place, json.dumps(value).encode(), key) for place, value in enumerate(values)]


def turns(*streams: Sequence[InputRecord]) -> list[InputRecord]:
    """Take one record of each stream in turn."""
    return [one for together in zip(*streams, strict=True) for one in together]


def messages(partition: Partition, given: Sequence[InputRecord]) -> list[Message]:
    return [json.loads(output.value or b"") for output in partition.process(given).outputs if not output.dead_letter]


def by_stream(said: Sequence[Message]) -> dict[str, list[Message]]:
    found = defaultdict(list)
    for message in said:
        found[message["stream"]].append(message)
    return found


def shared_of(state: PartitionState) -> SharedState:
    shared = streams_learned(state).shared
    assert shared is not None
    return shared


def shared(partition: Partition) -> str:
    """Fingerprint what all streams have in common."""
    return digest_of(shared_of(partition.state()).to_arrays())


def codes(partition: Partition) -> dict[str, int]:
    """Give the values of the book that have a code, with it."""
    book = shared_of(partition.state()).vocabulary
    return {literal: code for literal, code in zip(book.literals, book.codes.tolist(), strict=True) if code}


@pytest.fixture(scope="module")
def learned() -> PartitionState:
    """What is known after a stream ``a`` has gone through the loop often, and ``b`` a little."""
    partition = partition_of()
    partition.process([*records(LOOP * 40, b"a"), *records(LOOP[:4], b"b")])
    return partition.state()


def resumed(state: PartitionState, **given: Any) -> Partition:
    partition = partition_of(**given)
    partition.restore(state)
    return partition


# what is said, and when it is judged


@pytest.mark.parametrize("given", [{}, {"experts": "lstm"}], ids=str)
def test_a_verdict_is_about_what_the_stream_had_said(given: dict[str, Any]) -> None:
    """Whoever else learned in between: value and probability are those of the stream's message before."""
    partition = partition_of(max_streams=3, top_k=20, **given)
    said = messages(partition, traffic(400))
    judged, with_others_between, places = 0, 0, {id(message): place for place, message in enumerate(said)}
    for stream in by_stream(said).values():
        for before, after in pairwise(stream):
            if after["event"] != before["event"] + 1 or before["prediction"] is None:
                assert after["evaluation"] is None
                continue
            evaluation, published = after["evaluation"], dict(before["top"])
            assert before["prediction"] == evaluation["predicted"]
            assert (before["prediction"] == after["value"]) == evaluation["hit"]
            expected = published.get(after["value"], 1 - sum(published.values()))
            assert evaluation["probability"] == pytest.approx(expected, abs=2e-5)
            judged += 1
            with_others_between += places[id(after)] > places[id(before)] + 1
    assert judged > 200
    assert with_others_between > 100


def test_number_evaluation_scores_the_own_prediction() -> None:
    """The prediction is repeated, whoever else learned in between."""
    chance = np.random.default_rng(1)
    series = [records(np.round(chance.normal(size=60).cumsum(), 3).tolist(), key) for key in (b"a", b"b", b"c")]
    said = messages(partition_of(task="number", lookback=256), turns(*series))
    for stream in by_stream(said).values():
        for before, after in pairwise(stream):
            assert before["prediction"] == after["evaluation"]["predicted"]


def test_events_are_learned_in_the_order_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of the network carries events of one stream that follow each other, and no others."""
    calls: list[int] = []
    run = SymbolModel.run

    def counted(network: SymbolModel, *given: Any) -> Any:
        *_, known, _ = given
        calls.append(len(known) - 1)
        return run(network, *given)

    monkeypatch.setattr(SymbolModel, "run", counted)
    keys = (b"a", b"a", b"b", b"b", b"b", b"a", b"c")
    given = [record(place, b"4", key) for place, key in enumerate(keys)]
    partition_of().process(given)
    assert [2, 3, 1, 1] == calls
    calls.clear()
    partition_of(model_scope="stream").process(given)
    assert [3, 3, 1] == calls


@pytest.mark.parametrize("size", [1, 7, 64])
def test_calls_with_numbers_may_have_any_length(size: int) -> None:
    """Outputs and state of numbers of several streams do not show it, nor that the state was restored in between."""
    given: dict[str, Any] = {"task": "number", "lookback": 256, "horizons": (1, 3)}
    chance = np.random.default_rng(2)
    series = [records(np.round(chance.normal(size=50), 2).tolist(), key) for key in (b"a", b"b", None)]
    everything = turns(*series)
    whole, pieces, outputs = partition_of(**given), partition_of(**given), []
    for start in range(0, len(everything), size):
        state = pieces.state()
        pieces = resumed(state, **given)
        assert digest_of(state.to_arrays()) == digest_of(pieces.state().to_arrays())
        outputs += pieces.process(everything[start : start + size]).outputs
    assert whole.process(everything).outputs == outputs
    assert digest_of(whole.state().to_arrays()) == digest_of(pieces.state().to_arrays())


# what a stream has from the others


def short_streams(count: int, length: int) -> list[InputRecord]:
    """Give streams one after another, each a piece of the same loop from anywhere on."""
    chance = random.Random(5)
    starts = [chance.randrange(len(LONG_LOOP)) for _ in range(count)]
    pieces = [list(islice(cycle(LONG_LOOP), start, start + length)) for start in starts]
    return [one for number, piece in enumerate(pieces) for one in records(piece, b"%d" % number)]


@pytest.mark.parametrize("experts", ["lstm", "lstm,suffix_memory,slow_suffix_memory"])
def test_shared_weights_predict_short_streams(experts: str) -> None:
    """With weights of its own a stream begins to learn with its 40 values; shared ones know the later streams."""
    given = short_streams(200, 40)
    rates = {}
    for scope in ("stream", "partition"):
        said = by_stream(messages(partition_of(model_scope=scope, experts=experts), given))
        late = [message["evaluation"]["hit"] for key in range(100, 200) for message in said[str(key)][1:]]
        rates[scope] = round(float(np.mean(late)), 4)
    assert rates["partition"] > 0.93
    assert rates["stream"] < 0.8, rates


def test_a_number_is_predicted_from_what_others_taught() -> None:
    """The logistic map, which no line follows: 40 values are too few to learn it from, those of all streams are not."""
    series = [0.3]
    for _ in range(120 * 40):
        series.append(3.8 * series[-1] * (1 - series[-1]))
    given = [one for number in range(120) for one in records(series[40 * number :][:40], b"%d" % number)]
    errors = {}
    for scope in ("stream", "partition"):
        partition = partition_of(model_scope=scope, task="number", lookback=256, experts="lstm", learning_rate=0.003)
        said = by_stream(messages(partition, given))
        late = [message for key in range(90, 120) for message in said[str(key)][1:]]
        errors[scope] = np.mean([abs(message["evaluation"]["error"]) for message in late])
    assert errors["partition"] < 0.8 * errors["stream"], errors


def test_a_new_stream_predicts_values_that_it_has_never_seen(learned: PartitionState) -> None:
    """After its first value it is told what followed that in others; alone it would know that one value."""
    (message,) = messages(resumed(learned), records([3], b"new"))
    assert (None, 1, 1) == (message["evaluation"], message["event"], message["prediction"])
    assert 1 == message["experts"]["lstm"][0]
    assert 3 == message["experts"]["suffix_memory"][0]
    (alone,) = messages(partition_of(), records([3], b"new"))
    assert 3 == alone["prediction"]


def test_a_value_that_others_brought_meanwhile_was_not_predicted() -> None:
    """What a stream is told after its next event it could not be judged by before: the value had been unknown."""
    partition = partition_of(experts="lstm")
    before = messages(partition, records([1, 1], b"a"))[-1]
    messages(partition, records([2, 2, 2], b"b"))
    (after,) = messages(partition, records([2], b"a"))
    assert after["evaluation"]["hit"] is False
    assert after["evaluation"]["probability"] == pytest.approx(1 - sum(p for _, p in before["top"]), abs=1e-5)
    assert {1, 2} == {value for value, _ in after["top"]}


# the book of codes


def test_sightings_count_over_all_streams() -> None:
    """The second sight of a value admits it, whosever it is."""
    partition = partition_of()
    partition.process([*records([1, 7], b"a")])
    assert {"1": 1} == codes(partition)
    partition.process(records([7], b"b"))
    assert {"1": 1, "7": 2} == codes(partition)


def test_a_full_book_admits_no_more_and_loses_nothing() -> None:
    """Codes stay those of the values that came first; no expert knows other values."""
    partition = partition_of(max_vocabulary=3)
    partition.process(records([1, 2, 3] * 20, b"a"))
    said = messages(partition, records([4, 5, 6] * 30, b"b"))
    assert {"1": 1, "2": 2, "3": 3} == codes(partition)
    assert not {4, 5, 6} & {name for message in said for name, *_ in message["experts"].values()}
    assert not any(message["evaluation"]["hit"] for message in said[1:])
    again = messages(partition, records([1, 2, 3] * 3, b"a"))
    assert all(message["evaluation"]["hit"] for message in again)


def test_the_book_is_bounded() -> None:
    """Thousands of values that come once leave no more than its candidates."""
    partition = partition_of(max_vocabulary=5, experts="lstm", max_streams=2)
    partition.process([one for key in range(30) for one in records(range(100 * key, 100 * key + 50), b"%d" % key)])
    assert 1 + 5 == len(shared_of(partition.state()).vocabulary.literals)


# what is forgotten, and what is not


def test_who_leaves_takes_nothing_of_the_others(learned: PartitionState) -> None:
    """Tombstones and evictions forget what a stream had of its own; weights and codes stay."""
    partition = resumed(learned)
    before = shared(partition)
    partition.process([record(0, None, b"a"), record(1, None, b"b")])
    assert [] == partition.state().learned.keys
    assert before == shared(partition)
    crowded = partition_of(max_streams=1)
    crowded.process([*records(LOOP * 40, b"a"), *records([3], b"b")])
    assert ["b"] == crowded.state().learned.keys
    for known in (partition, crowded):
        (message,) = messages(known, records([3], b"a"))
        assert (1, 1) == (message["event"], message["prediction"])


def test_nothing_shared_moves_without_learning(learned: PartitionState) -> None:
    """Neither by values and streams that are new, nor by ends; known ones go on being predicted."""
    partition = resumed(learned)
    partition.learn_with(replace(partition.learning, learn=False))
    before = shared(partition)
    said = messages(partition, [*records(LOOP * 2, b"a"), *records(LOOP * 2, b"new"), *records([9] * 5, b"other")])
    partition.process([record(0, b'{"value": 3, "end": true}', b"a")])
    assert before == shared(partition)
    assert all(message["evaluation"]["hit"] for message in said[1:12])
    assert np.mean([message["evaluation"]["hit"] for message in said[13:24]]) > 0.6
    partition.learn_with(learning_settings(shared_settings()))
    partition.process(records([9], b"a"))
    assert before != shared(partition)


def test_a_warm_start_brings_what_is_shared(learned: PartitionState) -> None:
    """The weights and the codes; a stream of the same key goes on as it was, others have nothing of their own."""
    partition = partition_of(warm=learned)
    assert digest_of(shared_of(learned).to_arrays()) == shared(partition)
    (new,) = messages(partition, records([3], b"new"))
    assert (1, 1) == (new["event"], new["prediction"])
    (known,) = messages(partition, records([3], b"a"))
    assert 40 * len(LOOP) + 1 == known["event"]
    assert known["evaluation"] is None


@pytest.mark.parametrize("size", [1, 7])
def test_a_warm_start_does_not_show_the_size_of_the_calls(learned: PartitionState, size: int) -> None:
    """Outputs and state are the same bytes in pieces of any size, each restored from the state before it."""
    given = [*records([7, 7, *LOOP], b"new"), *turns(records([*LOOP, 8, 8], b"a"), records([*LOOP, 9, 9], b"b"))]
    whole, pieces, outputs = partition_of(warm=learned), partition_of(warm=learned), []
    for start in range(0, len(given), size):
        state = pieces.state()
        pieces = partition_of(warm=learned)
        pieces.restore(state)
        outputs += messages(pieces, given[start : start + size])
    assert messages(whole, given) == outputs
    assert digest_of(whole.state().to_arrays()) == digest_of(pieces.state().to_arrays())


# the state


def test_what_is_shared_is_in_the_state_once(learned: PartitionState) -> None:
    """A stream's arrays have no weights, only states; with weights of its own it is the other way round."""
    for arrays in streams_learned(learned).networks.values():
        assert {"states", "pending", "published_codes"} == arrays.keys()
        assert (8,) == arrays["states"].shape[1:]
    own = partition_of(model_scope="stream")
    own.process(records(LOOP, b"a"))
    assert streams_learned(own.state()).shared is None
    assert "network" in streams_learned(own.state()).networks[4]


def test_a_checkpoint_brings_it_back(learned: PartitionState) -> None:
    """Through a file it is the same state, and it goes on the same."""
    content = unpack(pack(learned.to_arrays()), "it")
    assert digest_of(learned.to_arrays()) == digest_of(content)
    state = PartitionState.from_arrays(content)
    given = turns(records(LOOP, b"a"), records(LOOP, b"c"))
    assert messages(resumed(learned), given) == messages(resumed(state), given)


def test_inspect_tells_of_each_stream_with_the_shared_weights(learned: PartitionState) -> None:
    """Each is told with its own values, and all with the same weights."""
    told = {stream["key"]: stream for stream in streams_of(learned)}
    assert [240, 4] == [told[key]["events"] for key in ("a", "b")]
    assert told["a"]["weights_norm"] == told["b"]["weights_norm"] > 0
    assert told["a"]["fit_steps"] == told["b"]["fit_steps"] > 240
    assert [1, 2, 3, 1] == told["b"]["last_values"]
    assert 2 == told["b"]["prediction"][0][0]


def test_a_stream_is_stored_with_the_network_that_it_ran_on() -> None:
    """What a command reads says the same of the value to come as the daemon did of the stream that was seen last."""
    partition = partition_of()
    partition.process([*records([1, 2] * 60, b"a"), *records([1, 2, 3, 4, 5, 6] * 2, b"b"), *records(LOOP, b"c")])
    streams = streams_learned(partition.state())
    first, *_, last = map(streams.with_shared_weights, streams.snapshots())
    assert ("c", "a") == (last.key, first.key)
    assert 8 == last.classes == first.classes
    assert 4 == streams.classes[0]
    known = np.array([len(codes(partition)) + 1], np.int32)
    network = small_network(learning_settings(shared_settings()))
    past = network.no_past()
    said = network.run(last.network["network"], last.row["window"], known, past).probabilities
    assert last.network["pending"].tolist() == said[0].tolist()


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ({"network": np.zeros(3, np.float32)}, "shape of the shared network"),
        ({"classes": np.int32(16)}, "classes that are shared"),
        ({"extra": np.zeros(1)}, "names of what is shared"),
    ],
    ids=lambda damage: str(damage)[:20],
)
def test_what_does_not_fit_is_refused(learned: PartitionState, damage: dict[str, Any], complaint: str) -> None:
    """A restore says what is wrong."""
    content = learned.to_arrays()
    with pytest.raises(StateMismatchError, match=complaint):
        resumed(PartitionState.from_arrays(content | {"shared": content["shared"] | damage}))


def test_a_stream_with_values_of_its_own_is_refused(learned: PartitionState) -> None:
    """They would be read as values of the shared vocabulary."""
    streams = streams_learned(learned)
    vocabularies = [shared_of(learned).vocabulary, *streams.vocabularies[1:]]
    with pytest.raises(StateMismatchError, match="values that a stream does not share"):
        resumed(replace(learned, learned=replace(streams, vocabularies=vocabularies)))


# memories, mixture and replay


def test_a_new_stream_predicts_with_the_memories_of_the_others() -> None:
    """Without an LSTM that learned anything, the first value of a new stream is continued as in earlier streams."""
    partition = partition_of(learning_rate=1e-9)
    partition.process([one for number in range(6) for one in records([1, 2, 3, 4], b"%d" % number)])
    said = messages(partition, records([1, 2, 3], b"new"))
    assert [2, 3, 4] == [message["experts"]["suffix_memory"][0] for message in said]
    assert [2, 3, 4] == [message["prediction"] for message in said]


def test_the_beginning_of_a_sequence_is_a_context() -> None:
    """What follows a value at the beginning differs from what follows it later, in streams never seen before."""
    partition = partition_of(learning_rate=1e-9)
    partition.process([one for number in range(20) for one in records([1, 2, 1, 3], b"%d" % number)])
    said = messages(partition, records([1, 2, 1], b"new"))
    assert [2, 1, 3] == [message["prediction"] for message in said]


def test_the_evidence_of_a_stream_outweighs_that_of_others() -> None:
    """Where a stream always did the contrary of the others, its own contexts decide; a new stream follows the rest."""
    partition = partition_of(learning_rate=1e-9)
    rest = [records([1, 2] * 10, b"%d" % number) for number in range(9)]
    odd = records([1, 3] * 10, b"odd")
    partition.process(turns(*rest, odd))
    assert 3 == messages(partition, records([1], b"odd"))[0]["prediction"]
    assert 2 == messages(partition, records([1], b"new"))[0]["prediction"]


def test_a_stream_of_shared_weights_holds_little() -> None:
    """Memories, mixture and replayed windows are in the shared state: a stream has less than 20 kB of its own."""
    settings = read_settings({"model_scope": "partition"}, environment={})
    network = model_factory(settings)(learning_settings(settings))
    partition = Partition(
        settings, SOURCES[0], next_metadata(settings, SOURCES[0], 0, initial_metadata(1)), lambda _: network
    )
    partition.process(records([1, 2, 3], b"a"))
    streams = streams_learned(partition.state())
    own = [*streams.arrays.values(), *(array for arrays in streams.networks.values() for array in arrays.values())]
    assert sum(array.nbytes for array in own) < 20_000
    assert {"suffix_keys", "mixer_weights", "replay_codes", "most_frequent_counts"} < shared_of(
        partition.state()
    ).arrays.keys()


@pytest.mark.parametrize("size", [1, 7])
def test_calls_with_symbols_may_have_any_length(size: int) -> None:
    """Outputs and shared state are the same bytes in pieces of any size, each restored from the state before it."""
    everything = traffic(300)
    whole, pieces, outputs = partition_of(max_streams=3), partition_of(max_streams=3), []
    for start in range(0, len(everything), size):
        state = PartitionState.from_arrays(unpack(pack(pieces.state().to_arrays()), "it"))
        pieces = resumed(state, max_streams=3)
        outputs += pieces.process(everything[start : start + size]).outputs
    assert whole.process(everything).outputs == outputs
    assert digest_of(whole.state().to_arrays()) == digest_of(pieces.state().to_arrays())


def test_each_task_says_which_scopes_it_has() -> None:
    """Labels are learned from many sequences; symbols and numbers have the choice."""
    for task in ("symbol", "number"):
        assert "stream" == read_settings({"task": task}).model_scope
        assert "partition" == read_settings({"task": task, "model_scope": "partition"}).model_scope
    with pytest.raises(SettingsError, match="model_scope: received stream, expected partition, as task is label"):
        read_settings({"task": "label", "model_scope": "stream"})
