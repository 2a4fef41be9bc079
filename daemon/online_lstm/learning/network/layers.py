"""The layers that a network may have: how each is written, its arrays and what they start with, its states.

What a layer computes is in ``online_lstm.learning.network.forward``. Arrays, their order and their initial values are
Keras's.
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
"""Of one layer: its weights grow with the square, and each stream has its own, with two moments."""

ACTIVATIONS = ("linear", "tanh", "relu", "sigmoid")

Size = tuple[int, ...]
Draw = Callable[[np.random.Generator, Size], NDArray[np.float64]]


class ParameterSpec(NamedTuple):
    """An array of weights, and what draws its initial values."""

    shape: Size
    draw: Draw


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of the plainest kind: without weights, without states, as wide as what is below it."""

    @property
    def kernel(self) -> int:
        """Columns of the kernel that its inputs are multiplied by; 0: it has none."""
        return 0

    @property
    def states(self) -> Size:
        """Widths of the states that one step hands to the next."""
        return ()

    def width(self, below: int) -> int:
        """Give the width of the output above an input of this width."""
        return below

    def arrays(self, below: int) -> tuple[ParameterSpec, ...]:  # noqa: ARG002 - of layers with weights
        """Describe the weights beside the kernel, above an input of this width."""
        return ()


@dataclass(frozen=True, slots=True)
class Lstm(Layer):
    """Long short-term memory, with Keras's gates (input, forget, cell, output); its states are h and c."""

    units: int

    @property
    def kernel(self) -> int:
        """A block of columns for each gate."""
        return 4 * self.units

    @property
    def states(self) -> Size:
        """The output and the cell state."""
        return self.units, self.units

    def width(self, below: int) -> int:  # noqa: ARG002 - of layers without weights
        """Give the number of cells."""
        return self.units

    def arrays(self, below: int) -> tuple[ParameterSpec, ...]:  # noqa: ARG002 - of layers that normalise
        """Describe the recurrent kernel, and the bias: 1 for the forget gate, else 0."""
        recurrent, bias = (self.units, self.kernel), (self.kernel,)
        return ParameterSpec(recurrent, _orthogonal), ParameterSpec(
            bias, lambda *_: np.repeat([0.0, 1.0, 0.0, 0.0], self.units)
        )


@dataclass(frozen=True, slots=True)
class Gru(Layer):
    """Gated recurrent unit as Keras has it (gates update, reset, candidate; reset after the product); its state is h.

    The first line of its bias is added to the inputs, the second to the recurrent product.
    """

    units: int

    @property
    def kernel(self) -> int:
        """A block of columns for each gate."""
        return 3 * self.units

    @property
    def states(self) -> Size:
        """The output."""
        return (self.units,)

    def width(self, below: int) -> int:  # noqa: ARG002 - of layers without weights
        """Give the number of cells."""
        return self.units

    def arrays(self, below: int) -> tuple[ParameterSpec, ...]:  # noqa: ARG002 - of layers that normalise
        """Describe the recurrent kernel and both biases."""
        return ParameterSpec((self.units, self.kernel), _orthogonal), ParameterSpec((2, self.kernel), _zeros)


@dataclass(frozen=True, slots=True)
class Dense(Layer):
    """A product with the kernel, a bias, and an activation, at each step by itself."""

    units: int
    activation: str = "linear"

    @property
    def kernel(self) -> int:
        """A column for each unit."""
        return self.units

    def width(self, below: int) -> int:  # noqa: ARG002 - of layers without weights
        """Give the number of units."""
        return self.units

    def arrays(self, below: int) -> tuple[ParameterSpec, ...]:  # noqa: ARG002 - of layers that normalise
        """Describe the bias."""
        return (ParameterSpec((self.units,), _zeros),)


@dataclass(frozen=True, slots=True)
class Dropout(Layer):
    """While fitting, each number is 0 with this probability, and those that stay are larger for it."""

    rate: float


@dataclass(frozen=True, slots=True)
class LeakyRelu(Layer):
    """What is negative is multiplied by the slope."""

    slope: float = 0.3


@dataclass(frozen=True, slots=True)
class LayerNorm(Layer):
    """Each step's numbers are brought to mean 0 and variance 1, then scaled and shifted (Ba et al., 2016)."""

    def arrays(self, below: int) -> tuple[ParameterSpec, ...]:
        """Describe gamma and beta."""
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
    """Read the layers of a network, from the input up.

    >>> parse_layers(["lstm 32", "dropout 0.2", "dense 8 tanh"])
    (Lstm(units=32), Dropout(rate=0.2), Dense(units=8, activation='tanh'))

    Raises:
        SettingsError: A layer is none, the first has no kernel, or none is recurrent; it says which and why.
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
            f"network: received {', '.join(layers)}, expected at least one lstm or gru: "
            "without any, nothing is known of what came before the last value"
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
    """Draw a matrix (u, w) whose rows are orthogonal and of length 1, for w at least u."""
    q, r = np.linalg.qr(random.standard_normal(shape[::-1]))
    return (q * np.sign(np.diag(r))).T


def _zeros(_: np.random.Generator, shape: Size) -> NDArray[np.float64]:
    return np.zeros(shape)
