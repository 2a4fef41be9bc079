"""Expansion of a leading ``~`` in a path to a home directory."""

from pathlib import Path

from online_lstm.errors import SettingsError


def expand_home(path: str | Path) -> Path:
    """Return a path with its leading ``~`` or ``~name`` replaced by that home directory.

    Raises:
        SettingsError: The user has no home directory, or does not exist.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SettingsError(f"{path}: no home directory is known; set HOME, or give the path in full") from error
