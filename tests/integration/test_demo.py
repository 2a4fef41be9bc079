"""The first thing that anyone runs."""

import os
import re
import subprocess
import sys
from contextlib import closing

import pytest
from kafka.admin import KafkaAdminClient

pytestmark = pytest.mark.broker


def test_the_demo_shows_what_it_promises(bootstrap: str) -> None:
    """It ends by itself, with at least 0.93 of the loop's first 500 values predicted and none missed after value 1,000.

    Of the load it shows a smaller error than the best baseline's, intervals, the drift and the outlier. On a broker
    that is not its own it leaves nothing behind.
    """
    done = subprocess.run(
        [sys.executable, "-m", "online_lstm.cli.main", "demo", "--install-s", "41"],
        env=os.environ | {"ONLINE_LSTM_BOOTSTRAP_SERVERS": bootstrap},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    figures = dict(re.findall(r"│ (.+?) +│ +(.+?) │", done.stdout))
    assert float(figures["hit rate, first 500 values"]) >= 0.93
    assert "0" == figures["misses after value 1,000"]
    assert "1.0000" == figures["hit rate, value 501 to 5,000"]
    error, best = (float(figures[f"{name}, last 500 values"]) for name in ("mean absolute error", "best baseline's"))
    assert error < best
    assert 0.85 <= float(figures["share within the interval (0.9 wanted)"]) <= 0.95
    drift = re.fullmatch(r"at value 1,0(\d\d)", figures["drift detected"])
    assert drift
    assert re.fullmatch(r"[56]\d\.\d, at value (301|901|1,501)", figures["largest error"])
    watched = (
        r"^terminal +\.venv/bin/online-lstm watch --bootstrap-servers \S+ --output-topic demo-\d+-(.+)-predictions$"
    )
    assert ["counting-loop", "daily-load"] == re.findall(watched, done.stdout, re.MULTILINE)
    assert 2 == len(re.findall(r"^page +http://127\.0\.0\.1:\d+/ in a browser$", done.stdout, re.MULTILINE))
    parts = re.findall(r"^(\w+(?: \w+)?) +\d+\.\d s$", done.stdout, re.MULTILINE)
    assert ["install", "broker", "daemons ready", "learned"] == parts
    named = re.search(r"predictions +(demo-\d+)-counting-loop-predictions at", done.stdout)
    assert named
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        names = [*admin.list_topics(), *(group["group_id"] for group in admin.list_groups())]
    assert [] == [name for name in names if name.startswith(named[1])]
