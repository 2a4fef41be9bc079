"""What the README and the reference have from the code; run this file to write it (`python tests/readme.py`).

It stands between a pair of comments, `<!-- settings -->` and `<!-- /settings -->` for instance.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import messages
import tables

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
REFERENCE = ROOT / "docs" / "reference"
Part = Callable[[str], str]
"""Gives a part anew; it is told what stands there now."""


def _made(make: Callable[[], str]) -> Part:
    return lambda _: make()


PARTS: Mapping[Path, Mapping[str, Part]] = {
    README: {
        "message": messages.example_of("symbol"),
        "settings": _made(tables.settings_table),
        "metrics": _made(tables.metrics_table),
        "exit codes": _made(tables.exit_codes_table),
    },
    REFERENCE / "settings.md": {
        "kinds": _made(tables.kinds_table),
        "presets": _made(tables.presets_table),
        "settings": _made(tables.all_settings),
    },
    REFERENCE / "metrics.md": {
        "metrics": _made(tables.all_metrics),
        "labels": _made(tables.labels_table),
        "buckets": _made(tables.buckets_table),
    },
    REFERENCE / "messages.md": {
        **{f"{task} message": messages.example_of(task) for task in messages.TASKS},
        **{f"{task} fields": _made(messages.fields_of(task)) for task in messages.TASKS},
        "output headers": _made(messages.output_headers),
        "dead letter headers": _made(messages.dead_letter_headers),
        "reasons": _made(messages.reasons),
    },
    REFERENCE / "commands.md": {"commands": _made(tables.commands)},
    REFERENCE / "exit-codes.md": {
        "exit codes": _made(tables.exit_codes_table),
        "errors": _made(tables.exceptions_table),
    },
    ROOT / "docs" / "own-data.md": {"hints": _made(tables.hints_table)},
    ROOT / "docs" / "architecture.md": {"layers": _made(tables.layers)},
    ROOT / "docs" / "production.md": {"alerts": _made(tables.alerts)},
    REFERENCE / "http.md": {"paths": _made(tables.http_table)},
}


def with_parts(text: str, parts: Mapping[str, Part]) -> str:
    """Put the parts into a page; each has its place there."""
    for name, part in parts.items():
        pattern = re.compile(f"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
        assert pattern.search(text), f"no place for {name}"
        text = pattern.sub(lambda found, part=part: f"{found[1]}{part(found[2].rstrip())}\n{found[3]}", text)
    return text


if __name__ == "__main__":
    for path, parts in PARTS.items():
        path.write_text(with_parts(path.read_text(encoding="utf-8"), parts), encoding="utf-8")
