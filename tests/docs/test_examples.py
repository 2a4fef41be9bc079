"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import online_lstm
import pytest

PACKAGE = Path(online_lstm.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


LEARNING = {"learner", "river"}
"""Modules whose examples compile networks."""


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.long] if path.stem in LEARNING else []) for path in MODULES],
    ids=lambda path: path.stem,
)
def test_examples_in_docstrings_give_what_they_say(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is run as it stands, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    name = ".".join([online_lstm.__name__, *path.relative_to(PACKAGE).with_suffix("").parts])
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
