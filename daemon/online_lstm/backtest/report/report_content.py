"""The content of a report, which is written as JSON and rendered as a page."""

from typing import Any

from online_lstm.learning.model_factory import versions
from online_lstm.settings import Settings
from online_lstm.settings.presets import TASKS


def report_content(settings: Settings, name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a report: the figures, the settings, and the versions of the libraries."""
    chosen = settings.of_kind("shape") | settings.of_kind("learning")
    usual = Settings.model_construct(**TASKS[settings.task], task=settings.task)
    default = usual.of_kind("shape") | usual.of_kind("learning")
    return {
        "file": name,
        **figures,
        "settings": chosen,
        "changed_settings": [setting for setting, value in chosen.items() if value != default[setting]],
        "versions": versions(),
    }
