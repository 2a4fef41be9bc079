"""A network that is written for Keras, loaded by Keras alone, and read back."""

import json
import zipfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from online_lstm.errors import SettingsError
from online_lstm.learning.network.forward import forward
from online_lstm.learning.network.keras_files import Head, keras_bytes, read_keras, states_of
from online_lstm.learning.network.layers import parse_layers
from online_lstm.learning.network.layout import Floats, Layout
from online_lstm.learning.network.tensorflow_runtime import pin_runtime

pin_runtime()
import keras  # noqa: E402 - after the pins
import tensorflow as tf  # noqa: E402

pytestmark = pytest.mark.long

STACK = ["lstm 6", "leaky_relu 0.2", "dropout 0.5", "dense 5 tanh", "layer_norm", "gru 4"]
LAYOUT = Layout(parse_layers(STACK), 8)
HEADS = [Head(5, 5, "softmax"), Head(8, 1, "linear"), Head(3, 2, "sigmoid")]
STEPS = 12


@pytest.fixture
def state() -> Floats:
    """A row in which everything is something."""
    row = np.random.default_rng(2).normal(0, 0.5, LAYOUT.row_size).astype(np.float32)
    row[LAYOUT.sizes[0] : 3 * LAYOUT.sizes[0]] = 9
    return row


def ours(state: Floats, head: Head, inputs: Floats, starts: Floats) -> tuple[Floats, list[Floats]]:
    """What the daemon's own pass gives for one sequence: outputs (steps, outputs), and the states after each step."""
    padded = np.zeros((len(inputs), 1, LAYOUT.classes), np.float32)
    padded[:, 0, : head.inputs] = inputs
    logits, states = forward(
        LAYOUT,
        tf.constant(state[: LAYOUT.sizes[0]]),
        lambda kernel: tf.constant(padded) @ kernel,
        tf.ones((len(inputs), 1)),
        tf.constant(starts[None]),
    )
    outputs = keras.activations.get(head.activation)(logits[:, 0, : head.outputs])
    return np.array(outputs), [np.array(after[:, 0]) for after in states]


def load(folder: Path, content: bytes) -> keras.Model:
    path = folder / "network.keras"
    path.write_bytes(content)
    return keras.models.load_model(path)


@pytest.mark.parametrize("head", HEADS)
def test_a_written_model_has_the_same_outputs(tmp_path: Path, state: Floats, head: Head) -> None:
    """Over a whole window from zero states, for any number of sequences, to 1e-6; nothing is dropped."""
    model = load(tmp_path, keras_bytes(LAYOUT, state, head))
    inputs = np.random.default_rng(3).normal(size=(2, STEPS, head.inputs)).astype(np.float32)
    outputs = model.predict(inputs, verbose=0)
    assert (2, STEPS, head.outputs) == outputs.shape
    for sequence, expected in zip(inputs, outputs, strict=True):
        assert np.allclose(
            ours(state, head, sequence, np.zeros(LAYOUT.sizes[-1], np.float32))[0], expected, rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("head", HEADS)
def test_its_stateful_twin_goes_on_step_by_step(tmp_path: Path, state: Floats, head: Head) -> None:
    """From the left-edge states on, one step a call, outputs and states are those of the pass over all steps."""
    model = load(tmp_path, keras_bytes(LAYOUT, state, head, stateful=True))
    for name, states in states_of(LAYOUT, state).items():
        for variable, value in zip(model.get_layer(name).states, states, strict=True):
            variable.assign(value[None])
    inputs = np.random.default_rng(3).normal(size=(STEPS, head.inputs)).astype(np.float32)
    outputs, expected_states = ours(state, head, inputs, state[-LAYOUT.sizes[-1] :])
    for step, line in enumerate(inputs):
        told = model(line[None, None])
        assert np.allclose(outputs[step], told[0, 0], rtol=0, atol=1e-6)
        states = [variable for name in states_of(LAYOUT, state) for variable in model.get_layer(name).states]
        for expected, variable in zip(expected_states, states, strict=True):
            assert np.allclose(expected[step], variable[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_what_was_written_is_read_back(tmp_path: Path, state: Floats, head: Head) -> None:
    """Weights of inputs and outputs come back bit for bit, also into a row of more classes; all else stays."""
    path = tmp_path / "network.keras"
    path.write_bytes(keras_bytes(LAYOUT, state, head))
    file = read_keras(path, LAYOUT.layers, head.activation, inputs=head.inputs, outputs=head.outputs)
    assert head == file.head
    larger = Layout(LAYOUT.layers, 16)
    row = larger.initial(seed=1)
    file.fill(larger, row)
    (shared, *_), by_class = larger.learned(row)
    (expected, *_), expected_by_class = LAYOUT.learned(state)
    kernel, dense, bias = np.split(by_class[0], np.cumsum(larger.class_widths)[:-1], axis=1)
    expected_kernel, *expected_head = np.split(expected_by_class[0], np.cumsum(larger.class_widths)[:-1], axis=1)
    fresh = np.split(larger.learned(larger.initial(1))[1][0], np.cumsum(larger.class_widths)[:-1], axis=1)
    assert np.array_equal(expected, shared)
    for received, wanted, initial, count in zip(
        (kernel, dense, bias),
        (expected_kernel, *expected_head),
        fresh,
        (head.inputs, head.outputs, head.outputs),
        strict=True,
    ):
        assert np.array_equal(wanted[:count], received[:count])
        assert np.array_equal(initial[count:], received[count:])
    assert not row[larger.sizes[0] :].any()


@pytest.mark.parametrize(
    ("head", "possible", "expected"),
    [
        (Head(3, 4, "softmax"), [True, False, True, False], [None, 0, None, 0]),
        (Head(3, 4, "softmax"), [False, True, False, False], [0, 1, 0, 0]),
        (Head(3, 1, "sigmoid"), [False, True], [1]),
        (Head(3, 1, "sigmoid"), [True, False], [0]),
        (Head(3, 1, "sigmoid"), [True, True], [None]),
        (Head(3, 1, "sigmoid"), [False, False], [None]),
        (Head(3, 4, "softmax"), [False] * 4, [None] * 4),
    ],
)
def test_what_is_impossible_has_no_probability(
    tmp_path: Path, state: Floats, head: Head, possible: list[bool], expected: list[float | None]
) -> None:
    """The rest share all of it; where nothing is possible yet, all is. Read back, nothing is left of it."""
    path = tmp_path / "network.keras"
    model = load(tmp_path, keras_bytes(LAYOUT, state, head, possible=np.array(possible)))
    outputs = np.array(model(np.ones((1, 2, 3), np.float32)))[0, -1]
    for value, wanted in zip(outputs.tolist(), expected, strict=True):
        assert 0 < value < 1 if wanted is None else value == wanted
    row = LAYOUT.initial(seed=1)
    read_keras(path, LAYOUT.layers, head.activation).fill(LAYOUT, row)
    assert abs(row[: LAYOUT.sizes[0]]).max() < 10


def test_a_model_that_keras_trained_is_read(tmp_path: Path) -> None:
    """Functional or sequential, with its own dropout and without an activation at the top: weights are weights."""
    layers = keras.layers
    inputs = keras.Input((None, 3))
    hidden = layers.LSTM(6, return_sequences=True)(inputs)
    hidden = layers.Dropout(0.1)(layers.LeakyReLU(negative_slope=0.2)(hidden))
    hidden = layers.LayerNormalization()(layers.Dense(5, activation="tanh")(hidden))
    model = keras.Model(inputs, layers.Dense(4)(layers.GRU(4)(hidden)))
    model.compile("adam", "mse")
    model.fit(np.ones((2, 5, 3)), np.ones((2, 4)), verbose=0)
    model.save(tmp_path / "trained.keras")
    file = read_keras(tmp_path / "trained.keras", LAYOUT.layers, "softmax")
    assert Head(3, 4, "softmax") == file.head
    row = LAYOUT.initial(seed=0)
    file.fill(LAYOUT, row)
    sequence = np.random.default_rng(1).normal(size=(STEPS, 3)).astype(np.float32)
    outputs, _ = ours(row, Head(3, 4, "linear"), sequence, np.zeros(LAYOUT.sizes[-1], np.float32))
    assert np.allclose(model(sequence[None])[0], outputs[-1], rtol=0, atol=1e-6)


L = keras.layers
WRONG: list[tuple[str, Callable[[], list[keras.layers.Layer]], str]] = [
    ("another kind", lambda: [L.GRU(4), L.Dense(2)], "layer 1: received GRU (activation=tanh, "),
    ("another width", lambda: [L.LSTM(5), L.Dense(2)], "units=5, use_bias=True), expected LSTM (activation=tanh, "),
    ("no bias", lambda: [L.LSTM(4, use_bias=False), L.Dense(2)], "use_bias=False), expected LSTM"),
    ("another activation", lambda: [L.LSTM(4, activation="relu"), L.Dense(2)], "received LSTM (activation=relu, "),
    ("backwards", lambda: [L.LSTM(4, go_backwards=True), L.Dense(2)], "go_backwards=True"),
    ("a layer more", lambda: [L.LSTM(4), L.ReLU(), L.Dense(2)], "layer 2: received ReLU, expected Dense"),
    ("a layer above", lambda: [L.LSTM(4), L.Dense(2), L.Softmax()], "layer 2: received Dense (activation=linear, "),
    ("nothing above", lambda: [L.LSTM(4)], "layer 2: received no layer, expected Dense (activation=softmax, "),
    ("other outputs", lambda: [L.LSTM(4), L.Dense(2, activation="tanh")], "layer 2: received Dense (activation=tanh"),
]


@pytest.mark.parametrize(("what", "build", "message"), WRONG)
def test_a_layer_that_does_not_fit_is_named(
    tmp_path: Path, what: str, build: Callable[[], list[keras.layers.Layer]], message: str
) -> None:
    """The message says which one, what it is and what is expected."""
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((None, 3)), *build()]).save(path)
    with pytest.raises(SettingsError) as caught:
        read_keras(path, parse_layers(["lstm 4"]), "softmax")
    assert str(caught.value).startswith(f"{path}: layer "), what
    assert message in str(caught.value)


def test_the_number_of_inputs_and_outputs_can_be_asked_for(tmp_path: Path, state: Floats) -> None:
    """A file of another width is refused at the first or the last layer."""
    path = tmp_path / "network.keras"
    path.write_bytes(keras_bytes(LAYOUT, state, HEADS[0]))
    with pytest.raises(SettingsError, match="layer 1: received a kernel for 5 inputs, expected 4"):
        read_keras(path, LAYOUT.layers, "softmax", inputs=4)
    with pytest.raises(SettingsError, match=r"layer 7: received Dense .*units=5.* expected Dense .*units=6"):
        read_keras(path, LAYOUT.layers, "softmax", outputs=6)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path, state: Floats) -> None:
    """Nothing could be learned from them."""
    path = tmp_path / "network.keras"
    state[0] = np.nan
    path.write_bytes(keras_bytes(LAYOUT, state, HEADS[0]))
    with pytest.raises(SettingsError, match="layer 1: its weights are not finite"):
        read_keras(path, LAYOUT.layers, "softmax")


def test_branches_are_refused(tmp_path: Path) -> None:
    """The same layers in another order of things are another network."""
    inputs = keras.Input((None, 3))
    hidden = keras.layers.LSTM(4, return_sequences=True)(inputs)
    other = keras.layers.LeakyReLU()(hidden)
    keras.Model(inputs, [keras.layers.Dense(2)(hidden), other]).save(tmp_path / "branches.keras")
    with pytest.raises(SettingsError, match="received a model with branches"):
        read_keras(tmp_path / "branches.keras", parse_layers(["lstm 4", "leaky_relu"]), "softmax")


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_what_is_no_keras_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Neither a missing file nor another one is loaded."""
    path = tmp_path / "network.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"cannot be loaded .* expected a \.keras file"):
        read_keras(path, LAYOUT.layers, "softmax")


def test_a_file_of_another_keras(tmp_path: Path) -> None:
    """It is told apart from a damaged one, with its version and the way to convert it."""
    path = tmp_path / "old.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        file.writestr("config.json", "{}")
    words = r"expected a \.keras file that Keras 3 saved; this one is of Keras 2\.15\.0: .*model\.save_weights\(\)"
    with pytest.raises(SettingsError, match=words):
        read_keras(path, LAYOUT.layers, "softmax")


def test_weights_of_an_old_file_are_loaded_as_documented(tmp_path: Path) -> None:
    """Keras 3 loads the weights of a whole model in HDF5 into the same layers, and what it saves can be read."""
    layers = [keras.Input((None, 3)), keras.layers.LSTM(4, return_sequences=True), keras.layers.Dense(3)]
    old, new = keras.Sequential(layers), keras.models.clone_model(keras.Sequential(layers))
    old.save(tmp_path / "old.h5")
    new.load_weights(tmp_path / "old.h5")
    new.save(tmp_path / "new.keras")
    file = read_keras(tmp_path / "new.keras", parse_layers(["lstm 4"]), "linear")
    assert all(map(np.array_equal, old.get_weights(), chain.from_iterable(file.arrays)))
