"""What is deployed, checked by the programs that will read it."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.metrics import Metrics
from daemon.records import BASELINES as BASELINES_OF
from daemon.records import EXPERTS as EXPERTS_OF
from daemon.records import TopicPartition
from daemon.reports import (
    AssignmentReport,
    BatchReport,
    CheckpointReport,
    PartitionReport,
    TransactionReport,
)
from daemon.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parent.parent
BASELINES, EXPERTS = BASELINES_OF["symbol"], EXPERTS_OF["symbol"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROMETHEUS = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
ALERTS_FILE = ROOT / "deploy/prometheus/alerts.yml"
ALERTS = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load(ALERTS_FILE.read_text())["groups"]
    for rule in group["rules"]
}
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/online-lstm.json").read_text())
SOURCE = TopicPartition("numbers", 0)


def program(name: str) -> str:
    """Find a program; in CI it has to be there."""
    if path := shutil.which(name):
        return path
    reason = f"{name} is not installed; it is in Debian's packages prometheus and docker-compose"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def compose_command() -> list[str]:
    """Prefer Compose 2, a plugin that may be missing though there is a docker command."""
    docker = shutil.which("docker") or ""
    plugin = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    return [docker, "compose"] if plugin and plugin.returncode == 0 else [program("docker-compose")]


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


def test_prometheus_accepts_configuration_and_rules() -> None:
    """Its own checker finds nothing wrong with either."""
    run(program("promtool"), "check", "config", "deploy/prometheus/prometheus.yml")


OF = 'job="online-lstm", instance="a", topic="numbers", partition="0"'
HEALTHY = {  # one value a minute; `0+600x60` rises by 600 sixty times
    'up{job="online-lstm", instance="a"}': "1x60",
    'online_lstm_partitions_assigned{job="online-lstm", instance="a"}': "1x60",
    'online_lstm_transactions_total{job="online-lstm", instance="a", result="aborted"}': "0x60",
    f"online_lstm_events_total{{{OF}}}": "0+600x60",
    f"online_lstm_lag_records{{{OF}}}": "0x60",
    f"online_lstm_lag_seconds{{{OF}}}": "0x60",
    f"online_lstm_lift{{{OF}}}": "0.3x60",
    f"online_lstm_fit_steps_skipped_total{{{OF}}}": "0x60",
    f'online_lstm_dead_letters_total{{{OF}, reason="not_utf8"}}': "0x60",
    f'online_lstm_checkpoints_total{{{OF}, result="failed"}}': "0x60",
    f"online_lstm_last_checkpoint_timestamp_seconds{{{OF}}}": "0+60x60",
}
AILING = {
    "OnlineLstmDown": {"up": "0x60"},
    "OnlineLstmNoPartitions": {"online_lstm_partitions_assigned": "0x60"},
    "OnlineLstmStalled": {"online_lstm_lag_records": "5x60", "online_lstm_events_total": "600x60"},
    "OnlineLstmFallingBehind": {
        "online_lstm_lag_records": "0+100x60",
        "online_lstm_lag_seconds": "0+10x60",
    },
    "OnlineLstmWorseThanBaseline": {"online_lstm_lift": "-0.1x60"},
    "OnlineLstmFitStepsSkipped": {"online_lstm_fit_steps_skipped_total": "0+1x60"},
    "OnlineLstmDeadLetters": {"online_lstm_dead_letters_total": "0+60x60"},
    "OnlineLstmTransactionsAborted": {"online_lstm_transactions_total": "0+1x60"},
    "OnlineLstmCheckpointsFailing": {"online_lstm_checkpoints_total": "0+1x60"},
    "OnlineLstmCheckpointsStale": {"online_lstm_last_checkpoint_timestamp_seconds": "_x60"},
}


def alert_test(name: str | None, ailment: dict[str, str]) -> dict[str, Any]:
    """Describe to promtool an hour with this ailment, at the end of which just this alert fires."""
    firing = [] if name is None else [{"labels": f'{{alertname="{name}"}}', "value": 1}]
    return {
        "name": name or "healthy",
        "interval": "1m",
        "input_series": [
            {"series": series, "values": ailment.get(series.partition("{")[0], values)}
            for series, values in HEALTHY.items()
        ],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "50m",
                "exp_samples": firing,
            }
        ],
    }


def test_each_alert_fires_for_its_ailment_only(tmp_path: Path) -> None:
    """A healthy hour raises no alert; each ailment raises its own and no other."""
    assert ALERTS.keys() == AILING.keys()
    tests = [alert_test(None, {}), *(alert_test(name, ailment) for name, ailment in AILING.items())]
    suite = tmp_path / "alerts_test.yml"
    suite.write_text(yaml.safe_dump({"rule_files": [str(ALERTS_FILE)], "evaluation_interval": "1m", "tests": tests}))
    run(program("promtool"), "test", "rules", str(suite))


def test_every_panel_explains_itself() -> None:
    """Each panel has a description, a unit, a number of its own and the data source of the variable."""
    panels = DASHBOARD["panels"]
    assert len(panels) == len({panel["id"] for panel in panels})
    assert [panel["title"] for panel in panels if not panel["description"].endswith(".")] == []
    assert [panel["title"] for panel in panels if not panel["fieldConfig"]["defaults"]["unit"]] == []
    assert {"${datasource}"} == {
        source["datasource"]["uid"] for panel in panels for source in (panel, *panel["targets"])
    }
    assert [v["name"] for v in DASHBOARD["templating"]["list"]] == ["datasource", "topic", "partition"]


def new_metrics() -> Metrics:
    metrics = Metrics(baselines=BASELINES, experts=EXPERTS, reasons=("not_utf8", "not_finite"), build={})
    metrics.observe(AssignmentReport(assigned=(SOURCE,)))
    return metrics


def tell_all(metrics: Metrics) -> None:
    """Tell one report of each kind, as a loop that works would."""
    metrics.observe(TransactionReport(seconds=0.004, records=11, committed=True))
    metrics.observe(
        BatchReport(
            source=SOURCE,
            events=10,
            scored=9,
            hits=7,
            baseline_hits=(1,) * len(BASELINES),
            expert_hits=(1,) * len(EXPERTS),
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
        PartitionReport(
            source=SOURCE,
            streams=1,
            vocabulary=14,
            hit_rate=0.8,
            baseline_hit_rates=(0.1,) * len(BASELINES),
            expert_hit_rates=(0.7,) * len(EXPERTS),
            log_loss_bits=0.4,
            numbers=None,
            checkpoint_offset=100,
        )
    )
    metrics.observe(CheckpointReport(SOURCE, 100, "written", seconds=0.02, size_bytes=4096))


def test_dashboard_and_alerts_name_metrics_that_exist() -> None:
    """No expression or variable asks for a metric that the daemon does not have."""
    metrics = new_metrics()
    tell_all(metrics)
    existing = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    named = set(re.findall(r"\bonline_lstm_\w+", json.dumps(DASHBOARD) + json.dumps(ALERTS)))
    assert set() == named - existing
