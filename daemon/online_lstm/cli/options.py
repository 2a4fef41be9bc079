"""Settings as command-line options: one option per setting, generated from the settings model."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from online_lstm.errors import SettingsError
from online_lstm.settings import Settings, add_value, alike_setting, read_settings, type_of
from online_lstm.settings.sources import read_toml

GROUPS = {
    "bootstrap_servers": "topics and group",
    "security_protocol": "security of the broker connection",
    "value_format": "decoding of records",
    "task": "task and model",
    "learn": "learning",
    "checkpoint_url": "checkpoints",
    "on_gap": "recovery",
    "http_host": "monitoring",
}
"""Titles of the groups of settings, by the first setting of each group in the order of the model."""

GROUP_SETTINGS = (
    *("bootstrap_servers", "security_protocol", "sasl_mechanism", "sasl_username", "sasl_password"),
    *("sasl_password_file", "ssl_cafile", "ssl_certfile", "ssl_keyfile"),
    *("ssl_key_password", "ssl_key_password_file", "connect_timeout_s"),
    *("schema_registry_url", "schema_registry_username", "schema_registry_password", "schema_registry_password_file"),
    *("schema_registry_token", "schema_registry_token_file", "schema_registry_cafile"),
    *("input_topics", "group_id", "checkpoint_url", "warm_start", "log_level"),
)
"""Settings of the commands that read a group; its shape and learning settings are in the checkpoints."""

_METAVARS = {bool: "{true,false}", int: "N", float: "NUMBER", Path: "FILE", tuple: "A,B"}


def add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add an option for each setting (or for the named ones), and ``--config`` for a TOML file.

    The options of all settings are grouped by subject and omitted from the usage line.
    """
    add_config(parser)
    group: argparse.ArgumentParser | argparse._ArgumentGroup = parser
    if not names:
        parser.usage = "%(prog)s [--help] [--config FILE] [--SETTING VALUE ...]"
    for name, field in Settings.model_fields.items():
        if not names and name in GROUPS:
            group = parser.add_argument_group(GROUPS[name])
        if names and name not in names:
            continue
        default = field.default
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        suffix = "" if default in {None, ()} else f" [default: {shown.lower() if isinstance(default, bool) else shown}]"
        group.add_argument(
            f"--{name.replace('_', '-')}",
            action=_Setting,
            dest=name,
            metavar=metavar_of(name, field.annotation),
            default=argparse.SUPPRESS,
            help=f"{field.description}{suffix}".replace("%", "%%"),
        )


class _Setting(argparse.Action):
    """An option that adds to a list setting, and refuses a repetition of any other setting."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - as argparse calls it
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        add_value(vars(namespace), self.dest, values)


class _Config(argparse.Action):
    """An option that reads the settings file exactly once, because it may be a pipe."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - as argparse calls it
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        if namespace.config is not None:
            raise SettingsError(f"config: received a second file, {values}, expected one")
        namespace.config = read_toml(Path(values))


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` for a TOML file."""
    parser.add_argument("--config", action=_Config, metavar="FILE", help="TOML file of settings")


def add_assignments(parser: argparse.ArgumentParser) -> None:
    """Add ``--set NAME=VALUE`` for any setting, and ``--config``."""
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set any setting; repeatable")
    add_config(parser)


def unknown_arguments(arguments: argparse.Namespace, unknown: Sequence[str]) -> str:
    """Format the error for unknown arguments, with the setting or spelling that was probably meant.

    >>> unknown_arguments(argparse.Namespace(command="backtest", set=[]), ["--horizons", "1,6"])
    "backtest: received '--horizons 1,6', expected settings as --set NAME=VALUE: --set horizons=VALUE"
    """
    name = unknown[0].partition("=")[0].removeprefix("--").replace("-", "_")
    alike = alike_setting(name) if unknown[0].startswith("--") else None
    way = f"`online-lstm {arguments.command} --help` lists the options"
    if alike and hasattr(arguments, "set"):
        way = f"expected settings as --set NAME=VALUE: --set {alike}=VALUE"
    elif alike and arguments.command == "run":
        way = f"there is --{alike.replace('_', '-')}; {way}"
    return f"{arguments.command}: received {' '.join(unknown)!r}, {way}"


def metavar_of(name: str, annotation: Any) -> str:
    """Return the placeholder of an option's value: the choices, a unit, or a type.

    >>> metavar_of("log_format", Literal["text", "json"]), metavar_of("connect_timeout_s", float)
    ('{text,json}', 'SECONDS')
    """
    kind = type_of(annotation)
    if get_origin(kind) is Literal:
        return "{" + ",".join(get_args(kind)) + "}"
    if name.endswith("_s"):
        return "SECONDS"
    return "BYTES" if name.endswith("_bytes") else _METAVARS.get(get_origin(kind) or kind, "TEXT")


def settings_of(arguments: argparse.Namespace, **given: Any) -> Settings:
    """Read the settings from parsed options, the environment and the configuration file."""
    options = {name: value for name, value in vars(arguments).items() if name in Settings.model_fields}
    return read_settings({**given, **options}, config=getattr(arguments, "config", None))
