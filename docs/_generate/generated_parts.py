"""Parts of the README and the reference, and the drawings, that are generated from the code: `make reference`.

Each part is between a pair of comments, for example `<!-- settings -->` and `<!-- /settings -->`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from _generate import message_examples, reference_tables
from _generate.package_drawing import package_drawing
from _generate.record_drawing import record_drawing

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
REFERENCE = ROOT / "docs" / "reference"
Part = Callable[[str], str]
"""Returns the new text of a part; the argument is its present text."""


def _made(make: Callable[[], str]) -> Part:
    return lambda _: make()


PARTS: Mapping[Path, Mapping[str, Part]] = {
    README: {"message": message_examples.example_of("symbol")},
    REFERENCE / "settings.md": {
        "kinds": _made(reference_tables.kinds_table),
        "presets": _made(reference_tables.presets_table),
        "settings": _made(reference_tables.all_settings),
    },
    REFERENCE / "metrics.md": {
        "metrics": _made(reference_tables.all_metrics),
        "labels": _made(reference_tables.labels_table),
        "buckets": _made(reference_tables.buckets_table),
    },
    REFERENCE / "messages.md": {
        **{f"{task} message": message_examples.example_of(task) for task in message_examples.TASKS},
        **{f"{task} fields": _made(message_examples.fields_of(task)) for task in message_examples.TASKS},
        "output headers": _made(message_examples.output_headers),
        "dead letter headers": _made(message_examples.dead_letter_headers),
        "reasons": _made(message_examples.reasons),
    },
    REFERENCE / "commands.md": {"commands": _made(reference_tables.commands)},
    REFERENCE / "exit-codes.md": {
        "exit codes": _made(reference_tables.exit_codes_table),
        "errors": _made(reference_tables.exceptions_table),
    },
    ROOT / "docs" / "own-data.md": {"hints": _made(reference_tables.hints_table)},
    ROOT / "docs" / "architecture.md": {"layers": _made(reference_tables.layers)},
    ROOT / "docs" / "production.md": {"alerts": _made(reference_tables.alerts)},
    REFERENCE / "http.md": {"paths": _made(reference_tables.http_table)},
}
DRAWINGS: Mapping[Path, Callable[[], str]] = {
    ROOT / "docs" / "images" / "packages.svg": package_drawing,
    ROOT / "docs" / "images" / "record.svg": record_drawing,
}


def with_parts(text: str, parts: Mapping[str, Part]) -> str:
    """Return the text of a page with its parts replaced; raise ``AssertionError`` for a part without comments."""
    for name, part in parts.items():
        pattern = re.compile(f"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
        found = pattern.search(text)
        assert found, f"no place for {name}"
        text = f"{text[: found.end(1)]}{part(found[2].rstrip())}\n{text[found.start(3) :]}"
    return text


if __name__ == "__main__":
    for path, parts in PARTS.items():
        path.write_text(with_parts(path.read_text(encoding="utf-8"), parts), encoding="utf-8")
    for path, draw in DRAWINGS.items():
        path.write_text(draw(), encoding="utf-8")
