"""The dashboard and the alerts, asked of a real Prometheus that scrapes a daemon at work."""

import json
import re
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml
from integration.test_deploy import ALERTS, EXPRESSIONS, PROMETHEUS, PROMETHEUS_FOLDER, RECORDINGS
from support.daemon_runner import SMALL, DaemonProcess
from support.kafka_admin import produce
from support.programs import program
from support.tcp_proxy import free_port

pytestmark = pytest.mark.broker

DEADLINE_S = 180.0

Query = Callable[[str], list[dict[str, Any]]]

TASKS: dict[str, dict[str, object]] = {
    "symbol": {},
    "number": {"seasonal_periods": "7"},
    "label": {"label_timeout_events": "20"},
}
"""What the daemon of each task is told beside the rest."""


def published_in(turn: int, task: str) -> tuple[bytes | None, list[bytes]]:
    """Give the key and the values of a turn: some are no symbols, and every other sequence gets its label."""
    match task:
        case "symbol":
            return None, [b"4", b"8", b"none"]
        case "number":
            return None, [b"%d" % ((turn * turn + 3 * place) % 11) for place in range(3)]
        case _:
            label = b', "label": %d' % (turn // 2 % 2) if turn % 2 else b""
            return b"run-%d" % turn, [b'{"value": 3.5}', b'{"value": 4.5, "end": true%s}' % label]


@pytest.fixture(scope="module")
def at_work(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[DaemonProcess]]:
    """A daemon of each task that is given values, and now and then what is none."""
    name = f"dashboard-{uuid.uuid4().hex[:8]}"
    stopped = threading.Event()

    def publish() -> None:
        turn = 0
        while not stopped.wait(0.1):
            now_ms = int(time.time() * 1000)
            for task in TASKS:
                key, values = published_in(turn, task)
                produce(bootstrap, f"{name}-{task}", values, key=key, first_timestamp_ms=now_ms)
            turn += 1

    with ExitStack() as stack:
        daemons = []
        for task, told in TASKS.items():
            topic = f"{name}-{task}"
            settings: dict[str, object] = {
                "bootstrap_servers": bootstrap,
                "input_topics": topic,
                "output_topic": f"{topic}-out",
                "group_id": topic,
                "task": task,
                "checkpoint_interval_s": 0.5,
                **SMALL,
                **told,
            }
            folder = tmp_path_factory.mktemp(task)
            daemons.append(stack.enter_context(DaemonProcess(folder, task, **settings)))
        for daemon in daemons:
            daemon.wait_until_ready()
        publisher = threading.Thread(target=publish)
        publisher.start()
        try:
            yield daemons
        finally:
            stopped.set()
            publisher.join()
        assert [0] * len(daemons) == [daemon.stop() for daemon in daemons]


@pytest.fixture(scope="module")
def query(at_work: list[DaemonProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    """A real Prometheus with the deployed configuration; only targets and intervals are the test's."""
    folder = tmp_path_factory.mktemp("prometheus")
    for name in PROMETHEUS["rule_files"]:
        shutil.copy(PROMETHEUS_FOLDER / name, folder)
    configuration = json.loads(json.dumps(PROMETHEUS))
    configuration["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    targets = [daemon.url.removeprefix("http://") for daemon in at_work]
    configuration["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    opener = build_opener(ProxyHandler({}))

    def ask(expression: str) -> list[dict[str, Any]]:
        url = f"http://{address}/api/v1/query?" + urlencode({"query": expression})
        with opener.open(url, timeout=30) as response:
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
    """With daemons at work, each expression of the dashboard gives at least one series."""
    values = {"$topic": ".*", "$partition": ".*", "$__rate_interval": "30s"}
    filled = {re.sub(r"\$\w+", lambda name: values[name[0]], expression) for expression in EXPRESSIONS}
    filled = {expression.replace(") > 0", ") > bool 0") for expression in filled}  # nothing may have changed yet
    assert set() == without_data(query, filled)


def test_every_rule_records_data_on_a_real_prometheus(query: Query) -> None:
    """Each recorded name has a series, and each rule's expression gives one."""
    assert set() == without_data(query, {*RECORDINGS.keys(), *RECORDINGS.values()})


def test_every_alert_looks_at_data_of_a_real_prometheus(query: Query) -> None:
    """With comparisons that answer 0 or 1 instead of filtering, each alert's expression gives a series.

    What is compared with an hour ago is compared with now, as nothing has run for an hour.
    """
    answering = {
        re.sub(r" (==|<|>=?) ", r" \1 bool ", rule["expr"]).replace(" unless ", " and ").replace(" offset 1h", "")
        for rule in ALERTS.values()
    }
    assert set() == without_data(query, answering)
