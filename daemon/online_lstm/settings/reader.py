"""Reads the settings from options, environment and file, and explains what is wrong with them."""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from online_lstm.errors import SettingsError
from online_lstm.settings.catalogue import Settings, is_list
from online_lstm.settings.presets import PRESETS, SCOPES, TASKS
from online_lstm.settings.rules import require_learnable
from online_lstm.settings.sources import ENV_PREFIX, plain_text, read_environment, read_toml


def read_settings(
    given: Mapping[str, Any] | None = None,
    *,
    config: Path | Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Read the settings from ``given`` (options), the environment and a TOML file or its content, in this order.

    Raises:
        SettingsError: A value is invalid or a name is unknown, with one line for each; or settings of the task
            contradict each other.
    """
    unknown = partial(_unknown, prefix=ENV_PREFIX)
    variables = read_environment(environment, Settings.model_fields, unknown=unknown)
    file = read_toml(config) if isinstance(config, Path) else config or {}
    values = {**file, **variables, **(given or {})}
    task, preset = (str(plain_text(values.get(name))) for name in ("task", "preset"))
    scope = SCOPES.get((str(values.get("task", "symbol")), str(values.get("model_scope"))), {})
    defaults = {**TASKS.get(task, {}), **scope, **PRESETS.get(preset, {}), **_named_features(values)}
    try:
        settings = Settings(**{**defaults, **values})
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(dict(problem), values) for problem in error.errors())) from None
    require_learnable(settings)
    return settings


def _named_features(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of features that several paths or names define."""
    for name in ("components", "value_path"):
        given = values.get(name) or ()
        count = len(given.split(",") if isinstance(given, str) else given)
        if count > 1:
            return {"features": count}
    return {}


def _unknown(name: str, prefix: str = "") -> str:
    """Format the error for an unknown setting, with the most similar name."""
    alike = alike_setting(name[len(prefix) :].lower())
    meant = f"{prefix}{alike.upper() if prefix else alike} is one, " if alike else ""
    return f"{name}: there is no such setting; {meant}`online-lstm run --help` lists them"


def alike_setting(name: str) -> str | None:
    """Return the setting with the most similar name, or None without a similar one.

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
    if is_secret(name):
        shown = "(secret)"
    expected = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{name}: received {shown}, expected {expected.removeprefix('expected ')}"


def is_secret(name: str) -> bool:
    """Return whether the value of a setting is not shown.

    >>> is_secret("sasl_password"), is_secret("schema_registry_token"), is_secret("window")
    (True, True, False)
    """
    return "password" in name or "token" in name


def add_value(values: dict[str, str], name: str, value: str) -> None:
    """Add a value from the command line: values of a list accumulate, any other setting is given once.

    >>> values = {"input_topics": "a"}
    >>> add_value(values, "input_topics", "b,c"); values
    {'input_topics': 'a,b,c'}

    Raises:
        SettingsError: The setting was given before.
    """
    if name not in values:
        values[name] = value
    elif name in Settings.model_fields and is_list(name):
        values[name] += f",{value}"
    else:
        shown = "(secret)" if is_secret(name) else f"{values[name]!r} and {value!r}"
        raise SettingsError(f"{name}: received {shown}, expected it once")


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """Parse ``NAME=VALUE`` arguments.

    >>> parse_assignments(["window=32", "network=lstm 8", "network=lstm 4"])
    {'window': '32', 'network': 'lstm 8,lstm 4'}

    Raises:
        SettingsError: An argument has no name or no ``=``, or repeats a setting.
    """
    values: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not (name and equals):
            raise SettingsError(f"--set: received {assignment!r}, expected NAME=VALUE")
        add_value(values, name, value)
    return values
