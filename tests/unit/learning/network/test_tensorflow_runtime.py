import subprocess
import sys
from pathlib import Path

import pytest
from online_lstm.learning.network.tensorflow_runtime import _instruction_set, fingerprint, pin_runtime


def ran(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, which must succeed."""
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)


def test_pins_are_added_to_the_flags_of_the_user() -> None:
    """A flag that was given keeps its value, the others are appended."""
    environment = {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2 --xla_dump_to=somewhere"}
    pin_runtime(environment)
    assert (
        "--xla_cpu_max_isa=SSE4_2 --xla_dump_to=somewhere"
        " --xla_cpu_prefer_vector_width=256 --xla_cpu_multi_thread_eigen=false"
        " --xla_cpu_experimental_ynn_fusion_type="
        " --xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=300000"
    ) == environment["XLA_FLAGS"]
    assert "-1" == environment["CUDA_VISIBLE_DEVICES"]


def test_pinning_twice_is_pinning_once() -> None:
    """Flags do not pile up."""
    once: dict[str, str] = {}
    pin_runtime(once)
    twice = dict(once)
    pin_runtime(twice)
    assert once == twice


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu sse4_2 avx avx2 avx512f", "avx2"), ("fpu sse4_2 avx", "avx"), ("fp asimd", "baseline")],
)
def test_the_instruction_set_is_the_best_up_to_the_pinned_one(tmp_path: Path, flags: str, expected: str) -> None:
    """AVX-512 does not count: it is pinned away."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: {flags}\n", encoding="utf-8")
    assert expected == _instruction_set(cpuinfo)


def test_instruction_set_is_unknown_without_cpuinfo(tmp_path: Path) -> None:
    """Nothing is guessed."""
    assert "unknown" == _instruction_set(tmp_path / "missing")


def test_the_fingerprint_names_what_bits_depend_on() -> None:
    """Versions, machine, instruction set and flags."""
    assert ["instruction_set", "machine", "numpy", "tensorflow", "xla_flags"] == sorted(fingerprint())


def test_tensorflow_loads_when_a_network_runs_and_not_before() -> None:
    """Importing the package, sizing and initialising a state need no TensorFlow."""
    program = (
        "import sys; from online_lstm.learning.network import LearningSettings, ModelShape, SymbolModel, fingerprint;"
        "shape, learning = ModelShape(('lstm 2',), 4, True, 0), LearningSettings(1e-2, .9, .99, 1e-3, 1, 0, 0, 0, 0);"
        "network = SymbolModel(shape, learning);"
        "network.initial(4); fingerprint(); print('tensorflow' in sys.modules)"
    )
    assert "False\n" == ran(program).stdout


@pytest.mark.long
def test_tensorflow_loads_without_chatter() -> None:
    """Standard error has no word of missing GPUs."""
    program = "from online_lstm.learning.network import load_tensorflow; load_tensorflow()"
    assert "" == ran(program).stderr


def test_what_is_no_chatter_passes() -> None:
    """Standard error has all that does not look like TensorFlow's log."""
    program = (
        "import os; from online_lstm.learning.network.tensorflow_runtime import suppress_stderr\n"
        "with suppress_stderr():\n"
        "    os.write(2, b'I0000 00:00:00 no GPU\\na real error\\n')\n"
    )
    assert "a real error\n" == ran(program).stderr


@pytest.mark.long
def test_a_network_runs_without_keras() -> None:
    """TensorFlow comes without Keras and matplotlib, and Keras can still be imported when a file needs it."""
    program = (
        "import gc, sys; from online_lstm.learning.network import LearningSettings, ModelShape, SymbolModel\n"
        "shape, learning = ModelShape(('lstm 2',), 4, True, 0), LearningSettings(1e-2, .9, .99, 1e-3, 1, 0, 0, 0, 0)\n"
        "network = SymbolModel(shape, learning); network.prepare(4)\n"
        "print(sorted({'keras', 'matplotlib', 'tensorflow'} & sys.modules.keys()), gc.isenabled())\n"
        "print(len(network.to_keras(network.initial(4), known=4)) > 1000)"
    )
    done = ran(program)
    assert ("['tensorflow'] True\nTrue\n", "") == (done.stdout, done.stderr)


@pytest.mark.long
def test_networks_load_the_parts_of_tensorflow_that_they_use() -> None:
    """The networks of all tasks need 1,020 of TensorFlow's 1,620 modules; other parts are loaded when they are used.

    An upgrade that fails here only makes the start slower: ``python -X importtime`` shows who imports a module.
    """
    program = (
        "import sys; from online_lstm.learning.learner_factory import warm_up\n"
        "from online_lstm.learning.model_factory import model_factory\n"
        "from online_lstm.learning.partition import learning_settings\n"
        "from online_lstm.settings import Settings\n"
        "numbers = {'experts': ('lstm',), 'features': 2}\n"
        "for task in ({}, {'task': 'number', **numbers}, {'task': 'label', 'classes': 3, **numbers}):\n"
        "    settings = Settings(network=('gru 2', 'lstm 2', 'dense 2 tanh', 'dropout 0.1'), **task)\n"
        "    warm_up(settings, model_factory(settings)(learning_settings(settings)))\n"
        "print(sorted({'keras', 'matplotlib', 'h5py', 'tensorflow.python.keras'} & sys.modules.keys()))\n"
        "print(sum(name.startswith('tensorflow.') for name in sys.modules) < 1100)\n"
        "import tensorflow as tf; print(tf.nn.relu(-1.0).numpy(), 'tensorflow.python.keras' in sys.modules)"
    )
    assert "[]\nTrue\n0.0 True\n" == ran(program).stdout


def test_trimming_returns_free_memory_to_the_system() -> None:
    """What was freed below memory in use leaves the process."""
    program = (
        "import re; from pathlib import Path; from online_lstm.learning.network.tensorflow_runtime import trim_heap\n"
        "def resident(): return int(re.search(r'VmRSS:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "blocks = [bytearray(1000) for _ in range(100_000)]; last = bytearray(1000); before = resident()\n"
        "del blocks; freed = resident(); trim_heap()\n"
        "print(before - freed < 50_000 < freed - resident())"
    )
    assert "True\n" == ran(program).stdout


@pytest.mark.parametrize(
    ("crash", "number", "told"),
    [
        ("os.write(2, b'F0000 00:00:00 needs AVX\\n'); os.abort()", 6, "F0000 00:00:00 needs AVX"),
        ("os.kill(os.getpid(), 11)", 11, "Fatal Python error: Segmentation fault"),
        ("os.write(2, b'killed soon\\n'); os.kill(os.getpid(), 9)", 9, "killed soon"),
    ],
)
def test_a_crash_while_tensorflow_loads_leaves_its_message(crash: str, number: int, told: str) -> None:
    """The last words of a process that ends at once are on standard error, and so is where it crashed."""
    imports = "import os\nfrom online_lstm.learning.network.tensorflow_runtime import suppress_stderr"
    program = f"{imports}\nwith suppress_stderr():\n    {crash}\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert -number == done.returncode
    assert told in done.stderr
    assert (number == 9) or "line 4 in <module>" in done.stderr
