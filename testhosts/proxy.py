"""ssh's way into a fleet's network, run as its ProxyCommand inside the fleet's namespace: ``proxy.py ADDRESS PORT``.

It connects and hands the open socket to ssh (ProxyUseFdpass), so that no process stays in between.
"""

from __future__ import annotations

import os
import socket
import sys

CONNECT_SECONDS = 10


def hand_over(address: str, port: int) -> None:
    """Connect, and send the socket over stdout."""
    with (
        socket.create_connection((address, port), CONNECT_SECONDS) as connection,
        socket.socket(fileno=os.dup(sys.stdout.fileno())) as ssh,
    ):
        connection.setblocking(True)
        socket.send_fds(ssh, [b"\0"], [connection.fileno()])


if __name__ == "__main__":
    try:
        hand_over(sys.argv[1], int(sys.argv[2]))
    except OSError as error:
        sys.exit(f"{sys.argv[1]} port {sys.argv[2]}: {error.strerror or error}")
