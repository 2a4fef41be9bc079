"""What the settings are by default where a task or a preset has its own; pure data."""

from collections.abc import Mapping
from typing import Any

from online_lstm.events import EXPERTS

TASKS: Mapping[str, Mapping[str, Any]] = {
    "symbol": {},
    "number": {
        "network": ("lstm 32",),
        "learning_rate": 3e-4,
        "lr_gate_loss": 0.0,
        "retry_steps": 0,
        "replay_buffer_size": 2048,
        "replay_dropout": 0.0,
        "experts": EXPERTS["number"],
    },
    "label": {
        "network": ("lstm 32",),
        "learning_rate": 1e-2,
        "lr_gate_loss": 0.0,
        "retry_steps": 0,
        "experts": EXPERTS["label"],
        "model_scope": "partition",
        "top": 20,
    },
}
"""What each task has instead of the defaults."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "seed": {
        "network": ("lstm 16",),
        "replay_buffer_size": 0,
        "learning_rate": 1e-2,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "lr_gate_loss": 0.0,
        "retry_steps": 0,
        "experts": ("lstm",),
    },
}
"""What each preset has instead of the defaults and of what its task has.

``seed`` is the plain loop of one LSTM, one step of Adam a value, as in the question that this project began from.
"""
