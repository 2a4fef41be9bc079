"""What is deployed, checked by the programs that will read it."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from online_lstm.events import BASELINES, EXPERTS, TopicPartition
from online_lstm.observability.prometheus import PrometheusMetrics
from online_lstm.predictor_scores import Predictors
from online_lstm.settings import Settings
from online_lstm.settings.sources import ENV_PREFIX
from online_lstm.telemetry import (
    AssignmentChanged,
    BatchCommitted,
    CheckpointFinished,
    InputObserved,
    PartitionStats,
    RegressionStats,
    TopicMisfits,
    TransactionEnded,
)
from support.programs import program

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROMETHEUS = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
PROMETHEUS_FOLDER = ROOT / "deploy/prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for name in PROMETHEUS["rule_files"]
    for group in yaml.safe_load((PROMETHEUS_FOLDER / name).read_text())["groups"]
    for rule in group["rules"]
]
RECORDINGS: dict[str, str] = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/online-lstm.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ANNOTATIONS = [mark["target"]["expr"] for mark in DASHBOARD["annotations"]["list"]]
EXPRESSIONS = [*(target["expr"] for panel in PANELS for target in panel["targets"]), *ANNOTATIONS]
SOURCE = TopicPartition("numbers", 0)


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def compose_command() -> list[str]:
    """Prefer Compose 2, a plugin that may be missing though there is a docker command."""
    docker = shutil.which("docker") or ""
    plugin = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    return [docker, "compose"] if plugin and plugin.returncode == 0 else [program("docker-compose")]


@pytest.mark.long
def test_compose_file_parses() -> None:
    """Compose accepts the file, with and without the demo's services."""
    run(*compose_command(), "config", "-q")
    run(*compose_command(), "--profile", "demo", "config", "-q")


def test_published_ports_are_on_loopback() -> None:
    """Nothing can be reached from another machine unless someone changes the file."""
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert len(ports) == 4
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_compose_sets_settings_that_exist() -> None:
    """Every ONLINE_LSTM_ variable is the name of a setting; the address to serve on is stated."""
    names = {
        name.removeprefix(ENV_PREFIX).lower()
        for service in COMPOSE["services"].values()
        for name in service.get("environment", ())
        if name.startswith(ENV_PREFIX)
    }
    assert {"bootstrap_servers", "http_host", "checkpoint_url"} <= names
    assert set() == names - Settings.model_fields.keys()


def test_mounted_files_exist() -> None:
    """What a service mounts from the repository is there, and the provisioning points into it."""
    mounts = dict(
        volume.split(":")[:2][::-1]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    )
    assert [path for path in mounts.values() if not (ROOT / path).is_dir()] == []
    provisioning = ROOT / mounts["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/online-lstm.yml").read_text())["providers"]
    assert (ROOT / mounts[provider["options"]["path"]] / "online-lstm.json").is_file()
    (datasource,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert datasource["uid"] == DASHBOARD["templating"]["list"][0]["current"]["value"]


@pytest.mark.long
def test_prometheus_accepts_configuration_and_rules() -> None:
    """Its own checker finds nothing wrong with either."""
    run(program("promtool"), "check", "config", "deploy/prometheus/prometheus.yml")


def test_every_alert_says_what_to_do() -> None:
    """Each has a severity, a summary, and sentences on what it means and on what to look at and do."""
    assert {"critical", "warning", "info"} == {rule["labels"]["severity"] for rule in ALERTS.values()}
    for name, rule in ALERTS.items():
        told = rule["annotations"]
        assert {"summary", "description", "runbook"} == told.keys(), name
        assert told["description"].endswith("."), name
        assert told["runbook"].startswith("Look "), name
        assert told["runbook"].endswith("."), name


def test_every_panel_explains_itself() -> None:
    """Each panel has a description, a unit, a number of its own and the data source of the variable."""
    assert len(PANELS) == len({panel["title"] for panel in PANELS})
    assert [panel["title"] for panel in PANELS if not panel["description"].endswith(".")] == []
    assert [panel["title"] for panel in PANELS if not panel["fieldConfig"]["defaults"]["unit"]] == []
    assert {"${datasource}"} == {
        source["datasource"]["uid"] for panel in PANELS for source in (panel, *panel["targets"])
    }
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))


def test_panels_are_chosen_by_topic_and_partition() -> None:
    """What is told by topic and partition follows the variables; a process has neither."""
    assert ["datasource", "topic", "partition"] == [one["name"] for one in DASHBOARD["templating"]["list"]]
    chosen = '{topic=~"$topic", partition=~"$partition"'
    by_partition = {name for name, labels in labels_of_metrics().items() if "topic" in labels} | RECORDINGS.keys()
    for expression in EXPRESSIONS:
        for selector in re.finditer(r"([\w:]*online_lstm_\w+(?::\w+)?)(\{[^}]*)?", expression):
            follows = (selector[2] or "").startswith(chosen)
            assert follows == (selector[1] in by_partition), expression


def test_thresholds_are_those_of_the_alerts() -> None:
    """A panel turns red where an alert begins to wait."""
    red = {
        panel["title"]: step["value"]
        for panel in PANELS
        for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", ())
        if step["color"] == "red" and step["value"] is not None
    }
    for title, alert in {
        "Lag, time": "OnlineLstmFallingBehind",
        "Checkpoint age": "OnlineLstmCheckpointsStale",
        "Share of dead letters": "OnlineLstmDeadLetters",
        "Share forgotten without a label": "OnlineLstmSequencesUnlabelled",
        "Blocked by an open transaction": "OnlineLstmOpenTransaction",
    }.items():
        limits = re.findall(r"[<>] ([\d.]+)", ALERTS[alert]["expr"])
        assert red.pop(title) in map(float, limits), title
    of_counts = {"Lineages and lost records", "Alerts", "Suspected configuration mistakes", "Unsuitable topic settings"}
    assert dict.fromkeys(of_counts, 1) == red


def test_panels_lie_beside_each_other() -> None:
    """The rows are as wide as the dashboard, and no panel covers another."""
    taken = [
        (at["x"] + x, at["y"] + y)
        for at in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(at["w"])
        for y in range(at["h"])
    ]
    assert len(taken) == len(set(taken))
    assert {(x, y) for x in range(24) for y in range(max(y for _, y in taken) + 1)} == set(taken)


def test_rows_are_there_for_every_task() -> None:
    """Symbols, numbers and labels have panels of their own, beside those of all."""
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert [
        "Is it learning?",
        "Does it keep up?",
        "Is it safe to restart?",
        "Symbols",
        "Numbers",
        "Labels",
        "What should not happen",
    ] == rows


def labels_of_metrics() -> dict[str, frozenset[str]]:
    """Give the name of every series that the daemon can show, and its labels."""
    metrics = PrometheusMetrics(
        baselines=BASELINES["number"], experts=EXPERTS["number"], reasons=("not_utf8",), build={}, interval_level=0.9
    )
    metrics.observe(AssignmentChanged(assigned=(SOURCE,)))
    tell_all(metrics)
    metrics.observe(InputObserved(SOURCE, lag_records=0, open_transaction_s=0.0))
    metrics.observe(TopicMisfits("predictions", (("cleanup.policy", "compacted"),)))
    return {sample.name: frozenset(sample.labels) for family in metrics.registry.collect() for sample in family.samples}


def tell_all(metrics: PrometheusMetrics) -> None:
    """Tell one report of each kind, with all that any task tells."""
    predictors = Predictors(BASELINES["number"], EXPERTS["number"])
    metrics.observe(TransactionEnded(seconds=0.004, records=11, committed=True))
    metrics.observe(
        BatchCommitted(
            source=SOURCE,
            events=10,
            scored=9,
            hits=predictors.named((1,) * predictors.count),
            fit_steps=10,
            skipped_steps=0,
            dead_letters=(("not_utf8", 1),),
            evicted_streams=0,
            step_seconds=0.003,
            lag_records=3,
            last_timestamp_ms=int(time.time() * 1000) - 20,
        )
    )
    metrics.observe(
        PartitionStats(
            source=SOURCE,
            streams=1,
            vocabulary=14,
            hit_rates=predictors.named((0.8,) * predictors.count),
            log_loss_bits=0.4,
            numbers=RegressionStats(
                mean_absolute_errors=predictors.named((2.0,) * predictors.count),
                root_mean_squared_error=2.5,
                mean_absolute_error_ratios=predictors.named((0.1,) * predictors.count),
                mean_absolute_percentage_error=0.2,
                skill=0.5,
                skills=dict.fromkeys(predictors.baselines, 0.5),
                interval_coverage=0.9,
            ),
            checkpoint_offset=100,
            waiting_sequences=1,
            kappa_temporal=0.7,
            surprise_bits=0.1,
        )
    )
    metrics.observe(CheckpointFinished(SOURCE, 100, "written", seconds=0.02, size_bytes=4096))


def test_dashboard_and_rules_name_metrics_that_exist() -> None:
    """No expression or variable asks for a metric that neither the daemon has nor a rule records."""
    existing = labels_of_metrics().keys() | RECORDINGS.keys()
    asked = json.dumps(DASHBOARD) + json.dumps(RULES)
    named = set(re.findall(r"[\w:]*\bonline_lstm_\w+(?::\w+)?", asked))
    assert set() == named - existing
    used = [*EXPRESSIONS, *RECORDINGS.values(), *(rule["expr"] for rule in ALERTS.values())]
    assert set() == RECORDINGS.keys() - set(re.findall(r"[\w:]+", " ".join(used)))


def test_dashboard_shows_gauges_and_refused_records() -> None:
    """Each gauge of the reference has a panel, except for two; so does the counter of records in another form."""
    reference = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(online_lstm_\w+)` \| gauge", reference, re.MULTILINE)
    elsewhere = {
        "online_lstm_last_event_timestamp_seconds",  # the lag says more
        "online_lstm_checkpoint_offset",  # for those who go on by hand
    }
    assert any("online_lstm_reformed_records_total" in expression for expression in EXPRESSIONS)
    assert elsewhere == {name for name in listed if not re.search(rf"\b{name}\b", " ".join(EXPRESSIONS))}
