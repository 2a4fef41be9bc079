"""Sources of settings besides the command line: environment variables and a TOML file.

All values are passed on as text, so that one rule per setting holds for every source. Knows the names of the settings,
not their meaning.
"""

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from online_lstm.errors import SettingsError
from online_lstm.home_directory import expand_home

ENV_PREFIX = "ONLINE_LSTM_"
_SERVICE_ADDRESS = re.compile(r"\w+://.*")
_SERVICE_VARIABLE = re.compile(r"(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")


def plain_text(value: Any) -> Any:
    """Return the text that an environment variable would have for a value; None and tables are unchanged.

    >>> plain_text(True), plain_text(64.0), plain_text([1, " a "]), plain_text(date(2026, 1, 31))
    ('true', '64.0', ['1', 'a'], '2026-01-31')
    """
    if value is None or isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple):
        return [plain_text(item) for item in value]
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value).strip()


def read_environment(
    environment: Mapping[str, str], names: Collection[str], *, unknown: Callable[[str], str]
) -> dict[str, str]:
    """Return the settings that environment variables give; empty variables are ignored.

    Args:
        environment: All variables.
        names: The names of all settings.
        unknown: Returns the error text for a variable that matches no setting.

    Raises:
        SettingsError: A variable with the prefix ``ONLINE_LSTM_`` matches no setting, is not in capitals, or was made
            by Kubernetes; with one line for each.
    """
    read: dict[str, str] = {}
    problems: list[str] = []
    links = set(service_links(environment))
    for variable, name, value in _ours(environment):
        if name.lower() not in names:
            if variable not in links:
                problems.append(f"environment variable {unknown(variable)}")
        elif variable != variable.upper():
            problems.append(f"environment variable {variable}: expected capitals, {variable.upper()}")
        elif name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value):
            problems.append(
                f"environment variable {variable}: received {value!r}, which Kubernetes made of a Service named "
                f"{variable.removesuffix('_PORT').lower().replace('_', '-')}; expected a port: switch these variables "
                "off with `enableServiceLinks: false` in the pod's spec, or name the Service otherwise"
            )
        else:
            read[name.lower()] = value
    if problems:
        raise SettingsError("\n".join(sorted(problems)))
    return read


def service_links(environment: Mapping[str, str]) -> list[str]:
    """Return the variables with our prefix that Kubernetes makes for Services; they are not settings.

    >>> service_links({"ONLINE_LSTM_SERVICE_HOST": "10.0.0.7", "ONLINE_LSTM_PORT": "9108", "ONLINE_LSTM_SEED": "1"})
    ['ONLINE_LSTM_SERVICE_HOST']
    """
    return sorted(
        variable
        for variable, name, value in _ours(environment)
        if _SERVICE_VARIABLE.fullmatch(name)
        or (re.fullmatch(r"(.+_)?PORT", name) and _SERVICE_ADDRESS.fullmatch(value))
    )


def _ours(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield the non-empty variables with our prefix: full name, name without the prefix, value."""
    for variable, value in environment.items():
        if variable.upper().startswith(ENV_PREFIX) and value.strip():
            yield variable, variable[len(ENV_PREFIX) :], value


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file; the file may be a pipe, and may begin with a byte order mark.

    Raises:
        SettingsError: The file cannot be read, or is not TOML in UTF-8.
    """
    try:
        content = expand_home(path).read_bytes()
    except FileNotFoundError:
        raise SettingsError(f"config: no file {path}; expected a TOML file of settings") from None
    except OSError as error:
        raise SettingsError(f"config: cannot read {path}: {error.strerror}; expected a TOML file of settings") from None
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SettingsError(
            f"config: {path}: line {line}: received {content[error.start : error.end]!r}, expected TOML in UTF-8"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"config: {path}: {error}") from None
