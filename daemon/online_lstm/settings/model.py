"""All settings: one model whose fields are flag, environment variable and TOML key at once.

A field's ``kind`` says what changing it means for a group that already learned (`docs/guarantees`):
``shape`` changes what a record's output is, so it begins a new lineage; ``learning`` holds from the next
committed offset on, replay uses the values that were in force; ``operational`` is free.
Its length is that of the catalogue of settings, which is best read in one piece.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from online_lstm.errors import SettingsError
from online_lstm.events import BASELINES, EXPERTS
from online_lstm.home_directory import expand_home
from online_lstm.settings.presets import PRESETS, TASKS
from online_lstm.settings.sources import ENV_PREFIX, plain_text, read_environment, read_toml

Kind = Literal["shape", "learning", "operational"]
T = TypeVar("T")
PathOrUrl = TypeVar("PathOrUrl", Path, str)
WayOut = Literal["refuse", "continue"]
MAX_TOPIC_LENGTH = 249
KERAS_SUFFIX = ".keras"
MAX_PERIODS = 2
MAX_LAGS = 64
"""Each value takes a solution of so many equations."""
BYTES_OF_CHANNEL, BYTES_OF_MESSAGE = 2500, 6000
"""What is told of a number predicted, and all else of its message, takes a quarter; key and headers may have the rest.
"""
KIND_MEANINGS: dict[Kind, str] = {
    "shape": "part of the model: a group that already learned refuses another value (`on_shape_change`)",
    "learning": "holds from the next committed offset on",
    "operational": "may change at any restart",
}


def _split_on_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _steps_or_ranges(value: Any) -> Any:
    """Split ``1,4-6`` into its numbers; what is neither a number nor a range is left to be refused."""
    steps: list[Any] = []
    for part in _split_on_commas(value):
        match = re.fullmatch(r"(\d{1,4})-(\d{1,4})", str(part))
        steps += range(int(match[1]), int(match[2]) + 1) if match else [part]
    return steps


def _non_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not all(value):
        raise ValueError("expected at least one name, and no empty ones")
    return value


def _experts(value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    experts = EXPERTS[info.data.get("task", "symbol")]
    if "lstm" not in value or not set(value) <= set(experts):
        task = info.data.get("task", "symbol")
        raise ValueError(f"expected lstm, alone or with some of {', '.join(experts[1:])}, as task is {task}")
    return tuple(name for name in experts if name in value)


def _ascending(value: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(value)))


def _server(value: str) -> str:
    host, _, port = value.rpartition(":")
    named = re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(%\w+)?\]", host)
    if not (named and re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65_535):
        raise ValueError("expected host:port, with a port from 1 to 65535: localhost:9092 or [::1]:9092")
    return value


def _topic(value: str) -> str:
    if value in {".", ".."} or not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", value):
        raise ValueError("expected 1 to 249 letters, digits, dots, _ and -, and more than . or ..")
    return value


def _at_home(value: PathOrUrl) -> PathOrUrl:
    return type(value)(expand_home(value)) if str(value).startswith("~") else value


def _existing(value: Path) -> Path:
    if not value.is_file():
        raise ValueError(f"expected a file: a checkpoint, or a {KERAS_SUFFIX} file with its JSON beside it")
    return value.resolve()


@cache
def _content_of(path: Path) -> str:
    """Give the digest of a file, and of the JSON beside a Keras file; what is no file is one, as a shape has it."""
    beside = [path.with_suffix(".json")] if path.suffix == KERAS_SUFFIX else []
    content = b"".join(file.read_bytes() for file in (path, *beside) if file.is_file())
    return hashlib.sha256(content).hexdigest() if path.is_file() else path.name


def _start(value: str) -> str:
    """Accept ``earliest``, ``latest`` or an ISO 8601 time stamp."""
    if value not in {"earliest", "latest"}:
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("expected earliest, latest or a time stamp like 2026-01-31T12:00:00Z") from error
    return value


HomePath = Annotated[Path, AfterValidator(_at_home)]
Server = Annotated[str, AfterValidator(_server)]
Topic = Annotated[str, AfterValidator(_topic)]
Servers = Annotated[tuple[Server, ...], BeforeValidator(_split_on_commas), AfterValidator(_non_empty)]
Topics = Annotated[tuple[Topic, ...], BeforeValidator(_split_on_commas), AfterValidator(_non_empty)]
Names = Annotated[tuple[str, ...], BeforeValidator(_split_on_commas), AfterValidator(_non_empty)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_split_on_commas)]
Steps = Annotated[tuple[PositiveInt, ...], BeforeValidator(_split_on_commas), AfterValidator(_ascending)]
Horizons = Annotated[
    tuple[Annotated[int, Field(ge=1, le=512)], ...],
    BeforeValidator(_steps_or_ranges),
    AfterValidator(_ascending),
    Field(min_length=1),
]
Numbers = Annotated[tuple[Annotated[float, Field(gt=0)], ...], BeforeValidator(_split_on_commas)]
Experts = Annotated[tuple[str, ...], BeforeValidator(_split_on_commas), AfterValidator(_experts)]


def _setting(kind: Kind, default: Any, description: str, *, tasks: tuple[str, ...] = (), **constraints: Any) -> Any:
    """Describe a setting; one of some ``tasks`` only is no part of another task's shape."""
    return Field(
        default, description=description, json_schema_extra={"kind": kind, "tasks": list(tasks)}, **constraints
    )


_of_symbols, _of_numbers = partial(_setting, tasks=("symbol",)), partial(_setting, tasks=("number",))
_of_labels, _of_vectors = partial(_setting, tasks=("label",)), partial(_setting, tasks=("number", "label"))
_of_windows = partial(_setting, tasks=("symbol", "number"))


class Settings(BaseModel):
    """The settings of a daemon, frozen once read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False, validate_default=True
    )

    # where the values come from and where the predictions go
    bootstrap_servers: Servers = _setting("operational", ("localhost:9092",), "Kafka brokers, host:port[,host:port]")
    input_topics: Topics = _setting("operational", ("numbers",), "Topics to learn from, separated by commas")
    output_topic: Topic = _setting("operational", "predictions", "Topic that predictions are published to")
    dead_letter_topic: Topic | None = _setting(
        "operational", None, "Topic for records that cannot be learned from [default: INPUT.dlq]"
    )
    group_id: str = _setting("operational", "online-lstm", "Consumer group; checkpoints belong to it", min_length=1)
    instance_id: str | None = _setting(
        "operational",
        None,
        "Name of this process in its group, stable over restarts [default: host and a free slot]",
    )
    group_instance_id: str | None = _setting(
        "operational",
        None,
        "Makes this process a static member of the group: a restart is at once, a leave takes the session timeout",
    )
    start_from: Annotated[str, AfterValidator(_start)] = _setting(
        "operational", "earliest", "Where a group without offsets begins: earliest, latest or a time stamp"
    )
    create_topics: bool = _setting("operational", default=True, description="Create topics that are missing")
    connect_timeout_s: float = _setting("operational", 30.0, "How long to look for a broker at start", gt=0, le=3600)
    session_timeout_s: float = _setting(
        "operational", 10.0, "After this silence the group takes this member's partitions away", ge=1, le=1800
    )
    max_poll_interval_s: float = _setting(
        "operational", 300.0, "A batch that takes longer loses its partitions", ge=1, le=86_400
    )
    transaction_timeout_s: float = _setting(
        "operational", 10.0, "The broker aborts a transaction that is open longer", ge=1, le=900
    )
    delivery: Literal["exactly_once", "at_least_once"] = _setting(
        "operational",
        "exactly_once",
        "exactly_once, or at_least_once where brokers have no transactions: a crash then repeats the last batch",
    )
    max_batch_events: int = _setting("operational", 500, "Most records in one transaction", ge=1, le=100_000)

    # a broker that wants to know who is there
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _setting(
        "operational", "PLAINTEXT", "How to talk to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = _setting(
        "operational", "PLAIN", "How to log in, with a SASL protocol"
    )
    sasl_username: str | None = _setting("operational", None, "User name, with a SASL protocol")
    sasl_password: SecretStr | None = _setting("operational", None, "Password, with a SASL protocol")
    sasl_password_file: HomePath | None = _setting("operational", None, "File that holds the password")
    ssl_cafile: HomePath | None = _setting("operational", None, "Certificates of the authorities to trust (PEM)")
    ssl_certfile: HomePath | None = _setting("operational", None, "This client's certificate (PEM)")
    ssl_keyfile: HomePath | None = _setting("operational", None, "This client's key (PEM)")
    ssl_key_password: SecretStr | None = _setting("operational", None, "Pass phrase of the key in ssl_keyfile")
    ssl_key_password_file: HomePath | None = _setting("operational", None, "File that holds the pass phrase of the key")

    # how a record is read
    value_format: Literal["auto", "double", "float", "long", "integer", "string"] = _setting(
        "shape", "auto", "auto (number, JSON) or the Kafka serializer that wrote the values"
    )
    value_path: str | None = _setting("shape", None, "Dotted path of the value in a JSON object [default: value]")
    stream_by: Literal["key", "partition"] = _setting(
        "shape", "key", "What a stream is: the records of one key, or all of a partition, whatever their keys"
    )
    missing_values: Texts = _of_vectors(
        "shape",
        ("NA", "N/A", "null", "none", "?", "-", "unknown", "unavailable"),
        "Texts or numbers that mark a missing number, beside NaN and blanks; letter case does not matter",
    )
    max_value_bytes: int = _setting(
        "shape", 65_536, "A longer value goes to the dead-letter topic", ge=1, le=100_000_000
    )
    max_output_bytes: int = _setting(
        "shape", 1_000_000, "No published record is larger (key, value and headers)", ge=10_000, le=100_000_000
    )

    # what is learned
    task: Literal["symbol", "number", "label"] = _setting(
        "shape",
        "symbol",
        "What is predicted: symbol, the next value of a vocabulary; number, a later one of a quantity; label, that of "
        "the sequence that a sample belongs to",
    )
    preset: Literal["default", "seed"] = _setting(
        "operational",
        "default",
        "Defaults of what is not given: default; seed, the plain loop of one LSTM",
    )
    window: int = _of_windows("shape", 64, "Events that one fit step sees", ge=1, le=4096)
    network: Names = _setting(
        "shape",
        ("lstm 48",),
        "Layers from the input up, separated by commas: lstm CELLS, gru CELLS, dense UNITS [tanh, relu or sigmoid], "
        "dropout RATE, leaky_relu [SLOPE], layer_norm",
    )
    states: Literal["carried", "stateless"] = _of_windows(
        "shape", "carried", "LSTM states at the window's left edge: carried on, or zeros"
    )
    replay_buffer_size: int = _of_windows(
        "shape",
        1000,
        "With each value, an earlier window of so many values is learned again (0: none)",
        ge=0,
        le=1_000_000,
    )
    max_vocabulary: int = _of_symbols(
        "shape",
        255,
        "Most symbols the network knows; least recently seen leaves (with shared weights, none)",
        ge=1,
    )
    min_occurrences: int = _of_symbols("shape", 2, "Times a value must be seen to be admitted to the vocabulary", ge=1)
    max_streams: int = _setting("shape", 1000, "Most streams (keys) per partition; least recently seen leaves", ge=1)
    suffix_contexts: int = _of_symbols(
        "shape", 1024, "Contexts that the suffix memories remember per stream", ge=16, le=1_048_576
    )
    experts: Experts = _setting(
        "shape",
        EXPERTS["symbol"],
        "Whose predictions are mixed: lstm, suffix_memory, slow_suffix_memory; of numbers lstm, linear, neighbours",
    )
    mixing_rate: float = _of_symbols("shape", 0.01, "How fast the experts' weights move", ge=0, le=1)
    mixing_context_rate: float = _of_symbols(
        "shape", 0.01, "How fast their weights in one situation move in the end", ge=0, le=1
    )
    # numbers, and samples of sequences that have a label
    features: int = _of_vectors("shape", 1, "Numbers in each value: 1, or the length of its vectors", ge=1, le=1024)
    horizons: Horizons = _of_numbers(
        "shape", (1,), "Events ahead that numbers are predicted for: 5, or several like 1,2,5 or 1-5"
    )
    history: int = _of_numbers(
        "shape", 2048, "Last numbers that are looked back at: for lags, periods and neighbours", ge=256, le=32_768
    )
    lags: Steps = _of_numbers(
        "shape",
        (),
        "Events back from a predicted number that it is predicted from [default: the latest, and a season ago]",
    )
    periods: Steps = _of_numbers(
        "shape", (), "Events in a season of the numbers, and in one within it; 1: none [default: found while running]"
    )
    calendar: bool = _of_numbers(
        "shape", default=False, description="Numbers depend on hour and weekday (UTC) of the records' time stamps"
    )
    tolerance: Numbers | None = _of_numbers(
        "shape",
        None,
        "A number this near to the prediction is a hit; one for all components, or one for each [default: a tenth of "
        "their mean distance from their centre]",
    )
    coverage: float = _of_numbers("shape", 0.9, "Share of the numbers that intervals are to hold", gt=0, le=0.99)
    interval_rate: float = _of_numbers(
        "shape", 0.01, "How fast intervals change while they hold another share", ge=0, le=1
    )
    # labels
    classes: int = _of_labels("shape", 2, "Labels that there are", ge=2, le=1024)
    label_path: str = _of_labels("shape", "label", "Dotted path of the label in a JSON object", min_length=1)
    max_sequence_length: int = _of_labels("shape", 512, "A sequence of so many samples is over", ge=1, le=8192)
    label_timeout_events: int = _of_labels(
        "shape",
        10_000,
        "A sequence without a sample for so many events of its partition is over, and one that is over waits as long "
        "for its label",
        ge=1,
        le=10_000_000,
    )
    position_weights: Literal["all", "last", "linear"] = _of_labels(
        "shape", "all", "Samples of a sequence that its label is learned at: all, the last, or the more the later"
    )
    model_scope: Literal["stream", "partition"] = _setting(
        "shape",
        "stream",
        "Who shares the weights: a stream has its own, or all streams of a partition the same, for many short streams",
    )
    score_window: int = _setting(
        "shape", 500, "Scored events that hit rates and errors are taken over", ge=1, le=100_000
    )
    drift_delta: float = _setting(
        "shape", 0.15, "So much more misses a prediction than before are no sign that the stream changed", ge=0, le=1
    )
    drift_threshold: float = _setting(
        "shape", 7.0, "More further misses than these are: the stream changed (the test of Page and Hinkley)", gt=0
    )
    top: int = _setting(
        "shape", 3, "Likeliest values or labels listed in each output", tasks=("symbol", "label"), ge=1, le=100
    )
    warm_start: Annotated[HomePath, AfterValidator(_existing)] | None = _setting(
        "shape",
        None,
        "Checkpoint or Keras file to begin from: streams as those of their keys, others as the only one there is",
    )
    seed: int = _setting("shape", 0, "Seed of the initial weights and of what is replayed", ge=0, lt=2**63)

    # how it is learned
    learn: bool = _setting(
        "learning", default=True, description="Whether anything is learned; else what was learned predicts, unchanged"
    )
    learning_rate: float = _setting("learning", 9e-3, "Adam's learning rate", gt=0, le=10)
    beta_1: float = _setting("learning", 0.9, "Adam's decay of the first moment", ge=0, lt=1)
    beta_2: float = _setting("learning", 0.99, "Adam's decay of the second moment", ge=0, lt=1)
    epsilon: float = _setting("learning", 1e-3, "Adam's epsilon", gt=0)
    clip_norm: float = _setting("learning", 1.0, "Gradients are scaled down to this global norm", gt=0)
    lr_gate_loss: float = _setting(
        "learning", 0.05, "Below this loss of the window the rate shrinks in proportion (0: never)", ge=0
    )

    retry_steps: int = _setting("learning", 7, "Most further fit steps on a value that was missed (0: none)", ge=0)
    retry_budget: float = _setting("learning", 100.0, "Most further fit steps in a row of misses", ge=0)
    retry_refill: float = _setting("learning", 0.25, "Further fit steps that each value adds to the budget", ge=0)
    replay_dropout: float = _of_windows(
        "learning",
        0.25,
        "Share of the last layer's outputs that is dropped while an earlier window is learned",
        ge=0,
        lt=1,
    )

    # what is kept
    checkpoint_url: Annotated[str, AfterValidator(_at_home)] = _setting(
        "operational",
        "checkpoints",
        "Directory, or object store (s3://bucket/prefix), of the checkpoints",
        min_length=1,
    )
    checkpoint_interval_s: float = _setting("operational", 10.0, "Time between two checkpoints", gt=0, le=86_400)

    # what is done where going on would lose something: refuse, and say what; or go on in a new lineage
    on_gap: WayOut = _setting(
        "operational", "refuse", "Offsets, records or checkpoints are gone: refuse, or continue without them"
    )
    on_divergence: WayOut = _setting(
        "operational", "refuse", "A replay gives other outputs than were published: refuse, or continue with its state"
    )
    on_shape_change: WayOut = _setting(
        "operational", "refuse", "The group learned with another shape: refuse, or continue with nothing learned"
    )
    on_partition_growth: WayOut = _setting(
        "operational", "refuse", "An input topic has more partitions than before: refuse, or continue with them too"
    )

    # what is shown
    http_host: str = _setting("operational", "127.0.0.1", "Address that metrics and health are served on", min_length=1)
    http_port: int = _setting(
        "operational", 9108, "Port that metrics and health are served on (0: a free one)", ge=0, le=65535
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _setting("operational", "INFO", "Least severe log line")
    log_format: Literal["text", "json"] = _setting("operational", "text", "Log lines as text or JSON")

    @field_validator("*", mode="before")
    @classmethod
    def _as_text(cls, value: Any, info: ValidationInfo) -> Any:
        """Read a value as its text, whatever gave it: a truth value is no number, and what is blank is no value."""
        text = plain_text(value)
        if text == "" and not is_list(str(info.field_name)):
            raise ValueError("expected a value; leave it out for the default")
        return text

    @property
    def baselines(self) -> tuple[str, ...]:
        """The predictors that the hit rate is shown with."""
        return BASELINES[self.task]

    @property
    def first_expert(self) -> int:
        """Where the first expert is among the published prediction, the baselines and the experts, in this order."""
        return 1 + len(self.baselines)

    @property
    def channels(self) -> int:
        """How many numbers are predicted after each event: each component at each horizon."""
        return self.features * len(self.horizons)

    def nested(self, told: Sequence[T]) -> T | list[T] | list[list[T]]:
        """Arrange what is told of each component at each horizon as messages do.

        As it is for one number; a list over the components of a vector; a list of these over several horizons.

        Args:
            told: Horizon by horizon, of each component.
        """
        lines = [list(told[first : first + self.features]) for first in range(0, len(told), self.features)]
        by_horizon = lines if self.features > 1 else told
        return by_horizon if len(self.horizons) > 1 else by_horizon[0]  # type: ignore[return-value]

    def dead_letters_of(self, topic: str) -> str:
        """Name the dead-letter topic of an input topic."""
        return self.dead_letter_topic or f"{topic}.dlq"

    def require_consistent(self) -> None:
        """Refuse settings that are right one by one and not together.

        Raises:
            SettingsError: A topic is read and published to, or takes both predictions and dead letters; there is
                no name for a dead-letter topic; nobody to log in as; or a poll may not even take a session timeout.
        """
        letters = {self.dead_letters_of(topic) for topic in self.input_topics}
        for topic in sorted({self.output_topic, *letters} & set(self.input_topics)):
            raise SettingsError(f"input_topics: received {topic!r}, which is published to as well: it would never end")
        if self.output_topic in letters:
            raise SettingsError(
                f"dead_letter_topic: received {self.output_topic!r}, expected another than output_topic"
            )
        for topic in letters:
            if len(topic) > MAX_TOPIC_LENGTH:
                raise SettingsError(f"dead_letter_topic: {topic} is too long a name for a topic: give another")
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.password()):
            raise SettingsError(
                f"sasl_username, sasl_password: expected both, as security_protocol is {self.security_protocol}"
            )
        if self.max_poll_interval_s < self.session_timeout_s:
            raise SettingsError(
                f"max_poll_interval_s: received {self.max_poll_interval_s:g}, expected at least session_timeout_s, "
                f"{self.session_timeout_s:g}"
            )

    def require_learnable(self) -> None:
        """Refuse settings of a task that do not fit each other.

        Raises:
            SettingsError: Lags, periods or horizons do not fit into the history, values would not be numbers, what is
                told of them may not fit into a message, labels could not come, or the weights are to be shared
                otherwise than the task can.
        """
        if self.task == "label" and self.model_scope != "partition":
            raise SettingsError(
                f"model_scope: received {self.model_scope}, expected partition, as task is label: a label is learned "
                "from many sequences, and each has a stream"
            )
        if self.task == "label" and self.value_format != "auto":
            raise SettingsError(
                f"value_format: received {self.value_format}, expected auto, as task is label: a label is in JSON"
            )
        if self.task != "number":
            return
        if self.value_format == "string":
            raise SettingsError("value_format: received string, expected another one, as task is number")
        most, longest = self.history // 4, self.horizons[-1]
        if self.lags and not (
            self.horizons[0] <= self.lags[0] and longest <= self.lags[-1] <= most and len(self.lags) <= MAX_LAGS
        ):
            raise SettingsError(
                f"lags: received {', '.join(map(str, self.lags))}, expected at most {MAX_LAGS}, from "
                f"{self.horizons[0]} (the horizon) to {most} (a quarter of history), one of them {longest} or more"
            )
        if self.periods and (len(self.periods) > MAX_PERIODS or self.periods[-1] > most):
            raise SettingsError(
                f"periods: received {', '.join(map(str, self.periods))}, expected at most {MAX_PERIODS}, of at most "
                f"{most} events (a quarter of history)"
            )
        if longest > most:
            raise SettingsError(f"horizons: received {longest}, expected at most {most} (a quarter of history)")
        if self.tolerance and len(self.tolerance) not in {1, self.features}:
            raise SettingsError(
                f"tolerance: received {len(self.tolerance)} numbers, expected one, or {self.features} (the setting "
                "features)"
            )
        room = (self.max_output_bytes - BYTES_OF_MESSAGE) // BYTES_OF_CHANNEL
        if self.channels > room:
            raise SettingsError(
                f"features, horizons: received {self.features} numbers at {len(self.horizons)} horizons, expected at "
                f"most {room} together: each takes up to {BYTES_OF_CHANNEL} of the setting max_output_bytes"
            )

    def password(self) -> str | None:
        """Return the password from where it was given.

        Raises:
            SettingsError: The file that holds it cannot be read.
        """
        return self._secret("sasl_password")

    def key_password(self) -> str | None:
        """Return the pass phrase of the key from where it was given; raises as ``password`` does."""
        return self._secret("ssl_key_password")

    def secrets(self) -> list[str]:
        """Return all secrets that are given, for what must not show them; raises as ``password`` does."""
        return [secret for secret in (self.password(), self.key_password()) if secret]

    def _secret(self, name: str) -> str | None:
        """Return a secret that is in a setting, or in the file that the setting ``NAME_file`` names."""
        file: Path | None = getattr(self, f"{name}_file")
        if file is not None:
            try:
                return file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{name}_file: {error}; expected a file that holds the password") from error
        given: SecretStr | None = getattr(self, name)
        return None if given is None else given.get_secret_value()

    def of_kind(self, kind: Kind) -> dict[str, Any]:
        """Give the settings of one kind as plain JSON values, but those of another task; of a file, its digest."""
        values = self.model_dump(mode="json")
        values["warm_start"] = self.warm_start and _content_of(self.warm_start)
        fields = type(self).model_fields.items()
        return {
            name: values[name]
            for name, field in fields
            if kind_of(field) == kind and self.task in (_extra(field)["tasks"] or [self.task])
        }

    def with_shape(self, shape: Mapping[str, Any]) -> "Settings":
        """Give these settings with those of a shape, as ``of_kind`` gave them."""
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in shape.items()}
        content = shape.get("warm_start")
        return self.model_copy(update={**values, "warm_start": Path(content) if content else None})

    def shape_digest(self) -> str:
        """Fingerprint the settings that decide what a record's output is (8 hexadecimal digits)."""
        return hashlib.sha256(json.dumps(self.of_kind("shape"), sort_keys=True).encode()).hexdigest()[:8]


def kind_of(field: FieldInfo) -> Kind:
    """Say what changing this field means."""
    kind: Kind = _extra(field)["kind"]
    return kind


def _extra(field: FieldInfo) -> dict[str, Any]:
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra


def is_list(name: str) -> bool:
    """Say whether a setting takes several values, separated by commas.

    >>> is_list("input_topics"), is_list("tolerance"), is_list("window")
    (True, True, False)
    """
    return get_origin(type_of(Settings.model_fields[name].annotation)) is tuple


def type_of(annotation: Any) -> Any:
    """Return what an annotation is of, without None and what is checked.

    >>> type_of(Annotated[Path, "an existing one"] | None)
    <class 'pathlib.Path'>
    """
    while get_origin(annotation) is Annotated or NoneType in get_args(annotation):
        annotation = get_args(annotation)[0]
    return annotation


def read_settings(
    given: Mapping[str, Any] | None = None,
    *,
    config: Path | Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Read the settings from ``given`` (flags), the environment and a TOML file or what it holds, in this order.

    Raises:
        SettingsError: A value is wrong, or a name is unknown, with one line for each; or the settings of the task do
            not fit each other.
    """
    unknown = partial(_unknown, prefix=ENV_PREFIX)
    variables = read_environment(environment, Settings.model_fields, unknown=unknown)
    file = read_toml(config) if isinstance(config, Path) else config or {}
    values = {**file, **variables, **(given or {})}
    task, preset = (str(plain_text(values.get(name))) for name in ("task", "preset"))
    defaults = {**TASKS.get(task, {}), **PRESETS.get(preset, {})}
    try:
        settings = Settings(**{**defaults, **values})
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(dict(problem), values) for problem in error.errors())) from None
    settings.require_learnable()
    return settings


def _unknown(name: str, prefix: str = "") -> str:
    """Say that there is no such setting, and which one may have been meant."""
    alike = alike_setting(name[len(prefix) :].lower())
    meant = f"{prefix}{alike.upper() if prefix else alike} is one, " if alike else ""
    return f"{name}: there is no such setting; {meant}`online-lstm run --help` lists them"


def alike_setting(name: str) -> str | None:
    """Give the setting whose name is most like this one, None where none is like it.

    >>> alike_setting("widow"), alike_setting("colour")
    ('window', None)
    """
    return next(iter(get_close_matches(name, Settings.model_fields, 1)), None)


def _explain(problem: dict[str, Any], values: Mapping[str, Any]) -> str:
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return _unknown(name)
    received = values.get(name, problem.get("input"))
    shown = plain_text(received) if isinstance(received, bool) else repr(received)
    if "password" in name:
        shown = "(secret)"
    expected = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{name}: received {shown}, expected {expected.removeprefix('expected ')}"


def add_value(values: dict[str, str], name: str, value: str) -> None:
    """Add what the command line gives a setting: several lists add up, any other setting is given once.

    >>> values = {"input_topics": "a"}
    >>> add_value(values, "input_topics", "b,c"); values
    {'input_topics': 'a,b,c'}

    Raises:
        SettingsError: It was given before.
    """
    if name not in values:
        values[name] = value
    elif name in Settings.model_fields and is_list(name):
        values[name] += f",{value}"
    else:
        shown = "(secret)" if "password" in name else f"{values[name]!r} and {value!r}"
        raise SettingsError(f"{name}: received {shown}, expected it once")


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` arguments.

    >>> parse_assignments(["window=32", "network=lstm 8", "network=lstm 4"])
    {'window': '32', 'network': 'lstm 8,lstm 4'}

    Raises:
        SettingsError: An argument has no name or no ``=``, or gives a setting that was given before.
    """
    values: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not (name and equals):
            raise SettingsError(f"--set: received {assignment!r}, expected NAME=VALUE")
        add_value(values, name, value)
    return values
