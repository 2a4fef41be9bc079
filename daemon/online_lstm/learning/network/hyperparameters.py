"""The hyperparameters of a network: its shape and its optimizer. Must not know TensorFlow or the settings."""

from dataclasses import dataclass

from online_lstm.learning.network.layers import Layer, parse_layers


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The shape of the weights and of the sequence; another shape is another network.

    ``layers`` are listed from the input up (``("lstm 32", "lstm 16")``, see ``online_lstm.learning.network.layers``).
    ``window`` is the number of steps in one fit step. ``stateful`` says whether the states at the window's left edge
    move on with the window; otherwise they stay zero. ``seed`` determines the initial weights, the dropout and the
    replayed windows. Each event also replays one window of the last ``replay_buffer_size`` events (0: no replay).
    """

    layers: tuple[str, ...]
    window: int
    stateful: bool
    seed: int
    replay_buffer_size: int = 0

    @property
    def stack(self) -> tuple[Layer, ...]:
        """The parsed layers.

        Raises:
            SettingsError: A layer is invalid, or the layers do not fit together.
        """
        return parse_layers(self.layers)


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """The settings of the optimizer: Adam's constants, the norm for clipping, the gate of the rate, and retry steps.

    Gradients are clipped to the global norm ``clip_norm``. Below a loss of ``lr_gate_loss`` (nats per position) the
    learning rate shrinks in proportion to the loss; 0 disables this gate. A missed event gets up to ``retry_steps``
    further fit steps. They are paid from ``retry_budget``, which each event refills by ``retry_refill``.
    ``replay_dropout`` is the share of the last layer's outputs that is dropped for a replayed window.
    Without ``learn`` there are no fit steps at all.
    """

    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float
    clip_norm: float
    lr_gate_loss: float
    retry_steps: int
    retry_budget: float
    retry_refill: float
    learn: bool = True
    replay_dropout: float = 0.0


def line_width(features: int, outputs: int) -> int:
    """Return the number of columns of a line: features, a flag for the line, targets, and a flag for each target."""
    return features + 1 + 2 * outputs
