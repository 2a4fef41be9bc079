"""Schemas from a registry: each is asked for once and kept, and values wait for a registry that is away."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest
from online_lstm.codec.schemas import Schema
from online_lstm.errors import (
    CheckpointsUnavailableError,
    SchemaRegistryUnavailableError,
    SettingsError,
)
from online_lstm.events import InputRecord, TopicPartition
from online_lstm.settings import Settings, read_settings
from online_lstm.streaming import schema_registry
from online_lstm.streaming.schema_registry import SchemaRegistry
from support.fakes import Crash, FakeDaemon, FakeKafka, crash_at
from support.schema_registry import FakeRegistry, framed, registry

EARLY: dict[str, Any] = {"type": "record", "name": "R", "fields": [{"name": "v", "type": "int"}]}
LATE: dict[str, Any] = {**EARLY, "fields": [{"name": "note", "type": "string"}, *EARLY["fields"]]}
SOURCE = TopicPartition("numbers", 0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    monkeypatch.setattr(schema_registry, "RETRY_S", 0.0)
    with registry() as content:
        content.add(1, EARLY)
        content.add(2, LATE)
        yield content


def settings_of(server: FakeRegistry, folder: Path, **given: Any) -> Settings:
    return read_settings({"schema_registry_url": server.url, "checkpoint_url": str(folder), **given}, environment={})


def test_a_schema_is_fetched_once_and_kept(server: FakeRegistry, tmp_path: Path) -> None:
    """In memory, and beside the checkpoints: a later process asks no registry, which may be gone."""
    expected = Schema("AVRO", json.dumps(EARLY))
    first = SchemaRegistry(settings_of(server, tmp_path))
    assert [expected, expected] == [first.schema(1), first.schema(1)]
    server.status = 500
    assert expected == SchemaRegistry(settings_of(server, tmp_path)).schema(1)
    assert ["/schemas/ids/1"] == server.asked
    assert (tmp_path / "online-lstm/schemas/1.json").is_file()


def test_an_unknown_schema_stays_unknown(server: FakeRegistry, tmp_path: Path) -> None:
    """A replay must refuse the same records, even if somebody registers a schema of this id later."""
    assert None is SchemaRegistry(settings_of(server, tmp_path)).schema(99)
    server.add(99, EARLY)
    assert None is SchemaRegistry(settings_of(server, tmp_path)).schema(99)
    assert ["/schemas/ids/99"] == server.asked


def test_references_come_after_what_they_need(server: FakeRegistry, tmp_path: Path) -> None:
    """A compiler reads them in this order."""
    server.add_subject("a", 1, '"a"')
    server.add_subject("b", 3, '"b"')
    server.answers["/subjects/b/versions/3"]["references"] = [{"name": "a", "subject": "a", "version": 1}]
    both = [{"name": "b", "subject": "b", "version": 3}, {"name": "a", "subject": "a", "version": 1}]
    server.add(3, EARLY, references=both)
    schema = SchemaRegistry(settings_of(server, tmp_path)).schema(3)
    assert schema is not None
    assert ["a", "b"] == [name for name, _ in schema.references]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"schema_registry_token": "t0p"}, "Bearer t0p"),
        (
            {"schema_registry_username": "u", "schema_registry_password": "p"},
            f"Basic {base64.b64encode(b'u:p').decode()}",
        ),
    ],
)
def test_credentials_are_sent(
    server: FakeRegistry, tmp_path: Path, given: dict[str, Any], expected: str | None
) -> None:
    """Basic or bearer, and hidden in messages and logs."""
    settings = settings_of(server, tmp_path, **given)
    SchemaRegistry(settings).schema(1)
    assert [expected] == server.authorizations
    assert [*filter(None, (given.get("schema_registry_password"), given.get("schema_registry_token")))] == (
        settings.secrets()
    )


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_end_the_daemon(server: FakeRegistry, tmp_path: Path, status: int) -> None:
    """Waiting would not help."""
    server.status = status
    with pytest.raises(SettingsError, match=r"refused the credentials.*schema_registry_token"):
        SchemaRegistry(settings_of(server, tmp_path)).schema(1)


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_another_answer_is_waited_for(server: FakeRegistry, tmp_path: Path, status: int) -> None:
    """Only an answer that says so makes a schema unknown; a wrong address does not."""
    server.status = status
    source = SchemaRegistry(settings_of(server, tmp_path))
    with pytest.raises(SchemaRegistryUnavailableError, match=f"HTTP {status} for /schemas/ids/1"):
        source.schema(1)
    server.status = 200
    assert None is not source.schema(1)


def test_a_registry_that_is_gone_is_waited_for(server: FakeRegistry, tmp_path: Path) -> None:
    """With its address, and the setting."""
    source = SchemaRegistry(settings_of(server, tmp_path, schema_registry_url="http://127.0.0.1:1/base"))
    with pytest.raises(SchemaRegistryUnavailableError, match=re.escape("http://127.0.0.1:1/base does not answer")):
        source.schema(1)


def test_a_damaged_file_is_not_asked_around(server: FakeRegistry, tmp_path: Path) -> None:
    """The records were learned with what it said."""
    SchemaRegistry(settings_of(server, tmp_path)).schema(1)
    (tmp_path / "online-lstm/schemas/1.json").write_text("{")
    with pytest.raises(CheckpointsUnavailableError, match="restore the file, or remove it"):
        SchemaRegistry(settings_of(server, tmp_path)).schema(1)


def test_a_certificate_authority_that_is_none_is_refused(server: FakeRegistry, tmp_path: Path) -> None:
    """At the start."""
    with pytest.raises(SettingsError, match=r"schema_registry_cafile: .*none\.pem"):
        SchemaRegistry(settings_of(server, tmp_path, schema_registry_cafile=str(tmp_path / "none.pem")))


# in the daemon


def avro(schema_id: int, **fields: object) -> bytes:
    content = io.BytesIO()
    fastavro.schemaless_writer(content, {1: EARLY, 2: LATE}[schema_id], fields)
    return framed(schema_id, content.getvalue())


def traffic(count: int) -> FakeKafka:
    """Values of a schema that evolves, with some of an unknown one."""
    values = [
        framed(99, b"\2") if index % 11 == 5 else avro(2, v=index % 5, note="x") if index % 3 else avro(1, v=index % 5)
        for index in range(count)
    ]
    records = [InputRecord("numbers", 0, index, index, b"k", value) for index, value in enumerate(values)]
    return FakeKafka({SOURCE: records})


def daemon(kafka: FakeKafka, server: FakeRegistry, folder: Path, **given: Any) -> FakeDaemon:
    url: dict[str, Any] = {"schema_registry_url": server.url, "checkpoint_url": str(folder)}
    return FakeDaemon(kafka, folder, value_format="avro", value_path="v", **url, **given)


@pytest.mark.long
def test_values_wait_for_a_registry_that_is_away(server: FakeRegistry, tmp_path: Path) -> None:
    """Not ready, nothing lost, no dead letters; then all is learned as if it had always been there."""
    undisturbed = traffic(60)
    daemon(undisturbed, server, tmp_path / "undisturbed").run()
    kafka, server.status = traffic(60), 503
    waiting = daemon(kafka, server, tmp_path / "waiting")
    for _ in range(5):
        waiting.step()
    assert [] == [record for records in kafka.published.values() for record in records]
    assert "HTTP 503 for /schemas/ids/1" in waiting.health.waiting_for
    server.status = 200
    waiting.run()
    assert undisturbed.published == kafka.published
    assert 5 == sum(record.dead_letter for record in kafka.published[SOURCE])
    assert 60 == len(kafka.published[SOURCE])


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 7])
def test_a_crash_needs_no_registry_for_its_replay(server: FakeRegistry, tmp_path: Path, size: int) -> None:
    """What was learned is replayed with the schemas that were kept, to the same bytes."""
    undisturbed = traffic(60)
    expected = daemon(undisturbed, server, tmp_path / "undisturbed").run().digests()
    kafka = traffic(60)
    kafka.on_step = crash_at(3, "after commit")
    with pytest.raises(Crash):
        daemon(kafka, server, tmp_path / "crashed", sizes=(size,), checkpoint_interval_s=1000).run()
    kafka.on_step = lambda _: None
    asked = len(server.asked)
    found = daemon(kafka, server, tmp_path / "crashed", sizes=(13,)).run().digests()
    assert (undisturbed.published, expected) == (kafka.published, found)
    assert not {"/schemas/ids/1", "/schemas/ids/2"} & {*server.asked[asked:]}
