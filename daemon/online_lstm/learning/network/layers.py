"""The layers that a network may have: their notation, their arrays with initial values, and their states.

``online_lstm.learning.network.forward`` has the computation of each layer. Arrays, their order and their initial values
are those of Keras.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.errors import SettingsError

MAX_CELLS = 1024
"""Per layer: the weights grow with the square of the cells, and each stream has its own, with two moments."""

ACTIVATIONS = ("linear", "tanh", "relu", "sigmoid")

Size = tuple[int, ...]
Draw = Callable[[np.random.Generator, Size], NDArray[np.float64]]


class ParameterSpec(NamedTuple):
    """The shape of an array of weights, and the function that draws its initial values."""

    shape: Size
    draw: Draw


@dataclass(frozen=True, slots=True)
class Layer:
    """The simplest kind of layer: no weights, no states, and the width of the layer below."""

    @property
    def kernel(self) -> int:
        """Number of columns of the kernel that multiplies the inputs; 0: no kernel."""
        return 0

    @property
    def states(self) -> Size:
        """Widths of the states that one step passes to the next."""
        return ()

    def width(self, below: int) -> int:
        """Return the width of the output for an input of this width."""
        return below

    def arrays(self, below: int) -> tuple[ParameterSpec, ...]:  # noqa: ARG002 - used by layers with weights
        """Return the specs of the weights other than the kernel, for an input of this width."""
        return ()


@dataclass(frozen=True, slots=True)
class Lstm(Layer):
    """A long short-term memory with Keras's gates (input, forget, cell, output); its states are h and c."""

    units: int

    @property
    def kernel(self) -> int:
        """One block of columns for each gate."""
        return 4 * self.units

    @property
    def states(self) -> Size:
        """The output and the cell state."""
        return self.units, self.units

    def width(self, below: int) -> int:  # noqa: ARG002 - used by layers without weights
        """Return the number of cells."""
        return self.units

    def arrays(self, below: int) -> tuple[ParameterSpec, ...]:  # noqa: ARG002 - used by layers that normalise
        """Return the specs of the recurrent kernel and of the bias, which is 1 for the forget gate and 0 elsewhere."""
        recurrent, bias = (self.units, self.kernel), (self.kernel,)
        return ParameterSpec(recurrent, _orthogonal), ParameterSpec(
            bias, lambda *_: np.repeat([0.0, 1.0, 0.0, 0.0], self.units)
        )


@dataclass(frozen=True, slots=True)
class Gru(Layer):
    """A gated recurrent unit as in Keras (gates update, reset, candidate; reset after the product); its state is h.

    The first row of its bias is added to the projected inputs, the second row to the recurrent product.
    """

    units: int

    @property
    def kernel(self) -> int:
        """One block of columns for each gate."""
        return 3 * self.units

    @property
    def states(self) -> Size:
        """The output."""
        return (self.units,)

    def width(self, below: int) -> int:  # noqa: ARG002 - used by layers without weights
        """Return the number of cells."""
        return self.units

    def arrays(self, below: int) -> tuple[ParameterSpec, ...]:  # noqa: ARG002 - used by layers that normalise
        """Return the specs of the recurrent kernel and of both biases."""
        return ParameterSpec((self.units, self.kernel), _orthogonal), ParameterSpec((2, self.kernel), _zeros)


@dataclass(frozen=True, slots=True)
class Dense(Layer):
    """A product with the kernel, a bias and an activation, computed for each step separately."""

    units: int
    activation: str = "linear"

    @property
    def kernel(self) -> int:
        """One column for each unit."""
        return self.units

    def width(self, below: int) -> int:  # noqa: ARG002 - used by layers without weights
        """Return the number of units."""
        return self.units

    def arrays(self, below: int) -> tuple[ParameterSpec, ...]:  # noqa: ARG002 - used by layers that normalise
        """Return the spec of the bias."""
        return (ParameterSpec((self.units,), _zeros),)


@dataclass(frozen=True, slots=True)
class Dropout(Layer):
    """Dropout: a fit sets each number to 0 with probability ``rate`` and divides the others by ``1 - rate``."""

    rate: float


@dataclass(frozen=True, slots=True)
class LeakyRelu(Layer):
    """A leaky rectifier: negative numbers are multiplied by the slope."""

    slope: float = 0.3


@dataclass(frozen=True, slots=True)
class LayerNorm(Layer):
    """Layer normalisation (Ba et al., 2016): mean 0 and variance 1 in each step, then a scale and a shift."""

    def arrays(self, below: int) -> tuple[ParameterSpec, ...]:
        """Return the specs of gamma and beta."""
        return ParameterSpec((below,), lambda _, shape: np.ones(shape)), ParameterSpec((below,), _zeros)


_CELLS = f"with 1 to {MAX_CELLS} cells"
_USAGES = {
    "lstm": f"lstm CELLS {_CELLS}, like lstm 16",
    "gru": f"gru CELLS {_CELLS}, like gru 16",
    "dense": f"dense UNITS with 1 to {MAX_CELLS} units, and {' or '.join(ACTIVATIONS[1:])} after it or nothing, "
    "like dense 16 relu",
    "dropout": "dropout RATE with a rate from 0 to less than 1, like dropout 0.2",
    "leaky_relu": "leaky_relu, or leaky_relu SLOPE with a slope from 0 to 1, like leaky_relu 0.3",
    "layer_norm": "layer_norm, and nothing after it",
}


def parse_layers(layers: Sequence[str]) -> tuple[Layer, ...]:
    """Parse the layers of a network, from the input up.

    >>> parse_layers(["lstm 32", "dropout 0.2", "dense 8 tanh"])
    (Lstm(units=32), Dropout(rate=0.2), Dense(units=8, activation='tanh'))

    Raises:
        SettingsError: A layer is invalid, the first layer has no kernel, or no layer is recurrent; the message has the
            layer and the reason.
    """
    if not layers:
        raise SettingsError("network: received no layer, expected at least one, like lstm 16")
    parsed = tuple(_parse(number, layer) for number, layer in enumerate(layers, 1))
    if not parsed[0].kernel:
        raise SettingsError(
            f"network: layer 1: received {layers[0]!r}, expected a layer with weights for the inputs, "
            "lstm, gru or dense, before any other"
        )
    if not any(layer.states for layer in parsed):
        raise SettingsError(
            f"network: received {', '.join(layers)}, expected at least one lstm or gru: other layers know nothing but "
            "the last value"
        )
    return parsed


def _parse(number: int, layer: str) -> Layer:
    match layer.split():
        case ["lstm", units] if _is_size(units):
            return Lstm(int(units))
        case ["gru", units] if _is_size(units):
            return Gru(int(units))
        case ["dense", units, *activation] if _is_size(units) and activation in [[], *([a] for a in ACTIVATIONS)]:
            return Dense(int(units), *activation)
        case ["dropout", rate] if _is_decimal(rate) and float(rate) < 1:
            return Dropout(float(rate))
        case ["leaky_relu", *slope] if len(slope) < 2 and all(_is_decimal(text) and float(text) <= 1 for text in slope):
            return LeakyRelu(*map(float, slope))
        case ["layer_norm"]:
            return LayerNorm()
        case [kind, *_] if kind in _USAGES:
            expected = _USAGES[kind]
        case _:
            expected = f"one of {', '.join(_USAGES)}"
    raise SettingsError(f"network: layer {number}: received {layer!r}, expected {expected}")


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) <= MAX_CELLS


def _is_decimal(text: str) -> bool:
    return re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text) is not None


def glorot_uniform(random: np.random.Generator, shape: Size, *, fan_in: int, fan_out: int) -> NDArray[np.float64]:
    """Draw from the uniform distribution of Glorot and Bengio (2010), equation 16."""
    limit = math.sqrt(6 / (fan_in + fan_out))
    return random.uniform(-limit, limit, shape)


def _orthogonal(random: np.random.Generator, shape: Size) -> NDArray[np.float64]:
    """Draw a matrix (u, w) whose rows are orthogonal and of length 1, for w >= u."""
    q, r = np.linalg.qr(random.standard_normal(shape[::-1]))
    return (q * np.sign(np.diag(r))).T


def _zeros(_: np.random.Generator, shape: Size) -> NDArray[np.float64]:
    return np.zeros(shape)
