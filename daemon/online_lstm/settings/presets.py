"""Default values of the tasks and presets; pure data."""

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
        "top_k": 20,
    },
}
"""Default values of each task, in place of the general ones."""

SCOPES: Mapping[tuple[str, str], Mapping[str, Any]] = {("symbol", "partition"): {"max_streams": 20_000}}
"""Default values of a task with a model scope: a stream of symbols that shares what it learns has little of its own."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "plain": {
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
"""Default values of each preset, in place of the general ones and of the task's.

``plain`` is a loop with one LSTM and one Adam step per value, as in a simple Keras training loop.
"""
