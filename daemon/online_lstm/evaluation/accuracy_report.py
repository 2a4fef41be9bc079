"""The accuracy figures of several protocols, as a JSON report and as a part of a Markdown document."""

import json
from collections.abc import Sequence
from pathlib import Path

from online_lstm.evaluation.seed_statistics import BEGIN, END, Comparison, insert_figures
from online_lstm.learning.model_factory import versions
from online_lstm.settings import Settings


def to_json(settings: Settings, comparisons: Sequence[Comparison]) -> bytes:
    """Format all figures, settings and versions as JSON."""
    report = {
        "protocols": [comparison.to_json() for comparison in comparisons],
        "settings": settings.of_kind("shape") | settings.of_kind("learning"),
        "versions": versions(),
    }
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def to_markdown(settings: Settings, comparisons: Sequence[Comparison]) -> str:
    """Format all figures and their origin as sections of a Markdown document."""
    return "\n".join([*(comparison.markdown() for comparison in comparisons), _origin(settings)])


def read_document(path: str | None) -> str:
    """Return the Markdown document for the figures; read before anything is learned."""
    empty = f"# How well it learns\n\n{BEGIN}{END}\n"
    if path is None or not Path(path).is_file():
        return empty
    document = Path(path).read_text(encoding="utf-8")
    insert_figures("", document, path)
    return document


def _origin(settings: Settings) -> str:
    """Format the origin of the figures: versions, and settings that differ from the defaults."""
    defaults = Settings.model_construct()
    changed = [
        f"`{name} = {value}`"
        for kind in ("shape", "learning")
        for (name, value), (_, default) in zip(
            settings.of_kind(kind).items(), defaults.of_kind(kind).items(), strict=True
        )
        if value != default
    ]
    with_settings = ", ".join(changed) if changed else "default settings"
    return f"Made with {', '.join(f'{name} {version}' for name, version in versions().items())}; {with_settings}.\n"
