"""Rules between settings: combinations that are refused although each value is valid."""

from importlib.util import find_spec

from online_lstm.errors import SettingsError
from online_lstm.settings.catalogue import Settings

MAX_TOPIC_LENGTH = 249
MAX_PERIODS = 2
MAX_LAGS = 64
"""Each value requires the solution of a linear system with one equation per lag."""
MESSAGE_FORMATS = ("auto", "json_schema", "avro", "protobuf")
"""Value formats with messages, into which paths lead."""
_LIBRARIES = {"avro": ("fastavro",), "protobuf": ("grpc_tools",)}
BYTES_OF_CHANNEL, BYTES_OF_MESSAGE = 2500, 6000
"""Space reserved in a message for each channel, and for the rest of the message.

The fields of a channel and the remaining fields take a quarter of it; key and headers may take the rest.
"""


def require_consistent(settings: Settings) -> None:
    """Raise if settings that are valid one by one contradict each other.

    Raises:
        SettingsError: A topic is both read and published to, or receives both predictions and dead letters; the
            name of a dead-letter topic is too long; user name or password is missing; or the poll interval is
            shorter than the session timeout.
    """
    letters = {settings.dead_letters_of(topic) for topic in settings.input_topics}
    for topic in sorted({settings.output_topic, *letters} & set(settings.input_topics)):
        raise SettingsError(
            f"input_topics: received {topic!r}, which is an output topic too; expected another topic, as the daemon "
            "would read its own output"
        )
    if settings.output_topic in letters:
        raise SettingsError(
            f"dead_letter_topic: received {settings.output_topic!r}, expected a topic other than output_topic"
        )
    for topic in letters:
        if len(topic) > MAX_TOPIC_LENGTH:
            raise SettingsError(
                f"dead_letter_topic: received {topic}, expected a name of at most {MAX_TOPIC_LENGTH} characters"
            )
    if settings.security_protocol.startswith("SASL") and not (settings.sasl_username and settings.password()):
        raise SettingsError(
            f"sasl_username, sasl_password: expected both, as security_protocol is {settings.security_protocol}"
        )
    if settings.max_poll_interval_s < settings.session_timeout_s:
        raise SettingsError(
            f"max_poll_interval_s: received {settings.max_poll_interval_s:g}, expected at least session_timeout_s, "
            f"{settings.session_timeout_s:g}"
        )


def require_learnable(settings: Settings) -> None:
    """Raise if settings of the task contradict each other.

    Raises:
        SettingsError: Lags, seasonal periods or horizons exceed the lookback, the value format excludes numbers or
            labels, the predictions may exceed the size of a message, or the task does not support the model scope.
    """
    if settings.task == "label" and settings.model_scope != "partition":
        raise SettingsError(
            f"model_scope: received {settings.model_scope}, expected partition, as task is label: a label is learned "
            "from many sequences, and each has a stream"
        )
    if settings.task == "label" and settings.value_format not in MESSAGE_FORMATS:
        raise SettingsError(
            f"value_format: received {settings.value_format}, expected auto, as task is label: a label is in JSON"
        )
    _require_fields(settings)
    if settings.task == "number":
        _require_predictable_numbers(settings)


def _require_fields(settings: Settings) -> None:
    """Raise if the fields of a message do not fit the value."""
    paths = settings.value_path
    if settings.task == "symbol" and len(paths) > 1:
        raise SettingsError(f"value_path: received {', '.join(paths)}, expected one path, as task is symbol")
    for name, given in (("value_path", paths), ("components", settings.components)):
        if len(given) not in {0, settings.features} and not (name == "value_path" and len(given) == 1):
            raise SettingsError(
                f"{name}: received {', '.join(given)}, expected {settings.features} of them: the setting features"
            )
    _require_registry(settings)
    if settings.decimal == settings.thousands:
        raise SettingsError(f"thousands: received {settings.thousands}, expected another mark than decimal")
    binary = settings.value_format not in MESSAGE_FORMATS
    names = [name for name in ("value_path", "key_path", "time_path") if getattr(settings, name)]
    if settings.envelope != "none":
        names.append("envelope")
    if binary and names:
        raise SettingsError(
            f"{names[0]}: received a path into messages, but value_format is {settings.value_format}; expected "
            f"value_format {', '.join(MESSAGE_FORMATS)}"
        )


def _require_registry(settings: Settings) -> None:
    """Raise if a format needs a registry, or a library that is not installed."""
    for name in ("value_format", "key_format"):
        given = getattr(settings, name)
        if given not in _LIBRARIES:
            continue
        if settings.schema_registry_url is None:
            raise SettingsError(f"{name}: received {given}, expected schema_registry_url as well")
        if any(find_spec(library) is None for library in _LIBRARIES[given]):
            raise SettingsError(
                f"{name}: received {given}, but the library for it is not installed: pip install 'online-lstm[{given}]'"
            )


def _require_predictable_numbers(settings: Settings) -> None:
    if settings.value_format == "string":
        raise SettingsError("value_format: received string, expected another format, as task is number")
    max_lag, longest = settings.lookback // 4, settings.horizons[-1]
    if settings.lags and not (
        settings.horizons[0] <= settings.lags[0]
        and longest <= settings.lags[-1] <= max_lag
        and len(settings.lags) <= MAX_LAGS
    ):
        raise SettingsError(
            f"lags: received {', '.join(map(str, settings.lags))}, expected at most {MAX_LAGS}, from "
            f"{settings.horizons[0]} (the horizon) to {max_lag} (a quarter of lookback), one of them {longest} or more"
        )
    periods = settings.seasonal_periods
    if periods and (len(periods) > MAX_PERIODS or periods[-1] > max_lag):
        raise SettingsError(
            f"seasonal_periods: received {', '.join(map(str, periods))}, expected at most {MAX_PERIODS}, of at most "
            f"{max_lag} events (a quarter of lookback)"
        )
    if longest > max_lag:
        raise SettingsError(f"horizons: received {longest}, expected at most {max_lag} (a quarter of lookback)")
    if settings.tolerance and len(settings.tolerance) not in {1, settings.features}:
        raise SettingsError(
            f"tolerance: received {len(settings.tolerance)} numbers, expected one, or {settings.features} (the setting "
            "features)"
        )
    room = (settings.max_output_bytes - BYTES_OF_MESSAGE) // BYTES_OF_CHANNEL
    if settings.channels > room:
        raise SettingsError(
            f"features, horizons: received {settings.features} numbers at {len(settings.horizons)} horizons, expected "
            f"at most {room} together: each needs up to {BYTES_OF_CHANNEL} bytes of max_output_bytes"
        )
