"""States of partitions for tests of storage, which does not look into them."""

import numpy as np
from online_lstm.events import CommitMetadata
from online_lstm.learning.state.schema import PartitionState, StreamsState


def partition_state(lineage: str, records: int, *, size: int = 64) -> PartitionState:
    """Return a state without streams, with an array of ``size`` numbers."""
    arrays = {"window": np.arange(size, dtype=np.int32)}
    streams = StreamsState(keys=[], classes=[], arrays=arrays, vocabularies=[], networks={})
    return PartitionState(CommitMetadata(lineage, records, bytes(16), partitions=1), {}, {}, streams)
