"""The README and the reference list what the code has: settings, metrics, messages, exit codes, commands and paths."""

from pathlib import Path

import pytest
from _generate.generated_parts import DRAWINGS, PARTS, REFERENCE, ROOT, with_parts
from _generate.message_examples import alike
from _generate.package_drawing import direct_imports, package_drawing, without_implied
from online_lstm.cli.main import COMMANDS
from online_lstm.errors import ExitCode
from online_lstm.settings import Settings
from unit.test_layers import PACKAGE


@pytest.mark.long
@pytest.mark.parametrize("path", PARTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_made_from_the_code_is_as_the_code_is(path: Path) -> None:
    """Tables and examples are up to date (`make reference` writes them)."""
    text = path.read_text(encoding="utf-8")
    assert with_parts(text, PARTS[path]) == text


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_drawings_are_current(path: Path) -> None:
    """The packages in the drawing are those of the code (`make reference` draws them)."""
    assert path.read_text(encoding="utf-8") == DRAWINGS[path]()


def test_package_drawing_follows_the_imports() -> None:
    """An import has an arrow unless other imports imply it, and no arrow leads elsewhere."""
    imports = direct_imports()
    assert {"events", "learning"} <= imports["checkpoint"]
    needed = without_implied(imports)
    assert {"atomic_write", "codec", "telemetry"} == needed["learning"]
    packages = {name for name in imports if (PACKAGE / name).is_dir()}
    drawn = without_implied({name: imports[name] & packages for name in packages})
    assert sum(map(len, drawn.values())) == package_drawing().count('<path class="arrow')


@pytest.mark.parametrize(
    ("page", "headings"),
    [
        ("settings.md", [f"### `{name}`" for name in Settings.model_fields]),
        ("commands.md", [f"## {name}" for name in COMMANDS]),
    ],
)
def test_every_setting_and_command_has_a_heading(page: str, headings: list[str]) -> None:
    """Other pages can link to each of them."""
    lines = (REFERENCE / page).read_text(encoding="utf-8").splitlines()
    assert [] == [heading for heading in headings if heading not in lines]


def test_every_exit_code_is_explained() -> None:
    """The reference has a row for each code, with its meaning."""
    lines = (REFERENCE / "exit-codes.md").read_text(encoding="utf-8").splitlines()
    assert [] == [code for code in ExitCode if f"| {code.value} | {code.meaning} |" not in lines]


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
