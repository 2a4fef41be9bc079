"""A network as a Keras file, and back: the same layers with the same weights, outputs equal but for rounding.

Keras loads when the first file is written or read. Layers are named ``layer_1_lstm`` and so on, the dense layer above
them ``head``. Keras does not save the states of a stateful model; ``states_of`` gives them by the layers' names.
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
from online_lstm.learning.network.runtime import pin_runtime, suppress_stderr

HEAD = "head"
_SURE = 1e30
"""A bias that nothing outweighs: an output with it is certain, one with its negative impossible."""
SUFFIX = ".keras"
_MAJOR = 3
"""The version of Keras whose files can be read."""
_RECURRENT = {"units", "activation", "recurrent_activation", "use_bias", "go_backwards", "reset_after"}
_DECISIVE = {
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    "Dense": {"units", "activation", "use_bias"},
    "LeakyReLU": {"negative_slope"},
    "LayerNormalization": {"epsilon", "center", "scale", "rms_scaling"},
}
"""Of each kind, what decides what a prediction is; a layer that only drops has nothing of the sort."""

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
    """What is at both ends of the layers: columns that come in and go out, and what the outputs go through.

    Inputs and outputs are the first ones of the layout's classes: of the others nothing is known yet.
    """

    inputs: int
    outputs: int
    activation: Activation


@dataclass(frozen=True, slots=True)
class KerasFile:
    """What was read: both ends, and the arrays of each layer and of the head in Keras's order and shapes."""

    head: Head
    arrays: list[list[Floats]]

    def fill(self, layout: Layout, state: Floats) -> None:
        """Put the weights into a state row, in place; moments, counts, states and other classes stay as they are.

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
    """Give the content of a ``.keras`` file with the network of a state row.

    Its input is float32 (batch, steps, head.inputs), its output (batch, steps, head.outputs). A stateful one has a
    batch of 1, and begins with zero states (``states_of`` are to be assigned).
    ``possible`` says which outputs can be, (outputs,); of one output through a sigmoid, whether its opposite and it
    can, (2,).
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
    """Give the left-edge states of each recurrent layer, float32 (size,) each, in the order of Keras's ``states``."""
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
    """Read a model that Keras saved, be it of ``keras_bytes`` or trained by somebody else.

    Args:
        path: A ``.keras`` file.
        layers: Those that it must have, a dense one above them; the rates of dropout do not matter.
        activation: What the outputs must go through; a file may also have none.
        inputs: How many there must be; None: any number.
        outputs: How many there must be; None: any number.

    Raises:
        SettingsError: There is no such file, or a layer does not fit: it says which, what it is and what is expected.
    """
    keras = _keras()
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        advice = _told_version(path)
        raise SettingsError(
            f"{path}: cannot be loaded ({reason}); expected a {SUFFIX} file that Keras {_MAJOR} saved{advice}"
        ) from error
    found = _chain_of(model, path)
    has_head = bool(found) and isinstance(found[-1], keras.layers.Dense)
    units = outputs or (found[-1].units if has_head else 1)
    linear = has_head and found[-1].activation is keras.activations.linear
    head = keras.layers.Dense(units, activation="linear" if linear else activation)
    for number, (layer, wanted) in enumerate(zip_longest(found, [*map(_keras_layer, layers), head]), 1):
        received, expected = _told(layer), _told(wanted)
        if received != expected:
            raise SettingsError(f"{path}: layer {number}: received {received}, expected {expected}")
    arrays = [layer.get_weights() for layer in found]
    for number, arrays_of_layer in enumerate(arrays, 1):
        if not all(np.isfinite(array).all() for array in arrays_of_layer):
            raise SettingsError(f"{path}: layer {number}: its weights are not finite, expected numbers")
    width = len(arrays[0][0])
    if inputs not in {None, width}:
        raise SettingsError(f"{path}: layer 1: received a kernel for {width} inputs, expected {inputs}")
    return KerasFile(Head(width, units, activation), arrays)


def read_state(path: Path, layout: Layout, head: Head, initial: Floats) -> Floats:
    """Read the weights of a Keras file with both ends as in ``head`` into a state that is ``initial`` otherwise.

    Raises:
        SettingsError: There is no such file, or a layer does not fit.
    """
    file = read_keras(path, layout.layers, head.activation, inputs=head.inputs, outputs=head.outputs)
    state = initial.copy()
    file.fill(layout, state)
    return state


def layer_name(number: int, layer: Layer) -> str:
    """Name a layer by its place from the input up and its kind."""
    return f"layer_{number}_{_KINDS[type(layer)]}"


def _keras() -> Any:
    pin_runtime()
    with suppress_stderr():
        import keras  # noqa: PLC0415 - loads TensorFlow

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
    """Give the arrays of each layer and of the head, in Keras's order and shapes."""
    parts = np.split(state[: layout.sizes[0]], np.cumsum(layout.weight_sizes)[:-1])
    *shared, by_class = (part.reshape(shape) for part, shape in zip(parts, layout.weight_shapes, strict=True))
    kernel, dense_kernel, dense_bias = np.split(by_class, np.cumsum(layout.class_widths)[:-1], axis=1)
    arrays = iter(shared)
    for number, described in enumerate(layout.arrays):
        first = [kernel[: head.inputs]] if number == 0 else []
        yield first + [next(arrays) for _ in described]
    yield [dense_kernel[: head.outputs].T, dense_bias[: head.outputs, 0]]


def _told_version(path: Path) -> str:
    """Return what to do with a file of another Keras; nothing if it is of this one, or does not tell."""
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
    """Give the layers of a model, each above the one before."""
    keras = _keras()
    if not isinstance(model, keras.Sequential):
        in_line = isinstance(model, keras.Model) and len(model.inputs) == len(model.outputs) == 1
        if not in_line or any(above.input is not below.output for below, above in pairwise(model.layers)):
            raise SettingsError(f"{path}: received a model with branches, expected one layer above the other")
    return [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def _told(layer: Any) -> str:
    """Say of what kind a layer is, and what decides its outputs."""
    if layer is None:
        return "no layer"
    kind, config = type(layer).__name__, layer.get_config()
    named = [f"{name}={config[name]}" for name in sorted(_DECISIVE.get(kind, ())) if name in config]
    return f"{kind} ({', '.join(named)})" if named else kind
