"""Checkpoints: the learned state of one partition at one offset, as a file in a directory or an object store.

It does not know what is in a state: nested dicts of arrays, strings and lists of strings.
"""

from online_lstm.checkpoint.hdf5 import digest_of
from online_lstm.checkpoint.store import KEEP, CheckpointStore
from online_lstm.checkpoint.writer import CheckpointWriter

__all__ = ["KEEP", "CheckpointStore", "CheckpointWriter", "digest_of"]
