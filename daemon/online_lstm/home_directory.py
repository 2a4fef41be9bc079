"""What a leading ``~`` stands for, where it can be known."""

from pathlib import Path

from online_lstm.errors import SettingsError


def expand_home(path: str | Path) -> Path:
    """Return a path with its leading ``~`` or ``~name`` replaced by that home directory.

    Raises:
        SettingsError: The user has none, or there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SettingsError(f"{path}: no home directory is known; set HOME, or give the path in full") from error
