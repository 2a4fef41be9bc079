"""States of partitions: one for tests of storage, and what the learners of a task have in theirs."""

from typing import Any

import numpy as np
from online_lstm.events import CommitMetadata
from online_lstm.learning.partition import Partition
from online_lstm.learning.state.schema import LabelsState, PartitionState, StreamsState
from online_lstm.learning.stream_learners import StreamLearners


def partition_state(lineage: str, records: int, *, size: int = 64) -> PartitionState:
    """Return a state without streams, with an array of ``size`` numbers."""
    arrays = {"window": np.arange(size, dtype=np.int32)}
    streams = StreamsState(keys=[], classes=[], arrays=arrays, vocabularies=[], networks={})
    return PartitionState(CommitMetadata(lineage, records, bytes(16), partitions=1), {}, {}, streams)


def streams_learned(state: PartitionState) -> StreamsState:
    """Return what was learned of symbols or numbers."""
    assert isinstance(state.learned, StreamsState)
    return state.learned


def labels_learned(state: PartitionState) -> LabelsState:
    """Return what was learned of labels."""
    assert isinstance(state.learned, LabelsState)
    return state.learned


def stream_learners(partition: Partition) -> dict[str | None, Any]:
    """Return the learner of each stream; which class it has depends on the task."""
    assert isinstance(partition._learners, StreamLearners)
    return partition._learners.by_stream
