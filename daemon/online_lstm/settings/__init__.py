"""The settings: their model, the presets, and the reading of options, environment and file."""

from online_lstm.settings.model import (
    BYTES_OF_CHANNEL,
    BYTES_OF_MESSAGE,
    KERAS_SUFFIX,
    KIND_MEANINGS,
    Settings,
    add_value,
    alike_setting,
    is_list,
    kind_of,
    parse_assignments,
    read_settings,
    type_of,
)

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
    "type_of",
]
