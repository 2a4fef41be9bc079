"""The topics that have to be there before anything can be read or published."""

import contextlib
from collections.abc import Iterable, Mapping

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError

from daemon.broker.connection import client_options, reaching_broker
from daemon.errors import MissingTopicError
from daemon.logs import EventLogger
from daemon.settings import Settings

_log = EventLogger(__name__)


def ensure_topics(settings: Settings) -> None:
    """Create the input, output and dead-letter topics that are missing.

    Raises:
        BrokerUnavailableError: No broker answers in time.
        MissingTopicError: A topic is missing and ``create_topics`` is off.
    """
    with reaching_broker(settings):
        admin = KafkaAdminClient(**client_options(settings))
    try:
        partitions = _create_missing(admin, settings, dict.fromkeys(settings.input_topics, -1))
        most = max(partitions.values())
        published = {settings.output_topic: most}
        published |= {settings.dead_letters_of(topic): count for topic, count in partitions.items()}
        _create_missing(admin, settings, published)
        for topic in compacted(admin, settings.input_topics):
            _log.warning(
                "topic compacted",
                topic=topic,
                reason="a replay after a crash may find fewer records than were learned from, and is refused then "
                "(on_divergence)",
            )
    finally:
        admin.close()


def compacted(admin: KafkaAdminClient, topics: Iterable[str]) -> list[str]:
    """Name those topics that keep only the last record of a key, as far as their configuration may be read."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    try:
        configs = admin.describe_configs(resources, config_filter="all")["topic"]
    except TopicAuthorizationFailedError:
        return []
    policies = {topic: config["cleanup.policy"]["value"] for topic, config in configs.items() if config}
    return [topic for topic, policy in policies.items() if "compact" in policy]


def _create_missing(admin: KafkaAdminClient, settings: Settings, wanted: Mapping[str, int]) -> dict[str, int]:
    """Make sure that topics exist and give their numbers of partitions."""
    missing = {name: count for name, count in wanted.items() if name not in set(admin.list_topics())}
    if missing and not settings.create_topics:
        raise MissingTopicError(
            f"topic {', '.join(sorted(missing))} does not exist at {', '.join(settings.bootstrap_servers)}: "
            "create it, or set create_topics"
        )
    if missing:
        with contextlib.suppress(TopicAlreadyExistsError):  # another instance was quicker
            admin.create_topics(
                {name: {"num_partitions": count, "replication_factor": -1} for name, count in missing.items()}
            )
        _log.info("topics created", names=sorted(missing))
        admin.wait_for_topics(list(missing))
    described = admin.describe_topics(list(wanted))
    return {topic["name"]: len(topic["partitions"]) for topic in described}
