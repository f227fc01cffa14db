"""Tell systemd how the service is (sd_notify(3)); without systemd this does nothing."""

from __future__ import annotations

import os
import socket


def notify(*assignments: str) -> None:
    """Send ``READY=1``, ``STATUS=…``, ``STOPPING=1`` and the like; a datagram, so it does not block."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
        link.setblocking(False)
        link.sendto("\n".join(assignments).encode(), "\0" + address[1:] if address[0] == "@" else address)
