"""Avro, Protobuf and JSON values, from registered schemas to predictions.

With a registry in memory in every run, and with Apicurio where ONLINE_LSTM_APICURIO names the jar of its runner.
"""

import io
import itertools
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import fastavro
import pytest
from conftest import GIVEN
from online_lstm.testing import MemoryKafka, memory_run, run
from support.fakes import small_network, small_settings
from support.schema_registry import framed, registry
from support.tcp_proxy import free_port

pytestmark = pytest.mark.long

APICURIO = GIVEN.get("ONLINE_LSTM_APICURIO")
REGISTRIES = ("memory", "apicurio") if APICURIO else ("memory",)
START_S = 60
READING = {"type": "record", "name": "Reading", "fields": [{"name": "state", "type": ["null", "string"]}]}
LATER = {**READING, "fields": [*READING["fields"], {"name": "line", "type": "int", "default": 0}]}
PROTO = 'syntax = "proto3"; message Reading { int32 line = 1; string state = 2; }'
Register = Callable[[str, str], int]
"""Registers a schema of a kind, and returns its id."""


@pytest.fixture(scope="module", params=REGISTRIES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Register]]:
    """Return the URL of a registry, and how to register schemas there."""
    if request.param == "memory":
        with registry() as content:
            ids = itertools.count(1)

            def add(kind: str, text: str) -> int:
                schema_id = next(ids)
                content.add(schema_id, text if kind == "PROTOBUF" else json.loads(text), kind=kind)
                return schema_id

            yield content.url, add
        return
    port = free_port()
    variables = {**GIVEN, "QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(port)}
    folder = tmp_path_factory.mktemp("apicurio")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["java", "-Xmx512m", "-jar", str(APICURIO)], env=variables, cwd=folder, stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
            _wait_until_ready(url)
            yield url, lambda kind, text: _register(url, kind, text)
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/subjects", timeout=5):
                return
        except (URLError, OSError):
            assert time.monotonic() < deadline, "Apicurio did not start"
            time.sleep(0.2)


def _register(url: str, kind: str, text: str) -> int:
    body = json.dumps({"schemaType": kind, "schema": text}).encode()
    request = urllib.request.Request(
        f"{url}/subjects/numbers-value-{kind}-{len(text)}/versions",
        body,
        {"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(json.loads(answer.read())["id"])


def avro(schema: Any, value: object) -> bytes:
    content = io.BytesIO()
    fastavro.schemaless_writer(content, schema, value)
    return content.getvalue()


@pytest.mark.parametrize("value_format", ["avro", "protobuf", "json_schema"])
def test_values_of_registered_schemas_are_predicted(
    server: tuple[str, Register], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value_format: str
) -> None:
    """The schema evolves within the topic; a schema that nobody registered makes a dead letter."""
    url, register = server
    states = ["idle", "press", "open"] * 4
    if value_format == "avro":
        early, late = register("AVRO", json.dumps(READING)), register("AVRO", json.dumps(LATER))
        values = [
            framed(late, avro(LATER, {"state": state, "line": 7}))
            if index > 5
            else framed(early, avro(READING, {"state": state}))
            for index, state in enumerate(states)
        ]
    elif value_format == "protobuf":
        schema_id = register("PROTOBUF", PROTO)
        values = [framed(schema_id, b"\0\x12" + bytes([len(state)]) + state.encode()) for state in states]
    else:
        schema_id = register("JSON", '{"type": "object", "properties": {"state": {"type": "string"}}}')
        values = [framed(schema_id, json.dumps({"state": state}).encode()) for state in states]
    kafka = MemoryKafka({"numbers": 1})
    for value in [*values, framed(999_999, b"\0")]:
        kafka.produce("numbers", value)
    monkeypatch.setattr(memory_run, "model_factory", lambda _: small_network)
    chosen = small_settings(
        checkpoint_url=str(tmp_path), value_format=value_format, value_path="state", schema_registry_url=url
    )
    messages = run(kafka, chosen)
    assert states == [message["value"] for message in messages]
    (letter,) = kafka.records("numbers.dlq")
    if value_format != "json_schema":  # which is read without its schema
        assert b"schema_registry" == dict(letter.headers)["online_lstm_reason"]
        assert b"schema 999999, which the registry does not have" in dict(letter.headers)["online_lstm_error"]
