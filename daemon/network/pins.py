"""Where the bits come from: what is pinned before TensorFlow loads, and what is left to the machine.

The same input must give the same weights on every run, so that a replay can be compared with what was
published. The number of threads and the instruction set decide in which order sums are taken; both are pinned.
"""

import os
import platform
from collections.abc import MutableMapping
from importlib.metadata import version
from pathlib import Path

XLA_PINS = {
    # for products this small AVX-512 is not faster, and many machines do not have it
    "xla_cpu_max_isa": "AVX2",
    "xla_cpu_prefer_vector_width": "256",
    "xla_cpu_multi_thread_eigen": "false",
}
TENSORFLOW_PINS = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
}
_INSTRUCTION_SETS = ("avx2", "avx", "sse4_2")


def pin(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables that TensorFlow reads when it loads; XLA flags that the user set stay as they are."""
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    environment.update(TENSORFLOW_PINS)
    flags = environment.get("XLA_FLAGS", "").split()
    given = {flag.lstrip("-").partition("=")[0] for flag in flags}
    flags += [f"--{name}={value}" for name, value in XLA_PINS.items() if name not in given]
    environment["XLA_FLAGS"] = " ".join(flags)


def fingerprint() -> dict[str, str]:
    """Name what the bits of weights and predictions still depend on, for comparison with another machine."""
    pinned: dict[str, str] = dict(os.environ)
    pin(pinned)
    return {
        "tensorflow": version("tensorflow"),
        "numpy": version("numpy"),
        "machine": platform.machine(),
        "instruction_set": _instruction_set(),
        "xla_flags": " ".join(sorted(flag for flag in pinned["XLA_FLAGS"].split() if flag.startswith("--xla_cpu"))),
    }


def _instruction_set(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name the best instruction set up to the pinned one that the processor has."""
    if not cpuinfo.is_file():
        return "unknown"
    has = set(cpuinfo.read_text(encoding="utf-8").split())
    return next((name for name in _INSTRUCTION_SETS if name in has), "baseline")
