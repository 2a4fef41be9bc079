"""Settings as command-line options: one option per setting, made from the settings model."""

import argparse
from pathlib import Path
from typing import Any

from daemon.settings import Settings, read_settings


def add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add an option for each setting (or for the named ones), and ``--config`` for a TOML file."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of settings")
    for name, field in Settings.model_fields.items():
        if names and name not in names:
            continue
        default = field.default
        shown = ",".join(default) if isinstance(default, tuple) else default
        suffix = "" if default is None else f" [default: {str(shown).replace('%', '%%')}]"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            metavar="VALUE",
            default=argparse.SUPPRESS,
            help=f"{field.description}{suffix}",
        )


def settings_of(arguments: argparse.Namespace, **given: Any) -> Settings:
    """Read the settings from parsed options, the environment and the configuration file."""
    options = {name: value for name, value in vars(arguments).items() if name in Settings.model_fields}
    return read_settings({**given, **options}, config=getattr(arguments, "config", None))
