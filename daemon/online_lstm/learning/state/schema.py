"""The schema of a checkpoint: everything that a partition has learned, as frozen records.

``to_arrays`` returns a record as nested dicts of arrays, strings and lists of strings, the groups and datasets of a
checkpoint file; ``from_arrays`` reads them. Only these methods know the names in the file. The arrays of a row are
named by the learner that owns them.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import CommitMetadata
from online_lstm.learning.state.packed import ArrayViews, require_same
from online_lstm.learning.state.vocabulary import VocabularyState, pack, unpack

Arrays = dict[str, NDArray[Any]]
"""Named arrays, one row for each stream."""
Content = Mapping[str, Any]
"""Nested dicts, as in a checkpoint file."""
_ABOUT = ("lineage", "records", "digest", "partitions", "shape", "learning")
"""The datasets of a checkpoint beside the groups of what was learned."""
_OF_STREAMS, _OF_LABELS = ("streams", "networks"), ("streams", "waiting", "learner")
"""The groups of what was learned; ``shared`` is only there if streams share weights."""


class StreamSnapshot(NamedTuple):
    """One stream: its vocabulary, its arrays, and the arrays of its network with ``classes`` classes."""

    key: str | None
    classes: int
    vocabulary: VocabularyState
    row: ArrayViews
    network: ArrayViews


@dataclass(frozen=True, slots=True, eq=False)
class SharedState:
    """The part of a network that all streams share, float32 ``(size,)``, and the vocabulary of its codes.

    ``arrays`` has one row, of the arrays that the learners of all streams share.
    """

    classes: int
    network: NDArray[np.float32]
    vocabulary: VocabularyState
    arrays: Arrays

    def to_arrays(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "classes": np.int32(self.classes),
            "network": self.network,
            "book": self.vocabulary.to_arrays(),
            "arrays": self.arrays,
        }

    @classmethod
    def from_arrays(cls, content: Content) -> Self:
        """Read a state that ``to_arrays`` returned."""
        require_same("names of what is shared", sorted(content), ["arrays", "book", "classes", "network"])
        book = VocabularyState.from_arrays(content["book"])
        return cls(int(content["classes"]), content["network"], book, content["arrays"])


@dataclass(frozen=True, slots=True, eq=False)
class StreamsState:
    """The streams of a partition, the least recently seen stream first.

    ``classes`` has the number of classes of each stream's network; ``networks`` has, for each number of classes, the
    networks in the order of the streams. ``shared`` is None unless the streams share weights.
    """

    keys: list[str | None]
    classes: list[int]
    arrays: Arrays
    vocabularies: list[VocabularyState]
    networks: dict[int, Arrays]
    shared: SharedState | None = None

    def snapshots(self) -> Iterator[StreamSnapshot]:
        """Yield each stream, the least recently seen stream first; arrays are views."""
        indices: Counter[int] = Counter()  # of the next network, by classes
        for index, (key, classes) in enumerate(zip(self.keys, self.classes, strict=True)):
            row = {name: array[index] for name, array in self.arrays.items()}
            network = {name: array[indices[classes]] for name, array in self.networks[classes].items()}
            indices[classes] += 1
            yield StreamSnapshot(key, classes, self.vocabularies[index], row, network)

    def with_shared_weights(self, stream: StreamSnapshot) -> StreamSnapshot:
        """Return a stream with its complete network and vocabulary, including what all streams share, if any."""
        if self.shared is None:
            return stream
        network = {**stream.network, "network": np.concatenate([self.shared.network, stream.network["states"]])}
        return stream._replace(classes=self.shared.classes, network=network, vocabulary=self.shared.vocabulary)

    def to_arrays(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            **({} if self.shared is None else {"shared": self.shared.to_arrays()}),
            "streams": {
                "keys": _json_keys(self.keys),
                "classes": np.array(self.classes, np.int32),
                "arrays": self.arrays,
                "vocabularies": pack(self.vocabularies),
            },
            "networks": {str(classes): self.networks[classes] for classes in sorted(self.networks)},
        }

    @classmethod
    def from_arrays(cls, content: Content) -> Self:
        """Read a state that ``to_arrays`` returned."""
        streams = content["streams"]
        require_same("names of the streams", sorted(streams), ["arrays", "classes", "keys", "vocabularies"])
        return cls(
            keys=_keys(streams["keys"]),
            classes=streams["classes"].tolist(),
            arrays=streams["arrays"],
            vocabularies=unpack(streams["vocabularies"]),
            networks={int(classes): arrays for classes, arrays in content["networks"].items()},
            shared=SharedState.from_arrays(content["shared"]) if "shared" in content else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class TableState:
    """The rows of a table by key, the least recently seen key first."""

    keys: list[str | None]
    arrays: Arrays

    def to_arrays(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {"keys": _json_keys(self.keys), "arrays": self.arrays}

    @classmethod
    def from_arrays(cls, content: Content) -> Self:
        """Read a state that ``to_arrays`` returned."""
        require_same("names of a table", sorted(content), ["arrays", "keys"])
        return cls(_keys(content["keys"]), content["arrays"])


@dataclass(frozen=True, slots=True, eq=False)
class LabelsState:
    """The sequences of a partition and their common learner.

    ``opened`` has the open sequences, ``waiting`` the sequences that wait for their label. ``labels`` are JSON
    literals, in the order of their classes. ``arrays`` has the one row of the learner.
    """

    opened: TableState
    waiting: TableState
    labels: list[str]
    arrays: Arrays

    @property
    def keys(self) -> list[str | None]:
        """The keys of the open sequences."""
        return self.opened.keys

    @property
    def row(self) -> ArrayViews:
        """The arrays of the learner, as views."""
        return {name: array[0] for name, array in self.arrays.items()}

    def to_arrays(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "streams": self.opened.to_arrays(),
            "waiting": self.waiting.to_arrays(),
            "learner": {"labels": self.labels, "arrays": self.arrays},
        }

    @classmethod
    def from_arrays(cls, content: Content) -> Self:
        """Read a state that ``to_arrays`` returned."""
        return cls(
            opened=TableState.from_arrays(content["streams"]),
            waiting=TableState.from_arrays(content["waiting"]),
            labels=content["learner"]["labels"],
            arrays=content["learner"]["arrays"],
        )


LearnedState = StreamsState | LabelsState


@dataclass(frozen=True, slots=True, eq=False)
class PartitionState:
    """The content of a checkpoint: the position in the input, the settings it was learned with, and what was learned.

    ``shape`` and ``learning`` are settings by name, as JSON values.
    """

    commit_metadata: CommitMetadata
    shape: Mapping[str, Any]
    learning: Mapping[str, Any]
    learned: LearnedState

    def to_arrays(self) -> dict[str, Any]:
        """Return the state as plain data, for a checkpoint file."""
        return {
            "lineage": self.commit_metadata.lineage,
            "records": np.int64(self.commit_metadata.records),
            "digest": self.commit_metadata.digest.hex(),
            "partitions": np.int64(self.commit_metadata.partitions),
            "shape": json.dumps(self.shape, sort_keys=True),
            "learning": json.dumps(self.learning, sort_keys=True),
            **self.learned.to_arrays(),
        }

    @classmethod
    def from_arrays(cls, content: Content) -> Self:
        """Read a state that ``to_arrays`` returned.

        Raises:
            StateMismatchError: The content has other names than ``to_arrays`` returns.
        """
        labels = "learner" in content
        groups = _OF_LABELS if labels else _OF_STREAMS
        require_same("names", sorted({*content} - {"shared"}), sorted((*_ABOUT, *groups)))
        metadata = CommitMetadata(
            lineage=content["lineage"],
            records=int(content["records"]),
            digest=bytes.fromhex(content["digest"]),
            partitions=int(content["partitions"]),
        )
        learned = LabelsState.from_arrays(content) if labels else StreamsState.from_arrays(content)
        return cls(metadata, json.loads(content["shape"]), json.loads(content["learning"]), learned)


def _json_keys(keys: list[str | None]) -> list[str]:
    return [json.dumps(key) for key in keys]


def _keys(texts: list[str]) -> list[str | None]:
    return [json.loads(text) for text in texts]
