"""Ties between child processes and their parents: lifetime and reserved ports."""

import shutil
import socket


def ending_with_its_parent() -> list[str]:
    """Return the command prefix with which the kernel ends a process with its starting thread (PR_SET_PDEATHSIG)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def reserve_port() -> socket.socket:
    """Bind a loopback port on which a server, in this or another process, will listen later or again.

    While the socket is open, the kernel assigns the port to nobody else: neither to an outgoing connection, which would
    keep the server from listening, nor to a request for any free port. A server that sets SO_REUSEADDR, as most do, can
    listen on the port; until then connections are refused.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved
