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
    """It ends by itself, with at least 0.93 of the first 500 values predicted and none missed after value 1,000.

    On a broker that is not its own it leaves nothing behind.
    """
    done = subprocess.run(
        [sys.executable, "-m", "online_lstm.cli.main", "demo", "--events", "5000"],
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
    for view in (
        r"^page +http://127\.0\.0\.1:\d+/ in a browser$",
        r"^dashboard +http://127\.0\.0\.1:\d+/metrics for the Prometheus and Grafana of deploy/",
        r"^terminal +\.venv/bin/online-lstm watch --bootstrap-servers \S+ --output-topic demo-\d+-predictions$",
    ):
        assert re.search(view, done.stdout, re.MULTILINE), view
    named = re.search(r"predictions +(demo-\d+)-predictions at", done.stdout)
    assert named
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        names = [*admin.list_topics(), *(group["group_id"] for group in admin.list_groups())]
    assert [] == [name for name in names if name.startswith(named[1])]
