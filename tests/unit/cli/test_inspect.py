"""What inspect tells of a checkpoint, from the file alone."""

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from online_lstm.checkpoint import CheckpointStore, digest_of
from online_lstm.checkpoint.checkpoint_files import read_file
from online_lstm.cli import main
from online_lstm.errors import ExitCode
from online_lstm.events import InputRecord, TopicPartition
from online_lstm.learning.model_factory import model_factory
from online_lstm.learning.partition import Partition, initial_metadata, next_metadata
from online_lstm.settings import Settings
from support.fakes import (
    LABELS,
    SIZES,
    SOURCES,
    FakeDaemon,
    FakeKafka,
    record,
    small_classifier,
    small_network,
    small_settings,
    traffic,
)
from support.states import partition_state, stream_learners

pytestmark = pytest.mark.long

FIRST = SOURCES[0]
COUNT = 60


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> FakeDaemon:
    """A daemon that has learned two partitions with checkpoints on the way, and stopped."""
    kafka = FakeKafka({source: traffic(COUNT, seed=3 + source.partition, source=source) for source in SOURCES})
    daemon = FakeDaemon(kafka, tmp_path_factory.mktemp("inspect"), sizes=SIZES, checkpoint_interval_s=2).run()
    daemon.stop()
    return daemon


@pytest.fixture
def newest(daemon: FakeDaemon) -> Path:
    """The newest checkpoint of the first partition."""
    (lineage,) = daemon.store.lineages(FIRST)
    return daemon.store.path(FIRST, lineage, daemon.store.offsets(FIRST, lineage)[0])


def inspect(path: Path, folder: Path) -> tuple[int, dict[str, Any]]:
    code = main.main(["inspect", str(path), "--json", str(folder / "report.json")])
    return code, json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_a_checkpoint_is_told_in_full(daemon: FakeDaemon, newest: Path, tmp_path: Path) -> None:
    """Where it belongs, how far it has come, with which settings, and how each stream stands."""
    code, told = inspect(newest, tmp_path)
    state = daemon.service.states()[FIRST]
    committed = daemon.kafka.offsets[FIRST]
    assert ExitCode.OK == code
    assert ("online-lstm", "numbers", 0) == (told["group"], told["topic"], told["partition"])
    assert (True, committed.offset, COUNT, 2) == (told["whole"], told["offset"], told["records"], told["partitions"])
    assert json.loads(committed.metadata)["digest"] == told["digest_of_outputs"]
    assert digest_of(state.to_arrays()) == told["digest_of_state"]
    assert (8, Settings.model_construct().learning_rate) == (told["shape"]["window"], told["learning"]["learning_rate"])
    assert (state.commit_metadata.lineage, 1) == (told["lineage"], told["generation"])
    assert newest.stat().st_size == told["bytes"]
    learners = stream_learners(daemon.service._assignments[FIRST].partition)
    assert list(reversed(learners)) == [stream["key"] for stream in told["streams"]]
    assert {"shape": [len(learners), 8], "dtype": "int32", "bytes": 32 * len(learners)} == told["arrays"][
        "streams/arrays/window"
    ]


def test_a_stream_is_told_as_its_last_message_said(daemon: FakeDaemon, newest: Path, tmp_path: Path) -> None:
    """Events, hit rate, value and prediction are those of the output topic."""
    _, told = inspect(newest, tmp_path)
    said = [json.loads(o.value or b"") for o in daemon.kafka.published[FIRST] if not o.dead_letter]
    last = {message["stream"]: message for message in said}
    assert told["streams"]
    for stream in told["streams"]:
        message = last[stream["key"]]
        assert message["event"] == stream["events"]
        assert message["hit_rate"] == (None if stream["hit_rate"] is None else round(stream["hit_rate"], 6))
        best = stream["baseline_hit_rates"] and round(max(stream["baseline_hit_rates"].values()), 6)
        assert message["baseline_hit_rate"] == best
        kappa = stream["kappa_temporal"]
        assert message["kappa_temporal"] == (None if kappa is None else round(kappa, 6))
        if message["prediction"] is not None:
            assert message["top"] == stream["prediction"]
            assert stream["last_values"][-1] in {message["value"], None}


def test_weights_are_summed_up(daemon: FakeDaemon, newest: Path, tmp_path: Path) -> None:
    """Their norm and the number of optimizer steps, by stream."""
    _, told = inspect(newest, tmp_path)
    learners = stream_learners(daemon.service._assignments[FIRST].partition)
    for stream in told["streams"]:
        learner = learners[stream["key"]]
        row = learner._network_rows.view(learner.network_row)["network"].astype(np.float64)
        count = stream["weights"]
        assert np.linalg.norm(row[:count]) == pytest.approx(stream["weights_norm"], rel=1e-6)
        assert int(row[3 * count]) == stream["fit_steps"]
        assert 0 < stream["fit_steps"]


def test_tables_have_what_a_person_asks_for(newest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No cell is cut where nobody sees how wide the terminal is."""
    assert ExitCode.OK == main.main(["inspect", str(newest)])
    shown = capsys.readouterr().out
    for said in ("numbers/0 of 2", f"{COUNT}", "network=lstm 4", "window (3, 8)", "suffix memory", "whole"):
        assert said in shown
    assert "…" not in shown


def test_many_streams_are_not_all_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those seen last are, and how many there are beyond."""
    settings = small_settings(max_streams=30)
    partition = Partition(settings, FIRST, next_metadata(settings, FIRST, 0, initial_metadata(1)), small_network)
    partition.process([record(number, b"4", b"key-%d" % number) for number in range(25)])
    CheckpointStore(str(tmp_path), "many").write(FIRST, 25, partition.state())
    (path,) = tmp_path.rglob("*.h5")
    assert ExitCode.OK == main.main(["inspect", str(path)])
    shown = capsys.readouterr().out
    assert "key-24" in shown
    assert "key-4 " not in shown
    assert "and 5 streams seen less recently" in shown


def test_all_below_a_directory_are_listed(
    daemon: FakeDaemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with where it belongs and whether it is whole."""
    folder = Path(daemon.store.location(FIRST, "", 0)).parents[3]
    code, told = inspect(folder, tmp_path)
    assert ExitCode.OK == code
    expected = {
        (source.partition, offset)
        for source in SOURCES
        for lineage in daemon.store.lineages(source)
        for offset in daemon.store.offsets(source, lineage)
    }
    assert len(expected) == len(told["checkpoints"])
    assert expected == {(one["partition"], one["offset"]) for one in told["checkpoints"]}
    assert {True} == {one["whole"] for one in told["checkpoints"]}
    assert len(expected) == capsys.readouterr().out.count("whole")


def test_damaged_checkpoints_are_told(newest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone or in a list: which one and how, after all that could be read, with exit code 4."""
    group = tmp_path / "group" / "numbers" / "0" / "1f3a9c20"
    group.mkdir(parents=True)
    content = newest.read_bytes()
    (group / f"{5:020d}.h5").write_bytes(content)
    flipped = group / f"{7:020d}.h5"
    flipped.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    foreign = group / f"{9:020d}.h5"
    foreign.write_bytes(b"\x89HDF\r\n\x1a\n")
    code, told = inspect(flipped, tmp_path)
    assert (ExitCode.REFUSED, False, 7) == (code, told["whole"], told["offset"])
    assert f"{flipped}: damaged: the content does not match its digest" in capsys.readouterr().err
    code, told = inspect(tmp_path, tmp_path)
    assert (ExitCode.REFUSED, [True, False, False]) == (code, [one["whole"] for one in told["checkpoints"]])
    said = capsys.readouterr()
    assert f"{foreign}: begins with" in said.err
    assert "damaged" in said.out


def test_another_format_is_refused(newest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a later version wrote is no damage, and cannot be read."""
    content = newest.read_bytes()[512:]
    header = f"online-lstm checkpoint 99 {hashlib.sha256(content).hexdigest()}".encode().ljust(512, b"\0")
    (tmp_path / "later.h5").write_bytes(header + content)
    assert ExitCode.REFUSED == main.main(["inspect", str(tmp_path / "later.h5")])
    assert "of format 99, expected 1" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing.h5", "missing", "empty"])
def test_what_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A file, a directory, or checkpoints in one: exit code 2."""
    (tmp_path / "empty").mkdir()
    assert ExitCode.USAGE == main.main(["inspect", str(tmp_path / name)])
    assert f"online-lstm: {tmp_path / name}: no " in capsys.readouterr().err


def test_a_file_may_be_named_from_where_it_is(newest: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bare name has no place in a group, and all else is known."""
    (tmp_path / "copy.bin").write_bytes(newest.read_bytes())
    monkeypatch.chdir(tmp_path)
    code, told = inspect(Path("copy.bin"), tmp_path)
    assert (ExitCode.OK, None, None, COUNT) == (code, told["group"], told["offset"], told["records"])


def test_json_alone_goes_to_standard_output(newest: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The tables go to standard error then."""
    assert ExitCode.OK == main.main(["inspect", str(newest), "--json", "-"])
    said = capfd.readouterr()
    assert COUNT == json.loads(said.out)["records"]
    assert "lineage" in said.err


@pytest.mark.long
def test_neither_tensorflow_nor_a_kafka_client_is_loaded(newest: Path) -> None:
    """It starts at once."""
    heavy = "{'tensorflow', 'kafka'}"
    program = (
        f"import sys; from online_lstm.cli import main; main.main(sys.argv[1:]); print({heavy} & sys.modules.keys())"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, "inspect", str(newest)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "set()" == found.stdout.splitlines()[-1]


def test_a_place_in_the_name_is_read(tmp_path: Path) -> None:
    """Group, topic, partition, lineage and offset are in the path."""
    store = CheckpointStore(str(tmp_path), "a group")
    store.write(TopicPartition("t", 7), 41, partition_state("1f3a9c20", 3))
    file = read_file(store.location(TopicPartition("t", 7), "1f3a9c20", 41))
    assert ("a%20group", TopicPartition("t", 7), 41) == (file.group, file.source, file.offset)
    assert file.state is not None
    assert ("1f3a9c20", 3) == (file.state.commit_metadata.lineage, file.state.commit_metadata.records)


@pytest.mark.long
def test_numbers_are_told_as_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Errors instead of bits, the last values as they came, and what is predicted next."""
    settings = small_settings(task="number", lookback=256)
    source = TopicPartition("demand", 0)
    partition = Partition(
        settings, source, next_metadata(settings, source, 0, initial_metadata(1)), model_factory(settings)
    )
    values = [round(10 + 3 * math.sin(event / 4), 2) for event in range(120)]
    records = [InputRecord("demand", 0, place, -1, b"pump", b"%.2f" % value) for place, value in enumerate(values)]
    last = json.loads(partition.process(records).outputs[-1].value or b"")
    store = CheckpointStore(str(tmp_path / "checkpoints"), "numbers", origin={})
    store.write(source, 120, partition.state())
    (path,) = (tmp_path / "checkpoints").rglob("*.h5")
    code, told = inspect(path, tmp_path)
    assert ExitCode.OK == code
    (stream,) = told["streams"]
    assert values[-8:] == stream["last_values"]
    assert last["prediction"] == pytest.approx(stream["prediction"], rel=1e-6)
    assert last["evaluation"]["mean_absolute_error"] == pytest.approx(stream["mean_absolute_error"])
    assert {"lstm", "linear", "neighbours"} == set(stream["expert_mean_absolute_errors"])
    assert "mean absolute" in capsys.readouterr().out.replace("\n", " ")


def test_sequences_are_told_with_what_they_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its samples and its prediction, also those that wait for a label; labels and scores are of all."""
    settings = small_settings(**LABELS)
    source = TopicPartition("runs", 0)
    partition = Partition(settings, source, next_metadata(settings, source, 0, initial_metadata(1)), small_classifier)
    whole = [b"[1, 2]", b'{"value": [2, 3], "label": "up", "end": true}', b'{"value": [9, 9], "label": 0, "end": true}']
    values = [*whole, *whole, b'{"value": [5, 5], "end": true}', b"[1, 2]", b'{"value": [2, 3], "label": 0}']
    outputs = partition.process([record(place, value, b"run") for place, value in enumerate(values)]).outputs
    last = json.loads(outputs[-1].value or b"")
    store = CheckpointStore(str(tmp_path / "checkpoints"), "runs", origin={})
    store.write(source, len(values), partition.state())
    (path,) = (tmp_path / "checkpoints").rglob("*.h5")
    code, told = inspect(path, tmp_path)
    assert ExitCode.OK == code
    opened, waiting = told["streams"]
    assert ("run", False, 2, 0) == tuple(opened[name] for name in ("key", "waiting", "samples", "label"))
    assert last["probabilities"] == opened["prediction"]
    assert ("run", True, 1, None) == tuple(waiting[name] for name in ("key", "waiting", "samples", "label"))
    learner = told["learner"]
    assert (9, 4, [["up", 2], [0, 2]]) == (learner["events"], learner["fit_steps"], learner["labels"])
    assert last["hit_rate"] == pytest.approx(learner["hit_rate"], abs=1e-6)
    assert last["baseline_hit_rate"] == pytest.approx(max(learner["baseline_hit_rates"].values()), abs=1e-6)
    shown = capsys.readouterr().out
    assert last["kappa_temporal"] == pytest.approx(learner["kappa_temporal"], abs=1e-6)
    for said in ("waits for its label", "open", '"up" 2, 0 2', "most frequent", "last label", "drifts", "weights norm"):
        assert said in shown


def test_changes_of_a_stream_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How often it was found to have changed, and at which of its events last; None where it never was."""
    settings = small_settings()
    partition = Partition(settings, FIRST, next_metadata(settings, FIRST, 0, initial_metadata(1)), small_network)
    cycles = [b"%d" % (place % 4 + (4 if place >= 150 else 0)) for place in range(170)]
    records = [record(place, value, b"changing") for place, value in enumerate(cycles)]
    records += [record(170 + place, b"7", b"same") for place in range(50)]
    outcomes = partition.process(records).outcomes
    (found,) = [one.event for one in outcomes if one.evaluation is not None and one.evaluation.drift]
    CheckpointStore(str(tmp_path / "checkpoints"), "numbers", origin={}).write(FIRST, 220, partition.state())
    (path,) = (tmp_path / "checkpoints").rglob("*.h5")
    _, told = inspect(path, tmp_path)
    streams = {stream["key"]: (stream["drifts"], stream["last_drift_event"]) for stream in told["streams"]}
    assert {"changing": (1, found), "same": (0, None)} == streams
    assert 150 < found <= 170
    assert f"(at {found})" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.long
def test_vectors_are_told_component_by_component(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was missing is null, also before a component came first; each component and horizon has its figures."""
    settings = small_settings(task="number", lookback=256, features=2, horizons="1,3")
    source = TopicPartition("demand", 0)
    partition = Partition(
        settings, source, next_metadata(settings, source, 0, initial_metadata(1)), model_factory(settings)
    )
    values = [[event % 7, None if event < 116 or event == 118 else event % 3] for event in range(120)]
    records = [
        InputRecord("demand", 0, place, -1, b"pump", json.dumps(value).encode()) for place, value in enumerate(values)
    ]
    last = json.loads(partition.process(records).outputs[-1].value or b"")
    store = CheckpointStore(str(tmp_path / "checkpoints"), "numbers", origin={})
    store.write(source, 120, partition.state())
    (path,) = (tmp_path / "checkpoints").rglob("*.h5")
    code, told = inspect(path, tmp_path)
    assert ExitCode.OK == code
    (stream,) = told["streams"]
    assert values[-8:] == stream["last_values"]
    assert last["prediction"] == stream["prediction"]
    assert stream["mean_absolute_error"] is None
    errors = [channel["mean_absolute_error"] for channel in stream["channels"]]
    assert [error for line in last["evaluation"]["mean_absolute_error"] for error in line] == errors
    pairs = [(c["mean_absolute_error"], c["baseline_mean_absolute_error"]) for c in stream["channels"]]
    skills = [1 - own / best for own, best in pairs if best]
    assert stream["skill"] == pytest.approx(sum(skills) / len(skills))
    assert "covered" in capsys.readouterr().out
