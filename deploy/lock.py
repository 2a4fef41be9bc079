"""Write the exact versions that the installation uses, with hashes, to ``deploy/requirements``.

``make lock`` keeps versions that still fit the ranges of ``pyproject.toml``, ``make lock UPGRADE=1`` takes the newest,
and ``make outdated`` prints what that would change. The files name no package index: pip's own settings decide.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "deploy/requirements"
OLDEST_PYTHON = "3.11"
PROJECT = ("pyproject.toml", "--group", "build")
ENVIRONMENTS = {
    "test": ("pyproject.toml", "--all-extras", "--group", "test"),  # all packages; the others take its versions
    "installer": ("--group", "installer"),
    "runtime": (*PROJECT, "--extra", "broker"),
    "image": (*PROJECT, "--extra", "avro", "--extra", "protobuf", "--extra", "s3"),
    "lint": (*PROJECT, "--extra", "broker", "--group", "lint"),
    "docs": ("--group", "build", "--group", "docs"),
}
"""The name of each file, and the dependencies, extras and groups of ``pyproject.toml`` in it."""
_PIN = re.compile(r"^([a-z0-9-]+)(?:\[[^\]]*\])?==([^\s;]+)", re.MULTILINE)


def pins_of(text: str) -> dict[str, str]:
    """Return the version of each package in a requirements file."""
    return dict(_PIN.findall(text))


def resolve(name: str, output: Path, *options: str) -> None:
    """Write the versions of one environment to a file; versions that are there already stay if they fit."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--generate-hashes", "--no-annotate", "--no-header"),
        *("--universal", "--python-version", OLDEST_PYTHON, "--fork-strategy", "fewest"),
        *(*ENVIRONMENTS[name], "--output-file", str(output), *options),
    ]
    subprocess.run(command, cwd=ROOT, check=True)


def lock(*, upgrade: bool) -> None:
    """Resolve every environment, all with the same version of a package."""
    everything = FOLDER / "test.txt"
    for name in ENVIRONMENTS:
        print(f"resolving {name}", flush=True)
        if name == "test":
            resolve(name, everything, *(["--upgrade"] if upgrade else []))
        else:
            resolve(name, FOLDER / f"{name}.txt", "--constraint", str(everything))


def outdated() -> None:
    """Print each package that has a newer version within the ranges of ``pyproject.toml``."""
    with TemporaryDirectory() as folder:
        newest = Path(folder, "test.txt")
        resolve("test", newest, "--upgrade")
        old, new = (pins_of(path.read_text(encoding="utf-8")) for path in (FOLDER / "test.txt", newest))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            print(f"{name:30} {old.get(name, '-'):20} {new.get(name, '-')}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--upgrade", action="store_true", help="take the newest versions")
    action.add_argument("--outdated", action="store_true", help="print what --upgrade would change")
    arguments = parser.parse_args()
    if arguments.outdated:
        outdated()
    else:
        lock(upgrade=arguments.upgrade)
