"""Checkpoints in the repository, one for each task and form of weights, and the learning that made them.

``python -m support.golden_checkpoints``, run in ``tests``, writes them again after a wanted change of their content.
"""

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from online_lstm.checkpoint.hdf5 import pack, unpack
from online_lstm.events import CommitMetadata, InputRecord
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import Partition

from support.fakes import LABELS, NUMBERS, SOURCES, label_traffic, number_traffic, small_settings, traffic

FOLDER = Path(__file__).parents[1] / "unit/checkpoint/golden"
EVENTS = 40
RENAMED = ("shape", "learning")
"""The texts with the settings: a setting may get another name while the arrays stay."""


class Golden(NamedTuple):
    settings: Mapping[str, Any]
    records: Callable[[int], Sequence[InputRecord]]


GOLDEN = {
    "symbol": Golden({}, traffic),
    "symbol-shared": Golden({"model_scope": "partition"}, traffic),
    "number": Golden(NUMBERS, number_traffic),
    "number-shared": Golden({**NUMBERS, "model_scope": "partition"}, number_traffic),
    "label": Golden(LABELS, label_traffic),
}


def untrained(name: str) -> Partition:
    settings = small_settings(**GOLDEN[name].settings)
    return Partition(settings, SOURCES[0], CommitMetadata("golden", 0, bytes(16), 2), model_factory(settings))


def learned(name: str) -> Partition:
    partition = untrained(name)
    partition.process(GOLDEN[name].records(EVENTS))
    return partition


def read(name: str) -> dict[str, Any]:
    """Return the content of a golden checkpoint."""
    return unpack(gzip.decompress((FOLDER / f"{name}.h5.gz").read_bytes()), name)


def datasets(content: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield path and array of each dataset, except the texts with the settings; texts are an array of objects."""
    for name, node in sorted(content.items()):
        if isinstance(node, Mapping):
            yield from datasets(node, f"{within}{name}/")
        elif name not in RENAMED:
            yield f"{within}{name}", np.array(node, object if isinstance(node, str | list) else None)


if __name__ == "__main__":
    for name in GOLDEN:
        (FOLDER / f"{name}.h5.gz").write_bytes(gzip.compress(pack(learned(name).state().to_arrays()), mtime=0))
