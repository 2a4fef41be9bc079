from typing import Any

import numpy as np
import pytest
from online_lstm.checkpoint import digest_of
from online_lstm.errors import StateMismatchError
from online_lstm.events import CommitMetadata
from online_lstm.learning.state.schema import (
    LabelsState,
    LearnedState,
    PartitionState,
    SharedState,
    StreamsState,
    TableState,
)
from online_lstm.learning.state.vocabulary import Vocabulary, VocabularyState


def vocabulary(*values: int) -> VocabularyState:
    known = Vocabulary(max_codes=9, min_occurrences=1)
    for value in values:
        known.observe(value, str(value))
    return known.state()


def streams(shared: SharedState | None = None) -> StreamsState:
    return StreamsState(
        keys=["a", None, "b"],
        classes=[8, 4, 8],
        arrays={"events": np.array([[5], [6], [7]])},
        vocabularies=[vocabulary(1, 2), vocabulary(), vocabulary(3)],
        networks={
            8: {"states": np.array([[1.0], [3.0]], np.float32)},
            4: {"states": np.array([[2.0]], np.float32)},
        },
        shared=shared,
    )


SHARED = SharedState(16, np.array([9, 8], np.float32), vocabulary(1, 2, 3), {"x": np.array([[4.0]])})
LABELS = LabelsState(
    opened=TableState(["a", None], {"length": np.array([[1], [2]], np.int32)}),
    waiting=TableState([], {"length": np.zeros((0, 1), np.int32)}),
    labels=['"up"', "1.0"],
    arrays={"events": np.array([[12]])},
)


def state_of(learned: LearnedState) -> PartitionState:
    metadata = CommitMetadata("1f3a9c20-2", 12_000, bytes(range(16)), partitions=3)
    return PartitionState(metadata, {"window": 8, "horizons": [1, 3]}, {"learn": True}, learned)


@pytest.mark.parametrize("learned", [streams(), streams(SHARED), LABELS], ids=["streams", "shared", "labels"])
def test_a_state_is_read_from_its_arrays(learned: LearnedState) -> None:
    """Commit metadata, settings, keys and arrays are the same after a way through plain data."""
    state = state_of(learned)
    content = state.to_arrays()
    again = PartitionState.from_arrays(content)
    assert (state.commit_metadata, state.shape, state.learning) == (again.commit_metadata, again.shape, again.learning)
    assert state.learned.keys == again.learned.keys
    assert digest_of(content) == digest_of(again.to_arrays())


def test_the_names_in_the_file_stay() -> None:
    """Checkpoints that exist have these names."""
    content = state_of(streams(SHARED)).to_arrays()
    about = ["lineage", "records", "digest", "partitions", "shape", "learning"]
    assert [*about, "shared", "streams", "networks"] == list(content)
    assert ["classes", "network", "book", "arrays"] == list(content["shared"])
    assert ["keys", "classes", "arrays", "vocabularies"] == list(content["streams"])
    assert ["sizes", "literals", "ids", "codes", "sightings"] == list(content["streams"]["vocabularies"])
    assert ['"a"', "null", '"b"'] == content["streams"]["keys"]
    assert ["4", "8"] == list(content["networks"])
    labels = state_of(LABELS).to_arrays()
    assert [*about, "streams", "waiting", "learner"] == list(labels)
    assert ["labels", "arrays"] == list(labels["learner"])


def test_each_stream_has_its_network() -> None:
    """Networks with the same number of classes are in the order of the streams."""
    found = [(s.key, s.classes, s.row["events"][0], s.network["states"][0]) for s in streams().snapshots()]
    assert [("a", 8, 5, 1.0), (None, 4, 6, 2.0), ("b", 8, 7, 3.0)] == found
    assert [["1", "2"], [], ["3"]] == [stream.vocabulary.literals for stream in streams().snapshots()]


def test_shared_weights_are_joined_with_the_stream() -> None:
    """A stream's network is what all streams share and then its own states, with the classes of the shared part."""
    first, *_ = streams().snapshots()
    assert first is streams().with_shared_weights(first)
    joined = streams(SHARED).with_shared_weights(first)
    assert (16, [9.0, 8.0, 1.0]) == (joined.classes, joined.network["network"].tolist())


@pytest.mark.parametrize(
    ("group", "change", "complaint"),
    [
        ("", {"more": np.zeros(1)}, "names in the restored state"),
        ("streams", {"more": np.zeros(1)}, "names of the streams"),
        ("shared", {"more": np.zeros(1)}, "names of what is shared"),
    ],
)
def test_other_names_are_refused(group: str, change: dict[str, Any], complaint: str) -> None:
    """Content of another structure is not read in parts."""
    content = state_of(streams(SHARED)).to_arrays()
    damaged = content | change if group == "" else content | {group: content[group] | change}
    with pytest.raises(StateMismatchError, match=complaint):
        PartitionState.from_arrays(damaged)
