"""Snapshots of the streams in a partition's state, one by one, for a warm start or an inspection."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from online_lstm.learning.state.packed import ArrayViews
from online_lstm.learning.state.vocabulary import unpack


class StreamSnapshot(NamedTuple):
    """One stream: its vocabulary, its arrays, and the arrays of its network with ``classes`` classes."""

    key: str | None
    classes: int
    vocabulary: dict[str, Any]
    row: ArrayViews
    network: ArrayViews


def stream_snapshots(state: Mapping[str, Any]) -> Iterator[StreamSnapshot]:
    """Yield each stream of a ``Partition.state``, the least recently seen stream first; arrays are views."""
    streams = state["streams"]
    places: Counter[int] = Counter()  # networks with equal classes are in stream order
    columns = (streams["keys"], streams["classes"].tolist(), unpack(streams["vocabularies"]))
    for number, (key, classes, vocabulary) in enumerate(zip(*columns, strict=True)):
        row = {name: array[number] for name, array in streams["arrays"].items()}
        network = {name: array[places[classes]] for name, array in state["networks"][str(classes)].items()}
        places[classes] += 1
        yield StreamSnapshot(json.loads(key), classes, vocabulary, row, network)
