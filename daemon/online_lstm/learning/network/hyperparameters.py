"""What a network is built from: its shape, and how it learns. Knows neither TensorFlow nor the settings."""

from dataclasses import dataclass

from online_lstm.learning.network.layers import Layer, parse_layers


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What the weights and the sequence look like; another shape is another network.

    ``layers`` go from the input up (``("lstm 32", "lstm 16")``, see ``online_lstm.learning.network.layers``),
    ``window`` is the number of steps that one fit step sees, ``carried`` says whether the states at the window's left
    edge move on with it (else they stay zero), and ``seed`` decides the initial weights, what is dropped and what is
    replayed: with each event a window of the last ``replay_buffer_size`` events is learned from again (0: none).
    """

    layers: tuple[str, ...]
    window: int
    carried: bool
    seed: int
    replay_buffer_size: int = 0

    @property
    def stack(self) -> tuple[Layer, ...]:
        """The layers as they were read.

        Raises:
            SettingsError: A layer is none, or the layers do not go together.
        """
        return parse_layers(self.layers)


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """Adam's constants, the global norm that gradients are clipped to, the gate, and extra steps.

    Below ``lr_gate_loss`` (nats a position) the rate shrinks in proportion to the loss; 0 switches that off. A missed
    event is fitted up to ``retry_steps`` times more, from a budget that each event refills by ``retry_refill``.
    Of what the layers put out for a replayed window the share ``replay_dropout`` is dropped.
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
    """Count the columns of a line of numbers: features, whether it is there, targets, and which of these are known."""
    return features + 1 + 2 * outputs
