import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import online_lstm
import pytest

PACKAGE = Path(online_lstm.__file__).parent
ORDER = (
    *(
        "errors",
        "predictor_scores",
        "events",
        "significance",
        "timestamps",
        "atomic_write",
        "home_directory",
        "shutdown",
        "logs",
    ),
    *("telemetry", "settings", "codec", "learning", "checkpoint", "api", "river"),
    *("streaming", "testing", "observability"),
    *("terminal", "backtest", "audit", "devtools", "evaluation", "cli"),
)
"""Modules and packages of ``online_lstm``; each imports only from those before it."""
HOMES: dict[str, set[str]] = {
    "tensorflow": {"learning.network"},
    "keras": {"learning.network"},
    "numba": {"learning.jit"},
    "h5py": {"checkpoint"},
    "fsspec": {"checkpoint"},
    "kafka": {"streaming.kafka", "devtools"},
    "prometheus_client": {"observability", "devtools"},  # the demo reads what the metrics write
    "matplotlib": {"backtest"},
    "jinja2": {"backtest"},
    "starlette": {"observability"},
    "uvicorn": {"observability"},
    "narwhals": {"api"},
    "fastavro": {"codec.avro_content"},
    "google": {"codec.protobuf_content"},
    "grpc_tools": set(),  # its compiler runs in a process of its own
    "pydantic": {"settings"},
    "river": {"river"},
    "pytest": set(),  # what the testing module offers suits any runner of tests
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the module or package directly below ``online_lstm`` that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    """Return the dotted names that a file imports, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(names)


@cache
def inner_imports_of(path: Path) -> frozenset[str]:
    """Return the modules of this package that a file imports from, as dotted paths below ``daemon``."""
    found = set()
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "online_lstm":
            while len(parts) > 1 and not module_path(parts[1:]).exists():
                parts.pop()
            found.add(".".join(parts[1:]))
    return frozenset(found - {""})


def module_path(parts: list[str]) -> Path:
    place = PACKAGE.joinpath(*parts)
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def test_the_order_names_every_module() -> None:
    """A new module is put into the order, and a removed one leaves it."""
    assert set(ORDER) == {name_of(path) for path in MODULES} - {"__init__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_those_before_it(path: Path) -> None:
    """Neither upwards nor sideways; within a package there is an order of its own."""
    name = name_of(path)
    for imported in inner_imports_of(path):
        other = imported.partition(".")[0]
        if name == "__init__":  # it offers the Python API, and nothing else
            assert other == "api"
            continue
        if other != name:
            assert ORDER.index(other) < ORDER.index(name), f"{name} imports {imported}"


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
def test_a_library_is_imported_in_its_home_only(library: str) -> None:
    """What it is like to use a library concerns the packages named here."""
    for path in MODULES:
        if any(name.partition(".")[0] == library for name in imports_of(path)):
            module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            assert any(f"{module}.".startswith(f"{home}.") for home in HOMES[library]), f"{module} imports {library}"


def test_module_names_are_unique() -> None:
    """A name stands for one thing, wherever it is."""
    names = [path.stem for path in MODULES if path.stem != "__init__"]
    assert sorted(set(names)) == sorted(names)


def test_class_names_are_unique() -> None:
    """Two classes of one name would have to be told apart by their modules."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in MODULES)
    names = [node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    assert [] == sorted({name for name in names if names.count(name) > 1})


def test_the_command_line_loads_nothing_heavy() -> None:
    """A help text comes at once: neither TensorFlow nor numba nor Kafka is imported for it."""
    heavy = "{'tensorflow', 'keras', 'numba', 'kafka', 'h5py', 'matplotlib', 'jinja2'}"
    load = "import sys\nfrom online_lstm.cli import main\nmain.build_parser()"
    program = f"{load}\nprint(sorted({heavy} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "[]" == found.stdout.strip()


def test_a_command_loads_no_other_command() -> None:
    """The list of commands needs no command, and the help text of ``run`` only ``run``."""
    load = "import sys\nfrom online_lstm.cli import main"
    modules = (
        "sorted(name for name in sys.modules if name.startswith(('online_lstm.cli.', 'rich', 'online_lstm.settings')))"
    )
    program = f"{load}\nmain.build_parser(['--help'])\nprint({modules})\nmain.build_parser(['run'])\nprint({modules})"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = found.stdout.splitlines()
    assert "['online_lstm.cli.main']" == first
    assert ["main", "options", "run"] == re.findall(r"online_lstm\.cli\.(\w+)", second)


def test_the_daemon_imports_no_library_of_other_commands() -> None:
    """The imports of ``run`` load no library for charts or tables, and neither TensorFlow nor numba."""
    heavy = "{'tensorflow', 'keras', 'numba', 'scipy', 'matplotlib', 'jinja2', 'rich', 'requests'}"
    imports = [
        ast.unparse(node)
        for node in ast.walk(ast.parse((PACKAGE / "cli" / "run.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
    ]
    program = "\n".join([*imports, "import sys", f"print(sorted({heavy} & sys.modules.keys()))"])
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "[]" == found.stdout.strip()
