"""The settings: their model, the presets, and the reading of options, environment and file."""

from online_lstm.settings.catalogue import (
    KIND_MEANINGS,
    Settings,
    is_list,
    kind_of,
    type_of,
)
from online_lstm.settings.field_types import KERAS_SUFFIX
from online_lstm.settings.reader import add_value, alike_setting, parse_assignments, read_settings
from online_lstm.settings.rules import BYTES_OF_CHANNEL, BYTES_OF_MESSAGE, require_consistent

__all__ = [
    "BYTES_OF_CHANNEL",
    "BYTES_OF_MESSAGE",
    "KERAS_SUFFIX",
    "KIND_MEANINGS",
    "Settings",
    "add_value",
    "alike_setting",
    "is_list",
    "kind_of",
    "parse_assignments",
    "read_settings",
    "require_consistent",
    "type_of",
]
