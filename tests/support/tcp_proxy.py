"""A TCP proxy between daemons and a broker, for what networks do: cuts, refusals, delays, silence, lost answers.

It knows of Kafka only that a request is its length, then its kind (the API key).
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar

from online_lstm.devtools.processes import reserve_port

HOST = "127.0.0.1"
HEARTBEAT, ADD_OFFSETS_TO_TXN, END_TXN = 12, 25, 26
"""Kinds of requests: Kafka's API keys."""

COORDINATOR = frozenset({8, 9, 10, 11, 12, 13, 14, 22, 24, 25, 26, 28})
"""The requests that go to the coordinators of groups and of transactions."""

ANSWERS_WITHIN_S = 60.0

T = TypeVar("T")
_KEPT: list[socket.socket] = []


class _Connection:
    """One client's connection and the one made for it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.answers = asyncio.Event()
        self.answers.set()

    def abort(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()
        self.answers.set()


class TcpProxy:
    """Forwards whatever connects to ``port`` to another port, and disturbs it on request, from any thread."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy")
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._cuts = 0
        self._delays: dict[int, float] = {}
        self._delay_s = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._free = asyncio.Event()
        self._free.set()
        self._held_kind: int | None = None
        self._hold_answer = False
        self._is_held = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()
        self.refuse()
        self._run(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # what may be asked for

    def cut(self) -> None:
        """Reset all connections now; new ones are welcome."""
        self._call(self._cut)

    def refuse(self) -> None:
        """Reset all connections and refuse new ones until ``accept``."""
        self._call(self._refuse)

    def accept(self) -> None:
        """Take connections (again)."""
        self._run(self._listen())

    def stall(self) -> None:
        """Forward nothing more until ``flow``, but keep connections and take new ones."""
        self._call(self._flowing.clear)

    def flow(self) -> None:
        """Forward again."""
        self._call(self._flowing.set)

    def delay(self, seconds: float, requests: Collection[int] = ()) -> None:
        """Hold up each request of these kinds, or of all without any; 0 ends it."""

        def change() -> None:
            if requests:
                self._delays |= dict.fromkeys(requests, seconds)
            else:
                self._delay_s, self._delays = seconds, {}

        self._call(change)

    def pause(self, request: int, *, answer: bool = False) -> None:
        """Keep requests of a kind back, or forward them and keep the answers back, until ``release``."""

        def change() -> None:
            self._held_kind, self._hold_answer = request, answer
            self._free.clear()

        self._is_held.clear()
        self._call(change)

    def wait_until_held(self, timeout_s: float = 30.0) -> bool:
        """Wait until ``hold`` has something to hold, and say whether it has."""
        return self._is_held.wait(timeout_s)

    def release(self) -> None:
        """Let go what is held, as far as its connection is still there."""

        def change() -> None:
            self._held_kind = None
            self._free.set()
            for connection in self._connections:
                connection.answers.set()

        self._call(change)

    def heal(self) -> None:
        """End every disturbance but a refusal."""
        self.flow()
        self.delay(0.0)
        self.release()

    # on the proxy's thread

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)

    def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._cut()

    def _cut(self) -> None:
        self._cuts += 1
        for connection in self._connections:
            connection.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cuts = self._cuts
        try:
            from_server, to_server = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        if cuts != self._cuts or self._server is None:  # it was being made then
            writer.transport.abort()
            to_server.transport.abort()
            return
        connection = _Connection(writer, to_server)
        self._connections.add(connection)
        ways = [
            asyncio.ensure_future(self._requests(connection, reader)),
            asyncio.ensure_future(self._answers(connection, from_server)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            connection.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                length = await reader.readexactly(4)
                request = await reader.readexactly(int.from_bytes(length, "big"))
                kind = int.from_bytes(request[:2], "big")
                await asyncio.sleep(self._delays.get(kind, self._delay_s))
                if kind == self._held_kind:
                    await self._hold(connection)
                await self._flowing.wait()
                connection.server.write(length + request)
                await connection.server.drain()

    async def _hold(self, connection: _Connection) -> None:
        if self._hold_answer:
            connection.answers.clear()
        else:
            self._is_held.set()
            await self._free.wait()

    async def _answers(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                if not connection.answers.is_set():
                    self._is_held.set()
                    await connection.answers.wait()
                await self._flowing.wait()
                connection.client.write(chunk)
                await connection.client.drain()

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    # from other threads

    def _call(self, change: Callable[[], None]) -> None:
        async def changed() -> None:
            change()

        self._run(changed())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=ANSWERS_WITHIN_S)


def free_port() -> int:
    """Give a port that nothing listens on, and that nobody else is given until this process ends."""
    _KEPT.append(reserve_port())
    return int(_KEPT[-1].getsockname()[1])
