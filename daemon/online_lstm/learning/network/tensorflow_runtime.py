"""The runtime of the networks: settings pinned before TensorFlow loads, and the properties of the machine that remain.

The same input must give the same weights on every run, so that a replay can be compared with the published output.
The number of threads and the instruction set determine the order of sums; both are pinned.
"""

import ctypes
import faulthandler
import gc
import importlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from importlib.util import LazyLoader, find_spec
from pathlib import Path
from types import ModuleType

from online_lstm.learning.network import program_cache

XLA_PINS = {
    # AVX-512 is not faster for products this small, and many machines do not have it
    "xla_cpu_max_isa": "AVX2",
    "xla_cpu_prefer_vector_width": "256",
    "xla_cpu_multi_thread_eigen": "false",
    # YNN products would use AVX-512 where available, despite the pins above
    "xla_cpu_experimental_ynn_fusion_type": "",
    # loops over the steps of up to some 80 cells become one function each, instead of a dozen calls per step; the loop
    # over the events must stay above this threshold, since large products are slow within such a function
    "xla_backend_extra_options": "xla_cpu_small_while_loop_byte_threshold=300000",
}
TENSORFLOW_PINS = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # oneDNN still computes XLA's large products
    "CUDA_VISIBLE_DEVICES": "-1",
}
PASSED_ON_S = 5.0
_KERAS = "keras.src.optimizers"
"""The module of Keras that TensorFlow imports at its end, if Keras is installed."""
_API = "tensorflow._api.v2."
"""The prefix of the modules of TensorFlow's public API, which only import names from where they are defined."""
_FILTER = r"""
import os, re, sys
chatter = re.compile(rb"WARNING: All log messages before absl|[IWE]\d{4} \d\d:\d\d:")
for line in sys.stdin.buffer:
    if not chatter.match(line):
        os.write(1, line)
"""
_XLA_DECIDES = ("--xla_cpu", "--xla_backend")
_CPU_INFO = Path("/proc/cpuinfo")
_PROCESSOR = re.compile(r"^(?:model name|CPU part|flags|Features)\s*:.*", re.MULTILINE)
_INSTRUCTION_SETS = ("avx2", "avx", "sse4_2")


def pin_runtime(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the environment variables that TensorFlow reads when it loads; keep XLA flags that the user set."""
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    environment.update(TENSORFLOW_PINS)
    flags = environment.get("XLA_FLAGS", "").split()
    given = {flag.lstrip("-").partition("=")[0] for flag in flags}
    flags += [f"--{name}={value}" for name, value in XLA_PINS.items() if name not in given]
    environment["XLA_FLAGS"] = " ".join(flags)


class _FirstUseFinder:
    """Finds the modules of TensorFlow's public API, such as ``tf.linalg``, and loads each at its first use.

    Together they import half of TensorFlow, and hardly any of it is used here.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how to load the module; None for a module that is loaded at once.

        A part with the name of a package inside TensorFlow, such as ``tf.distribute``, is loaded at once: it imports
        the package by this name, which stands for the part later.
        """
        if not name.startswith(_API) or find_spec("tensorflow." + name.removeprefix(_API).partition(".")[0]):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def load_tensorflow() -> None:
    """Import TensorFlow with its settings pinned, without its messages and without what is hardly ever used.

    Keras and parts of the public API are imported at their first use. The search for garbage waits during the import,
    which leaves hardly any, and excludes all modules afterwards.
    """
    if "tensorflow" in sys.modules:
        return
    pin_runtime()
    program_cache.enable()
    sys.modules.setdefault(_KERAS, None)  # type: ignore[arg-type] # an import of it fails, as if it were not installed
    sys.meta_path.insert(0, _FirstUseFinder)
    collecting = gc.isenabled()
    gc.disable()
    try:
        with suppress_stderr():
            importlib.import_module("tensorflow")
        gc.freeze()
    finally:
        if collecting:
            gc.enable()
        sys.meta_path.remove(_FirstUseFinder)
        if sys.modules[_KERAS] is None:
            del sys.modules[_KERAS]


def trim_heap() -> None:
    """Return the free memory of the heap to the system, which the C library keeps otherwise.

    A compilation leaves more than 100 MB of it. Does nothing without the GNU C library.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def suppress_stderr() -> Iterator[None]:
    """Drop TensorFlow's messages about missing GPUs while it loads, before its log level applies; pass on the rest.

    A separate process passes the rest on, so that the last messages before a crash are not lost. The crash itself is
    written to standard error directly, with the line of the program where it occurred.
    """
    standard_error = os.dup(2)
    command = [sys.executable, "-I", "-S", "-c", _FILTER]
    passing_on = subprocess.Popen(  # noqa: S603 - this Python, and the constant program above
        command, stdin=subprocess.PIPE, stdout=standard_error, start_new_session=True
    )
    assert passing_on.stdin is not None
    os.dup2(passing_on.stdin.fileno(), 2)
    passing_on.stdin.close()
    faulthandler_enabled = faulthandler.is_enabled()
    if not faulthandler_enabled:
        faulthandler.enable(standard_error)
    try:
        yield
    finally:
        if not faulthandler_enabled:
            faulthandler.disable()
        os.dup2(standard_error, 2)
        os.close(standard_error)
        with suppress(subprocess.TimeoutExpired):  # a process started meanwhile may still write to it
            passing_on.wait(timeout=PASSED_ON_S)


def fingerprint() -> dict[str, str]:
    """Return everything that the bits of weights and predictions still depend on, for comparison between machines."""
    pinned: dict[str, str] = dict(os.environ)
    pin_runtime(pinned)
    return {
        "tensorflow": version("tensorflow"),
        "numpy": version("numpy"),
        "machine": platform.machine(),
        "instruction_set": _instruction_set(),
        "xla_flags": " ".join(sorted(flag for flag in pinned["XLA_FLAGS"].split() if flag.startswith("--xla_cpu"))),
    }


def processor(cpuinfo: Path = _CPU_INFO) -> str:
    """Return the models and the features of the processors, for programs that were compiled for them."""
    if not cpuinfo.is_file():
        return platform.processor()
    return "\n".join(sorted(set(_PROCESSOR.findall(cpuinfo.read_text(encoding="utf-8")))))


def _instruction_set(cpuinfo: Path = _CPU_INFO) -> str:
    """Return the best instruction set that the processor has, up to the pinned one."""
    if not cpuinfo.is_file():
        return "unknown"
    has = set(cpuinfo.read_text(encoding="utf-8").split())
    return next((name for name in _INSTRUCTION_SETS if name in has), "baseline")
