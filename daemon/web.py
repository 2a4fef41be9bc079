"""The HTTP side: metrics, liveness and readiness, served from a thread of its own.

Knows neither Kafka nor the learners; the loop speaks to it through ``Health`` only.
"""

import socket
import threading
import time
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from daemon.errors import SettingsError

INDEX = """online-lstm

/metrics  numbers for Prometheus
/livez    200 while the loop advances, else 503 with the reasons
/readyz   200 while records are learned as they come, else 503 with the reasons
"""
STOP_TIMEOUT_S = 5.0


class Health:
    """What the loop says about itself; any thread may ask.

    It begins alive and not ready. A broker that is away makes it not ready but leaves it alive, as long as
    the loop goes on trying: a restart would not bring the broker back.

    Args:
        patience_s: How long the loop may go without a beat.
        clock: Monotonic seconds.
    """

    def __init__(self, *, patience_s: float = 120.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._clock = clock
        # Each is replaced as a whole, never changed in place, so no reader needs a lock.
        self._last_beat_s = clock()
        self._obstacles: tuple[str, ...] = ("the daemon is starting",)
        self._waiting_for: tuple[str, ...] = ()

    def beat(self, waiting_for: str = "") -> None:
        """Say that the loop advanced, or that it is alive and what it waits for."""
        self._last_beat_s = self._clock()
        self._waiting_for = (waiting_for,) if waiting_for else ()

    def ready(self) -> None:
        """Say that records are learned as they come."""
        self._obstacles = ()

    def not_ready(self, *reasons: str) -> None:
        """Say why records are not learned as they come, for a person to read."""
        self._obstacles = reasons

    def why_not_live(self) -> tuple[str, ...]:
        """Give the reason to restart the process, or nothing."""
        silence_s = self._clock() - self._last_beat_s
        if silence_s <= self._patience_s:
            return ()
        return (f"the loop has not advanced for {silence_s:.0f} s (at most {self._patience_s:.0f} s)",)

    def why_not_ready(self) -> tuple[str, ...]:
        """Give the reasons not to rely on the predictions just now, or nothing."""
        return self._obstacles + self._waiting_for + self.why_not_live()


class WebServer:
    """Serves ``/metrics``, ``/livez``, ``/readyz`` and an index of them at ``/``.

    Args:
        host: Address to bind.
        port: Port to bind, 0 for a free one; once started, ``port`` is the one bound.
        render: Gives all metrics and their content type for an ``Accept`` header.
        health: Where the loop says how it is.
    """

    def __init__(self, host: str, port: int, *, render: Callable[[str], tuple[bytes, str]], health: Health) -> None:
        self.host = host
        self.port = port
        config = uvicorn.Config(
            _application(render, health),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind, then serve from a daemon thread; uvicorn handles signals on the main thread only.

        Raises:
            SettingsError: The address cannot be bound.
        """
        listener = _bind(self.host, self.port)
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="web", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close all connections and end the thread, within 5 s; does nothing if not started."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP_TIMEOUT_S)
            self._thread = None


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise SettingsError(
            f"http_host, http_port: received {host!r}, {port}: {error.strerror}; expected an address of this"
            " machine and a port that nothing listens on; set http_port to another, or to 0 for a free one"
        ) from error


def _application(render: Callable[[str], tuple[bytes, str]], health: Health) -> Starlette:
    async def index(_: Request) -> Response:
        return PlainTextResponse(INDEX)

    async def metrics(request: Request) -> Response:
        body, content_type = render(",".join(request.headers.getlist("accept")))
        return Response(body, headers={"content-type": content_type})

    async def livez(_: Request) -> Response:
        return _status(health.why_not_live(), otherwise="stalled")

    async def readyz(_: Request) -> Response:
        return _status(health.why_not_ready(), otherwise="not ready")

    return Starlette(
        routes=[
            Route("/", index),
            Route("/metrics", metrics),
            Route("/livez", livez),
            Route("/readyz", readyz),
        ]
    )


def _status(reasons: tuple[str, ...], *, otherwise: str) -> JSONResponse:
    return JSONResponse(
        {"status": otherwise if reasons else "ok", "reasons": reasons},
        status_code=503 if reasons else 200,
        headers={"cache-control": "no-store"},
    )
