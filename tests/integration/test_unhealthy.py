"""On a real broker: what is wrong although nothing fails is told, and nothing is lost by it."""

import json
import re
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from conftest import MakeTopic
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.serializer import Serializer
from support.daemon_runner import PATIENCE_S, SMALL, DaemonProcess
from support.kafka_admin import produce, read_committed, wait_for_records

pytestmark = pytest.mark.broker


class Nulls(Serializer):  # type: ignore[misc]
    """Sends a null for any value: the client itself refuses a null without a key."""

    def serialize(self, topic: str, headers: list[tuple[str, bytes]], data: bytes) -> None:
        pass


def metric(daemon: DaemonProcess, name: str, **labels: str) -> float | None:
    """Read a metric of the only partition."""
    wanted = "".join(rf'.*{label}="{value}"' for label, value in labels.items())
    found = re.search(rf"^online_lstm_{name}\{{{wanted}.*\}} (\S+)$", daemon.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else None


def page(daemon: DaemonProcess) -> dict[str, object]:
    """Read one snapshot of the live page."""
    with urllib.request.urlopen(daemon.url + "/live", timeout=30) as answer:
        told: dict[str, object] = json.loads(answer.readline().removeprefix(b"data: "))
    return told


def test_records_behind_an_open_transaction(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    """They count as lag and the daemon says what it waits for; when the transaction ends, each is learned once."""
    source, output = make_topic("input"), make_topic("output")
    settings = {"bootstrap_servers": bootstrap, "input_topics": source, "group_id": source, **SMALL}
    produce(bootstrap, source, [b"4"] * 5)
    holder = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=source, transaction_timeout_ms=600_000)
    with DaemonProcess(tmp_path, output_topic=output, **settings) as daemon, closing(holder):
        daemon.wait_until_ready()
        wait_for_records(bootstrap, output, 5)
        holder.init_transactions()
        holder.begin_transaction()
        holder.send(source, b"8").get(PATIENCE_S)
        produce(bootstrap, source, [b"4"] * 50)
        daemon.wait_until(lambda: daemon.get("/readyz")[0] == 503, "be unready behind the transaction")
        (reason,) = json.loads(daemon.get("/readyz")[1])["reasons"]
        assert f"{source}/0 waits for an open transaction of another producer" in reason
        assert 51 == metric(daemon, "lag_records")
        assert 5 <= (metric(daemon, "open_transaction_seconds") or 0)
        assert [reason] == page(daemon)["obstacles"]
        assert 1 == daemon.log.count("waits for an open transaction")
        holder.abort_transaction()
        daemon.wait_until(lambda: daemon.get("/readyz")[0] == 200, "go on after the transaction")
        wait_for_records(bootstrap, output, 55)
        daemon.wait_until(lambda: metric(daemon, "open_transaction_seconds") == 0, "tell that the transaction is over")
        assert 0 == daemon.stop()
    (outputs,) = read_committed(bootstrap, output).values()
    assert [b"4"] * 55 == [b"%d" % json.loads(record.value)["value"] for record in outputs]


def test_keys_null_values_and_predictions_that_go(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    """A key for each row, a record of nothing, an output topic that is emptied: page, log and metrics have each."""
    source, output, letters = make_topic("input"), make_topic("output"), make_topic("dlq")
    settings = {"bootstrap_servers": bootstrap, "input_topics": source, "group_id": source, **SMALL}
    topics = {"output_topic": output, "dead_letter_topic": letters}
    with DaemonProcess(tmp_path, **topics, **settings) as daemon:
        daemon.wait_until_ready()
        with closing(KafkaProducer(bootstrap_servers=bootstrap)) as producer:
            for number in range(100):
                producer.send(source, b"%d" % (number % 7), key=b"row-%d" % number)
            producer.flush(PATIENCE_S)
        daemon.wait_until(lambda: metric(daemon, "hint", hint="keys_never_return") == 1, "notice that no key returns")
        headline = page(daemon)["headline"]
        assert isinstance(headline, dict)
        assert "no key came twice" in headline["text"]
        assert "set stream_by to partition" in headline["text"]
        assert 1 == daemon.log.count("name=keys_never_return")
        with closing(KafkaProducer(bootstrap_servers=bootstrap, value_serializer=Nulls())) as producer:
            producer.send(source, b"nothing").get(PATIENCE_S)
        (letter,) = wait_for_records(bootstrap, letters, 1)[0]
        headers = dict(letter.headers)
        assert (None, b"") == (letter.key, letter.value)
        assert (b"null_value", b"null") == (headers["online_lstm_reason"], headers["online_lstm_value"])
        daemon.wait_until(lambda: metric(daemon, "dead_letters_total", reason="null_value") == 1, "count the null")
        produce(bootstrap, source, [b"4"] * 50)
        wait_for_records(bootstrap, output, 150)
        with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
            admin.delete_records({TopicPartition(output, 0): -1})
        daemon.wait_until(lambda: metric(daemon, "hint", hint="predictions_removed") == 1, "miss its predictions")
        assert f"{output}/0 lost predictions" in daemon.log
        assert 0 == daemon.stop()
