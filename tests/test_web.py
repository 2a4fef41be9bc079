import json
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest

from daemon.errors import ExitCode, SettingsError
from daemon.web import Health, WebServer


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(patience_s=60, clock=clock)


def render(accept: str) -> tuple[bytes, str]:
    return b"# metrics for " + accept.encode(), "text/plain; version=0.0.4"


@pytest.fixture
def server(health: Health) -> Iterator[WebServer]:
    server = WebServer("127.0.0.1", 0, render=render, health=health)
    server.start()
    yield server
    server.stop()


def get(server: WebServer, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
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


def test_index_lists_the_paths(server: WebServer) -> None:
    """The root names every path that is served."""
    body = get(server, "/")[1].decode()
    for path in ("/metrics", "/livez", "/readyz"):
        assert path in body
        assert get(server, path, "HEAD")[0].status in {200, 503}
    assert get(server, "/nowhere")[0].status == 404


def test_port_in_use_is_a_wrong_setting(server: WebServer, health: Health) -> None:
    """The error names the setting and the way out, before any thread is started."""
    threads = threading.active_count()
    second = WebServer("127.0.0.1", server.port, render=render, health=health)
    with pytest.raises(SettingsError, match=f"http_port: .*{server.port}.* in use.*0 for a free one") as error:
        second.start()
    assert error.value.exit_code == ExitCode.USAGE
    assert threads == threading.active_count()
    second.stop()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_host_of_another_machine_is_a_wrong_setting(health: Health, host: str) -> None:
    """A name without an address, or an address that is not this machine's, names the setting http_host."""
    with pytest.raises(SettingsError, match=f"http_host, http_port: received '{host}'"):
        WebServer(host, 0, render=render, health=health).start()


def test_stop_frees_the_port_at_once(health: Health) -> None:
    """Clients that keep a connection open or never end their request delay it by no more than a moment."""
    server = WebServer("127.0.0.1", 0, render=render, health=health)
    server.start()
    kept_open = HTTPConnection("127.0.0.1", server.port, timeout=5)
    kept_open.request("GET", "/livez")
    kept_open.getresponse().read()
    unfinished = socket.create_connection(("127.0.0.1", server.port))
    unfinished.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 2
    kept_open.close()
    unfinished.close()
    socket.create_server(("127.0.0.1", server.port)).close()
    assert "web" not in {thread.name for thread in threading.enumerate()}


def test_signals_and_log_are_left_alone(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    """Serving changes no signal handler and writes no line at start, request or stop."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with caplog.at_level(logging.INFO):
        server = WebServer("127.0.0.1", 0, render=render, health=health)
        server.start()
        get(server, "/livez")
        assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        server.stop()
    assert caplog.records == []
