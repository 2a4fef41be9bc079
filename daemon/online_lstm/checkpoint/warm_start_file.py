"""The file of the setting ``warm_start``: a checkpoint, or a Keras file from ``export`` or from another program."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from online_lstm.errors import InputFileError, SettingsError, StateMismatchError
from online_lstm.events import InputRecord, TopicPartition
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.network import LabelModel, NumberModel, SymbolModel
from online_lstm.learning.network.layout import Floats
from online_lstm.learning.number.number_learner import NumberLearner
from online_lstm.learning.partition import Partition, initial_metadata, learning_settings, next_metadata
from online_lstm.learning.state.packed import PackedArrays
from online_lstm.learning.state.schema import LabelsState, LearnedState, PartitionState, StreamsState
from online_lstm.learning.warm_start import WarmStart
from online_lstm.settings import KERAS_SUFFIX, Settings

_NOWHERE = TopicPartition("warm-start", 0)
_TRUSTED = 1000
"""Number of samples that a scale from a Keras file counts as, so that it adapts slowly to new samples."""


def beginning(settings: Settings, name: str) -> Callable[[], Partition]:
    """Return a function that makes new partitions of the topic ``name``, empty or from a warm start.

    Partitions with equal settings share their compiled programs.
    """
    source = TopicPartition(name, 0)
    mark = next_metadata(settings, source, 0, initial_metadata(partitions=1))
    network_for, warm_start = model_factory(settings), read_warm_start(settings)
    return lambda: Partition(settings, source, mark, network_for, warm_start)


def read_warm_start(settings: Settings) -> WarmStart | None:
    """Read the initial state of new streams; return None if the setting ``warm_start`` is unset.

    Raises:
        SettingsError: The file is neither a checkpoint nor a Keras model, or does not fit the shape settings.
    """
    if settings.warm_start is None:
        return None
    keras = settings.warm_start.suffix == KERAS_SUFFIX
    try:
        state = _from_keras(settings, settings.warm_start) if keras else _from_checkpoint(settings.warm_start)
        return WarmStart(settings, state)
    except (InputFileError, StateMismatchError, SettingsError) as error:
        raise SettingsError(f"warm_start: {error}") from error


def _from_checkpoint(path: Path) -> PartitionState:
    from online_lstm.checkpoint.checkpoint_files import read_file

    file = read_file(str(path))
    if file.state is None:
        raise SettingsError(f"{file.damage}; expected a checkpoint, or a {KERAS_SUFFIX} file")
    return file.state


def _from_keras(settings: Settings, path: Path) -> PartitionState:
    """Return the state of a partition with one stream that has the Keras file's network and no other experience."""
    plain = settings.without_paths().model_copy(update={"warm_start": None})
    network = model_factory(plain)(learning_settings(plain))
    partition = Partition(plain, _NOWHERE, initial_metadata(1), lambda _: network)
    learned = _WITH_NETWORK[settings.task](plain, partition, network, path)
    return replace(partition.state(), shape=settings.of_kind("shape"), learned=learned)


def _with_symbols(settings: Settings, partition: Partition, network: SymbolModel, path: Path) -> StreamsState:
    weights, known = network.from_keras(path)
    symbols = _read_list(path, "symbols", known)[1:]
    partition.learn_with(learning_settings(settings.model_copy(update={"learn": True})))
    # repeat each symbol until the vocabulary admits it, in the order of the codes, each as a separate sequence
    seen = [symbol for code, symbol in enumerate(symbols) for _ in range(settings.min_occurrences if code else 1)]
    values = [json.dumps({"value": symbol, "end": True}).encode() for symbol in seen]
    refused = partition.process(_records(values)).tally.dead_letters
    streams = partition.state().learned
    assert isinstance(streams, StreamsState)
    classes = network.classes_for(known)
    if refused or [classes] != streams.classes:
        raise SettingsError(
            f"{path.with_suffix('.json')}: symbols: received {known - 1}, expected distinct numbers or strings, at "
            f"most {settings.max_vocabulary} (the setting max_vocabulary)"
        )
    return _with_network(streams, weights, network.states_size)


def _with_numbers(settings: Settings, partition: Partition, network: NumberModel, path: Path) -> StreamsState:
    weights, _ = network.from_keras(path)
    partition.process(_records([json.dumps([0.0] * settings.features).encode()]))
    streams = partition.state().learned
    assert isinstance(streams, StreamsState)
    # drop all traces of the value that created the stream
    rows = PackedArrays(NumberLearner.stream_fields(settings))
    return _with_network(replace(streams, arrays=rows.take([rows.add()])), weights, network.states_size)


def _with_labels(_: Settings, partition: Partition, network: LabelModel, path: Path) -> LabelsState:
    learner = partition.state().learned
    assert isinstance(learner, LabelsState)
    weights, _outputs = network.from_keras(path)
    labels = _read_list(path, "labels", network.classes)
    known = [label for label in labels if label is not None]
    means, deviations = (np.array(_read_list(path, name, network.features), float) for name in ("means", "deviations"))
    row = learner.row
    row["network"][:] = weights
    row["learned"][: len(known)] = True
    row["scale_means"][:], row["scale_variances"][:] = means, deviations**2
    row["scale_counts"][:] = _TRUSTED
    return replace(learner, labels=[json.dumps(label, ensure_ascii=False) for label in known])


_WITH_NETWORK: Mapping[str, Callable[..., LearnedState]] = {
    "symbol": _with_symbols,
    "number": _with_numbers,
    "label": _with_labels,
}


def _with_network(streams: StreamsState, weights: Floats, states_size: int) -> StreamsState:
    """Set the weights of the only stream's network, or of the network that all streams share; return the state."""
    if streams.shared is not None:
        return replace(streams, shared=replace(streams.shared, network=weights[:-states_size].copy()))
    (networks,) = streams.networks.values()
    networks["network"][0] = weights
    return streams


def _read_list(path: Path, name: str, count: int) -> list[Any]:
    """Read the list ``name``, of ``count`` items, from the JSON file that ``export`` writes beside a Keras file."""
    beside = path.with_suffix(".json")
    try:
        items = json.loads(beside.read_text(encoding="utf-8")).get(name)
    except (OSError, ValueError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(
            f"{beside}: {reason}; expected the JSON file that `export` writes beside {path.name}"
        ) from error
    if not isinstance(items, list) or len(items) != count:
        raise SettingsError(f"{beside}: {name}: received {str(items)[:64]}, expected a list of {count}")
    return items


def _records(values: list[bytes]) -> list[InputRecord]:
    return [InputRecord(_NOWHERE.topic, 0, index, -1, None, value) for index, value in enumerate(values)]
