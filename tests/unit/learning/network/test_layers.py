import pytest
from online_lstm.errors import SettingsError
from online_lstm.learning.network import ModelShape
from online_lstm.learning.network.layers import Dense, Dropout, Gru, Layer, LayerNorm, LeakyRelu, Lstm, parse_layers


def test_a_shape_has_its_layers_from_the_input_up() -> None:
    """A layer is named by its kind and what it needs beside it."""
    assert (Lstm(32), Lstm(16)) == ModelShape(("lstm 32", "lstm 16"), window=64, stateful=True, seed=0).stack


@pytest.mark.parametrize(
    ("text", "layer"),
    [
        ("lstm 3", Lstm(3)),
        ("  gru   1024 ", Gru(1024)),
        ("dense 7", Dense(7, "linear")),
        ("dense 7 linear", Dense(7, "linear")),
        ("dense 7 tanh", Dense(7, "tanh")),
        ("dense 7 relu", Dense(7, "relu")),
        ("dense 7 sigmoid", Dense(7, "sigmoid")),
        ("dropout 0", Dropout(0.0)),
        ("dropout .25", Dropout(0.25)),
        ("leaky_relu", LeakyRelu(0.3)),
        ("leaky_relu 1", LeakyRelu(1.0)),
        ("leaky_relu 0.01", LeakyRelu(0.01)),
        ("layer_norm", LayerNorm()),
    ],
)
def test_each_kind_of_layer_is_read(text: str, layer: Layer) -> None:
    """What is left out is what Keras takes; a layer above others may be of any kind."""
    assert (Lstm(2), layer) == parse_layers(["lstm 2", text])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        *((f"lstm {rest}", "lstm CELLS with 1 to 1024 cells") for rest in ("x", "0", "1025", "-1", "", "3 4", "²")),
        *((f"gru {rest}", "gru CELLS with 1 to 1024 cells") for rest in ("", "0", "3 tanh")),
        *((f"dense {rest}", "dense UNITS with 1 to 1024 units") for rest in ("", "0", "3 elu", "3 tanh 4", "tanh")),
        *((f"dropout {rest}", "dropout RATE with a rate from 0") for rest in ("", "1", "-0.1", "nan", "a", "0 0")),
        *((f"leaky_relu {rest}", "SLOPE with a slope from 0 to 1") for rest in ("2", "-0.1", "x", "1 1", "inf")),
        ("layer_norm 3", "layer_norm, and nothing after it"),
        ("rnn 3", "one of lstm, gru, dense, dropout, leaky_relu, layer_norm"),
        ("LSTM 3", "one of lstm, gru, dense, dropout, leaky_relu, layer_norm"),
        ("", "one of lstm, gru, dense, dropout, leaky_relu, layer_norm"),
    ],
)
def test_a_layer_that_is_none_is_refused_by_its_number(layer: str, expected: str) -> None:
    """The message says which layer, what was received and what is expected."""
    with pytest.raises(SettingsError) as caught:
        parse_layers(["lstm 16", layer])
    start = f"network: layer 2: received {layer!r}, expected "
    assert str(caught.value).startswith(start)
    assert expected in str(caught.value)


def test_no_layer_is_refused() -> None:
    """A network has at least one layer."""
    with pytest.raises(SettingsError, match="received no layer"):
        parse_layers([])


@pytest.mark.parametrize("first", ["dropout 0.2", "leaky_relu", "layer_norm"])
def test_the_first_layer_takes_the_inputs(first: str) -> None:
    """Each class has its row of the first layer's kernel."""
    with pytest.raises(SettingsError, match=f"network: layer 1: received '{first}', expected a layer with weights"):
        parse_layers([first, "lstm 4"])


def test_a_network_without_memory_is_refused() -> None:
    """Dense layers alone would see nothing but the last value."""
    with pytest.raises(SettingsError, match="received dense 8, layer_norm, expected at least one lstm or gru"):
        parse_layers(["dense 8", "layer_norm"])
