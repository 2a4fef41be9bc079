"""A learner of the Python API: its results, its state, and what it refuses."""

import copy
import json
import math
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from online_lstm import Learner
from online_lstm.api.inputs import TOPIC, milliseconds
from online_lstm.checkpoint.hdf5 import digest_of
from online_lstm.errors import (
    BadInputError,
    CheckpointDamagedError,
    InputFileError,
    LearnerBusyError,
    SettingsError,
    StateMismatchError,
)
from online_lstm.events import InputRecord, TopicPartition
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import Partition, initial_metadata, next_metadata
from online_lstm.settings import read_settings
from online_lstm.settings.catalogue import Kind
from online_lstm.testing import MemoryKafka, run
from support.learners import (
    INPUTS,
    TASKS,
    Arguments,
    assert_same,
    content,
    json_of,
    key_of,
    labels,
    learn,
    learned_of,
    numbers,
)

pytestmark = pytest.mark.long


def forecast_of(outcome: Any, forecast: type[Any]) -> Any:
    """Return the part of an outcome that is its prediction."""
    return forecast(**{field.name: getattr(outcome, field.name) for field in fields(forecast)})


@pytest.mark.parametrize("case", TASKS)
def test_learning_continues_after_save_and_load(case: str, tmp_path: Path) -> None:
    """Wherever it is cut, results and state are those of a learner that was not interrupted."""
    inputs = INPUTS[case](40)
    undisturbed = Learner(**TASKS[case])
    expected = learn(undisturbed, inputs)
    for cut in (0, 1, 14, 24, 39):
        first = Learner(**TASKS[case])
        before = learn(first, inputs[:cut])
        first.save(tmp_path / "cut.h5")
        second = Learner.load(tmp_path / "cut.h5")
        assert expected == before + learn(second, inputs[cut:])
        assert content(undisturbed) == content(second)
        assert len(inputs) == second.events


@pytest.mark.parametrize("case", TASKS)
def test_the_pending_prediction_is_the_last_one(case: str, tmp_path: Path) -> None:
    """Also right after a checkpoint is loaded; asking for it changes nothing."""
    learner, inputs, compared = Learner(**TASKS[case]), INPUTS[case](38), 0
    for arguments in inputs:
        outcome, before = learner.learn_one(**arguments), content(learner)
        pending = learner.predict_one(arguments.get("key"))
        assert before == content(learner)
        if pending is not None and arguments["value"] is not None:
            assert forecast_of(outcome, type(pending)) == pending
            compared += 1
    assert compared > len(inputs) / 2
    learner.save(tmp_path / "last.h5")
    loaded = Learner.load(tmp_path / "last.h5")
    keys = {arguments.get("key") for arguments in inputs}
    assert any(learner.predict_one(key) for key in keys)
    assert [learner.predict_one(key) for key in keys] == [loaded.predict_one(key) for key in keys]
    assert learner.predict_one("never seen") is None


@pytest.mark.parametrize("case", TASKS)
def test_results_are_the_messages(case: str) -> None:
    """A partition that is given the same values as JSON publishes the same fields, rounded."""
    learner = Learner(**TASKS[case])
    settings, source = learner.settings, TopicPartition(TOPIC, 0)
    metadata = next_metadata(settings, source, 0, initial_metadata(partitions=1))
    partition = Partition(settings, source, metadata, model_factory(settings))
    for offset, arguments in enumerate(INPUTS[case](40)):
        outcome = learner.learn_one(**arguments)
        record = InputRecord(TOPIC, 0, offset, arguments.get("time", -1), key_of(arguments), json_of(arguments))
        (output,) = partition.process([record]).outputs
        assert_same(json.loads(output.value or b""), outcome)
    assert digest_of(partition.state().learned.to_arrays()) == learned_of(learner)


def test_a_learner_is_cheap_to_import() -> None:
    """Before the first learner, neither NumPy nor anything that takes longer is loaded."""
    heavy = "{'numpy', 'pydantic', 'tensorflow', 'numba', 'h5py', 'kafka', 'narwhals', 'pandas'}"
    program = f"import sys\nfrom online_lstm import Learner\nprint(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"value": 4, "key": 7}, SettingsError, "key: received 7 of type int, expected a string or None: convert it"),
        ({"value": 4, "key": "\ud800"}, SettingsError, r"key: received '\ud800' with half of a surrogate pair"),
        ({"value": 4, "time": "2026-01-01"}, SettingsError, "time: received '2026-01-01' of type str, expected a dat"),
        ({"value": 4, "time": True}, SettingsError, "time: received True of type bool, expected a datetime"),
        ({"value": 4, "time": 10**18}, SettingsError, "time: received 1000000000000000000 of type int, expected"),
        ({"value": 4, "label": "on"}, SettingsError, "label: received 'on', expected no label, as task is number"),
        ({"value": "open"}, BadInputError, "received 'open', expected a number: the setting task is number"),
        ({"value": math.inf}, BadInputError, "received 'Infinity', expected a finite number"),
        ({"value": [1, 2]}, BadInputError, "received '[1, 2]' with 2 numbers, expected 1: the setting features"),
        ({"value": {"temp": 4}}, BadInputError, "received an object as the value in"),
        ({"value": {4}}, BadInputError, "received a value of type set (no number, string, list or None: set), expect"),
    ],
)
def test_unusable_arguments_are_refused(arguments: Arguments, error: type[Exception], text: str) -> None:
    """With what was received, what was expected, and the way out; nothing is learned."""
    learner = Learner(**TASKS["number-plain"])
    with pytest.raises(error) as raised:
        learner.learn_one(**arguments)
    assert text in str(raised.value)
    assert 0 == learner.events


def test_a_refused_label_changes_nothing() -> None:
    """One without a sequence, and one too many; the next sample continues as if it had not come."""
    learner = Learner(**TASKS["label"])
    learn(learner, labels(20))
    before = content(learner)
    for arguments in ({"value": None, "key": "never", "label": 1}, {"value": [1, 2], "key": "a", "label": [1]}):
        with pytest.raises(BadInputError, match=r"received (a label without a sample|an array as the label)"):
            learner.learn_one(**arguments)
    assert before == content(learner)


def test_missing_numbers_are_learned_as_missing() -> None:
    """None and NaN, alone or in a vector, are one missing number."""
    alone, vectors = Learner(**TASKS["number-plain"]), Learner(**TASKS["number"])
    first = [alone.learn_one(value) for value in (1.0, None, math.nan)]
    assert [1, 2, 3] == [outcome.event for outcome in first]
    assert None is first[1].evaluation is first[2].evaluation
    pairs = [vectors.learn_one(value) for value in ([1.0, 2.0], np.array([3.0, math.nan]), (4.0, None))]
    (first_error, second_error), _ = pairs[2].evaluation.error
    assert first_error is not None
    assert second_error is None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"window": 0}, "window: received 0, expected greater than or equal to 1"),
        ({"widow": 4}, "widow: there is no such setting; window is one"),
        ({"http_port": 1}, "http_port: received by a Learner, expected settings of the model"),
    ],
)
def test_settings_are_validated(given: Arguments, text: str) -> None:
    """As those of the daemon are, of whose settings only the model's belong to a learner."""
    with pytest.raises(SettingsError, match=re.escape(text)):
        Learner(**given)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"task": "symbol"}, "was learned with task 'number' (the settings say 'symbol'): use these settings"),
        ({"window": 16}, "was learned with window 8 (the settings say 16): use these settings"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(given: Arguments, text: str, tmp_path: Path) -> None:
    """Its name and the settings that it was learned with are in the error."""
    Learner(**TASKS["number"]).save(tmp_path / "pump.h5")
    with pytest.raises(StateMismatchError, match=re.escape(f"{tmp_path}/pump.h5 {text}")):
        Learner.load(tmp_path / "pump.h5", **given)


def test_a_damaged_or_missing_file_is_refused(tmp_path: Path) -> None:
    """Nothing is learned from half a file, and no learner begins anew instead."""
    learner = Learner(**TASKS["symbol"])
    learner.save(tmp_path / "whole.h5")
    data = (tmp_path / "whole.h5").read_bytes()
    (tmp_path / "half.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointDamagedError, match=r"half\.h5: damaged"):
        Learner.load(tmp_path / "half.h5")
    with pytest.raises(InputFileError, match=r"none\.h5: no such file"):
        Learner.load(tmp_path / "none.h5")
    with pytest.raises(SettingsError, match="expected the path of a file in a directory that exists"):
        learner.save(tmp_path / "nowhere/pump.h5")


def test_settings_may_be_given_to_a_checkpoint(tmp_path: Path) -> None:
    """Its own are complete; learning settings may change, and equal shape settings be repeated."""
    learner = Learner(**TASKS["number"], learning_rate=0.01)
    learner.save(tmp_path / "pump.h5")
    kinds: tuple[Kind, ...] = ("shape", "learning")
    for kind in kinds:
        assert learner.settings.of_kind(kind) == Learner.load(tmp_path / "pump.h5").settings.of_kind(kind)
    changed = Learner.load(tmp_path / "pump.h5", task="number", window=8, learning_rate=0.02)
    assert 0.02 == changed.settings.learning_rate == changed._partition.learning.learning_rate


def test_two_threads_are_refused() -> None:
    """The second one, while the first is in a call; afterwards it may go on."""
    learner = Learner(**TASKS["symbol"])
    with learner._alone(), ThreadPoolExecutor(1) as other:
        for call in (lambda: learner.learn_one(4), learner.predict_one):
            with pytest.raises(LearnerBusyError, match="in use by another thread; expected one thread at a time"):
                other.submit(call).result()
    assert 0 == learner.events
    learner.learn_one(4)
    assert 1 == learner.events


def test_an_interrupt_waits_for_the_whole_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of an event is raised after it; the event is learned, and its result is lost."""
    learner, undisturbed = Learner(**TASKS["symbol"]), Learner(**TASKS["symbol"])
    undisturbed.learn_one(4)
    decode = learner._inputs.event

    def interrupted(*arguments: Any, **named: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return decode(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(learner._inputs, "event", interrupted)
        with pytest.raises(KeyboardInterrupt):
            learner.learn_one(4)
    assert content(undisturbed) == content(learner)
    assert undisturbed.learn_one(8) == learner.learn_one(8)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), 1_767_225_600_000),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 1_767_225_600_000),
        (datetime(2026, 1, 1), 1_767_225_600_000),  # noqa: DTZ001 - a time without a zone is the case
        (np.datetime64("2026-01-01"), 1_767_225_600_000),
        (np.datetime64("2026-01-01T00:00:00.123456789"), 1_767_225_600_123),
        (pd.Timestamp("2026-01-01", tz="UTC"), 1_767_225_600_000),
        (np.int64(7), 7),
        (None, -1),
        (pd.NaT, -1),
        (np.datetime64("NaT"), -1),
        (datetime(1969, 1, 1, tzinfo=UTC), -1),
    ],
)
def test_times_are_milliseconds_since_1970(time: object, expected: int) -> None:
    """Of any library; without a time zone in UTC, -1 for none and before 1970."""
    assert expected == milliseconds(time)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda learner: pickle.loads(pickle.dumps(learner))])
def test_a_copy_learns_by_itself(again: Callable[[Learner[Any, Any]], Learner[Any, Any]]) -> None:
    """It continues as the original would, which does not change; so does a pickled one."""
    learner = Learner(**TASKS["number"])
    learn(learner, numbers(20))
    before, other = content(learner), again(learner)
    assert "Learner(task='number', events=20)" == repr(other)
    outcomes = learn(other, numbers(10))
    assert before == content(learner)
    assert outcomes == learn(learner, numbers(10))
    assert content(other) == content(learner)


@pytest.mark.parametrize("case", TASKS)
def test_scores_are_those_of_the_last_result(case: str) -> None:
    """By the names of a backtest's report, over the score window; without a scored event there are none."""
    learner = Learner(**TASKS[case], **({} if case in ("label", "number-plain") else {"stream_by": "partition"}))
    assert {None} == {learner.scores()[name] for name in ("hit_rate", "baseline_hit_rates", "lift", "lift_errors")}
    outcomes = learn(learner, INPUTS[case](40))
    scores = learner.scores()
    assert (40, learner.settings.task) == (scores["events"], scores["task"])
    assert outcomes[-1].hit_rate == pytest.approx(scores["hit_rate"])
    assert outcomes[-1].baseline_hit_rate == pytest.approx(max(scores["baseline_hit_rates"].values()))
    assert scores["lift"] == scores["hit_rate"] - max(scores["baseline_hit_rates"].values())
    if learner.settings.task == "number":
        assert learner.settings.baselines == tuple(scores["baseline_mean_absolute_errors"])
    else:
        assert outcomes[-1].kappa_temporal == pytest.approx(scores["kappa_temporal"])
    json.dumps(scores, allow_nan=False)


def test_the_daemon_begins_from_a_saved_learner(tmp_path: Path) -> None:
    """As a warm start: its first prediction is that of a learner with the same warm start."""
    learner = Learner(**TASKS["symbol"])
    learn(learner, [{"value": number % 4, "key": "a"} for number in range(40)])
    learner.save(tmp_path / "pump.h5")
    kafka = MemoryKafka({"numbers": 1})
    for text in (b"1", b"2", b"3"):
        kafka.produce("numbers", text, key=b"a")
    given = {**TASKS["symbol"], "warm_start": str(tmp_path / "pump.h5")}
    messages = run(kafka, read_settings({**given, "checkpoint_url": str(tmp_path)}, environment={}))
    warm = Learner(**given)
    for value, message in zip((1, 2, 3), messages, strict=True):
        assert_same(message, warm.learn_one(value, key="a"))
    assert 0 == messages[-1]["prediction"]


@pytest.mark.parametrize("case", ["symbol", "number", "label"])
def test_a_checkpoint_of_the_daemon_continues(case: str, tmp_path: Path) -> None:
    """A learner that loads it has the results and the state that the daemon has after the next values."""
    kafka, inputs = MemoryKafka({"numbers": 1}), INPUTS[case](40)
    settings = read_settings({**TASKS[case], "checkpoint_url": str(tmp_path)}, environment={})
    produce(kafka, inputs[:25])
    run(kafka, settings)
    (file,) = tmp_path.rglob("*25.h5")
    learner = Learner.load(file)
    assert 25 == learner.events
    produce(kafka, inputs[25:])
    for message, arguments in zip(run(kafka, settings), inputs[25:], strict=True):
        assert_same(message, learner.learn_one(**arguments))
    (last,) = tmp_path.rglob("*40.h5")
    assert learned_of(Learner.load(last)) == learned_of(learner)


def test_a_learner_after_a_warm_start_needs_its_file(tmp_path: Path) -> None:
    """New streams begin from it; with it, loading continues as if nothing had happened."""
    learner = Learner(**TASKS["number"])
    learn(learner, numbers(20))
    learner.save(tmp_path / "start.h5")
    warm = Learner(**TASKS["number"], warm_start=tmp_path / "start.h5")
    warm.save(tmp_path / "warm.h5")
    with pytest.raises(
        SettingsError, match=r"warm\.h5: was learned after a warm start, from whose file new streams begin"
    ):
        Learner.load(tmp_path / "warm.h5")
    loaded = Learner.load(tmp_path / "warm.h5", warm_start=tmp_path / "start.h5")
    assert learn(warm, numbers(10)) == learn(loaded, numbers(10))
    with pytest.raises(SettingsError, match="preset: received 'plain', expected none"):
        Learner.load(tmp_path / "start.h5", preset="plain")


@pytest.mark.parametrize(("interactive", "notices"), [(True, 1), (False, 0)])
def test_a_notebook_is_told_why_it_waits(interactive: bool, notices: int) -> None:
    """In one line, where someone sees it, and not in a program."""
    learner = f"Learner(**{TASKS['symbol']!r})"
    program = "import sys\nsys.ps1 = '>>> '\n" * interactive + f"from online_lstm import Learner\n{learner}\n{learner}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert notices == done.stderr.count("online_lstm: loading TensorFlow")
    assert notices == len(done.stderr.splitlines())


def produce(kafka: MemoryKafka, inputs: Sequence[Arguments]) -> None:
    for arguments in inputs:
        kafka.produce("numbers", json_of(arguments), key=key_of(arguments), timestamp_ms=arguments.get("time", -1))
