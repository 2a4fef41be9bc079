"""The flat state row: where everything is in it, what it starts with, how it grows.

A row is ``weights | first moments | second moments | step count | spent budget | left-edge states``, float32
(row_size,).
Weights (and each kind of moments) are the arrays that all classes share, then one line a class, so that a new
class is appended and a forgotten one overwritten:

    shared   for each layer: kernel (below, 4u), not for the first; recurrent kernel (u, 4u); bias (4u,)
    class    its row of the first kernel (4u,), its column of the dense kernel (u,), its dense bias (1,)

Gates are in Keras's order (input, forget, cell, output). The left-edge states are h (u,), c (u,) of each layer.
"""

import math

import numpy as np
from numpy.typing import NDArray

FEWEST_CLASSES = 4
"""The smallest capacity; classes have the initial scale that they would have in a network of this one."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]


class Layout:
    """Where the arrays of a network with these cells a layer and this many classes are in its state row."""

    def __init__(self, units: tuple[int, ...], classes: int) -> None:
        self.units = units
        self.classes = classes
        self.class_widths = (4 * units[0], units[-1], 1)
        self.weight_shapes = (*_shared_shapes(units), (classes, sum(self.class_widths)))
        self.weight_sizes = [math.prod(shape) for shape in self.weight_shapes]
        self.state_sizes = [u for u in units for _ in ("h", "c")]
        weights, states = sum(self.weight_sizes), sum(self.state_sizes)
        self.sizes = (weights, weights, weights, 1, 1, states)
        self.row_size = sum(self.sizes)

    def initial(self, seed: int) -> Floats:
        """Draw a state's initial weights; all else in it is zero."""
        state = np.zeros(self.row_size, np.float32)
        shared, _ = self.learned(state)
        shared[0] = np.concatenate([array.ravel() for array in _initial_shared(self.units, seed)])
        for code in range(self.classes):
            self.reset_class(state, code, seed)
        return state

    def grow(self, state: Floats, larger: "Layout", seed: int) -> Floats:
        """Copy a state into a larger layout; the classes that come with it start from their initial weights."""
        grown = larger.initial(seed)
        shared, by_class = self.learned(state)
        grown_shared, grown_by_class = larger.learned(grown)
        grown_shared[:] = shared
        grown_by_class[:, : self.classes] = by_class
        grown[3 * larger.sizes[0] :] = state[3 * self.sizes[0] :]
        return grown

    def reset_class(self, state: Floats, code: int, seed: int) -> None:
        """Give a class its initial weights and zero moments, in place."""
        _, by_class = self.learned(state)
        by_class[0, code] = _initial_class(self.units, seed, code)
        by_class[1:, code] = 0

    def reset_states(self, state: Floats) -> None:
        """Set the left-edge states to zero, in place."""
        state[-self.sizes[-1] :] = 0

    def learned(self, state: Floats) -> tuple[Floats, Floats]:
        """View weights and both moments: what all classes share (3, n), and each class's (3, classes, width)."""
        learned = state[: 3 * self.sizes[0]].reshape(3, -1)
        per_class = self.weight_sizes[-1]
        return learned[:, :-per_class], learned[:, -per_class:].reshape(3, *self.weight_shapes[-1])


def _shared_shapes(units: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Give the shapes of the arrays that all classes share, in the order of the row."""
    shapes: list[tuple[int, ...]] = []
    for layer, u in enumerate(units):
        if layer > 0:
            shapes.append((units[layer - 1], 4 * u))
        shapes += [(u, 4 * u), (4 * u,)]
    return shapes


def _initial_shared(units: tuple[int, ...], seed: int) -> list[NDArray[np.float64]]:
    """Draw what Keras's LSTM starts with: glorot uniform, orthogonal, zero bias but 1 for the forget gate."""
    arrays: list[NDArray[np.float64]] = []
    for layer, u in enumerate(units):
        random = _generator(seed, 0, layer)
        if layer > 0:
            arrays.append(_glorot_uniform(random, units[layer - 1], 4 * u, (units[layer - 1], 4 * u)))
        q, r = np.linalg.qr(random.standard_normal((4 * u, u)))
        arrays.append((q * np.sign(np.diag(r))).T)
        arrays.append(np.repeat([0.0, 1.0, 0.0, 0.0], u))
    return arrays


def _initial_class(units: tuple[int, ...], seed: int, code: int) -> NDArray[np.float64]:
    """Draw one class's line, a function of seed and code alone: never of how many classes there are."""
    random = _generator(seed, 1, code)
    inputs = _glorot_uniform(random, FEWEST_CLASSES, 4 * units[0], (4 * units[0],))
    outputs = _glorot_uniform(random, units[-1], FEWEST_CLASSES, (units[-1],))
    return np.concatenate([inputs, outputs, [0.0]])


def _glorot_uniform(
    random: np.random.Generator, fan_in: int, fan_out: int, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Draw from the uniform distribution of Glorot and Bengio (2010), equation 16."""
    limit = math.sqrt(6 / (fan_in + fan_out))
    return random.uniform(-limit, limit, shape)


def _generator(seed: int, *key: int) -> np.random.Generator:
    """Give the counter-based random numbers of this key."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))
