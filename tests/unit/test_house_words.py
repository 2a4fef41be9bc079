"""The field's words: no private dialect in names and docstrings (CONTRIBUTING.md)."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import online_lstm
import pytest

PACKAGE = Path(online_lstm.__file__).parent
TESTS = Path(__file__).parents[1]
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMELESS = {"utils", "helpers", "common", "base", "manager", "misc"}
DIALECT = re.compile(r"(Give|Say|Tell|Let|Take|Hear|Note|See)\b")
BOUNDS = re.compile(r"_?(MOST|LEAST|FEWEST|LONGEST|SHORTEST)(_|$)")
MAX_TEST_NAME = 60


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def docstrings(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_begin_with_the_usual_verbs(path: Path) -> None:
    """Functions return, compute, write and raise; they neither give nor say."""
    assert [] == [text for text in docstrings(path) if DIALECT.match(text)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_bounds_are_called_max_and_min(path: Path) -> None:
    """As everywhere else."""
    names = {node.id for node in nodes_of(path) if isinstance(node, ast.Name)}
    assert set() == {name for name in names if BOUNDS.match(name)}


def test_module_names_say_what_is_in_them() -> None:
    """No drawer for the rest."""
    assert set() == {path.stem for path in MODULES} & NAMELESS


def test_test_names_are_short() -> None:
    """The sentence is the docstring's."""
    texts = (path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    names = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert set() == {name for name in names if len(name) > MAX_TEST_NAME}
