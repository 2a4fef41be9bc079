"""The settings model: each field is a command-line option, an environment variable and a TOML key.

The ``kind`` of a field decides what a change means for a group that has learned (`docs/guarantees`). A change of a
``shape`` setting changes the outputs, so it starts a new lineage. A change of a ``learning`` setting takes effect at
the next committed offset; a replay uses the values that were in force at the time. A change of an ``operational``
setting is always allowed.
The module is long because the catalogue of settings is best read in one piece.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from online_lstm.errors import SettingsError
from online_lstm.events import BASELINES, EXPERTS
from online_lstm.predictor_scores import Predictors
from online_lstm.settings.field_types import (
    KERAS_SUFFIX,
    ExistingFile,
    Experts,
    FieldPathText,
    HomePath,
    HomeUrl,
    Horizons,
    Names,
    Numbers,
    Paths,
    RegistryUrl,
    Servers,
    StartPosition,
    Steps,
    Texts,
    TimeFormat,
    TimeZone,
    Topic,
    Topics,
)
from online_lstm.settings.sources import plain_text
from online_lstm.timestamps import UTC_ZONE

Kind = Literal["shape", "learning", "operational"]
T = TypeVar("T")
WayOut = Literal["refuse", "continue"]
KIND_MEANINGS: dict[Kind, str] = {
    "shape": "part of the model: a group that has learned refuses another value (`on_shape_change`)",
    "learning": "takes effect at the next committed offset",
    "operational": "can be changed at any restart",
}


@cache
def _content_of(path: Path) -> str:
    """Return the digest of a file and of the JSON beside a Keras file; a path without a file already is a digest."""
    beside = [path.with_suffix(".json")] if path.suffix == KERAS_SUFFIX else []
    content = b"".join(file.read_bytes() for file in (path, *beside) if file.is_file())
    return hashlib.sha256(content).hexdigest() if path.is_file() else path.name


def _setting(kind: Kind, default: Any, description: str, *, tasks: tuple[str, ...] = (), **constraints: Any) -> Any:
    """Describe a setting; with ``tasks``, it belongs to the shape of these tasks only."""
    return Field(
        default, description=description, json_schema_extra={"kind": kind, "tasks": list(tasks)}, **constraints
    )


_of_symbols, _of_numbers = partial(_setting, tasks=("symbol",)), partial(_setting, tasks=("number",))
_of_labels, _of_vectors = partial(_setting, tasks=("label",)), partial(_setting, tasks=("number", "label"))
_of_windows = partial(_setting, tasks=("symbol", "number"))


class Settings(BaseModel):
    """The settings of a daemon, immutable once read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False, validate_default=True
    )

    # input and output topics
    bootstrap_servers: Servers = _setting("operational", ("localhost:9092",), "Kafka brokers, host:port[,host:port]")
    input_topics: Topics = _setting("operational", ("numbers",), "Input topics, separated by commas")
    output_topic: Topic = _setting("operational", "predictions", "Topic for the predictions")
    dead_letter_topic: Topic | None = _setting(
        "operational", None, "Topic for records that cannot be decoded or learned [default: INPUT.dlq]"
    )
    group_id: str = _setting(
        "operational", "online-lstm", "Consumer group; each group has its own checkpoints", min_length=1
    )
    instance_id: str | None = _setting(
        "operational",
        None,
        "Name of this process in its group, stable across restarts [default: host name and a free slot]",
    )
    group_instance_id: str | None = _setting(
        "operational",
        None,
        "Kafka static membership: a restart within the session timeout causes no rebalance, but a departure is noticed "
        "only after it",
    )
    start_from: StartPosition = _setting(
        "operational",
        "earliest",
        "Where a group without committed offsets starts: earliest, latest or an ISO 8601 timestamp",
    )
    create_topics: bool = _setting("operational", default=True, description="Create missing topics")
    connect_timeout_s: float = _setting("operational", 30.0, "Time to wait for a broker at startup", gt=0, le=3600)
    session_timeout_s: float = _setting(
        "operational",
        10.0,
        "Time without a heartbeat after which the group reassigns the partitions of a member",
        ge=1,
        le=1800,
    )
    max_poll_interval_s: float = _setting(
        "operational",
        300.0,
        "Maximum time between two polls; a member that takes longer for a batch loses its partitions",
        ge=1,
        le=86_400,
    )
    transaction_timeout_s: float = _setting(
        "operational", 10.0, "Time after which the broker aborts an open transaction", ge=1, le=900
    )
    delivery: Literal["exactly_once", "at_least_once"] = _setting(
        "operational",
        "exactly_once",
        "exactly_once, or at_least_once for brokers without transactions (a crash then repeats the last batch)",
    )
    max_batch_events: int = _setting(
        "operational", 500, "Maximum number of records in one transaction", ge=1, le=100_000
    )

    # security of the broker connection
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _setting(
        "operational", "PLAINTEXT", "Security protocol of the broker connections"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = _setting(
        "operational", "PLAIN", "SASL mechanism, with a SASL protocol"
    )
    sasl_username: str | None = _setting("operational", None, "User name, with a SASL protocol")
    sasl_password: SecretStr | None = _setting("operational", None, "Password, with a SASL protocol")
    sasl_password_file: HomePath | None = _setting("operational", None, "File with the password")
    ssl_cafile: HomePath | None = _setting(
        "operational", None, "Certificates of the trusted certificate authorities (PEM)"
    )
    ssl_certfile: HomePath | None = _setting("operational", None, "Client certificate (PEM)")
    ssl_keyfile: HomePath | None = _setting("operational", None, "Private key of the client (PEM)")
    ssl_key_password: SecretStr | None = _setting("operational", None, "Passphrase of the key in ssl_keyfile")
    ssl_key_password_file: HomePath | None = _setting("operational", None, "File with the passphrase of the key")

    # decoding of records
    value_format: Literal[
        "auto", "json_schema", "avro", "protobuf", "double", "float", "long", "integer", "short", "boolean", "string"
    ] = _setting("shape", "auto", "Encoding of the values: auto (number or JSON), or the serializer that wrote them")
    key_format: Literal["text", "json_schema", "avro", "protobuf"] = _setting(
        "shape", "text", "Encoding of the keys: text, or the serializer of a Schema Registry that wrote them"
    )
    schema_registry_url: RegistryUrl | None = _setting(
        "operational", None, "Schema Registry for avro and protobuf: base of its REST interface, http(s)://..."
    )
    schema_registry_username: str | None = _setting("operational", None, "User name at the Schema Registry")
    schema_registry_password: SecretStr | None = _setting("operational", None, "Password at the Schema Registry")
    schema_registry_password_file: HomePath | None = _setting("operational", None, "File with the password")
    schema_registry_token: SecretStr | None = _setting("operational", None, "Bearer token for the Schema Registry")
    schema_registry_token_file: HomePath | None = _setting("operational", None, "File with the token")
    schema_registry_cafile: HomePath | None = _setting(
        "operational", None, "Certificates of the authorities that the Schema Registry is trusted by (PEM)"
    )
    envelope: Literal["none", "connect", "debezium", "cloudevents"] = _setting(
        "shape",
        "none",
        "Envelope around each value: that of Kafka Connect (schema, payload), Debezium (after, op) or CloudEvents "
        "(data); paths begin within it, and lead into the rest of the message second",
    )
    value_path: Paths = _setting(
        "shape", (), "Path of the value in a message, or a path for each number of a vector [default: value]"
    )
    key_path: FieldPathText | None = _setting(
        "shape", None, "Path of the key that names the stream of a message [default: the key of the record]"
    )
    time_path: FieldPathText | None = _setting(
        "shape", None, "Path of the time of a message [default: the timestamp of the record]"
    )
    time_format: TimeFormat = _setting(
        "shape",
        "auto",
        "Form of the times at time_path: auto (ISO 8601, or a number since 1970 whose unit follows from its size), s, "
        "ms, us, ns, iso, or a pattern such as %d/%m/%Y; UTC unless a zone is given",
    )
    end_path: FieldPathText = _setting(
        "shape", "end", "Path of the field that is true in the last message of a sequence"
    )
    stream_by: Literal["key", "partition"] = _setting(
        "shape",
        "key",
        "What forms a stream: the records with one key, or all records of a partition whatever their keys",
    )
    missing_values: Texts = _of_vectors(
        "shape",
        ("NA", "N/A", "null", "none", "?", "-", "unknown", "unavailable"),
        "Texts or numbers that mark a missing number, besides NaN and blank text; case-insensitive",
    )
    text_numbers: bool = _of_vectors(
        "shape", default=True, description="Read numbers and JSON in strings; if false, such strings are refused"
    )
    decimal: Literal[".", ","] = _of_vectors(
        "shape", ".", "Decimal mark of numbers in texts; numbers of JSON always have a point"
    )
    thousands: Literal["none", ",", ".", "'", "space"] = _of_vectors(
        "shape", "none", "Thousands separator of numbers in texts"
    )
    decimal_scale: int | None = _of_vectors(
        "shape",
        None,
        "Digits after the point of decimals that come as base64 without a schema, as Kafka Connect writes them",
        ge=0,
        le=99,
    )
    max_value_bytes: int = _setting(
        "shape", 65_536, "Maximum size of a value; a larger value goes to the dead-letter topic", ge=1, le=100_000_000
    )
    max_output_bytes: int = _setting(
        "shape", 1_000_000, "Maximum size of a published record (key, value and headers)", ge=10_000, le=100_000_000
    )

    # model
    task: Literal["symbol", "number", "label"] = _setting(
        "shape",
        "symbol",
        "What is predicted: symbol, the next value from a vocabulary; number, a future value of a quantity; label, the "
        "label of the sequence that a sample belongs to",
    )
    preset: Literal["default", "plain"] = _setting(
        "operational",
        "default",
        "Set of default values: default, or plain (one LSTM, one Adam step per value)",
    )
    window: int = _of_windows(
        "shape", 64, "Number of recent events that one fit step backpropagates through", ge=1, le=4096
    )
    network: Names = _setting(
        "shape",
        ("lstm 48",),
        "Layers from input to output, separated by commas: lstm CELLS, gru CELLS, dense UNITS [tanh, relu or sigmoid], "
        "dropout RATE, leaky_relu [SLOPE], layer_norm",
    )
    stateful: bool = _of_windows(
        "shape",
        default=True,
        description="Carry the recurrent states over from window to window; if false, each window begins with zeros",
    )
    replay_buffer_size: int = _of_windows(
        "shape",
        1000,
        "Reach of the replay buffer, in events: each event also trains on one earlier window from this reach (0: none)",
        ge=0,
        le=1_000_000,
    )
    max_vocabulary: int = _of_symbols(
        "shape",
        255,
        "Maximum number of symbols that the network knows; the least recently seen is evicted (never with shared "
        "weights)",
        ge=1,
    )
    min_occurrences: int = _of_symbols(
        "shape", 2, "Number of occurrences after which a symbol is admitted to the vocabulary", ge=1
    )
    max_streams: int = _setting(
        "shape",
        1000,
        "Maximum number of streams (keys) per partition; the least recently seen is evicted [default with symbols and "
        "shared weights: 20000]",
        ge=1,
    )
    suffix_contexts: int = _of_symbols(
        "shape",
        1024,
        "Number of contexts that the suffix memories keep per stream; with shared weights, 64 times as many for all "
        "streams together",
        ge=16,
        le=1_048_576,
    )
    experts: Experts = _setting(
        "shape",
        EXPERTS["symbol"],
        "Experts in the mixture: lstm, suffix_memory, slow_suffix_memory; for numbers: lstm, linear, neighbours",
    )
    mixing_rate: float = _of_symbols("shape", 0.01, "Learning rate of the mixing weights", ge=0, le=1)
    mixing_context_rate: float = _of_symbols(
        "shape", 0.01, "Asymptotic learning rate of the context-specific mixing weights", ge=0, le=1
    )
    # numbers, and samples of labelled sequences
    features: int = _of_vectors(
        "shape", 1, "Number of components in each value: 1, or the length of the vectors", ge=1, le=1024
    )
    components: Texts = _of_vectors(
        "shape", (), "Names of the components, for messages and reports [default: the paths in value_path, if several]"
    )
    horizons: Horizons = _of_numbers(
        "shape", (1,), "Prediction horizons, in events ahead: 5, or several such as 1,2,5 or 1-5"
    )
    lookback: int = _of_numbers(
        "shape",
        2048,
        "Number of recent values kept for lags, seasonal periods and nearest neighbours",
        ge=256,
        le=32_768,
    )
    lags: Steps = _of_numbers(
        "shape",
        (),
        "Lags used as regressors, counted back from the predicted event [default: the most recent values and those one "
        "season earlier]",
    )
    seasonal_periods: Steps = _of_numbers(
        "shape",
        (),
        "Seasonal periods in events: the season, and a shorter one within it; 1: no season [default: detected]",
    )
    calendar: bool = _of_numbers(
        "shape", default=False, description="Use the hour and weekday of the timestamps as inputs"
    )
    time_zone: TimeZone = _of_numbers(
        "shape", UTC_ZONE, "Time zone of the calendar, with its daylight saving, such as Europe/Berlin"
    )
    tolerance: Numbers | None = _of_numbers(
        "shape",
        None,
        "Maximum error of a hit: one for all components, or one for each [default: a tenth of the mean absolute "
        "deviation of the values]",
    )
    interval_level: float = _of_numbers(
        "shape", 0.9, "Target share of values inside their prediction intervals", gt=0, le=0.99
    )
    interval_rate: float = _of_numbers(
        "shape", 0.01, "Step size at which intervals adapt to reach the target share", ge=0, le=1
    )
    range_margin: float = _of_numbers(
        "shape",
        0.1,
        "How far predictions may leave the range of the values so far, as a share of that range; more for trends",
        ge=0,
        le=1_000_000,
    )
    # labels of sequences
    classes: int = _of_labels("shape", 2, "Number of classes: the maximum number of distinct labels", ge=2, le=1024)
    label_path: FieldPathText = _of_labels("shape", "label", "Path of the label in a message")
    max_sequence_length: int = _of_labels("shape", 512, "Number of samples after which a sequence ends", ge=1, le=8192)
    label_timeout_events: int = _of_labels(
        "shape",
        10_000,
        "Idle timeout, in events of the partition: ends a sequence that receives no samples, and drops an ended one "
        "that receives no label",
        ge=1,
        le=10_000_000,
    )
    position_weights: Literal["all", "last", "linear"] = _of_labels(
        "shape",
        "all",
        "Weights of the loss over a sequence: every sample equally, only the last, or linearly increasing",
    )
    model_scope: Literal["stream", "partition"] = _setting(
        "shape",
        "stream",
        "Weight sharing: each stream has its own network, or all streams of a partition share one (for many short "
        "streams); streams of symbols then share memories, mixture and replay buffer as well",
    )
    score_window: int = _setting(
        "shape", 500, "Number of recent scored events over which hit rates and errors are computed", ge=1, le=100_000
    )
    drift_delta: float = _setting(
        "shape", 0.15, "Page-Hinkley tolerance: increases of the miss rate up to this much are ignored", ge=0, le=1
    )
    drift_threshold: float = _setting(
        "shape", 7.0, "Page-Hinkley threshold (lambda): cumulative excess misses that signal a drift", gt=0
    )
    top_k: int = _setting(
        "shape",
        3,
        "Number of most likely values or labels listed in each output",
        tasks=("symbol", "label"),
        ge=1,
        le=100,
    )
    warm_start: ExistingFile | None = _setting(
        "shape",
        None,
        "Checkpoint or Keras file to start from. A stream starts from the one with the same key; if the file has a "
        "single stream, every stream starts from it",
    )
    seed: int = _setting("shape", 0, "Random seed of the initial weights and of the replay samples", ge=0, lt=2**63)

    # optimizer
    learn: bool = _setting(
        "learning",
        default=True,
        description="Learn from the input; if false, the learned state predicts and does not change",
    )
    learning_rate: float = _setting("learning", 9e-3, "Adam's learning rate", gt=0, le=10)
    beta_1: float = _setting("learning", 0.9, "Adam's decay of the first moment", ge=0, lt=1)
    beta_2: float = _setting("learning", 0.99, "Adam's decay of the second moment", ge=0, lt=1)
    epsilon: float = _setting("learning", 1e-3, "Adam's epsilon", gt=0)
    clip_norm: float = _setting(
        "learning", 1.0, "Maximum global norm of the gradient; a larger gradient is scaled down to it", gt=0
    )
    lr_gate_loss: float = _setting(
        "learning", 0.05, "Window loss below which the learning rate shrinks in proportion to the loss (0: never)", ge=0
    )

    retry_steps: int = _setting(
        "learning", 7, "Maximum number of retry steps (further fit steps) after a wrong prediction (0: none)", ge=0
    )
    retry_budget: float = _setting(
        "learning", 100.0, "Maximum number of retry steps that the budget holds, for a run of wrong predictions", ge=0
    )
    retry_refill: float = _setting("learning", 0.25, "Number of retry steps that each event adds to the budget", ge=0)
    replay_dropout: float = _of_windows(
        "learning",
        0.25,
        "Dropout rate of the last layer's outputs while a replayed window is trained on",
        ge=0,
        lt=1,
    )

    # checkpoints
    checkpoint_url: HomeUrl = _setting(
        "operational",
        "checkpoints",
        "Directory or object store (s3://bucket/prefix) for the checkpoints",
        min_length=1,
    )
    checkpoint_interval_s: float = _setting("operational", 10.0, "Time between two checkpoints", gt=0, le=86_400)

    # reactions where continuing would lose data: refuse with a message, or continue in a new lineage
    on_gap: WayOut = _setting(
        "operational", "refuse", "Offsets, records or checkpoints are missing: refuse, or continue without them"
    )
    on_divergence: WayOut = _setting(
        "operational",
        "refuse",
        "The outputs of a replay differ from the published ones: refuse, or continue from the replayed state",
    )
    on_shape_change: WayOut = _setting(
        "operational", "refuse", "The group learned with other shape settings: refuse, or continue with nothing learned"
    )
    on_partition_growth: WayOut = _setting(
        "operational", "refuse", "An input topic has more partitions than before: refuse, or continue with all of them"
    )

    # monitoring
    http_host: str = _setting(
        "operational", "127.0.0.1", "Address of the HTTP server for metrics and health", min_length=1
    )
    http_port: int = _setting(
        "operational", 9108, "Port of the HTTP server for metrics and health (0: a free port)", ge=0, le=65535
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _setting(
        "operational", "INFO", "Minimum severity of log lines"
    )
    log_format: Literal["text", "json"] = _setting("operational", "text", "Format of log lines")

    @field_validator("*", mode="before")
    @classmethod
    def _as_text(cls, value: Any, info: ValidationInfo) -> Any:
        """Convert a value from any source to text: a Boolean is not a number, and blank text is not a value."""
        text = plain_text(value)
        if text == "" and not is_list(str(info.field_name)):
            raise ValueError("expected a value; leave it out for the default")
        return text

    @property
    def baselines(self) -> tuple[str, ...]:
        """The baselines of the task."""
        return BASELINES[self.task]

    @property
    def predictors(self) -> Predictors:
        """The baselines of the task and the experts, whose scores are compared with those of the prediction."""
        return Predictors(self.baselines, self.experts)

    @property
    def channels(self) -> int:
        """Number of channels: the numbers predicted after each event, each component at each horizon."""
        return self.features * len(self.horizons)

    @property
    def component_names(self) -> tuple[str, ...]:
        """The names of the components; none if they have no names."""
        return self.components or (self.value_path if len(self.value_path) > 1 else ())

    def without_paths(self) -> "Settings":
        """Return the settings for values that are not in messages: their names stay, their format and paths do not."""
        names = (
            "value_format",
            "key_format",
            "envelope",
            "value_path",
            "key_path",
            "time_path",
            "label_path",
            "end_path",
        )
        plain = {name: type(self).model_fields[name].default for name in names}
        return self.model_copy(update={**plain, "components": self.component_names})

    def nested(self, figures: Sequence[T]) -> T | tuple[T, ...] | tuple[tuple[T, ...], ...]:
        """Arrange one figure per channel in the nesting that messages use.

        A single number stays a number; a vector becomes a tuple over its components; with several horizons, the result
        is a tuple over the horizons.

        Args:
            figures: One figure per channel, horizon by horizon, component by component.
        """
        starts = range(0, len(figures), self.features)
        vectors = tuple(tuple(figures[first : first + self.features]) for first in starts)
        by_horizon = vectors if self.features > 1 else tuple(figures)
        return by_horizon if len(self.horizons) > 1 else by_horizon[0]

    def dead_letters_of(self, topic: str) -> str:
        """Return the name of the dead-letter topic of an input topic."""
        return self.dead_letter_topic or f"{topic}.dlq"

    def password(self) -> str | None:
        """Return the password from its setting or its file.

        Raises:
            SettingsError: The file cannot be read.
        """
        return self._secret("sasl_password")

    def key_password(self) -> str | None:
        """Return the passphrase of the key from its setting or its file; raises as ``password`` does."""
        return self._secret("ssl_key_password")

    def registry_password(self) -> str | None:
        """Return the password at the Schema Registry from its setting or its file; raises as ``password`` does."""
        return self._secret("schema_registry_password")

    def registry_token(self) -> str | None:
        """Return the token for the Schema Registry from its setting or its file; raises as ``password`` does."""
        return self._secret("schema_registry_token")

    def secrets(self) -> list[str]:
        """Return all configured secrets, so that they can be hidden; raises as ``password`` does."""
        secrets = (self.password(), self.key_password(), self.registry_password(), self.registry_token())
        return [secret for secret in secrets if secret]

    def _secret(self, name: str) -> str | None:
        """Return a secret from its setting, or from the file that the setting ``NAME_file`` names."""
        file: Path | None = getattr(self, f"{name}_file")
        if file is not None:
            try:
                return file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{name}_file: {error}; expected a file that holds the password") from error
        given: SecretStr | None = getattr(self, name)
        return None if given is None else given.get_secret_value()

    def of_kind(self, kind: Kind) -> dict[str, Any]:
        """Return the settings of one kind that apply to the task, as JSON values; a file appears as its digest."""
        values = self.model_dump(mode="json")
        values["warm_start"] = self.warm_start and _content_of(self.warm_start)
        fields = type(self).model_fields.items()
        return {
            name: values[name]
            for name, field in fields
            if kind_of(field) == kind and self.task in (_extra(field)["tasks"] or [self.task])
        }

    def with_shape(self, shape: Mapping[str, Any]) -> "Settings":
        """Return a copy of the settings with the shape settings that ``of_kind`` returned."""
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in shape.items()}
        content = shape.get("warm_start")
        return self.model_copy(update={**values, "warm_start": Path(content) if content else None})

    def shape_digest(self) -> str:
        """Return a fingerprint of the shape settings, which determine the outputs (8 hexadecimal digits)."""
        return hashlib.sha256(json.dumps(self.of_kind("shape"), sort_keys=True).encode()).hexdigest()[:8]


def kind_of(field: FieldInfo) -> Kind:
    """Return the kind of a field: what a change of it means."""
    kind: Kind = _extra(field)["kind"]
    return kind


def _extra(field: FieldInfo) -> dict[str, Any]:
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra


def is_list(name: str) -> bool:
    """Return whether a setting takes several values, separated by commas.

    >>> is_list("input_topics"), is_list("tolerance"), is_list("window")
    (True, True, False)
    """
    return get_origin(type_of(Settings.model_fields[name].annotation)) is tuple


def type_of(annotation: Any) -> Any:
    """Return the type in an annotation, without None and validators.

    >>> type_of(Annotated[Path, "an existing one"] | None)
    <class 'pathlib.Path'>
    """
    while get_origin(annotation) is Annotated or NoneType in get_args(annotation):
        annotation = get_args(annotation)[0]
    return annotation
