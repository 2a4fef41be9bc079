"""A learner of the Python API beside a daemon on a real broker, with the same input."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopic
from kafka import KafkaProducer
from online_lstm import Learner
from support.daemon_runner import PATIENCE_S, DaemonProcess
from support.kafka_admin import read_committed, wait_for_records
from support.learners import INPUTS, TASKS, assert_same, json_of, key_of, learned_of

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("case", ["symbol", "number", "label"])
def test_results_equal_the_messages_of_the_daemon(
    case: str, bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """Field by field, for every task; the checkpoint that the daemon leaves has what the learner has learned."""
    source, output, inputs = make_topic("input"), make_topic("output"), INPUTS[case](60)
    with closing(KafkaProducer(bootstrap_servers=bootstrap)) as producer:
        for arguments in inputs:
            record: dict[str, Any] = {"key": key_of(arguments), "timestamp_ms": arguments.get("time")}
            producer.send(source, json_of(arguments), **record).get(PATIENCE_S)
    settings = {"bootstrap_servers": bootstrap, "input_topics": source, "output_topic": output, "group_id": source}
    with DaemonProcess(tmp_path, **settings, **TASKS[case]) as daemon:
        wait_for_records(bootstrap, output, len(inputs))
        assert 0 == daemon.stop()
    (records,) = read_committed(bootstrap, output).values()
    learner = Learner(**TASKS[case])
    for arguments, published in zip(inputs, records, strict=True):
        assert_same(json.loads(published.value), learner.learn_one(**arguments))
    newest = max((tmp_path / "checkpoints").rglob("*.h5"), key=lambda path: path.name)
    assert learned_of(learner) == learned_of(Learner.load(newest))
