"""What streams begin as, when another checkpoint is gone on from."""

import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from online_lstm.checkpoint import digest_of
from online_lstm.checkpoint.hdf5 import pack, unpack
from online_lstm.cli import main
from online_lstm.errors import ExitCode, StateMismatchError
from online_lstm.events import InputRecord
from online_lstm.learning.partition import Partition, initial_metadata, next_metadata
from online_lstm.learning.state.schema import PartitionState
from online_lstm.learning.warm_start import WarmStart
from support.fakes import (
    LOGS,
    SIZES,
    SOURCES,
    Crash,
    FakeDaemon,
    FakeKafka,
    crash_at,
    record,
    small_network,
    small_settings,
)
from support.states import streams_learned

pytestmark = pytest.mark.long

LOOP = [1, 2, 3, 1, 2, 4]


def records(values: Sequence[object], key: bytes | None = None, first: int = 0) -> list[InputRecord]:
    return [record(first + place, json.dumps(value).encode(), key) for place, value in enumerate(values)]


def partition_of(state: PartitionState | None = None, **given: Any) -> Partition:
    chosen = small_settings(**{"suffix_contexts": 1024, **given})
    warm_start = WarmStart(chosen, state) if state else None
    mark = next_metadata(chosen, SOURCES[0], 0, initial_metadata(1))
    return Partition(chosen, SOURCES[0], mark, small_network, warm_start)


def messages(partition: Partition, given: Sequence[InputRecord]) -> list[dict[str, Any]]:
    return [json.loads(output.value or b"") for output in partition.process(given).outputs]


def learned(*keys: bytes | None) -> PartitionState:
    partition = partition_of()
    for key in keys:
        partition.process(records(LOOP * 40, key))
    return partition.state()


@pytest.fixture(scope="module")
def one() -> PartitionState:
    return learned(None)


def test_all_streams_begin_as_the_only_one(one: PartitionState) -> None:
    """Whatever their keys are: the loop is known from the beginning, and scored anew."""
    said = messages(partition_of(one), records(LOOP * 4, b"pump-7"))
    assert said[0]["evaluation"] is None
    assert said[0]["hit_rate"] is None
    assert all(message["evaluation"]["hit"] for message in said[6:])
    cold = messages(partition_of(), records(LOOP * 4, b"pump-7"))
    assert not all(message["evaluation"]["hit"] for message in cold[6:])


def test_of_several_each_begins_as_that_of_its_key() -> None:
    """A key that the checkpoint does not know begins with nothing learned."""
    partition = partition_of(learned(b"a", b"b"))
    assert 4 == messages(partition, records([1, 2, 3, 1, 2], b"b"))[-1]["prediction"]
    assert messages(partition_of(), records(LOOP, b"c")) == messages(partition_of(), records(LOOP, b"c"))
    known, new = (messages(partition, records([1], key))[0]["event"] for key in (b"a", b"c"))
    assert (len(LOOP) * 40 + 1, 1) == (known, new)


@pytest.mark.parametrize("size", [1, 7])
def test_the_size_of_the_calls_and_restores_do_not_show(one: PartitionState, size: int) -> None:
    """Outputs and state are the same bytes in pieces of any size, each restored from the state before it."""
    given = [record for key in (b"a", None, b"b") for record in records([*LOOP * 3, 7, 7], key)]
    whole, pieces = partition_of(one), partition_of(one)
    outputs = []
    for start in range(0, len(given), size):
        state = pieces.state()
        pieces = partition_of(one)
        pieces.restore(state)
        outputs += messages(pieces, given[start : start + size])
    assert messages(whole, given) == outputs
    assert digest_of(whole.state().to_arrays()) == digest_of(pieces.state().to_arrays())


def test_another_shape_is_refused(one: PartitionState) -> None:
    """The message says what differs."""
    with pytest.raises(StateMismatchError, match=r"the warm start was learned with window 8 \(the settings say 9\)"):
        WarmStart(small_settings(suffix_contexts=1024, window=9), one)


def test_of_another_task_nothing_else_is_told(one: PartitionState) -> None:
    """The settings of another task are others; a list of them would hide which one was forgotten."""
    with pytest.raises(StateMismatchError) as refused:
        WarmStart(small_settings(task="number"), one)
    words = "the warm start was learned with task 'symbol' (the settings say 'number'): use these settings"
    assert words == str(refused.value)


@pytest.mark.parametrize("step", ["after poll", "after commit", "before checkpoint", "after checkpoint"])
def test_a_crash_changes_nothing(tmp_path: Path, step: str) -> None:
    """Wherever the process ends, also while it begins: the next one begins as the first one had."""
    file = tmp_path / "learned.h5"
    partition = partition_of(suffix_contexts=small_settings().suffix_contexts)
    partition.process(records(LOOP * 20))
    file.write_bytes(pack(partition.state().to_arrays()))
    warm: dict[str, Any] = {"sizes": SIZES, "warm_start": file}
    undisturbed = FakeKafka(LOGS)
    expected = FakeDaemon(undisturbed, tmp_path / "undisturbed", **warm).run().digests()
    cold = FakeKafka(LOGS)
    FakeDaemon(cold, tmp_path / "cold", sizes=SIZES).run()
    assert cold.published != undisturbed.published
    for number in range(3):
        kafka, folder = FakeKafka(LOGS), tmp_path / str(number)
        kafka.on_step = crash_at(number, step)
        with pytest.raises(Crash):
            FakeDaemon(kafka, folder, **warm).run()
        assert expected == FakeDaemon(kafka, folder, **warm).run().digests()
        assert undisturbed.published == kafka.published
        assert undisturbed.offsets == kafka.offsets


@pytest.fixture
def values(tmp_path: Path) -> Path:
    path = tmp_path / "values.txt"
    path.write_text("".join(f"{value}\n" for value in LOOP * 60))
    return path


SMALL = ("--set", "network=lstm 4", "--set", "window=8", "--set", "replay_buffer_size=0")


def replaced(given: Sequence[str], options: Sequence[object]) -> list[str]:
    """Return ``--set`` options, of which the later ones of a setting stand instead of the earlier ones."""
    names = {str(option).partition("=")[0] for option in options}
    pairs = zip(given[::2], given[1::2], strict=True)
    kept = [word for option, value in pairs if value.partition("=")[0] not in names for word in (option, value)]
    return [*kept, *map(str, options)]


def backtest(values: Path, *options: object) -> tuple[int, list[dict[str, Any]]]:
    out = values.with_suffix(".jsonl")
    code = main.main(["backtest", str(values), *replaced(SMALL, options), "--predictions", str(out)])
    return code, [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def test_a_backtest_leaves_a_checkpoint_to_begin_from(values: Path, tmp_path: Path) -> None:
    """With it the file is known from its beginning; the content of the file is part of the shape."""
    checkpoint = tmp_path / "learned.h5"
    code, cold = backtest(values, "--checkpoint", checkpoint)
    assert code == ExitCode.OK
    code, warm = backtest(values, "--set", f"warm_start={checkpoint}")
    assert code == ExitCode.OK
    assert all(message["evaluation"]["hit"] for message in warm[6:])
    assert cold[0]["model"].partition("@")[0] != warm[0]["model"].partition("@")[0]
    copy = tmp_path / "copy.h5"
    copy.write_bytes(checkpoint.read_bytes())
    assert warm == backtest(values, "--set", f"warm_start={copy}")[1]


def test_what_cannot_be_begun_from_is_told(values: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file, no checkpoint, a model of Keras 2 with the way to convert it, and one of another shape."""
    checkpoint = tmp_path / "learned.h5"
    assert backtest(values, "--checkpoint", checkpoint)[0] == ExitCode.OK
    other = tmp_path / "other.h5"
    other.write_text("4\n")
    keras_2 = tmp_path / "keras-2.h5"
    with h5py.File(keras_2, "w") as file:
        file.attrs.update({"keras_version": "2.15.0", "backend": "tensorflow", "model_config": "{}"})
    for options, words in (
        (("--set", f"warm_start={tmp_path / 'none.h5'}"), "expected a file: a checkpoint"),
        (("--set", f"warm_start={other}"), "expected a checkpoint"),
        (("--set", f"warm_start={keras_2}"), "a model that Keras saved as HDF5, the format of Keras 2"),
        (("--set", f"warm_start={keras_2}"), "call model.load_weights() with this file, and model.save()"),
        (("--set", f"warm_start={checkpoint}", "--set", "window=9"), "learned with window 8"),
    ):
        assert backtest(values, *options)[0] == ExitCode.USAGE
        assert words in capsys.readouterr().err


# from a Keras file


TASKS: dict[str, tuple[str, ...]] = {
    "symbol": ("experts=lstm", "window=8", "replay_buffer_size=0"),
    "symbol, shared": ("experts=lstm", "window=8", "replay_buffer_size=0", "model_scope=partition"),
    "number": ("task=number", "lookback=256", "window=8"),
    "label": ("task=label", "features=2"),
}


def lines_of(task: str) -> str:
    if task == "number":
        return "".join(f"{20 + 8 * math.sin(place / 4):.3f}\n" for place in range(300))
    if task == "label":
        labels = [place % 2 for place in range(120)]
        samples = [json.dumps({"value": [label - 0.5, 1], "label": label, "end": True}) for label in labels]
        return "".join(line + "\n" for line in samples)
    return "".join(f"{value}\n" for value in LOOP * 60)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, tuple[str, ...]]]:
    """Learn a file, export its network, and say how it is read."""

    @cache
    def export(task: str) -> tuple[Path, tuple[str, ...]]:
        folder = tmp_path_factory.mktemp("keras")
        suffix = ".jsonl" if task == "label" else ".txt"
        values, checkpoint, keras = folder / f"values{suffix}", folder / "learned.h5", folder / "learned.keras"
        values.write_text(lines_of(task))
        options = ["network=lstm 6", *TASKS[task]]
        given = tuple(part for option in options for part in ("--set", option))
        assert ExitCode.OK == main.main(["backtest", str(values), *given, "--checkpoint", str(checkpoint)])
        stream = () if task == "label" else ("--stream", "null")
        assert ExitCode.OK == main.main(["export", str(checkpoint), str(keras), *stream])
        return values, given

    return export


def scores_of(values: Path, given: Sequence[str], *more: str) -> dict[str, Any]:
    report = values.with_name("report.json")
    assert ExitCode.OK == main.main(["backtest", str(values), *given, *more, "--json", str(report)])
    figures: dict[str, Any] = json.loads(report.read_text())
    return figures


@pytest.mark.parametrize("task", TASKS)
def test_a_keras_file_is_begun_from(exported: Callable[[str], tuple[Path, tuple[str, ...]]], task: str) -> None:
    """What its network knows is known from the beginning: even frozen it predicts what had been learned."""
    values, given = exported(task)
    warm = ("--set", f"warm_start={values.with_name('learned.keras')}")
    cold, begun = scores_of(values, given), scores_of(values, given, *warm)
    frozen = scores_of(values, given, *warm, "--set", "learn=false")
    if task == "number":
        state = hdf5_state(values, given, *warm)
        again = hdf5_state(values, given)
        assert begun["hit_rate"] > 0
        assert streams_learned(state).networks.keys() == streams_learned(again).networks.keys()
        return
    assert begun["hit_rate_first_500"] > cold["hit_rate_first_500"]
    assert frozen["hit_rate"] > 0.95


def hdf5_state(values: Path, given: Sequence[str], *more: str) -> PartitionState:
    checkpoint = values.with_name("again.h5")
    assert ExitCode.OK == main.main(["backtest", str(values), *given, *more, "--checkpoint", str(checkpoint)])
    return PartitionState.from_arrays(unpack(checkpoint.read_bytes(), "again"))


def test_the_weights_of_numbers_are_those_of_the_file(exported: Callable[[str], tuple[Path, tuple[str, ...]]]) -> None:
    """Frozen, they are the exported ones after any number of values."""
    values, given = exported("number")
    warm = ("--set", f"warm_start={values.with_name('learned.keras')}", "--set", "learn=false")
    (begun,) = streams_learned(hdf5_state(values, given, *warm)).networks.values()
    exported_state = PartitionState.from_arrays(unpack(values.with_name("learned.h5").read_bytes(), "learned"))
    (learned_ones,) = streams_learned(exported_state).networks.values()
    size = (begun["network"].shape[1] - 2 - 12) // 3
    np.testing.assert_array_equal(learned_ones["network"][0, :size], begun["network"][0, :size])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--set", "network=lstm 5"), "layer 1: received LSTM"),
        (("--set", "network=gru 6"), "layer 1: received LSTM"),
        (("--set", "network=lstm 6,dense 4"), "layer 2: received Dense"),
        (("--set", "max_vocabulary=2"), "symbols: received 4, expected distinct"),
    ],
)
def test_a_keras_file_that_does_not_fit_is_told(
    exported: Callable[[str], tuple[Path, tuple[str, ...]]],
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, ...],
    words: str,
) -> None:
    """Which layer it is, what it is, and what is expected."""
    values, given = exported("symbol")
    warm = ("--set", f"warm_start={values.with_name('learned.keras')}")
    assert ExitCode.USAGE == main.main(["backtest", str(values), *replaced(given, change), *warm])
    said = capsys.readouterr().err
    assert "warm_start: " in said
    assert words in said


def test_the_json_beside_a_keras_file_is_part_of_it(
    exported: Callable[[str], tuple[Path, tuple[str, ...]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it nobody knows what the outputs stand for; with another one it is another beginning."""
    values, given = exported("symbol")
    alone = tmp_path / "alone.keras"
    alone.write_bytes(values.with_name("learned.keras").read_bytes())
    warm = ("--set", f"warm_start={alone}")
    assert ExitCode.USAGE == main.main(["backtest", str(values), *given, *warm])
    assert (
        "No such file or directory; expected the JSON file that `export` writes beside alone.keras"
        in capsys.readouterr().err
    )
    told = json.loads(values.with_name("learned.json").read_text())
    alone.with_suffix(".json").write_text(json.dumps({**told, "symbols": [None, "a", "b", "c", "d"]}))
    assert scores_of(values, given, *warm, "--set", "learn=false")["hit_rate"] in {None, 0.0}
