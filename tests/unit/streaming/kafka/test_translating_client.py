"""Every call of a Kafka client goes through one class, and every error of the library has a home."""

import ast
import inspect
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import online_lstm
import pytest
from kafka import errors
from online_lstm.cli import main
from online_lstm.errors import BrokerUnavailableError, ExitCode, SettingsError, UnsupportedByBrokerError
from online_lstm.settings import Settings, read_settings
from online_lstm.streaming.kafka import AtLeastOnceProducer, GroupConsumer, TransactionalProducer, ensure_topics
from online_lstm.streaming.kafka.connection import LostConnection, explain
from online_lstm.streaming.kafka.failures import ADVICE, KIND_OF_ERROR, FailureKind
from online_lstm.streaming.kafka.translating_client import Client
from support.stub_broker import CREATE_TOPICS, DESCRIBE_CONFIGS, TRANSACTIONS, StubBroker, stub_broker

PACKAGE = Path(online_lstm.__file__).parent
CLIENTS = {"KafkaAdminClient", "KafkaConsumer", "KafkaProducer"}
UNTRANSLATED = {
    ("streaming/kafka/base_producer.py", "reconnect"),  # what fails in a commit decides what happens to the batch
    ("streaming/kafka/consumer.py", "commit"),  # part of the sink's commit
    ("streaming/kafka/plain_clients.py", "__exit__"),  # closes by force
}
"""Where the library's own object is taken out of its ``Client``."""
TOPICS = ("numbers", "numbers.dlq", "predictions")
CLASSES = sorted(
    (found for found in vars(errors).values() if inspect.isclass(found) and issubclass(found, errors.KafkaError)),
    key=lambda found: found.__name__,
)


def settings_for(broker: StubBroker, **given: Any) -> Settings:
    return read_settings({"bootstrap_servers": broker.bootstrap, "connect_timeout_s": 5, **given})


def client_of(settings: Settings) -> Client:
    return Client(lambda **_: object(), settings)


# one place


def untranslated(source: str) -> Iterator[tuple[str, bool]]:
    """Yield the function of each use of a client of the library outside ``Client``; and whether it is a call of one.

    A call in a ``try`` that catches KafkaError has its home there.
    """
    tree = ast.parse(source)
    at_home = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        and any("KafkaError" in ast.unparse(handler.type) for handler in node.handlers if handler.type)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and node.attr == "library":
                    yield function.name, False
                called = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
                if called in CLIENTS and node not in at_home:
                    yield function.name, True


def test_every_client_is_made_by_one_class() -> None:
    """No module makes a client of the library or calls one behind the back of ``Client``."""
    found = {
        (str(path.relative_to(PACKAGE)), *use)
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "streaming" / "kafka" / "translating_client.py"
        for use in untranslated(path.read_text(encoding="utf-8"))
    }
    assert {(module, function, False) for module, function in UNTRANSLATED} == found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n    return KafkaConsumer()", [("f", True)]),
        ("def f():\n    return kafka.KafkaProducer().flush()", [("f", True)]),
        ("def f():\n    client.library.flush()", [("f", False)]),
        ("def f():\n    return Client(KafkaConsumer, settings)", []),
        ("def f():\n    try:\n        KafkaAdminClient()\n    except KafkaError:\n        pass", []),
    ],
)
def test_a_client_without_the_class_is_found(source: str, expected: list[tuple[str, bool]]) -> None:
    """What the test above looks for."""
    assert expected == list(untranslated(source))


# errors


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_of_the_library_has_a_home(error: type[errors.KafkaError]) -> None:
    """It ends a command with an exit code of its own and a message that names the broker's reason and a way out."""
    raised = client_of(read_settings()).error_of(error("the reason"))
    assert raised.exit_code in {ExitCode.USAGE, ExitCode.NO_BROKER, ExitCode.REFUSED, ExitCode.FENCED}
    assert error.__name__ in str(raised)
    assert ":" in str(raised) or ";" in str(raised)


def test_what_only_settings_end_has_advice() -> None:
    """Each such error has its own words, and no other error has any."""
    ended = {FailureKind.SETTINGS, FailureKind.TOPIC, FailureKind.RECORD}
    assert {error for error, kind in KIND_OF_ERROR.items() if kind in ended} == set(ADVICE)


def test_methods_raise_the_errors_of_the_daemon() -> None:
    """The library's error is the cause, and what it said is in the message."""

    class Consumer:
        def poll(self) -> None:
            raise errors.GroupAuthorizationFailedError("g")

    consumer = Client(lambda **_: Consumer(), read_settings())
    with pytest.raises(SettingsError, match=r"group_id: .* READ on this group.* GroupAuthorizationFailedError: g"):
        consumer.poll()


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("DNS Resolution failure", "its name cannot be resolved"),
        ("111 ECONNREFUSED", "start one with `online-lstm broker`"),
        ("Connection timed out", "whether a firewall is in between"),
        ("Handshake failed: [SSL: WRONG_VERSION_NUMBER] wrong version number", "is PLAINTEXT what it speaks"),
        ("socket disconnected", "is PLAINTEXT what it speaks"),
        ("Handshake failed: certificate verify failed: Hostname mismatch, certificate is not", "is for another name"),
        ("Handshake failed: certificate verify failed: certificate has expired", "out of date"),
        ("Handshake failed: certificate verify failed: unable to get local issuer certificate", "ssl_cafile"),
        ("Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] Missing Authority Key Identifier", "not acceptable"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "ssl_certfile, ssl_keyfile"),
    ],
)
def test_the_reason_of_a_lost_connection_decides_the_hint(reason: str, advice: str) -> None:
    """The reason stands in the message as it was given."""
    lost = LostConnection("localhost:9092", errors.KafkaConnectionError(reason))
    said = explain(read_settings(), errors.KafkaTimeoutError(), lost)
    assert said.startswith("bootstrap_servers: no broker answers at localhost:9092 ")
    assert reason in said
    assert advice in said


# brokers that are not quite Kafka


def test_no_transactions() -> None:
    """With exactly-once delivery the daemon ends with what the broker lacks, and the setting to change."""
    with stub_broker(*TOPICS, without=TRANSACTIONS) as broker:
        sink = TransactionalProducer(settings_for(broker))
        with pytest.raises(
            UnsupportedByBrokerError, match=r"not support transactions.*delivery=at_least_once"
        ) as raised:
            sink.reconnect(lambda _: None)
        sink.close()
    assert ExitCode.NO_BROKER == raised.value.exit_code


def test_the_way_out_of_no_transactions_leads_out() -> None:
    """With at-least-once delivery a record is published, also where the broker has no idempotent producers."""
    with stub_broker(*TOPICS, without=TRANSACTIONS) as broker:
        settings = settings_for(broker, delivery="at_least_once")
        source = GroupConsumer(settings)
        sink = AtLeastOnceProducer(settings, source)
        sink.reconnect(lambda _: None)
        sink._producer.send("predictions", b"1").get(timeout=30)
        sink.close()
        source.close()
        assert ["predictions"] == broker.stored


@pytest.mark.parametrize("lacks", [{"without": {DESCRIBE_CONFIGS}}, {"configs": {"retention.ms": "1"}}])
def test_no_cleanup_policy(lacks: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Where the configuration of topics is not told, the daemon goes on without the warning about compaction."""
    with stub_broker(*TOPICS, **lacks) as broker:
        ensure_topics(settings_for(broker))
    assert "topic compacted" not in caplog.text


def test_a_compacted_input_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Where the configuration is told."""
    with stub_broker(*TOPICS, configs={"cleanup.policy": "compact"}) as broker:
        ensure_topics(settings_for(broker))
    assert "topic compacted topic=numbers" in caplog.text


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (44, "Names begin with a team.", "PolicyViolationError: Names begin with a team..*create_topics=false"),
        (29, None, "TopicAuthorizationFailedError: .*the right CREATE on the topic or the cluster"),
        (31, None, "ClusterAuthorizationFailedError: .*the right CREATE on the topic or the cluster"),
        (38, "3 of 1 brokers", "InvalidReplicationFactorError: 3 of 1 brokers.*default.replication.factor"),
        (17, "no dots", "InvalidTopicError: no dots.*the broker does not accept such a name"),
    ],
)
def test_a_topic_that_the_broker_refuses_to_create(code: int, message: str | None, words: str) -> None:
    """The error has the topic, the broker's own reason and the way out, and ends with a usage error."""
    with (
        stub_broker("numbers", refusals={"predictions": (code, message)}) as broker,
        pytest.raises(SettingsError, match=f"topic predictions is missing .*{words}"),
    ):
        ensure_topics(settings_for(broker))


def test_a_topic_that_cannot_be_created_now() -> None:
    """A refusal that passes is a broker to be asked again."""
    with (
        stub_broker("numbers", refusals={"predictions": (7, "busy")}) as broker,
        pytest.raises(BrokerUnavailableError, match=r"topic predictions .* cannot be created now .*busy"),
    ):
        ensure_topics(settings_for(broker))


def test_a_broker_without_an_interface() -> None:
    """The interface that is lacking is named."""
    with (
        stub_broker("numbers", without={CREATE_TOPICS}) as broker,
        pytest.raises(UnsupportedByBrokerError, match="CreateTopicsRequest") as raised,
    ):
        ensure_topics(settings_for(broker))
    assert ExitCode.NO_BROKER == raised.value.exit_code


# commands


def run(broker: StubBroker, monkeypatch: pytest.MonkeyPatch, *argv: str, **given: object) -> int:
    for name, value in {"bootstrap_servers": broker.bootstrap, "connect_timeout_s": 3, **given}.items():
        monkeypatch.setenv(f"ONLINE_LSTM_{name.upper()}", str(value))
    return main.main(argv)


def test_produce_creates_its_own_topic_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The topics of a daemon are the affair of the daemon."""
    with stub_broker(without=TRANSACTIONS) as broker:
        assert ExitCode.OK == run(broker, monkeypatch, "produce", "--topic", "in2", "--demo-stream", "1")
        assert {"in2"} == broker.topics
        assert ["in2"] == broker.stored


@pytest.mark.parametrize(
    "argv",
    [
        ("run", "--http-port", "0", "--network", "lstm 4"),
        ("produce", "--demo-stream", "1"),
        ("watch", "--limit", "1"),
        ("verify",),
        ("replay", "--from", "0", "--until", "1"),
    ],
    ids=lambda argv: argv[0],
)
def test_an_advertised_address_that_is_nowhere(
    argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command names the address that the broker hands out, and the broker's setting, and ends with code 3."""
    with stub_broker(*TOPICS, advertised="no-such-host.invalid") as broker:
        assert ExitCode.NO_BROKER == run(broker, monkeypatch, *argv, checkpoint_url=tmp_path)
    said = capsys.readouterr().err
    assert "sends its clients to no-such-host.invalid:" in said
    assert "advertised.listeners" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("level", "heard"), [("DEBUG", True), ("INFO", False)])
def test_the_log_of_the_client_is_there_at_debug(
    level: str, heard: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of any command, and only then."""
    root, client = logging.getLogger(), logging.getLogger("kafka")
    handlers, levels = root.handlers[:], (root.level, client.level)
    root.handlers[:] = []  # those of pytest would be closed
    try:
        with stub_broker("numbers", without=TRANSACTIONS) as broker:
            argv = ("produce", "--demo-stream", "1", "--log-level", level)
            assert ExitCode.OK == run(broker, monkeypatch, *argv)
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        client.setLevel(levels[1])
    assert heard is ("MetadataRequest" in capsys.readouterr().err)
