"""Checkpoints: the learned state of one partition at one offset, as a file in a directory or an object store.

The content of a file is a ``PartitionState`` as nested dicts of arrays, strings and lists of strings; the package must
not know their meaning.
"""

from online_lstm.checkpoint.hdf5 import digest_of
from online_lstm.checkpoint.store import KEEP, CheckpointStore
from online_lstm.checkpoint.writer import CheckpointWriter

__all__ = ["KEEP", "CheckpointStore", "CheckpointWriter", "digest_of"]
