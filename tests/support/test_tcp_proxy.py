"""Whether the proxy forwards, and disturbs in the ways that tests of faults rely on."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from support.tcp_proxy import END_TXN, HEARTBEAT, HOST, TcpProxy


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while chunk := self.request.recv(65536):
                self.request.sendall(chunk)
        except OSError:
            return


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    """A proxy before a server that answers with what it was sent."""
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer((HOST, 0), Echo) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with TcpProxy(server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), timeout=60)


def request(kind: int, body: bytes = b"hello") -> bytes:
    return (2 + len(body)).to_bytes(4, "big") + kind.to_bytes(2, "big") + body


def ask(client: socket.socket, message: bytes) -> bytes:
    """Send a request and read the whole answer; less of it where the connection ends."""
    client.sendall(message)
    answer = b""
    while len(answer) < len(message) and (chunk := client.recv(65536)):
        answer += chunk
    return answer


def ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def silent(client: socket.socket) -> bool:
    client.settimeout(0.1)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(60)
    return False


def test_forwards_both_ways(proxy: TcpProxy) -> None:
    """What goes in comes out, whole, on several connections, also when it is large."""
    with closing(connect(proxy)) as first, closing(connect(proxy)) as second:
        for message in (request(1), request(END_TXN, bytes(1_000_000))):
            assert message == ask(first, message)
            assert message == ask(second, message)


def test_cut(proxy: TcpProxy) -> None:
    """Connections end at once, and new ones work."""
    with closing(connect(proxy)) as client, closing(connect(proxy)) as idle:
        ask(client, request(1))
        ask(idle, request(1))
        proxy.cut()
        assert ended(client)
        assert ended(idle)
    with closing(connect(proxy)) as client:
        assert request(1) == ask(client, request(1))


def test_refuse_and_accept(proxy: TcpProxy) -> None:
    """Nobody listens until the proxy accepts again, on the same port."""
    port = proxy.port
    with closing(connect(proxy)) as client:
        ask(client, request(1))
        proxy.refuse()
        assert ended(client)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.accept()
    assert port == proxy.port
    with closing(connect(proxy)) as client:
        assert request(1) == ask(client, request(1))


def test_delay(proxy: TcpProxy) -> None:
    """Requests of the named kinds take at least so long, others do not wait for them."""
    proxy.delay(0.3, {HEARTBEAT})
    with closing(connect(proxy)) as slow, closing(connect(proxy)) as quick:
        started = time.monotonic()
        slow.sendall(request(HEARTBEAT))
        assert request(1) == ask(quick, request(1))
        assert len(request(HEARTBEAT)) == len(slow.recv(65536))
        assert time.monotonic() - started >= 0.3


def test_stall(proxy: TcpProxy) -> None:
    """A black hole takes connections and requests and answers nothing, until it flows again."""
    proxy.stall()
    with closing(connect(proxy)) as client:
        client.sendall(request(1))
        assert silent(client)
        proxy.flow()
        assert request(1) == client.recv(65536)


@pytest.mark.parametrize("answer", [False, True])
def test_hold(proxy: TcpProxy, answer: bool) -> None:
    """A request, or the answer to it, is kept back until it is released; others pass."""
    proxy.pause(END_TXN, answer=answer)
    with closing(connect(proxy)) as client, closing(connect(proxy)) as other:
        client.sendall(request(END_TXN))
        assert proxy.wait_until_held()
        assert request(1) == ask(other, request(1))
        assert silent(client)
        proxy.release()
        assert request(END_TXN) == client.recv(65536)


def test_nothing_to_hold(proxy: TcpProxy) -> None:
    """Waiting for what does not come ends."""
    proxy.pause(END_TXN)
    assert not proxy.wait_until_held(0.01)


def test_what_is_held_ends_with_its_connection(proxy: TcpProxy) -> None:
    """A cut connection takes its held request along."""
    proxy.pause(END_TXN)
    with closing(connect(proxy)) as client:
        client.sendall(request(END_TXN))
        assert proxy.wait_until_held()
        proxy.cut()
        assert ended(client)
    proxy.release()
    with closing(connect(proxy)) as client:
        assert request(END_TXN) == ask(client, request(END_TXN))


def test_no_server(proxy: TcpProxy) -> None:
    """A client of a server that is away is cut off."""
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        with TcpProxy(unused.getsockname()[1]) as lonely, closing(connect(lonely)) as client:
            assert ended(client)
