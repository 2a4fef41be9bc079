"""What export writes, loaded by Keras alone: the same outputs, the same states, and what they mean."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from online_lstm.audit.state_description import settings_of
from online_lstm.checkpoint.hdf5 import pack
from online_lstm.cli import main
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.events import InputRecord, TopicPartition
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.network.layers import parse_layers
from online_lstm.learning.network.layout import Layout
from online_lstm.learning.network.tensorflow_runtime import pin_runtime
from online_lstm.learning.partition import Partition, initial_metadata, learning_settings, next_metadata
from online_lstm.learning.state.schema import PartitionState
from online_lstm.settings import read_settings

pin_runtime()
import keras  # noqa: E402 - after the pins

pytestmark = pytest.mark.long

SOURCE = TopicPartition("numbers", 0)
LAYERS = ("lstm 5", "leaky_relu", "dropout 0.3", "gru 4", "layer_norm", "dense 6 tanh")
SMALL: dict[str, Any] = {"network": LAYERS, "window": 8, "replay_buffer_size": 40, "score_window": 20}
COUNT = 90


@cache
def state_of(task: str) -> PartitionState:
    """A partition that has learned two streams; the values of the one without key end with a sequence of three."""
    numbers = {"lookback": 256, "horizons": (1, 3), "features": 2} if task == "number" else {}
    settings = read_settings({"task": task, **SMALL, **numbers}, environment={})
    partition = Partition(
        settings, SOURCE, next_metadata(settings, SOURCE, 0, initial_metadata(1)), model_factory(settings)
    )
    values: list[Any] = np.random.default_rng(4).integers(0, 4, COUNT).tolist()
    if task == "number":
        values = [[value, None if value == 2 else -value] for value in values]
    keys = [b"pump" if number % 3 else None for number in range(COUNT)]
    broken = max(number for number in range(COUNT - 9) if keys[number] is None)
    records = [
        InputRecord("numbers", 0, n, n, key, json.dumps({"value": value, "end": n == broken}).encode())
        for n, (value, key) in enumerate(zip(values, keys, strict=True))
    ]
    partition.process(records)
    return partition.state()


@pytest.fixture(params=["symbol", "number"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[PartitionState, Path]]:
    state = state_of(request.param)
    path = tmp_path / "learned.h5"
    path.write_bytes(pack(state.to_arrays(), {}))
    return state, path


def export(path: Path, *options: str) -> tuple[keras.Model, dict[str, Any]]:
    out = path.with_name("pump.keras")
    assert ExitCode.OK == main.main(["export", str(path), str(out), *options])
    return keras.models.load_model(out), json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))


def inputs_of(about: dict[str, Any]) -> np.ndarray:
    """What goes into the model, float32 (steps, inputs)."""
    if about["task"] == "symbol":
        return np.eye(len(about["symbols"]), dtype=np.float32)[about["window"]]
    return np.array(about["window"], np.float32)


def expected_of(state: PartitionState, stream: int, about: dict[str, Any]) -> np.ndarray:
    """What the network had said of the value to come."""
    if about["task"] == "symbol":
        return state.learned.networks[8]["pending"][stream, : len(about["symbols"])]
    pending = state.learned.arrays["pending"][stream, -1]  # (horizons, components, predictors)
    lstm = pending[:, :, 3].T.ravel()  # after what is published and two baselines
    return (lstm - about["linear"]) / about["spread"]


def set_states(model: keras.Model, about: dict[str, Any]) -> None:
    for name, states in about["states"].items():
        for variable, value in zip(model.get_layer(name).states, states, strict=True):
            variable.assign([value])


@pytest.mark.parametrize(("stream", "key"), [(0, "null"), (1, "pump")])
def test_the_stateful_twin_says_what_the_daemon_says(
    checkpoint: tuple[PartitionState, Path], stream: int, key: str
) -> None:
    """From the states before the window on, step by step or all at once, the last output is the one that is pending."""
    state, path = checkpoint
    order = state.learned.keys
    assert {None, "pump"} == set(order)
    place = order.index(None if key == "null" else key)
    model, about = export(path, "--stateful", "--stream", key)
    assert order[place] == about["stream"]
    longest = 10 if about["task"] == "number" else 8
    assert (longest if key == "pump" else 3) == len(about["window"])
    inputs, expected = inputs_of(about), expected_of(state, place, about)
    set_states(model, about)
    steps = [np.array(model(line[None, None]))[0, 0] for line in inputs]
    assert np.allclose(expected, steps[-1], rtol=0, atol=1e-6), stream
    after = [np.array(v) for name in about["states"] for v in model.get_layer(name).states]
    set_states(model, about)
    assert np.allclose(steps, model(inputs[None])[0], rtol=0, atol=1e-6)
    again = [np.array(v) for name in about["states"] for v in model.get_layer(name).states]
    assert all(np.allclose(one, other, rtol=0, atol=1e-6) for one, other in zip(after, again, strict=True))


def test_the_model_without_states_takes_many_sequences(checkpoint: tuple[PartitionState, Path]) -> None:
    """It begins each with zeros, as the daemon begins a sequence: the short one is told as it was."""
    state, path = checkpoint
    place = state.learned.keys.index(None)
    model, about = export(path, "--stream", "null")
    assert 3 == len(about["window"])
    inputs = inputs_of(about)
    outputs = model.predict(np.stack([inputs, inputs[::-1]]), verbose=0)
    assert np.allclose(expected_of(state, place, about), outputs[0, -1], rtol=0, atol=1e-6)
    assert not np.allclose(outputs[0], outputs[1])
    assert not any(np.array(states).any() for states in about["states"].values())


@pytest.mark.parametrize("task", ["symbol", "number", "label"])
def test_what_was_exported_is_read_back(tmp_path: Path, task: str) -> None:
    """A network of the same settings has all weights again, bit for bit, and has not taken a step."""
    path = tmp_path / "learned.h5"
    state = labels_state(2, 4) if task == "label" else state_of(task)
    path.write_bytes(pack(state.to_arrays(), {}))
    export(path, *([] if task == "label" else ["--stream", "pump"]))
    settings = settings_of(state)
    network: Any = model_factory(settings)(learning_settings(settings))
    read, outputs = network.from_keras(tmp_path / "pump.keras")
    if task == "label":
        expected = state.learned.row["network"]
    else:
        place = state.learned.keys.index("pump")
        expected = next(iter(state.learned.networks.values()))["network"][place]
    assert {"symbol": 5, "number": 4, "label": 1}[task] == outputs
    layout = Layout(parse_layers(LAYERS), {"symbol": 8, "number": 24, "label": 2}[task])
    weights = layout.sizes[0]
    assert (layout.row_size, layout.row_size) == (len(expected), len(read))
    assert expected[:weights].tobytes() == read[:weights].tobytes()
    assert expected[3 * weights] > 0
    assert not read[weights:].any()


def test_a_file_with_other_inputs_than_outputs_knows_no_symbols(tmp_path: Path) -> None:
    """Code 0, unknown, and every symbol have a column on both sides."""
    layers = [keras.Input((None, 3)), keras.layers.GRU(4, return_sequences=True), keras.layers.Dense(4)]
    keras.Sequential(layers).save(tmp_path / "odd.keras")
    settings = read_settings({"network": ("gru 4",)}, environment={})
    network: Any = model_factory(settings)(learning_settings(settings))
    with pytest.raises(SettingsError, match="layer 1: received a kernel for 3 inputs, expected 4"):
        network.from_keras(tmp_path / "odd.keras")


def test_symbols_are_named_in_the_order_of_their_columns(tmp_path: Path) -> None:
    """The first is any that is not known; the window has their numbers."""
    path = tmp_path / "learned.h5"
    path.write_bytes(pack(state_of("symbol").to_arrays(), {}))
    model, about = export(path, "--stream", "pump")
    assert [None] == about["symbols"][:1]
    assert {0, 1, 2, 3} == set(about["symbols"][1:])
    assert (None, None, 5) == model.input_shape
    assert (None, None, 5) == model.output_shape
    values = np.random.default_rng(4).integers(0, 4, COUNT)
    pump = [int(value) for number, value in enumerate(values) if number % 3]
    assert pump[-8:] == [about["symbols"][code] for code in about["window"]]
    assert f"{state_of('symbol').commit_metadata.lineage}@60" == about["model"]
    assert (60, list(LAYERS)) == (about["events"], about["network"])


def test_what_was_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The layers, what goes in and what comes out, and where the rest is."""
    path = tmp_path / "learned.h5"
    path.write_bytes(pack(state_of("number").to_arrays(), {}))
    export(path, "--stream", "pump", "--stateful")
    told = capsys.readouterr().out
    assert "stream pump, after 60 values" in told
    for part in (
        ", ".join(LAYERS),
        "24 features",
        "by how many spreads",
        "pump.json",
        "linear, spread, window, states",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("options", "received"), [([], "nothing"), (["--stream", "fan"], "'fan'"), (["--stream", ""], "''")]
)
def test_one_of_several_streams_is_to_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], received: str
) -> None:
    """The message says which ones there are; nothing is written."""
    path = tmp_path / "learned.h5"
    path.write_bytes(pack(state_of("symbol").to_arrays(), {}))
    assert ExitCode.USAGE == main.main(["export", str(path), str(tmp_path / "fan.keras"), *options])
    told = capsys.readouterr().err
    assert f"--stream: received {received}, expected the key of a stream in {path}: " in told
    assert "pump" in told
    assert "null" in told
    assert ["learned.h5"] == [file.name for file in tmp_path.iterdir()]


def test_another_file_ending_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keras knows its own files by it."""
    assert ExitCode.USAGE == main.main(["export", str(tmp_path / "learned.h5"), "network.h5"])
    assert "received network.h5, expected a path that ends in .keras" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no checkpoint"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """As for any other command."""
    path = tmp_path / "learned.h5"
    if content:
        path.write_bytes(content)
    expected = ExitCode.REFUSED if content else ExitCode.USAGE
    assert expected == main.main(["export", str(path), str(tmp_path / "network.keras")])


def labels_state(classes: int, count: int) -> PartitionState:
    """A partition that has learned sequences of three labels at most; then one of the key ``pump`` has begun."""
    settings = read_settings(
        {"task": "label", "features": 2, "classes": classes, "network": LAYERS, "score_window": 20}, environment={}
    )
    partition = Partition(
        settings, SOURCE, next_metadata(settings, SOURCE, 0, initial_metadata(1)), model_factory(settings)
    )
    draws = np.random.default_rng(4)
    values: list[tuple[bytes, dict[str, Any]]] = []
    for number in range(count):
        samples = draws.normal(number % 3, 1, (4, 2)).round(3).tolist()
        values += [(b"fan", {"value": sample}) for sample in samples]
        values.append((b"fan", {"label": f"kind {number % min(classes, 3)}", "end": True}))
    values += [(b"pump", {"value": [0.5, None if number else 2]}) for number in range(3)]
    records = [
        InputRecord("numbers", 0, n, n, key, json.dumps(value).encode()) for n, (key, value) in enumerate(values)
    ]
    assert not any(output.dead_letter for output in partition.process(records).outputs)
    return partition.state()


@pytest.mark.parametrize(("classes", "count"), [(2, 4), (2, 1), (5, 6)])
def test_exported_label_model_equals_open_sequence(tmp_path: Path, classes: int, count: int) -> None:
    """Its samples so far, scaled, give the probabilities of all labels; one that never came has none."""
    path = tmp_path / "learned.h5"
    state = labels_state(classes, count)
    path.write_bytes(pack(state.to_arrays(), {}))
    model, about = export(path, "--stream", "pump", "--stateful")
    assert ("pump", classes, 3) == (about["stream"], len(about["labels"]), len(about["window"]))
    outputs = np.array([model(np.array([[sample]], np.float32))[0, 0] for sample in about["window"]])[-1]
    assert (1 if classes == 2 else classes) == len(outputs)
    told = [1 - outputs[0], outputs[0]] if classes == 2 else outputs
    assert np.allclose(state.learned.opened.arrays["pending"][0], told, rtol=0, atol=1e-6)
    kinds = [f"kind {number}" for number in range(min(classes, count, 3))]
    assert kinds + [None] * (classes - len(kinds)) == about["labels"]
    assert all(p == 0 for p, label in zip(told, about["labels"], strict=True) if label is None)


def test_a_network_of_labels_belongs_to_all_streams(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is exported without naming one; the JSON says how samples are scaled."""
    path = tmp_path / "learned.h5"
    state = labels_state(2, 4)
    path.write_bytes(pack(state.to_arrays(), {}))
    model, about = export(path)
    assert ((None, None, 2), (None, None, 1)) == (model.input_shape, model.output_shape)
    assert "pump.keras: all streams, after " in capsys.readouterr().out
    assert [] == about["window"]
    assert "stream" not in about
    scaled = (np.array([0.5, 2]) - about["means"]) / about["deviations"]
    window = export(path, "--stream", "pump")[1]["window"]
    assert np.allclose(scaled, window[0], rtol=0, atol=0.5)  # the scale has moved on a little since
    assert 0 == window[1][1]
