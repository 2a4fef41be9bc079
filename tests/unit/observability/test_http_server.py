import json
import logging
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.observability import http_server
from online_lstm.observability.http_server import Health, WebServer
from support.fakes import Clock
from support.programs import program
from support.tcp_proxy import free_port


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(patience_s=60, clock=clock)


class Seen:
    """Says what it was asked."""

    def snapshot(self, said: int = 0, drawn: float = 0) -> dict[str, Any]:
        return {"said": said + 1, "drawn": drawn + 0.5}

    def streams(self, search: str = "", limit: int = 50) -> dict[str, Any]:
        return {"search": search, "limit": limit}

    def stream(self, topic: str, partition: int, key: bytes | None) -> dict[str, Any] | None:
        return {"stream": [topic, partition, key and key.decode()]} if topic == "numbers" else None


VIEW = Seen()


def render(accept: str) -> tuple[bytes, str]:
    return b"# metrics for " + accept.encode(), "text/plain; version=0.0.4"


@pytest.fixture
def server(health: Health) -> Iterator[WebServer]:
    server = WebServer("127.0.0.1", 0, render=render, health=health, view=VIEW)
    server.start()
    yield server
    server.stop()


def get(server: WebServer, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_health_begins_alive_and_not_ready(health: Health) -> None:
    """A daemon that starts needs no restart, but its predictions cannot be relied on yet."""
    assert health.why_not_live() == ()
    assert health.why_not_ready() == ("the daemon is starting",)


def test_loop_that_stands_still_is_not_live(health: Health, clock: Clock) -> None:
    """Liveness ends when the loop is silent for longer than the patience, and returns with the next beat."""
    health.ready()
    clock.now_s += 60
    assert health.why_not_live() == ()
    clock.now_s += 1
    expected = ("the loop has not advanced for 61 s (at most 60 s)",)
    assert expected == health.why_not_live()
    assert expected == health.why_not_ready()
    health.beat()
    assert health.why_not_live() == ()
    assert health.why_not_ready() == ()


def test_broker_outage_is_not_ready_but_live(health: Health) -> None:
    """The reasons are those last given; they have no effect on liveness."""
    health.ready()
    health.not_ready("no partitions assigned", "no broker answers")
    assert health.why_not_ready() == ("no partitions assigned", "no broker answers")
    assert health.why_not_live() == ()
    health.ready()
    assert health.why_not_ready() == ()


def test_probes_answer_200_or_503_with_reasons(server: WebServer, health: Health, clock: Clock) -> None:
    """Both probes say in JSON what they say by their status."""
    health.not_ready("numbers/0 replays 1,200 of 5,000 records")
    response, body = get(server, "/readyz")
    assert response.status == 503
    assert json.loads(body) == {
        "status": "not ready",
        "reasons": ["numbers/0 replays 1,200 of 5,000 records"],
    }
    health.ready()
    response, body = get(server, "/readyz")
    assert response.status == 200
    assert json.loads(body) == {"status": "ok", "reasons": []}
    assert get(server, "/livez")[0].status == 200
    clock.now_s += 3600
    response, body = get(server, "/livez")
    assert response.status == 503
    assert json.loads(body)["status"] == "stalled"


def test_metrics_are_rendered_for_the_accept_header(server: WebServer) -> None:
    """The renderer sees what the client accepts, the client the renderer's content type."""
    response, body = get(server, "/metrics", Accept="application/openmetrics-text")
    assert response.status == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4"
    assert body == b"# metrics for application/openmetrics-text"


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(server: WebServer) -> None:
    """Its files come from this server, and a browser is told to take nothing else."""
    response, body = get(server, "/")
    assert 200 == response.status
    assert b"http" not in body.replace(b"http-equiv", b"")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css"), ("theme.css", "text/css")):
        assert name.encode() in body
        file, content = get(server, f"/{name}")
        assert file.headers["content-type"].startswith(kind)
        assert b"://" not in content.replace(b"http://www.w3.org/2000/svg", b"")
    assert 404 == get(server, "/page.py")[0].status
    assert 404 == get(server, "/../web.py")[0].status


def test_streams_are_told_as_json(server: WebServer) -> None:
    """All, those with a text in their keys, and one of them, by a key of any bytes."""
    assert {"search": "", "limit": 50} == json.loads(get(server, "/streams")[1])
    assert {"search": "a b", "limit": 3} == json.loads(get(server, "/streams?search=a%20b&limit=3")[1])
    assert 500 == json.loads(get(server, "/streams?limit=99999")[1])["limit"]
    assert 50 == json.loads(get(server, "/streams?limit=x")[1])["limit"]
    assert ["numbers", 0, None] == json.loads(get(server, "/streams/numbers/0")[1])["stream"]
    assert ["numbers", 0, "a/b?c"] == json.loads(get(server, "/streams/numbers/0/a%2Fb%3Fc")[1])["stream"]
    assert ["numbers", 0, "\x00"] == json.loads(get(server, "/streams/numbers/0/base64%3AAA==")[1])["stream"]
    assert 404 == get(server, "/streams/other/0")[0].status


def test_live_is_a_stream_of_snapshots(server: WebServer) -> None:
    """The first comes at once, each asks for what is new since the one before; a stop ends it."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/live")
    response = connection.getresponse()
    assert "text/event-stream; charset=utf-8" == response.headers["content-type"]
    assert ("no", "no-store, no-transform") == (
        response.headers["x-accel-buffering"],
        response.headers["cache-control"],
    )
    told = []
    for _ in range(2):
        told.append(json.loads(response.readline().removeprefix(b"data: ")))
        assert b"\n" == response.readline()
    assert [(1, 0.5), (2, 1.0)] == [(one["said"], one["drawn"]) for one in told]
    assert ["the daemon is starting"] == told[0]["obstacles"]
    connection.close()


@pytest.fixture
def proxy(server: WebServer, tmp_path: Path) -> Iterator[int]:
    """The port of an nginx in front of the page that collects what it passes on, as it does unless told otherwise."""
    port, config = free_port(), tmp_path / "nginx.conf"
    paths = "".join(
        f"{kind}_temp_path {tmp_path / kind};" for kind in ("proxy", "client_body", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off; pid {tmp_path / 'pid'}; error_log stderr; events {{}} http {{ access_log off; {paths} "
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_buffering on; proxy_buffers 8 64k; "
        f"proxy_pass http://127.0.0.1:{server.port}; }} }} }}"
    )
    command = [program("nginx"), "-p", str(tmp_path), "-c", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as nginx:
        try:
            yield port
        finally:
            nginx.terminate()


@pytest.mark.long
def test_the_page_moves_behind_a_proxy_that_collects(proxy: int) -> None:
    """Two snapshots come through nginx when they were sent, and are not held back until there are many."""
    deadline = time.monotonic() + 60
    while True:
        connection = HTTPConnection("127.0.0.1", proxy, timeout=60)
        try:
            connection.request("GET", "/live")
            response = connection.getresponse()
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nginx does not answer"
            time.sleep(0.05)
    told = []
    for _ in range(2):
        told.append(json.loads(response.readline().removeprefix(b"data: ")))
        assert b"\n" == response.readline()
    assert [1, 2] == [one["said"] for one in told]
    connection.close()


def test_port_in_use_is_a_wrong_setting(server: WebServer, health: Health) -> None:
    """The error names the setting and the way out, before any thread is started."""
    threads = threading.enumerate()
    second = WebServer("127.0.0.1", server.port, render=render, health=health, view=VIEW)
    with pytest.raises(SettingsError, match=f"http_port: .*{server.port}.* in use.*0 for a free one") as error:
        second.start()
    assert error.value.exit_code == ExitCode.USAGE
    assert set() == {*threading.enumerate()} - {*threads}
    second.stop()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_host_of_another_machine_is_a_wrong_setting(health: Health, host: str) -> None:
    """A name without an address, or an address that is not this machine's, names the setting http_host."""
    with pytest.raises(SettingsError, match=f"http_host, http_port: received '{host}'"):
        WebServer(host, 0, render=render, health=health, view=VIEW).start()


def test_stop_frees_the_port_at_once(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that keep a connection open or never end their request delay it by no more than a moment."""
    server = WebServer("127.0.0.1", 0, render=render, health=health, view=VIEW)
    server.start()
    kept_open = HTTPConnection("127.0.0.1", server.port, timeout=60)
    kept_open.request("GET", "/livez")
    kept_open.getresponse().read()
    unfinished = socket.create_connection(("127.0.0.1", server.port))
    unfinished.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
    # far more than a moment: how long it takes depends on the machine, that it ends on its own does not
    monkeypatch.setattr(http_server, "STOP_TIMEOUT_S", 120.0)
    thread = server._thread
    server.stop()
    assert thread
    assert not thread.is_alive()
    kept_open.close()
    unfinished.close()
    socket.create_server(("127.0.0.1", server.port)).close()


def test_signals_and_log_are_left_alone(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    """Serving changes no signal handler and writes no line at start, request or stop."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with caplog.at_level(logging.INFO):
        server = WebServer("127.0.0.1", 0, render=render, health=health, view=VIEW)
        server.start()
        get(server, "/livez")
        assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        server.stop()
    assert caplog.records == []
