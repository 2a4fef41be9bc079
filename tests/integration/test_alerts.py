"""The alerts and the recording rules, run by Prometheus' own test of rules."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.test_deploy import ALERTS, PROMETHEUS_FOLDER, RECORDINGS
from support.programs import program

PARTITION = 'job="online-lstm", instance="a", topic="numbers", partition="0"'
LENGTH = 180
"""Minutes that are told of: longer than any rule looks back and waits."""

Series = dict[str, str]

HEALTHY: Series = {  # one value a minute; `0+600x180` rises by 600 a hundred and eighty times
    'up{job="online-lstm", instance="a"}': "1x180",
    'process_start_time_seconds{job="online-lstm", instance="a"}': "0x180",
    'online_lstm_partitions_assigned{job="online-lstm", instance="a"}': "1x180",
    'online_lstm_rebalances_total{job="online-lstm", instance="a"}': "1x180",
    'online_lstm_transactions_total{job="online-lstm", instance="a", result="aborted"}': "0x180",
    f"online_lstm_events_total{{{PARTITION}}}": "0+600x180",
    f"online_lstm_predictions_scored_total{{{PARTITION}}}": "0+600x180",
    f"online_lstm_hits_total{{{PARTITION}}}": "0+480x180",
    f'online_lstm_baseline_hits_total{{{PARTITION}, baseline="last_value"}}': "0+60x180",
    f"online_lstm_lag_records{{{PARTITION}}}": "0x180",
    f"online_lstm_lag_seconds{{{PARTITION}}}": "0x180",
    f"online_lstm_open_transaction_seconds{{{PARTITION}}}": "0x180",
    f'online_lstm_hint{{{PARTITION}, hint="keys_never_return"}}': "0x180",
    f'online_lstm_hint{{{PARTITION}, hint="predictions_removed"}}': "0x180",
    f'online_lstm_hint{{{PARTITION}, hint="nothing_readable"}}': "0x180",
    f"online_lstm_lift{{{PARTITION}}}": "0.3x180",
    f"online_lstm_drifts_total{{{PARTITION}}}": "0x180",
    f"online_lstm_streams{{{PARTITION}}}": "1x180",
    f"online_lstm_sequences_waiting{{{PARTITION}}}": "_x180",
    f'online_lstm_skill{{{PARTITION}, baseline="best"}}': "_x180",
    f"online_lstm_interval_coverage{{{PARTITION}}}": "_x180",
    f"online_lstm_interval_coverage_target{{{PARTITION}}}": "_x180",
    f"online_lstm_fit_steps_skipped_total{{{PARTITION}}}": "0x180",
    f'online_lstm_dead_letters_total{{{PARTITION}, reason="not_utf8"}}': "0x180",
    f'online_lstm_checkpoints_total{{{PARTITION}, result="failed"}}': "0x180",
    f"online_lstm_last_checkpoint_timestamp_seconds{{{PARTITION}}}": "0+60x180",
    f'online_lstm_lineages_total{{{PARTITION}, reason="beginning"}}': "1x180",
    f'online_lstm_lineages_total{{{PARTITION}, reason="gap"}}': "0x180",
    f"online_lstm_sequences_unlabelled_total{{{PARTITION}}}": "0x180",
}


def of(name: str, values: str) -> Series:
    """Let the series of this name have other values; the last of them, if there are several."""
    return {[series for series in HEALTHY if series.startswith(f"online_lstm_{name}{{")][-1]: values}


def hinted(name: str, values: str) -> Series:
    """Return the series of a hint with other values."""
    return {f'online_lstm_hint{{{PARTITION}, hint="{name}"}}': values}


FIRING: dict[str, Series] = {
    "OnlineLstmDown": {'up{job="online-lstm", instance="a"}': "0x180"},
    "OnlineLstmNoPartitions": of("partitions_assigned", "0x180"),
    "OnlineLstmStalled": of("lag_records", "5x180") | of("events_total", "600x180"),
    "OnlineLstmOpenTransaction": of("open_transaction_seconds", "0x179 6")
    | of("lag_records", "5x180")
    | of("events_total", "600x180"),
    "OnlineLstmKeysNeverReturn": hinted("keys_never_return", "0x170 1x10"),
    "OnlineLstmPredictionsRemoved": hinted("predictions_removed", "0x179 1"),
    "OnlineLstmInputMisread": hinted("nothing_readable", "0x170 1x10"),
    "OnlineLstmFallingBehind": of("lag_records", "0+100x180") | of("lag_seconds", "0+10x180"),
    "OnlineLstmWorseThanBaseline": of("lift", "-0.03x180"),
    "OnlineLstmSkillBelowZero": of("skill", "-0.01x180") | of("lift", "-0.1x180"),
    "OnlineLstmIntervalCoverageOff": of("interval_coverage", "0.75x180") | of("interval_coverage_target", "0.9x180"),
    "OnlineLstmStreamChanged": of("drifts_total", "0x175 1x5"),
    "OnlineLstmFitStepsSkipped": of("fit_steps_skipped_total", "0x175 1x5"),
    "OnlineLstmDeadLetters": of("dead_letters_total", "0+7x180"),
    "OnlineLstmDeadLettersRising": of("dead_letters_total", "0+1x150 150+4x30"),
    "OnlineLstmTransactionsAborted": of("transactions_total", "0+0.3x180"),
    "OnlineLstmRebalancing": of("rebalances_total", "0+0.5x180"),
    "OnlineLstmCheckpointsFailing": of("checkpoints_total", "0x175 1x5"),
    "OnlineLstmCheckpointsStale": of("last_checkpoint_timestamp_seconds", "_x180"),
    "OnlineLstmLineageBroken": of("lineages_total", "0x160 1x20"),
    "OnlineLstmSequencesUnlabelled": of("sequences_unlabelled_total", "0+80x180"),
}
"""For each alert, what lets it fire at the end, and no other."""

SILENT: dict[str, Series] = {
    "OnlineLstmDown": {'up{job="online-lstm", instance="a"}': "1x179 0"},
    "OnlineLstmNoPartitions": of("partitions_assigned", "1x178 0 0"),
    "OnlineLstmStalled": of("lag_records", "5x180"),
    "OnlineLstmOpenTransaction": of("open_transaction_seconds", "0x178 6 2") | of("lag_records", "5x180"),
    "OnlineLstmKeysNeverReturn": hinted("keys_never_return", "0x178 1 1"),
    "OnlineLstmPredictionsRemoved": hinted("predictions_removed", "1x170 0x10"),
    "OnlineLstmInputMisread": hinted("nothing_readable", "0x178 1 1"),
    "OnlineLstmFallingBehind": of("lag_records", "18000-100x180") | of("lag_seconds", "600x180"),
    "OnlineLstmWorseThanBaseline": of("lift", "-0.01x180"),
    "OnlineLstmSkillBelowZero": of("skill", "0.01x180") | of("lift", "-0.1x180"),
    "OnlineLstmIntervalCoverageOff": of("interval_coverage", "0.99x180") | of("interval_coverage_target", "0.9x180"),
    "OnlineLstmStreamChanged": of("drifts_total", "0x175 4x5") | of("streams", "10x180"),
    "OnlineLstmFitStepsSkipped": of("fit_steps_skipped_total", "0x100 1x80"),
    "OnlineLstmDeadLetters": of("dead_letters_total", "0+5x180"),
    "OnlineLstmDeadLettersRising": of("dead_letters_total", "0+2x150 300+3x30"),
    "OnlineLstmTransactionsAborted": of("transactions_total", "0+0.1x180"),
    "OnlineLstmRebalancing": of("rebalances_total", "0x170 6x10"),
    "OnlineLstmCheckpointsFailing": of("checkpoints_total", "0x100 1x80"),
    "OnlineLstmCheckpointsStale": of("last_checkpoint_timestamp_seconds", "_x180") | of("events_total", "600x180"),
    "OnlineLstmLineageBroken": of("lineages_total", "0x60 1x120"),
    "OnlineLstmSequencesUnlabelled": of("sequences_unlabelled_total", "0+50x180"),
}
"""For each alert, what comes near to it and lets none fire."""

LABELS = of("streams", "40x180") | of("sequences_waiting", "5x180")
RESTARTED = {'process_start_time_seconds{job="online-lstm", instance="a"}': "0x170 10200x10"}
FURTHER: list[tuple[str, Series, str | None]] = [
    ("healthy", {}, None),
    ("healthy numbers", of("skill", "0.5x180") | of("interval_coverage", "0.9x180"), None),
    ("few predictions", of("lift", "-0.5x180") | of("predictions_scored_total", "90x180"), None),
    ("few numbers", of("skill", "-0.5x180") | of("predictions_scored_total", "90x180"), None),
    ("changed an hour ago", of("drifts_total", "0x100 1x80"), None),
    ("labels changed", of("drifts_total", "0x175 1x5") | LABELS, "OnlineLstmStreamChanged"),
    ("labels", LABELS, None),
    ("worse for a while", of("lift", "0.3x160 -0.3x20"), None),
    ("only dead letters", of("dead_letters_total", "0+9x180") | of("events_total", "0x180"), "OnlineLstmDeadLetters"),
    ("restart", RESTARTED, None),
    # A counter appears with the value 1 where a partition is assigned and its lineage begins between two scrapes.
    ("gap as its series begins", of("lineages_total", "_x160 1x20"), "OnlineLstmLineageBroken"),
    ("gap before and after a restart", of("lineages_total", "1x180") | RESTARTED, "OnlineLstmLineageBroken"),
]


def case(name: str, told: Series, firing: str | None) -> dict[str, Any]:
    """Describe to promtool three hours, at the end of which just this alert fires."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in (HEALTHY | told).items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{LENGTH}m",
                "exp_samples": [{"labels": f'{{alertname="{firing}"}}', "value": 1}] if firing else [],
            }
        ],
    }


def promtool_test(folder: Path, tests: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    rules = [str(PROMETHEUS_FOLDER / name) for name in ("recordings.yml", "alerts.yml")]
    suite = folder / "alerts_test.yml"
    suite.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": tests}))
    command = [program("promtool"), "test", "rules", str(suite)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_alert_has_a_firing_and_a_silent_case() -> None:
    """Nobody adds an alert without both; a case tells of series that exist."""
    assert ALERTS.keys() == FIRING.keys() == SILENT.keys()
    told = [*FIRING.values(), *SILENT.values(), *(series for _, series, _ in FURTHER), {}]
    assert set() == {name for series in told for name in series} - HEALTHY.keys()


@pytest.mark.long
def test_each_alert_fires_for_its_ailment_only(tmp_path: Path) -> None:
    """Each ailment raises its own alert and no other; what comes near to one raises none."""
    tests = [case(name, told, name) for name, told in FIRING.items()]
    tests += [case(f"not {name}", told, None) for name, told in SILENT.items()]
    tests += [case(*further) for further in FURTHER]
    done = promtool_test(tmp_path, tests)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_a_wrong_expectation_is_noticed(tmp_path: Path) -> None:
    """The oracle is one: an alert that is expected and does not fire fails, and so does one that is not expected."""
    missing = promtool_test(tmp_path, [case("healthy", {}, "OnlineLstmDown")])
    unexpected = promtool_test(tmp_path, [case("down", FIRING["OnlineLstmDown"], None)])
    assert (1, 1) == (missing.returncode, unexpected.returncode)
    assert "OnlineLstmDown" in missing.stderr
    assert "OnlineLstmDown" in unexpected.stderr


@pytest.mark.long
def test_recorded_values(tmp_path: Path) -> None:
    """Each recorded series has the value that its name promises."""
    values = {
        "topic_partition:online_lstm_dead_letters:ratio_rate5m": 0.1 / 10.1,
        "topic_partition:online_lstm_hits:ratio_rate1h": 0.8,
        "topic_partition_baseline:online_lstm_baseline_hits:ratio_rate1h": 0.1,
    }
    assert RECORDINGS.keys() == values.keys()
    told = case("recorded", of("dead_letters_total", "0+6x180"), None)
    told["promql_expr_test"] = [
        {
            "expr": f"sum(round({recorded}, 0.0001))",
            "eval_time": f"{LENGTH}m",
            "exp_samples": [{"labels": "{}", "value": round(value, 4)}],
        }
        for recorded, value in values.items()
    ]
    done = promtool_test(tmp_path, [told])
    assert done.returncode == 0, done.stdout + done.stderr
