"""Refusals to continue: a state is never continued or discarded silently unless a setting allows it."""

from online_lstm.errors import OnlineLstmError
from online_lstm.logs import EventLogger
from online_lstm.settings import Settings

_log = EventLogger(__name__)


def refuse_unless(settings: Settings, setting: str, error: OnlineLstmError) -> None:
    """Raise an error, with the ways out, unless the setting is ``continue``."""
    if getattr(settings, setting) != "continue":
        raise type(error)(f"{error}; or set {setting} to continue, or start from nothing with another group_id")
    _log.warning("continuing", **{setting: "continue"}, reason=error)
