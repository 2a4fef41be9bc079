"""What processes have to do with the ones that start them."""

import shutil
import socket


def ending_with_its_parent() -> list[str]:
    """Prefix a command so that the kernel ends it with the thread that starts it (PR_SET_PDEATHSIG)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def reserve_port() -> socket.socket:
    """Bind a port of the loopback that a server, also one in another process, shall listen on later, or again.

    As long as the socket is open, nobody else is given the port: neither an outgoing connection, whose own port would
    keep the server from listening, nor one who asks for any free one. A server that allows addresses to be used again
    (SO_REUSEADDR), as most do, can listen beside it; until then connections are refused.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved
