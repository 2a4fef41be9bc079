"""What the settings are by default where a task or a preset has its own; pure data."""

from collections.abc import Mapping
from typing import Any

from daemon.records import EXPERTS

TASKS: Mapping[str, Mapping[str, Any]] = {
    "symbol": {},
    "number": {
        "learning_rate": 3e-4,
        "epsilon": 1e-3,
        "gate_loss": 0.0,
        "extra_steps": 0,
        "replay_history": 8192,
        "experts": EXPERTS["number"],
    },
}
"""What each task has instead of the defaults."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "replay": {
        "network": ("lstm 48",),
        "learning_rate": 7e-3,
        "replay_history": 1500,
    },
    "seed": {
        "network": ("lstm 16",),
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "gate_loss": 0.0,
        "extra_steps": 0,
        "experts": ("lstm",),
    },
}
"""What each preset has instead of the defaults and of what its task has.

``replay`` learns an earlier window again with each value, which takes longer; ``seed`` is the plain loop of one LSTM,
one step of Adam a value.
"""
