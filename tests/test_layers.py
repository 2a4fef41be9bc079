import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import daemon

PACKAGE = Path(daemon.__file__).parent
LAYERS = (
    {"atomic_write", "errors", "records", "processes", "shutdown", "times", "indicators", "headline"},
    {"homes", "logs", "rows", "reports", "presets", "curve"},
    {"settings_sources"},
    {"settings"},
    {"codec", "vocabulary", "scores", "scaler", "accuracy", "drift"},
    {"network", "experts", "stored", "hints"},
    {"tasks", "warm_start"},
    {"learners"},
    {"partition"},
    {"checkpoint", "broker", "metrics", "summary", "board", "web", "local_broker"},
    {"recovery", "monitor"},
    {"service"},
    {"commands"},
    {"cli"},
)
HOMES = {
    "tensorflow": {"network"},
    "keras": {"network"},
    "h5py": {"checkpoint"},
    "fsspec": {"checkpoint"},
    "kafka": {"broker", "local_broker", "commands"},
    "prometheus_client": {"metrics", "commands"},  # the demo reads what the metrics write
    "numba": {"experts"},
    "matplotlib": {"commands"},
    "jinja2": {"commands"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "pydantic": {"settings"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """The module or package directly below ``daemon`` that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def layer_of(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def imports_of(path: Path) -> Iterator[str]:
    """Give the dotted names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inner_imports_of(path: Path) -> set[str]:
    """Give the modules of this package that a file imports from, as dotted paths below ``daemon``."""
    found = set()
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "daemon":
            while len(parts) > 1 and not module_path(parts[1:]).exists():
                parts.pop()
            found.add(".".join(parts[1:]))
    return found - {""}


def module_path(parts: list[str]) -> Path:
    place = PACKAGE.joinpath(*parts)
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def test_every_module_has_its_layer() -> None:
    """A new module is put into the order, and one that went leaves it."""
    names = {name_of(path) for path in MODULES} - {"__init__"}
    assert set().union(*LAYERS) == names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_from_layers_below_only(path: Path) -> None:
    """Neither upwards nor sideways; within a package there is an order of its own."""
    name = name_of(path)
    for imported in inner_imports_of(path):
        other = imported.partition(".")[0]
        if other != name:
            assert layer_of(other) < layer_of(name), f"{name} imports {imported}"


@pytest.mark.parametrize("package", sorted({p.parent for p in MODULES} - {PACKAGE}), ids=lambda path: path.name)
def test_the_modules_of_a_package_do_not_import_in_circles(package: Path) -> None:
    """Whoever reads a package can begin with a module that needs no other one of it; a package in it is as a module."""
    prefix = ".".join(package.relative_to(PACKAGE).parts) + "."
    needs: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        module = path.relative_to(package).with_suffix("").parts[0]
        imported = {name.removeprefix(prefix) for name in inner_imports_of(path) if name.startswith(prefix)}
        needs.setdefault(module, set()).update({name.partition(".")[0] for name in imported} - {module})
    while needs:
        free = {name for name, needed in needs.items() if not needed & needs.keys()}
        assert free, f"{package.name}: {needs}"
        needs = {name: needed for name, needed in needs.items() if name not in free}


@pytest.mark.parametrize("library", HOMES)
def test_a_foreign_library_has_one_place(library: str) -> None:
    """What it is like to use a library is the affair of the modules named here."""
    users = {name_of(path) for path in MODULES if any(name.partition(".")[0] == library for name in imports_of(path))}
    assert users <= HOMES[library]


def test_the_command_line_loads_nothing_heavy() -> None:
    """A help text comes at once: neither TensorFlow nor numba nor Kafka is imported for it."""
    heavy = "{'tensorflow', 'keras', 'numba', 'kafka', 'h5py', 'matplotlib', 'jinja2'}"
    program = f"import sys, daemon.cli; daemon.cli.build_parser(); print(sorted({heavy} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "[]" == found.stdout.strip()
