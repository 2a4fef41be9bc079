"""The content of a checkpoint file as JSON values: in short for a list, or whole."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from online_lstm.audit.state_description import learner_of, streams_of
from online_lstm.checkpoint.checkpoint_files import CheckpointFile
from online_lstm.checkpoint.hdf5 import FORMAT
from online_lstm.learning.partition import lineage_generation


def summarize(file: CheckpointFile) -> dict[str, Any]:
    """Return source, lineage, offset and size of a checkpoint as JSON."""
    source, state = file.source, file.state
    summary: dict[str, Any] = {
        "checkpoint": file.location,
        "group": file.group,
        "topic": source.topic if source else None,
        "partition": source.partition if source else None,
        "lineage": state.commit_metadata.lineage if state else file.lineage,
        "offset": file.offset,
        "bytes": file.size,
        "whole": state is not None,
    }
    if state is None:
        return {**summary, "damage": file.damage}
    return {
        **summary,
        "generation": lineage_generation(state.commit_metadata.lineage),
        "records": state.commit_metadata.records,
        "partitions": state.commit_metadata.partitions,
        "streams": len(state.learned.keys),
    }


def describe(file: CheckpointFile) -> dict[str, Any]:
    """Return the whole content of a checkpoint as JSON, with the sizes of its arrays."""
    summary, state, attributes = summarize(file), file.state, dict(file.attributes)
    if state is None:
        return summary
    return {
        **summary,
        "format": FORMAT,
        "digest_of_outputs": state.commit_metadata.digest.hex(),
        "digest_of_state": attributes.pop("digest"),
        "origin": attributes,
        "shape": state.shape,
        "learning": state.learning,
        "streams": list(streams_of(state)),
        **({"learner": learner} if (learner := learner_of(state)) else {}),
        "arrays": dict(_arrays(state.to_arrays())),
    }


def _arrays(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name, shape, dtype and size of all arrays."""
    for name, node in sorted(content.items()):
        if isinstance(node, dict):
            yield from _arrays(node, f"{prefix}{name}/")
        elif isinstance(node, np.ndarray):
            yield prefix + name, {"shape": list(node.shape), "dtype": str(node.dtype), "bytes": node.nbytes}
