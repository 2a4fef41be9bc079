"""The locked versions, the workflows and the Makefile agree with ``pyproject.toml``."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from lock import ENVIRONMENTS, pins_of
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCKED = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "deploy/requirements").glob("*.txt")}
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PYTHONS = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.fullmatch(r".*:: Python :: 3\.\d+", name)]


def requirements_of(environment: str) -> list[Requirement]:
    """Return the direct dependencies of an environment, as ``pyproject.toml`` has them."""
    sources = ENVIRONMENTS[environment]
    found = list(PROJECT["dependencies"]) if "pyproject.toml" in sources else []
    extras = PROJECT["optional-dependencies"]
    for option, name in zip(sources, (*sources[1:], ""), strict=True):
        if option == "--all-extras":
            found += [requirement for extra in extras.values() for requirement in extra]
        elif option == "--extra":
            found += extras[name]
        elif option == "--group":
            found += group(name)
    return [Requirement(requirement) for requirement in found]


def group(name: str) -> list[str]:
    """Return a dependency group with those that it includes."""
    return [
        requirement
        for entry in PYPROJECT["dependency-groups"][name]
        for requirement in ([entry] if isinstance(entry, str) else group(entry["include-group"]))
    ]


def steps_of(workflow: Path) -> list[dict[str, Any]]:
    """Return all steps of all jobs."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_every_environment_is_locked() -> None:
    """There is a file for each, and no other."""
    assert ENVIRONMENTS.keys() == LOCKED.keys()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_direct_dependencies_are_locked_within_range(environment: str) -> None:
    """After a change of pyproject.toml, ``make lock`` has to follow."""
    pins = pins_of(LOCKED[environment])
    requirements = requirements_of(environment)
    assert requirements
    for requirement in requirements:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), f"{requirement}: make lock"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_locked_files_have_hashes_and_name_no_host(environment: str) -> None:
    """Each package has the hashes of its files; where they come from is the affair of who installs."""
    text = LOCKED[environment]
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(pins_of(text)) == len(blocks)
    assert [block for block in blocks if not re.search(r"--hash=sha256:[0-9a-f]{64}", block)] == []
    assert re.search(r"://|--(extra-)?index-url|--find-links", text) is None


def test_a_package_has_one_version_everywhere() -> None:
    """What is tested is what runs in the image and in the demo."""
    everything = pins_of(LOCKED["test"]).items()
    assert [name for name, text in LOCKED.items() if not pins_of(text).items() <= everything] == []


def test_the_demo_installs_no_test_packages() -> None:
    """It has what runs, and the container client for its broker."""
    runtime = pins_of(LOCKED["runtime"])
    assert {"tensorflow", "kafka-python", "testcontainers"} <= runtime.keys()
    assert {"moto", "s3fs", "botocore", "pytest", "sphinx", "ruff"}.isdisjoint(runtime)
    assert "s3fs" in pins_of(LOCKED["image"])


def test_supported_pythons_are_the_same_everywhere() -> None:
    """Classifiers, the range, the Makefile and the workflow's matrix."""
    supported = SpecifierSet(PROJECT["requires-python"])
    assert PYTHONS == [f"3.{minor}" for minor in range(30) if f"3.{minor}" in supported]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    ((first, after),) = re.findall(r"SUPPORTED := \(3, (\d+)\) <= sys.version_info < \(3, (\d+)\)", makefile)
    assert PYTHONS == [f"3.{minor}" for minor in range(int(first), int(after))]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert PYTHONS == workflow["jobs"]["check"]["strategy"]["matrix"]["python"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_what_exists(workflow: Path) -> None:
    """Each make target and each script of this repository that a workflow runs is there."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = [step["run"] for step in steps_of(workflow) if "run" in step]
    targets = [target for command in commands for target in re.findall(r"\bmake (\w+)", command)]
    assert targets
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
    scripts = [path for command in commands for path in re.findall(r"(?:^|sudo )(deploy/\S+|\.ci/\S+)", command)]
    assert [path for path in scripts if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_do_no_more_than_they_need(workflow: Path) -> None:
    """They read the repository unless a job says otherwise, end by themselves, and keep no credentials."""
    content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert {"contents": "read"} == content["permissions"]
    assert [name for name, job in content["jobs"].items() if "timeout-minutes" not in job] == []
    checkouts = [step for step in steps_of(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(content["jobs"])
    assert [step for step in checkouts if step["with"]["persist-credentials"]] == []


@pytest.mark.parametrize(
    "name",
    [".github/dependabot.yml", ".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/idea.yml", "CITATION.cff"],
)
def test_project_files_parse(name: str) -> None:
    """Each is YAML with the keys that its reader asks for."""
    content = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    expected = {"dependabot": {"version", "updates"}, "CITATION": {"cff-version", "title", "authors", "message"}}
    assert expected.get(Path(name).stem, {"name", "description", "body"}) <= content.keys()


def test_hooks_run_programs_of_the_environment() -> None:
    """What is checked before a commit is what `make lint` checks, with the same versions."""
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert {"local"} == {repository["repo"]}
    assert {".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/python"} == {
        hook["entry"].split()[0] for hook in repository["hooks"]
    }


def test_the_image_installs_the_locked_versions() -> None:
    """With hashes; the project itself comes without dependencies of its own choice."""
    text = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = [line for line in re.split(r"\n|&&", text) if "pip install" in line]
    assert 3 == len(installs)
    assert [line for line in installs if ("--require-hashes" in line) == ("--no-deps" in line)] == []
    assert ["installer", "image"] == re.findall(r"deploy/requirements/(\w+)\.txt", text)
