"""The layout of the flat state row: where each array is, its initial values, and growth to more classes.

A row is ``weights | first moments | second moments | step count | spent budget | left-edge states``, float32
(row_size,).
The weights, and each kind of moments, are the arrays that all classes share, then one line per class. Thus a new class
is appended, and a forgotten class is overwritten:

    shared   for each layer: its kernel (below, k), except for the first; its other arrays (``Layer.arrays``)
    class    its row of the first kernel (k,), its column of the dense kernel above all layers (u,), its dense bias (1,)

The left-edge states are the states of each layer (``Layer.states``), from the input up.
"""

import math
from functools import partial
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.network.layers import Dropout, Layer, ParameterSpec, glorot_uniform

MIN_CLASSES = 4
"""The smallest capacity; every class has the initial scale that it has in a network of this capacity."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]


class Layout:
    """The positions of the arrays in the state row of a network with these layers and this many classes.

    Layouts of equal layers and classes are equal; networks with equal layouts can use the same compiled programs.
    """

    def __init__(self, layers: tuple[Layer, ...], classes: int) -> None:
        self.layers = layers
        self.classes = classes
        widths = list(accumulate(layers, lambda below, layer: layer.width(below), initial=0))
        self.arrays = [_shared_arrays(layer, below) for layer, below in zip(layers, widths[:-1], strict=True)]
        self.class_widths = (layers[0].kernel, widths[-1], 1)
        shared = [array.shape for arrays in self.arrays for array in arrays]
        self.weight_shapes = (*shared, (classes, sum(self.class_widths)))
        self.weight_sizes = [math.prod(shape) for shape in self.weight_shapes]
        self.state_sizes = [size for layer in layers for size in layer.states]
        weights, states = sum(self.weight_sizes), sum(self.state_sizes)
        self.sizes = (weights, weights, weights, 1, 1, states)
        self.row_size = sum(self.sizes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and (self.layers, self.classes) == (other.layers, other.classes)

    def __hash__(self) -> int:
        return hash((self.layers, self.classes))

    @property
    def drops_out(self) -> bool:
        """Whether dropout makes the outputs of a fit differ from the outputs of a prediction."""
        return any(isinstance(layer, Dropout) and layer.rate > 0 for layer in self.layers)

    def initial(self, seed: int) -> Floats:
        """Return a state with randomly drawn initial weights; everything else in it is zero."""
        state = np.zeros(self.row_size, np.float32)
        shared, _ = self.learned(state)
        drawn = []
        for number, arrays in enumerate(self.arrays):
            random = _generator(seed, 0, number)
            drawn += [array.draw(random, array.shape).ravel() for array in arrays]
        shared[0] = np.concatenate(drawn)
        for code in range(self.classes):
            self.reset_class(state, code, seed)
        return state

    def grow(self, state: Floats, larger: "Layout", seed: int) -> Floats:
        """Copy a state into a larger layout; the added classes start from their initial weights."""
        grown = larger.initial(seed)
        shared, by_class = self.learned(state)
        grown_shared, grown_by_class = larger.learned(grown)
        grown_shared[:] = shared
        grown_by_class[:, : self.classes] = by_class
        grown[3 * larger.sizes[0] :] = state[3 * self.sizes[0] :]
        return grown

    def reset_class(self, state: Floats, code: int, seed: int) -> None:
        """Reset a class to its initial weights and zero moments, in place."""
        _, by_class = self.learned(state)
        by_class[0, code] = self._initial_class(seed, code)
        by_class[1:, code] = 0

    def reset_states(self, state: Floats) -> None:
        """Set the left-edge states to zero, in place."""
        state[-self.sizes[-1] :] = 0

    def learned(self, state: Floats) -> tuple[Floats, Floats]:
        """Return views of the weights and both moments: shared by all classes (3, n), by class (3, classes, width)."""
        learned = state[: 3 * self.sizes[0]].reshape(3, -1)
        per_class = self.weight_sizes[-1]
        return learned[:, :-per_class], learned[:, -per_class:].reshape(3, *self.weight_shapes[-1])

    def _initial_class(self, seed: int, code: int) -> NDArray[np.float64]:
        """Draw the line of one class, a function of seed and code alone: independent of the number of classes."""
        random, (inputs, outputs, _) = _generator(seed, 1, code), self.class_widths
        kernel = glorot_uniform(random, (inputs,), fan_in=MIN_CLASSES, fan_out=inputs)
        dense = glorot_uniform(random, (outputs,), fan_in=outputs, fan_out=MIN_CLASSES)
        return np.concatenate([kernel, dense, [0.0]])


def _shared_arrays(layer: Layer, below: int) -> tuple[ParameterSpec, ...]:
    """Return the specs of a layer's shared arrays; ``below`` is 0 for the first layer: its kernel is split by class."""
    kernel = ParameterSpec((below, layer.kernel), partial(glorot_uniform, fan_in=below, fan_out=layer.kernel))
    return (*([kernel] if below and layer.kernel else []), *layer.arrays(below))


def _generator(seed: int, *key: int) -> np.random.Generator:
    """Return the counter-based random generator of this key."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))
