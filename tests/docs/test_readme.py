"""The README and the reference say what there is: settings, metrics, messages, exit codes, commands and paths."""

from pathlib import Path

import pytest
from _generate.generated_parts import PARTS, README, ROOT, with_parts
from _generate.message_examples import alike
from online_lstm.cli.main import COMMANDS
from online_lstm.settings import Settings


@pytest.mark.long
@pytest.mark.parametrize("path", PARTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_made_from_the_code_is_as_the_code_is(path: Path) -> None:
    """Tables and examples are up to date (`python docs/_generate/generated_parts.py` writes them)."""
    text = path.read_text(encoding="utf-8")
    assert with_parts(text, PARTS[path]) == text


def test_every_command_is_named() -> None:
    """Each command has a row."""
    text = README.read_text(encoding="utf-8")
    assert [] == [name for name in COMMANDS if f"| `{name}" not in text]


def test_every_setting_has_a_place_to_link_to() -> None:
    """A heading of its own."""
    lines = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8").splitlines()
    assert [] == [name for name in Settings.model_fields if f"### `{name}`" not in lines]


def test_messages_are_alike_on_another_machine() -> None:
    """A field that comes, goes or changes its kind is noticed, the last digits of a share are not."""
    message = {"value": 4, "hit_rate": 0.9367, "top": [[28, 0.9916]], "model": "1f3a9c20@42"}
    assert alike(message, {**message, "hit_rate": 0.9366, "model": "8c0d3f11@42"})
    assert not alike(message, {**message, "hit_rate": None})
    assert not alike(message, {**message, "hit_rate": 0.2})
    assert not alike(message, {**message, "value": 8})
    assert not alike(message, {**message, "top": []})
    assert not alike(message, {**message, "more": 1})
    assert not alike(message, dict(reversed(message.items())))
