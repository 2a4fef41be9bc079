"""The input, output and dead-letter topics: existence, creation, and the limits in their configuration."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import AuthorizationError, NoError, RetriableError, TopicAlreadyExistsError, for_code

from online_lstm.codec.output_forms import MAX_FORM_BYTES, MAX_LONG, TopicLimits
from online_lstm.errors import (
    BrokerUnavailableError,
    MissingTopicError,
    OnlineLstmError,
    SettingsError,
    UnfitTopicError,
    UnsupportedByBrokerError,
)
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings
from online_lstm.streaming.kafka.failures import advice_on
from online_lstm.streaming.kafka.translating_client import Client
from online_lstm.telemetry import TopicMisfits

_log = EventLogger(__name__)

CHECK_S = 2.0
"""Connection timeout of the check that the topics exist; the caller already waits for the broker."""
_KEPT_LIKE_THE_INPUT = ("retention.ms", "message.timestamp.before.max.ms", "message.timestamp.after.max.ms")

Config = Mapping[str, Any]
"""Entries of a topic's configuration by name; empty if this user may not read the configuration."""


def ensure_topics(settings: Settings) -> list[TopicMisfits]:
    """Create the missing input, output and dead-letter topics; return the misfits of the topics that are published to.

    Raises:
        BrokerUnavailableError: No broker answers in time.
        MissingTopicError: A topic is missing and ``create_topics`` is off.
        SettingsError: A topic is missing and the broker refuses to create it.
        UnfitTopicError: A topic refuses messages of the size that the settings allow.
    """
    with closing(Client(KafkaAdminClient, settings)) as admin:
        _create_missing(admin, settings, dict.fromkeys(settings.input_topics, -1), {})
        configs = _ensure_published(admin, settings)
    for topic in settings.input_topics:
        if is_compacted(configs[topic]):
            _log.warning(
                "topic compacted",
                topic=topic,
                reason="a replay after a crash may find fewer records than were learned from, and is refused then "
                "(on_divergence)",
            )
    reports = list(_misfits(settings, configs))
    for report in reports:
        for setting, advice in report.misfits:
            _log.warning("topic unfit", topic=report.topic, setting=setting, reason=advice)
    return reports


def ensure_input_topics(settings: Settings) -> None:
    """Create the missing input topics, for commands that only publish; raise the errors of ``ensure_topics``."""
    with closing(Client(KafkaAdminClient, settings)) as admin:
        _create_missing(admin, settings, dict.fromkeys(settings.input_topics, -1), {})


def limits_of_published(settings: Settings) -> dict[str, TopicLimits]:
    """Return the current limits of the output and dead-letter topics; create missing ones as ``ensure_topics`` does."""
    with closing(Client(KafkaAdminClient, settings)) as admin:
        configs = _ensure_published(admin, settings)
    return {topic: limits_in(configs[topic]) for topic in published_topics(settings)}


def require_published(settings: Settings) -> None:
    """Raise MissingTopicError if an output or dead-letter topic was deleted; return if the broker does not answer."""
    try:
        with closing(Client(KafkaAdminClient, settings, bootstrap_timeout_ms=int(CHECK_S * 1000))) as admin:
            missing = set(published_topics(settings)) - set(admin.list_topics())
    except OnlineLstmError:
        return
    if missing:
        raise MissingTopicError(f"topic {', '.join(sorted(missing))} was deleted")


def published_topics(settings: Settings) -> list[str]:
    """Return the names of the output topic and the dead-letter topics."""
    return list(dict.fromkeys([settings.output_topic, *map(settings.dead_letters_of, settings.input_topics)]))


def configs_of(admin: Client, topics: Iterable[str]) -> dict[str, Config]:
    """Return the configurations by topic; a configuration is empty if the broker does not describe the topic."""
    topics = list(topics)
    try:
        configs = admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics], config_filter="all"
        )
    except (SettingsError, UnsupportedByBrokerError):
        configs = {}
    return {topic: configs.get("topic", {}).get(topic, {}) for topic in topics}


def is_compacted(config: Config) -> bool:
    """Return whether the configuration has log compaction; False if the configuration does not say."""
    return "compact" in _value(config, "cleanup.policy", "")


def limits_in(config: Config) -> TopicLimits:
    """Return the limits of a topic with this configuration."""
    usual = TopicLimits()
    policy = _value(config, "cleanup.policy", "")
    return TopicLimits(
        compacted="compact" in policy if policy else None,
        stamps=_value(config, "message.timestamp.type", "") == "LogAppendTime",
        before_ms=int(_value(config, "message.timestamp.before.max.ms", usual.before_ms)),
        after_ms=int(_value(config, "message.timestamp.after.max.ms", usual.after_ms)),
        max_message_bytes=int(_value(config, "max.message.bytes", usual.max_message_bytes)),
        retention_ms=int(_value(config, "retention.ms", -1)) if not policy or "delete" in policy else -1,
    )


def _value(config: Config, name: str, default: Any) -> Any:
    value = config.get(name, {}).get("value")
    return default if value in {None, ""} else value


def _ensure_published(admin: Client, settings: Settings) -> dict[str, Config]:
    """Create the missing output and dead-letter topics; return the configurations of all topics."""
    inputs = configs_of(admin, settings.input_topics)
    partitions = _partitions(admin, settings.input_topics)
    wanted = {settings.output_topic: max(partitions.values(), default=1)}
    wanted |= {settings.dead_letters_of(topic): partitions.get(topic, 1) for topic in settings.input_topics}
    _create_missing(admin, settings, wanted, _fitting(settings, inputs))
    configs = inputs | configs_of(admin, wanted)
    for topic in wanted:
        _require_room(settings, topic, limits_in(configs[topic]).max_message_bytes)
    return configs


def _require_room(settings: Settings, topic: str, max_message_bytes: int) -> None:
    if max_message_bytes < settings.max_output_bytes:
        raise UnfitTopicError(
            f"topic {topic} takes messages of at most {max_message_bytes} bytes (max.message.bytes), expected "
            f"{settings.max_output_bytes} (the setting max_output_bytes): raise max.message.bytes of the topic, "
            "or lower max_output_bytes (at least 10000)"
        )


def _fitting(settings: Settings, inputs: Mapping[str, Config]) -> dict[str, str]:
    """Return the configuration of new output and dead-letter topics, so that they accept and keep all outputs.

    An entry that no input topic sets itself is left to the broker, so that the broker's default applies to both.
    """
    limits = [limits_in(config) for config in inputs.values()]
    own = {name for config in inputs.values() for name in config if _is_own(config, name)}
    widest = {
        "retention.ms": max((limit.retention_ms for limit in limits), key=_length, default=-1),
        "message.timestamp.before.max.ms": max((limit.before_ms for limit in limits), default=MAX_LONG),
        "message.timestamp.after.max.ms": max((limit.after_ms for limit in limits), default=MAX_LONG),
    }
    fitting = {name: str(widest[name]) for name in _KEPT_LIKE_THE_INPUT if name in own}
    if any(config and limit.retention_ms == -1 for config, limit in zip(inputs.values(), limits, strict=True)):
        fitting["retention.ms"] = "-1"  # also if an input is compacted only: its records do not expire
    needed = settings.max_output_bytes + MAX_FORM_BYTES
    if any(limit.max_message_bytes < needed for limit in limits) or needed > TopicLimits().max_message_bytes:
        fitting["max.message.bytes"] = str(needed)
    return fitting


def _is_own(config: Config, name: str) -> bool:
    return str(config[name].get("config_source", "")) in {"TOPIC_CONFIG", "DYNAMIC_TOPIC_CONFIG"}


def _length(retention_ms: int) -> int:
    return MAX_LONG if retention_ms < 0 else retention_ms


def _misfits(settings: Settings, configs: Mapping[str, Config]) -> Iterator[TopicMisfits]:
    """Yield the configuration entries of the published topics that do not fit their input, with the consequences."""
    for topic in published_topics(settings):
        dead_letters = topic != settings.output_topic
        sources = [
            name for name in settings.input_topics if not dead_letters or settings.dead_letters_of(name) == topic
        ]
        takes, given = limits_in(configs[topic]), [limits_in(configs[name]) for name in sources if configs[name]]
        advice_of = {
            "cleanup.policy": takes.compacted
            and "it is compacted: records without a key are published with their partition as the key, and of each key "
            "only the last record is kept (cleanup.policy=delete keeps all)",
            "retention.ms": any(_length(takes.retention_ms) < _length(limit.retention_ms) for limit in given)
            and f"records are deleted {takes.retention_ms} ms after their timestamp, and the input keeps them longer",
            "max.message.bytes": takes.max_message_bytes < settings.max_output_bytes + MAX_FORM_BYTES
            and f"a message of max_output_bytes has no room for the {MAX_FORM_BYTES} bytes of headers that another "
            "form of it may add",
            "message.timestamp.before.max.ms": any(_refuses(takes.before_ms, limit.before_ms, limit) for limit in given)
            and not takes.stamps
            and "older timestamps than this are replaced by the time of publication, and stand in a header",
            "message.timestamp.after.max.ms": any(_refuses(takes.after_ms, limit.after_ms, limit) for limit in given)
            and not takes.stamps
            and "later timestamps than this are replaced by the time of publication, and stand in a header",
        }
        misfits = tuple((setting, advice) for setting, advice in advice_of.items() if advice)
        if misfits and configs[topic]:
            yield TopicMisfits(topic, misfits)


def _refuses(taken_ms: int, given_ms: int, source: TopicLimits) -> bool:
    return taken_ms < given_ms and not source.stamps


def _create_missing(admin: Client, settings: Settings, wanted: Mapping[str, int], configs: Mapping[str, str]) -> None:
    """Create the topics that do not exist; raise MissingTopicError if ``create_topics`` is off."""
    present = set(admin.list_topics())
    missing = {name: count for name, count in wanted.items() if name not in present}
    if missing and not settings.create_topics:
        raise MissingTopicError(
            f"topic {', '.join(sorted(missing))} does not exist at {', '.join(settings.bootstrap_servers)}, or this "
            "user may not see it (the right DESCRIBE): create it, or set create_topics"
        )
    if missing:
        _create(admin, settings, missing, configs)
        _log.info("topics created", names=sorted(missing))
        admin.wait_for_topics(list(missing))


def _create(admin: Client, settings: Settings, missing: Mapping[str, int], configs: Mapping[str, str]) -> None:
    """Create topics; raise an error with the broker's reason for the first refused topic."""
    topics = {
        name: {"num_partitions": count, "replication_factor": -1, "configs": dict(configs)}
        for name, count in missing.items()
    }
    for topic in admin.create_topics(topics, raise_errors=False)["topics"]:
        refused = for_code(topic["error_code"])
        if refused in {NoError, TopicAlreadyExistsError}:  # another instance created the topic first
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


def _partitions(admin: Client, topics: Iterable[str]) -> dict[str, int]:
    """Return the number of partitions of the existing topics, by name."""
    counts = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(list(topics))}
    return {name: count for name, count in counts.items() if count}
