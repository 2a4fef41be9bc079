"""The dashboard and the alerts, asked of a real Prometheus that scrapes a daemon at work."""

import json
import re
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml
from daemon_process import SMALL, DaemonProcess
from kafka_helpers import produce
from test_deploy import ALERTS, ALERTS_FILE, DASHBOARD, PROMETHEUS, program

pytestmark = pytest.mark.broker

DEADLINE_S = 20.0

Query = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def at_work(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that is given values, and now and then what is none."""
    name = f"dashboard-{uuid.uuid4().hex[:8]}"
    settings = {"bootstrap_servers": bootstrap, "input_topics": name, "output_topic": f"{name}-out", "group_id": name}
    folder = tmp_path_factory.mktemp("at-work")
    stopped = threading.Event()

    def publish() -> None:
        while not stopped.wait(0.1):
            produce(bootstrap, name, [b"4", b"8", b"none"], first_timestamp_ms=int(time.time() * 1000))

    with DaemonProcess(folder, checkpoint_interval_s=0.5, **settings, **SMALL) as daemon:
        daemon.wait_until_ready()
        publisher = threading.Thread(target=publish)
        publisher.start()
        yield daemon
        stopped.set()
        publisher.join()
        assert 0 == daemon.stop()


@pytest.fixture(scope="module")
def query(at_work: DaemonProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    """A real Prometheus with the deployed configuration; only target and intervals are the test's."""
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copy(ALERTS_FILE, folder)
    configuration = json.loads(json.dumps(PROMETHEUS))
    configuration["global"] = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
    configuration["scrape_configs"][0]["static_configs"] = [{"targets": [at_work.url.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    opener = build_opener(ProxyHandler({}))

    def ask(expression: str) -> list[dict[str, Any]]:
        url = f"http://{address}/api/v1/query?" + urlencode({"query": expression})
        with opener.open(url, timeout=5) as response:
            result: list[dict[str, Any]] = json.load(response)["data"]["result"]
        return result

    command = [program("prometheus"), f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            await_ready(ask, process, folder / "log")
            yield ask
        finally:
            process.kill()


def await_ready(ask: Query, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            ask("vector(1)")
        except OSError:  # not listening yet, or starting (503)
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"Prometheus does not answer:\n{log.read_text()}")


def without_data(query: Query, expressions: set[str]) -> set[str]:
    """Ask until every expression gave data, and give those that did not in time."""
    deadline = time.monotonic() + DEADLINE_S
    while expressions and time.monotonic() < deadline:
        expressions = {expression for expression in expressions if not query(expression)}
        time.sleep(0.1)
    return expressions


def test_every_panel_gets_data_from_a_real_prometheus(query: Query) -> None:
    """With a daemon at work, each expression of the dashboard gives at least one series."""
    values = {"$topic": ".*", "$partition": ".*", "$__rate_interval": "5s"}
    expressions = {target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
    filled = {re.sub(r"\$\w+", lambda name: values[name[0]], expression) for expression in expressions}
    assert set() == without_data(query, filled)


def test_every_alert_looks_at_data_of_a_real_prometheus(query: Query) -> None:
    """With comparisons that answer 0 or 1 instead of filtering, each alert's expression gives a series."""
    answering = {
        re.sub(r" (==|<|>) ", r" \1 bool ", expression).replace(" unless ", " and ") for expression in ALERTS.values()
    }
    assert set() == without_data(query, answering)
