"""The daemon over a Kafka in memory, as users run it in tests of theirs."""

import json
from pathlib import Path

import pytest
from online_lstm.errors import MissingTopicError, RecoveryRefusedError
from online_lstm.settings import Settings
from online_lstm.telemetry import BatchCommitted, TelemetryEvent
from online_lstm.testing import MemoryKafka, memory_run, run
from support.fakes import small_network, small_settings

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs share a network, which the first one compiles."""
    monkeypatch.setattr(memory_run, "model_factory", lambda _: small_network)


def settings_in(folder: Path, **given: object) -> Settings:
    return small_settings(checkpoint_url=str(folder), **given)


def published(kafka: MemoryKafka) -> list[tuple[bytes | None, bytes | None]]:
    return [(record.key, record.value) for record in kafka.records("predictions")]


def test_a_run_returns_its_predictions(tmp_path: Path) -> None:
    """Of both partitions, as they are in the output topic; a bad record is in the dead-letter topic."""
    kafka, reports = MemoryKafka({"numbers": 2}), list[TelemetryEvent]()
    for partition, values in enumerate(([b"4", b"4", b"?"], [b"8"])):
        for value in values:
            kafka.produce("numbers", value, key=b"k", partition=partition)
    messages = run(kafka, settings_in(tmp_path), observer=reports.append)
    assert [(0, 0, 4), (0, 1, 4), (1, 0, 8)] == [(m["partition"], m["offset"], m["value"]) for m in messages]
    assert messages == [json.loads(value or b"") for _, value in published(kafka)]
    assert [b"?"] == [record.value for record in kafka.records("numbers.dlq")]
    assert 3 == sum(report.events for report in reports if isinstance(report, BatchCommitted))
    assert [] == kafka.members


def test_a_later_run_continues(tmp_path: Path) -> None:
    """Two runs publish the same bytes as one, and nothing twice; without new records there is nothing to return."""
    outcomes = []
    for name, parts in (("one", [[4, 4, 8, 4, 4, 8]]), ("two", [[4, 4], [8, 4, 4, 8]])):
        kafka, settings, returned = MemoryKafka({"numbers": 1}), settings_in(tmp_path / name), []
        for values in parts:
            for value in values:
                kafka.produce("numbers", b"%d" % value)
            returned += run(kafka, settings)
        assert [] == run(kafka, settings)
        outcomes.append((returned, published(kafka), kafka.offsets))
    assert outcomes[0] == outcomes[1]
    assert 6 == len(outcomes[0][0])


def test_a_refusal_ends_a_run(tmp_path: Path) -> None:
    """As it ends the daemon, with the ways out; the setting that it names continues."""
    kafka = MemoryKafka({"numbers": 1})
    for value in (b"4", b"8", b"15"):
        kafka.produce("numbers", value)
    run(kafka, settings_in(tmp_path))
    kafka.produce("numbers", b"16")
    kafka.offsets.clear()
    with pytest.raises(RecoveryRefusedError, match="set on_gap to continue"):
        run(kafka, settings_in(tmp_path))
    (message,) = run(kafka, settings_in(tmp_path, on_gap="continue"))
    assert (3, 16) == (message["offset"], message["value"])


@pytest.mark.parametrize(("start_from", "expected"), [("earliest", 0), ("1970-01-01T00:00:00.015Z", 1)])
def test_a_new_group_starts_where_the_setting_says(tmp_path: Path, start_from: str, expected: int) -> None:
    """At the beginning, or at the first record of a time."""
    kafka = MemoryKafka({"numbers": 1})
    for timestamp_ms in (10, 20):
        kafka.produce("numbers", b"4", timestamp_ms=timestamp_ms)
    messages = run(kafka, settings_in(tmp_path, start_from=start_from))
    assert expected == messages[0]["offset"]


def test_a_topic_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """A misspelt setting does not look like an empty topic, which gives no predictions."""
    assert [] == run(MemoryKafka({"numbers": 1}), settings_in(tmp_path))
    with pytest.raises(MissingTopicError, match="input_topics: numbers is not a topic"):
        run(MemoryKafka({"number": 1}), settings_in(tmp_path))
