"""Conversion of a network to a Keras file and back: the same layers and weights, the same outputs except for rounding.

Keras loads when the first file is written or read. Layers are named ``layer_1_lstm`` and so on; the dense layer above
them is named ``head``. Keras does not save the states of a stateful model; ``states_of`` returns them by layer name.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from online_lstm.errors import SettingsError
from online_lstm.learning.network.layers import Dense, Dropout, Gru, Layer, LayerNorm, LeakyRelu, Lstm
from online_lstm.learning.network.layout import Floats, Layout
from online_lstm.learning.network.tensorflow_runtime import load_tensorflow

HEAD = "head"
_SURE = 1e30
"""A bias that outweighs everything: an output with this bias is certain, an output with its negative is impossible."""
SUFFIX = ".keras"
_MAJOR = 3
"""The major version of Keras whose files can be read."""
_RECURRENT = {"units", "activation", "recurrent_activation", "use_bias", "go_backwards", "reset_after"}
_DECISIVE = {
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    "Dense": {"units", "activation", "use_bias"},
    "LeakyReLU": {"negative_slope"},
    "LayerNormalization": {"epsilon", "center", "scale", "rms_scaling"},
}
"""For each kind of layer, the parameters that decide its predictions; a dropout layer has no such parameter."""

_KINDS = {
    Lstm: "lstm",
    Gru: "gru",
    Dense: "dense",
    Dropout: "dropout",
    LeakyRelu: "leaky_relu",
    LayerNorm: "layer_norm",
}
Activation = Literal["linear", "sigmoid", "softmax"]


@dataclass(frozen=True, slots=True)
class Head:
    """Both ends of the layers: the number of input and output columns, and the activation of the outputs.

    Inputs and outputs belong to the first classes of the layout; the other classes are unknown so far.
    """

    inputs: int
    outputs: int
    activation: Activation


@dataclass(frozen=True, slots=True)
class KerasFile:
    """The content of a file: both ends, and the arrays of each layer and of the head in Keras's order and shapes."""

    head: Head
    arrays: list[list[Floats]]

    def fill(self, layout: Layout, state: Floats) -> None:
        """Write the weights into a state row, in place; moments, counts, states and other classes stay unchanged.

        ``layout`` has the layers that the file was read for, and at least as many classes as inputs and outputs.
        """
        shared, by_class = (part[0] for part in layout.learned(state))
        (kernel, *first), *above, (dense_kernel, dense_bias) = self.arrays
        shared[:] = np.concatenate([array.ravel() for arrays in (first, *above) for array in arrays])
        bounds = np.cumsum(layout.class_widths)[:-1]
        by_class[: self.head.inputs, : bounds[0]] = kernel
        by_class[: self.head.outputs, bounds[0] : bounds[1]] = dense_kernel.T
        by_class[: self.head.outputs, bounds[1]] = np.where(abs(dense_bias) < _SURE, dense_bias, 0)


def keras_bytes(
    layout: Layout, state: Floats, head: Head, *, stateful: bool = False, possible: NDArray[np.bool_] | None = None
) -> bytes:
    """Return the content of a ``.keras`` file with the network of a state row.

    The input is float32 (batch, steps, head.inputs), the output (batch, steps, head.outputs). A stateful model has a
    batch of 1 and starts with zero states; the caller assigns the states of ``states_of``.
    ``possible`` marks the possible outputs, (outputs,). For a single output with a sigmoid it is (2,): whether the
    opposite of the output is possible, and whether the output is possible.
    """
    keras = _keras()
    batch = 1 if stateful else None
    model = keras.Sequential([keras.Input(batch_shape=(batch, None, head.inputs))])
    for number, layer in enumerate(layout.layers, 1):
        model.add(_keras_layer(layer, name=layer_name(number, layer), stateful=stateful))
    model.add(keras.layers.Dense(head.outputs, activation=head.activation, name=HEAD))
    arrays = [array for arrays_of_layer in _arrays(layout, state, head) for array in arrays_of_layer]
    if possible is not None and not possible.all() and possible.any():
        arrays[-1] = np.where(possible[-head.outputs :], arrays[-1] if len(possible) == head.outputs else _SURE, -_SURE)
    model.set_weights(arrays)
    with TemporaryDirectory() as folder:
        path = Path(folder, "model" + SUFFIX)
        model.save(path)
        return path.read_bytes()


def states_of(layout: Layout, state: Floats) -> dict[str, list[Floats]]:
    """Return the left-edge states of each recurrent layer, float32 (size,) each, in the order of Keras's ``states``."""
    edges = iter(np.split(state[-layout.sizes[-1] :], np.cumsum(layout.state_sizes)[:-1]))
    return {
        layer_name(number, layer): [next(edges) for _ in layer.states]
        for number, layer in enumerate(layout.layers, 1)
        if layer.states
    }


def read_keras(
    path: Path,
    layers: tuple[Layer, ...],
    activation: Activation,
    *,
    inputs: int | None = None,
    outputs: int | None = None,
) -> KerasFile:
    """Read a model that Keras saved: a file from ``keras_bytes``, or a model that was trained elsewhere.

    Args:
        path: A ``.keras`` file.
        layers: The layers that the model must have below a dense layer; dropout rates do not matter.
        activation: The activation that the outputs must have; a linear dense layer is accepted as well.
        inputs: The required number of inputs; None: any number.
        outputs: The required number of outputs; None: any number.

    Raises:
        SettingsError: The file cannot be loaded, or a layer does not fit: the message has the number of the layer, and
            what was received and expected.
    """
    keras = _keras()
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        advice = _conversion_advice(path)
        raise SettingsError(
            f"{path}: cannot be loaded ({reason}); expected a {SUFFIX} file that Keras {_MAJOR} saved{advice}"
        ) from error
    chain = _chain_of(model, path)
    has_head = bool(chain) and isinstance(chain[-1], keras.layers.Dense)
    units = outputs or (chain[-1].units if has_head else 1)
    linear = has_head and chain[-1].activation is keras.activations.linear
    head = keras.layers.Dense(units, activation="linear" if linear else activation)
    for number, (layer, required) in enumerate(zip_longest(chain, [*map(_keras_layer, layers), head]), 1):
        received, expected = _described(layer), _described(required)
        if received != expected:
            raise SettingsError(f"{path}: layer {number}: received {received}, expected {expected}")
    arrays = [layer.get_weights() for layer in chain]
    for number, arrays_of_layer in enumerate(arrays, 1):
        if not all(np.isfinite(array).all() for array in arrays_of_layer):
            raise SettingsError(f"{path}: layer {number}: its weights are not finite, expected numbers")
    width = len(arrays[0][0])
    if inputs not in {None, width}:
        raise SettingsError(f"{path}: layer 1: received a kernel for {width} inputs, expected {inputs}")
    return KerasFile(Head(width, units, activation), arrays)


def layer_name(number: int, layer: Layer) -> str:
    """Return the name of a layer: its number, counted from the input up, and its kind."""
    return f"layer_{number}_{_KINDS[type(layer)]}"


def _keras() -> Any:
    load_tensorflow()
    import keras  # noqa: PLC0415 - imports TensorFlow

    return keras


def _keras_layer(layer: Layer, *, name: str | None = None, stateful: bool = False) -> Any:
    layers = _keras().layers
    match layer:
        case Lstm(units):
            return layers.LSTM(units, return_sequences=True, stateful=stateful, name=name)
        case Gru(units):
            return layers.GRU(units, return_sequences=True, stateful=stateful, name=name)
        case Dense(units, activation):
            return layers.Dense(units, activation=activation, name=name)
        case LeakyRelu(slope):
            return layers.LeakyReLU(slope, name=name)
        case Dropout(rate):
            return layers.Dropout(rate, name=name)
    return layers.LayerNormalization(name=name)


def _arrays(layout: Layout, state: Floats, head: Head) -> Iterator[list[Floats]]:
    """Yield the arrays of each layer and of the head, in Keras's order and shapes."""
    parts = np.split(state[: layout.sizes[0]], np.cumsum(layout.weight_sizes)[:-1])
    *shared, by_class = (part.reshape(shape) for part, shape in zip(parts, layout.weight_shapes, strict=True))
    kernel, dense_kernel, dense_bias = np.split(by_class, np.cumsum(layout.class_widths)[:-1], axis=1)
    arrays = iter(shared)
    for number, described in enumerate(layout.arrays):
        first = [kernel[: head.inputs]] if number == 0 else []
        yield first + [next(arrays) for _ in described]
    yield [dense_kernel[: head.outputs].T, dense_bias[: head.outputs, 0]]


def _conversion_advice(path: Path) -> str:
    """Return how to convert a file of another version of Keras; empty for this version or an unknown one."""
    try:
        with ZipFile(path) as file:
            version = str(json.loads(file.read("metadata.json"))["keras_version"])
    except (OSError, BadZipFile, KeyError, TypeError, ValueError):
        return ""
    if version.startswith(f"{_MAJOR}."):
        return ""
    return (
        f"; this one is of Keras {version}: to convert it, save its weights there with model.save_weights() as HDF5 (a "
        f"name that ends in .h5), build its layers with Keras {_MAJOR}, load the weights, and save the model"
    )


def _chain_of(model: Any, path: Path) -> list[Any]:
    """Return the layers of a model, from the input up; raise ``SettingsError`` for a model with branches."""
    keras = _keras()
    if not isinstance(model, keras.Sequential):
        in_line = isinstance(model, keras.Model) and len(model.inputs) == len(model.outputs) == 1
        if not in_line or any(above.input is not below.output for below, above in pairwise(model.layers)):
            raise SettingsError(f"{path}: received a model with branches, expected a sequence of layers")
    return [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def _described(layer: Any) -> str:
    """Return the kind of a layer and the parameters that decide its outputs."""
    if layer is None:
        return "no layer"
    kind, config = type(layer).__name__, layer.get_config()
    named = [f"{name}={config[name]}" for name in sorted(_DECISIVE.get(kind, ())) if name in config]
    return f"{kind} ({', '.join(named)})" if named else kind
