"""The topics that have to be there before anything can be read or published."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import closing

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    AuthorizationError,
    NoError,
    RetriableError,
    TopicAlreadyExistsError,
    for_code,
)

from daemon.broker.client import Client
from daemon.broker.failures import advice_on
from daemon.errors import BrokerUnavailableError, MissingTopicError, SettingsError, UnsupportedByBrokerError
from daemon.settings import Settings

_log = logging.getLogger(__name__)


def ensure_topics(settings: Settings) -> None:
    """Create the input, output and dead-letter topics that are missing.

    Raises:
        BrokerUnavailableError: No broker answers in time.
        MissingTopicError: A topic is missing and ``create_topics`` is off.
        SettingsError: A topic is missing and the broker refuses to create it.
    """
    with closing(Client(KafkaAdminClient, settings)) as admin:
        partitions = _create_missing(admin, settings, dict.fromkeys(settings.input_topics, -1))
        most = max(partitions.values())
        published = {settings.output_topic: most}
        published |= {settings.dead_letters_of(topic): count for topic, count in partitions.items()}
        _create_missing(admin, settings, published)
        for topic in compacted(admin, settings.input_topics):
            _log.warning(
                "topic=%s is compacted: a replay after a crash may find fewer records than were learned from, and "
                "is refused then (on_divergence)",
                topic,
            )


def ensure_input_topics(settings: Settings) -> None:
    """Create the input topics that are missing, for whoever only publishes to them; raises as ``ensure_topics``."""
    with closing(Client(KafkaAdminClient, settings)) as admin:
        _create_missing(admin, settings, dict.fromkeys(settings.input_topics, -1))


def compacted(admin: Client, topics: Iterable[str]) -> list[str]:
    """Return those topics that keep only the last record of a key, as far as their configuration may be read."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    try:
        configs = admin.describe_configs(resources, config_filter="all").get("topic", {})
    except (SettingsError, UnsupportedByBrokerError):
        return []
    policies = {topic: config.get("cleanup.policy", {}).get("value") for topic, config in configs.items()}
    return [topic for topic, policy in policies.items() if "compact" in (policy or "")]


def _create_missing(admin: Client, settings: Settings, wanted: Mapping[str, int]) -> dict[str, int]:
    """Make sure that topics exist and return their numbers of partitions."""
    existing = set(admin.list_topics())
    missing = {name: count for name, count in wanted.items() if name not in existing}
    if missing and not settings.create_topics:
        raise MissingTopicError(
            f"topic {', '.join(sorted(missing))} does not exist at {', '.join(settings.bootstrap_servers)}, or this "
            "user may not see it (the right DESCRIBE): create it, or set create_topics"
        )
    if missing:
        _create(admin, settings, missing)
        _log.info("topics created names=%s", ",".join(sorted(missing)))
        admin.wait_for_topics(list(missing))
    described = admin.describe_topics(list(wanted))
    return {topic["name"]: len(topic["partitions"]) for topic in described}


def _create(admin: Client, settings: Settings, missing: Mapping[str, int]) -> None:
    """Create topics; raise with the broker's own reason for the first one that it refuses."""
    topics = {name: {"num_partitions": count, "replication_factor": -1} for name, count in missing.items()}
    for topic in admin.create_topics(topics, raise_errors=False)["topics"]:
        refused = for_code(topic["error_code"])
        if refused in {NoError, TopicAlreadyExistsError}:  # another instance was quicker
            continue
        reason = f"{refused.__name__}: {topic.get('error_message') or refused.description}"
        message = f"topic {topic['name']} is missing at {', '.join(settings.bootstrap_servers)} and cannot be created"
        if issubclass(refused, RetriableError):
            raise BrokerUnavailableError(f"{message} now ({reason})")
        advice = advice_on(refused())
        if issubclass(refused, AuthorizationError):
            advice = (
                "create_topics: this user lacks the right CREATE on the topic or the cluster; grant it, or create the "
                "topic and set create_topics=false (a topic that exists needs the right DESCRIBE to be seen)"
            )
        raise SettingsError(f"{message} ({reason}); {advice}")
