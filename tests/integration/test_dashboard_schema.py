"""The dashboard, checked by the types that Grafana publishes for its release, as no Grafana is started here."""

import json
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from integration.test_deploy import COMPOSE, DASHBOARD
from support.programs import program

pytestmark = pytest.mark.long

CHECK = Path(__file__).parents[1] / "support" / "grafana"

Errors = Callable[[dict[str, Any]], str]


@pytest.fixture(scope="module")
def errors_of(tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """Install the types, once, and give what says which errors TypeScript finds in a dashboard."""
    folder = tmp_path_factory.mktemp("grafana")
    shutil.copytree(CHECK, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    install = [program("npm"), "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    def errors(dashboard: dict[str, Any]) -> str:
        source = "import type { OurDashboard } from './schema';\nexport const dashboard: OurDashboard = "
        (folder / "dashboard.ts").write_text(source + json.dumps(dashboard, indent=2) + ";\n")
        found = subprocess.run(
            [folder / "node_modules/.bin/tsc", "-p", "."], cwd=folder, capture_output=True, text=True, check=False
        )
        assert (found.returncode == 0) == (not found.stdout), found.stdout + found.stderr
        return found.stdout

    return errors


def test_types_are_those_of_the_grafana_that_is_deployed() -> None:
    """The package with the types has the version of the image."""
    image = COMPOSE["services"]["grafana"]["image"].rstrip("}").rpartition(":")[2]
    wanted = json.loads((CHECK / "package.json").read_text())["devDependencies"]
    locked = json.loads((CHECK / "package-lock.json").read_text())["packages"]
    assert image == wanted["@grafana/schema"] == locked["node_modules/@grafana/schema"]["version"]
    assert wanted == locked[""]["devDependencies"]


def test_dashboard_has_the_types_of_grafana(errors_of: Errors) -> None:
    """TypeScript finds no property that Grafana does not know and no value of another type."""
    assert "" == errors_of(DASHBOARD)


def test_wrong_types_are_noticed(errors_of: Errors) -> None:
    """The check finds an unknown property, an unknown kind of threshold, a text for a number and a lost query."""
    wrong = deepcopy(DASHBOARD)
    panels = {panel["title"]: panel for panel in wrong["panels"]}
    panels["Events"]["fieldConfig"]["defaults"]["custom"]["lineWith"] = 1
    panels["Lag, time"]["fieldConfig"]["defaults"]["thresholds"]["mode"] = "relative"
    panels["Hit rate"]["fieldConfig"]["defaults"]["decimals"] = "1"
    del panels["Memory"]["targets"][0]["expr"]
    wrong["templating"]["list"][1]["refresh"] = "always"
    found = errors_of(wrong)
    assert 5 == found.count("error TS"), found
    for name in ("lineWith", "relative", "type 'number'", "'expr'", "VariableRefresh"):
        assert name in found, found
