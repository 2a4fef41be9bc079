"""Configurations of topics, as brokers of all kinds tell them."""

from typing import Any

import pytest
from online_lstm.codec.output_forms import TopicLimits
from online_lstm.errors import BrokerUnavailableError, SettingsError, UnsupportedByBrokerError
from online_lstm.streaming.kafka.topics import configs_of, is_compacted, limits_in
from online_lstm.streaming.kafka.translating_client import Client


class Admin(Client):
    """Answers as a broker does that raises, or that tells some entries."""

    def __init__(self, answer: Exception | dict[str, Any]) -> None:
        self._answer = answer

    def describe_configs(self, _resources: object, *, config_filter: str) -> dict[str, Any]:
        assert "all" == config_filter
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [
        UnsupportedByBrokerError("the broker does not know DescribeConfigs"),
        SettingsError("this user may not describe the topic"),
        {},
        {"topic": {}},
        {"topic": {"numbers": {}}},
        {"topic": {"numbers": {"retention.bytes": {"value": "-1"}}}},
        {"topic": {"numbers": {"cleanup.policy": {"value": None}, "max.message.bytes": {"value": ""}}}},
    ],
)
def test_a_broker_that_does_not_tell(answer: Exception | dict[str, Any]) -> None:
    """What is not told is taken for a broker's default, and nothing is compacted."""
    config = configs_of(Admin(answer), ["numbers"])["numbers"]
    assert not is_compacted(config)
    assert TopicLimits() == limits_in(config)


def test_a_broker_that_is_away() -> None:
    """An outage is no answer: the caller hears of it."""
    with pytest.raises(BrokerUnavailableError):
        configs_of(Admin(BrokerUnavailableError("no broker answers")), ["numbers"])


def test_limits_are_read() -> None:
    """Each entry has its limit; a topic that is only compacted keeps records of any age."""
    values = {
        "cleanup.policy": "compact",
        "message.timestamp.type": "LogAppendTime",
        "message.timestamp.before.max.ms": "5",
        "message.timestamp.after.max.ms": "6",
        "max.message.bytes": "7",
        "retention.ms": "8",
    }
    config = {name: {"value": value} for name, value in values.items()}
    assert TopicLimits(True, True, 5, 6, 7, -1) == limits_in(config)
    both = config | {"cleanup.policy": {"value": "compact,delete"}}
    assert TopicLimits(True, True, 5, 6, 7, 8) == limits_in(both)
