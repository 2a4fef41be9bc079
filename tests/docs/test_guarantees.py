"""Every promise in the documentation is held by tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs/guarantees.md").read_text("utf-8"))))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_what_is_named_exists(path: str, name: str) -> None:
    """A test that is renamed or removed takes its promise with it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    assert f"def {name}(" in text if name else "def test_" in text


def test_there_are_promises() -> None:
    """The names are found in the text at all."""
    assert len(NAMED) > 30
