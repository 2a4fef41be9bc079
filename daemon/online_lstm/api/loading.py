"""The settings, new partitions and checkpoint files of a learner; imports numba and h5py, and loads TensorFlow."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from online_lstm.api.inputs import TOPIC
from online_lstm.atomic_write import replacing
from online_lstm.checkpoint.checkpoint_files import pack_state, read_file
from online_lstm.checkpoint.warm_start_file import beginning
from online_lstm.errors import CheckpointDamagedError, SettingsError
from online_lstm.learning.network import load_tensorflow
from online_lstm.learning.partition import Partition, learning_settings
from online_lstm.learning.state.schema import PartitionState
from online_lstm.learning.warm_start import require_shape
from online_lstm.settings import Settings, kind_of, read_settings

_NOTICE = "online_lstm: loading TensorFlow, and compiling at the first value: some 10 seconds, once in a process"


def learner_settings(given: Mapping[str, Any]) -> Settings:
    """Return validated settings.

    Raises:
        SettingsError: A value is invalid, a name is unknown, or a setting concerns the daemon only.
    """
    fields = Settings.model_fields
    daemons = [name for name in given if name in fields and kind_of(fields[name]) == "operational" and name != "preset"]
    if daemons:
        raise SettingsError(
            f"{', '.join(daemons)}: received by a Learner, expected settings of the model: topics, brokers, files and "
            "logs belong to the daemon, `online-lstm run`"
        )
    return read_settings(given, environment={})


def settings_of_state(state: PartitionState, given: Mapping[str, Any], name: str) -> Settings:
    """Return the settings that a state was learned with, and the given learning settings instead of its own.

    Raises:
        SettingsError: A given setting is invalid, or the file of the warm start is missing.
        StateMismatchError: A given shape setting differs.
    """
    stored = {**state.shape, **state.learning}
    if stored.pop("warm_start", None) and "warm_start" not in given:
        raise SettingsError(
            f"{name}: was learned after a warm start, from whose file new streams begin: name that file, warm_start=..."
        )
    if "preset" in given:
        raise SettingsError(f"preset: received {given['preset']!r}, expected none: {name} has its settings")
    if str(given.get("task", stored["task"])) == stored["task"]:
        given = {**stored, **given}
    settings = learner_settings(given)
    require_shape(settings, state.shape, name)
    return settings


def new_partition(settings: Settings) -> Partition:
    """Return a partition that has learned nothing, or that begins from the setting ``warm_start``."""
    if "tensorflow" not in sys.modules and hasattr(sys, "ps1"):  # a notebook or an interactive interpreter
        print(_NOTICE, file=sys.stderr, flush=True)  # noqa: T201
    load_tensorflow()
    return beginning(settings, TOPIC)()


def load_partition(settings: Settings, state: PartitionState) -> Partition:
    """Return a partition with a learned state."""
    partition = new_partition(settings)
    partition.restore(state)
    partition.learn_with(learning_settings(settings))
    return partition


def read_state(path: str) -> PartitionState:
    """Return the content of a checkpoint file.

    Raises:
        CheckpointDamagedError: The file is damaged, or no checkpoint.
        InputFileError: The file cannot be read.
    """
    file = read_file(path)
    if file.state is None:
        raise CheckpointDamagedError(file.damage)
    return file.state


def write_state(partition: Partition, path: Path) -> None:
    """Write a checkpoint file; after an error, a file that was there before is unchanged.

    Raises:
        SettingsError: The file cannot be written.
    """
    data = pack_state(partition.state())
    try:
        with replacing(path, durable=True) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be written ({error.strerror}); expected the path of a file in a directory that exists"
        ) from error
