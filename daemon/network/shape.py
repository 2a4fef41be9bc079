"""What a network is built from: its shape, and how it learns. Knows neither TensorFlow nor the settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.errors import SettingsError

MARKS = 3
"""Columns of a line of numbers after its features: whether it is there, its target, and whether that is known."""

MOST_CELLS = 1024
"""Of one layer: its weights grow with the square, and each stream has its own, with two moments."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights and the sequence look like; another shape is another network.

    ``layers`` go from the input up (``("lstm 32", "lstm 16")``), ``window`` is the number of steps that one
    fit step sees, ``carried`` says whether the LSTM states at the window's left edge move on with it (else
    they stay zero), and ``seed`` decides the initial weights and what is replayed: with each event a window of the
    last ``replay_history`` events is learned from again (0: none).
    """

    layers: tuple[str, ...]
    window: int
    carried: bool
    seed: int
    replay_history: int = 0

    @property
    def units(self) -> tuple[int, ...]:
        """The number of cells of each LSTM layer."""
        return parse_layers(self.layers)


@dataclass(frozen=True, slots=True)
class Learning:
    """Adam's constants, the global norm that gradients are clipped to, the gate, and extra steps.

    Below ``gate_loss`` (nats a position) the rate shrinks in proportion to the loss; 0 switches that off. A missed
    event is fitted up to ``extra_steps`` times more, from a budget that each event refills by ``extra_refill``.
    Without ``learn`` there are no fit steps at all.
    """

    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float
    clip_norm: float
    gate_loss: float
    extra_steps: int
    extra_budget: float
    extra_refill: float
    learn: bool = True


def parse_layers(layers: Sequence[str]) -> tuple[int, ...]:
    """Give the number of cells of each layer.

    >>> parse_layers(["lstm 32", "lstm 16"])
    (32, 16)

    Raises:
        SettingsError: There is no layer, or one is not ``lstm CELLS`` with 1 to ``MOST_CELLS`` cells.
    """
    if not layers:
        raise SettingsError("network: received no layer, expected at least one, like lstm 16")
    return tuple(_cells(number, layer) for number, layer in enumerate(layers, 1))


def _cells(number: int, layer: str) -> int:
    match layer.split():
        case ["lstm", cells] if cells.isascii() and cells.isdecimal() and 0 < int(cells) <= MOST_CELLS:
            return int(cells)
    raise SettingsError(
        f"network: layer {number}: received {layer!r}, expected lstm CELLS with 1 to {MOST_CELLS} cells, like lstm 16"
    )
