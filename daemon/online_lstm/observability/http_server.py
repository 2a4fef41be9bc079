"""The HTTP server: live page, metrics, liveness and readiness, in its own thread.

Knows neither Kafka nor the learners; the service loop reports to ``Health`` only, and the content of the page comes
from a ``View``.
"""

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from online_lstm.errors import SettingsError

PAGE = Path(__file__).parent / "page"
LIVE_EVERY_S = 1.0
MAX_LISTED = 500
SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
"""Defence in depth: even an unescaped value of a stream could not load or run anything."""
STOP_TIMEOUT_S = 5.0


class View(Protocol):
    """The content of the live page; any thread may call it."""

    def snapshot(self, after: int = 0, drawn: float = 0) -> dict[str, Any]:
        """Return the current figures, messages after number ``after`` and points after time ``drawn``."""

    def streams(self, search: str = "", limit: int = 50) -> dict[str, Any]:
        """Return the streams whose names contain a text."""

    def stream(self, topic: str, partition: int, key: bytes | None) -> dict[str, Any] | None:
        """Return the latest message of a stream."""


class Health:
    """Health of the service loop; any thread may read it.

    The initial state is alive and not ready. While a broker is unreachable, the loop is not ready but stays alive as
    long as it retries: a restart would not bring the broker back.

    Args:
        patience_s: Maximum time in seconds between two beats of the loop.
        clock: Monotonic seconds.
    """

    def __init__(self, *, patience_s: float = 120.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._clock = clock
        # Each attribute is replaced as a whole and never changed in place, so readers need no lock.
        self._last_beat_s = clock()
        self._obstacles: tuple[str, ...] = ("the daemon is starting",)
        self._waiting_for: tuple[str, ...] = ()

    def beat(self, waiting_for: str = "") -> None:
        """Record that the loop advanced, or that it is alive and waits for something."""
        self._last_beat_s = self._clock()
        self._waiting_for = (waiting_for,) if waiting_for else ()

    def ready(self) -> None:
        """Record that records are learned as they arrive."""
        self._obstacles = ()

    def not_ready(self, *reasons: str) -> None:
        """Record the reasons why records are not learned as they arrive, as readable text."""
        self._obstacles = reasons

    def why_not_live(self) -> tuple[str, ...]:
        """Return the reasons to restart the process; empty if alive."""
        silence_s = self._clock() - self._last_beat_s
        if silence_s <= self._patience_s:
            return ()
        return (f"the loop has not advanced for {silence_s:.0f} s (at most {self._patience_s:.0f} s)",)

    def why_not_ready(self) -> tuple[str, ...]:
        """Return the reasons not to rely on the predictions at present; empty if ready."""
        return self._obstacles + self._waiting_for + self.why_not_live()


class WebServer:
    """The HTTP server of the live page at ``/``, and of ``/streams``, ``/metrics``, ``/livez`` and ``/readyz``.

    Args:
        host: Address to bind.
        port: Port to bind, 0 for a free one; after the start, ``port`` is the bound port.
        render: Returns all metrics and their content type for an ``Accept`` header.
        health: Health of the service loop.
        view: Content of the live page.
    """

    def __init__(
        self, host: str, port: int, *, render: Callable[[str], tuple[bytes, str]], health: Health, view: View
    ) -> None:
        self.host = host
        self.port = port
        config = uvicorn.Config(
            _application(render, health, view),
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


def _application(render: Callable[[str], tuple[bytes, str]], health: Health, view: View) -> Starlette:
    async def live(_: Request) -> Response:
        return StreamingResponse(_events(health, view), media_type="text/event-stream", headers=_UNBUFFERED)

    async def streams(request: Request) -> Response:
        limit = request.query_params.get("limit", "50")
        max_listed = min(int(limit), MAX_LISTED) if limit.isdecimal() and len(limit) < 10 else 50
        return JSONResponse(view.streams(request.query_params.get("search", ""), max_listed), headers=_NO_STORE)

    async def stream(request: Request) -> Response:
        parameters = request.path_params
        stream_messages = view.stream(parameters["topic"], parameters["partition"], _key_of(parameters.get("name")))
        if stream_messages is None:
            return JSONResponse({"error": "no such stream, or it has been silent for long"}, status_code=404)
        return JSONResponse(stream_messages, headers=_NO_STORE)

    async def metrics(request: Request) -> Response:
        body, content_type = render(",".join(request.headers.getlist("accept")))
        return Response(body, headers={"content-type": content_type})

    async def livez(_: Request) -> Response:
        return _status(health.why_not_live(), otherwise="stalled")

    async def readyz(_: Request) -> Response:
        return _status(health.why_not_ready(), otherwise="not ready")

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/live", live),
            Route("/streams", streams),
            Route("/streams/{topic}/{partition:int}", stream),
            Route("/streams/{topic}/{partition:int}/{name:path}", stream),
            Mount("/", _Page(directory=PAGE, html=True)),
        ]
    )


class _Page(StaticFiles):
    """The static files of the page, with security headers."""

    async def get_response(self, path: str, scope: Any) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update({**SECURITY, "cache-control": "no-cache"})
        return response


async def _events(health: Health, view: View) -> AsyncIterator[str]:
    """Yield one snapshot per second as server-sent events, each with the messages since the previous one."""
    after, drawn = 0, 0.0
    while True:
        snapshot = view.snapshot(after, drawn)
        after, drawn = snapshot["said"], snapshot["drawn"]
        data = json.dumps({**snapshot, "obstacles": health.why_not_ready()}, ensure_ascii=False)
        yield f"data: {data}\n\n"
        await asyncio.sleep(LIVE_EVERY_S)


def _key_of(name: str | None) -> bytes | None:
    """Return the key for the name of a stream, as in the messages.

    >>> _key_of("pump-7"), _key_of("base64:aGk="), _key_of(None)
    (b'pump-7', b'hi', None)
    """
    if name is not None and name.startswith("base64:"):
        try:
            return base64.b64decode(name.removeprefix("base64:"), validate=True)
        except ValueError:
            pass
    return None if name is None else name.encode()


_NO_STORE = {"cache-control": "no-store"}
_UNBUFFERED = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
"""Headers for a proxy in front of the page: it must forward each event at once, unbuffered and uncompressed."""


def _status(reasons: tuple[str, ...], *, otherwise: str) -> JSONResponse:
    return JSONResponse(
        {"status": otherwise if reasons else "ok", "reasons": reasons},
        status_code=503 if reasons else 200,
        headers={"cache-control": "no-store"},
    )
