"""Tell systemd how the service is (sd_notify(3)); without systemd this does nothing."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

log = logging.getLogger("litefleet.service")


def notify(*assignments: str) -> None:
    """Send ``READY=1``, ``STATUS=…``, ``STOPPING=1`` and the like; a datagram, so it does not block."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.setblocking(False)
            link.sendto("\n".join(assignments).encode(), "\0" + address[1:] if address[0] == "@" else address)
    except OSError as error:
        # No reason to stop replicating: systemd itself decides what it makes of a service that it does not hear.
        _unheard(address, error.strerror or str(error))


def listened_to() -> bool:
    """Whether somebody wants to be told."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def watchdog_interval() -> float:
    """Seconds within which systemd wants a sign of life; 0 if it does not."""
    pid = os.environ.get("WATCHDOG_PID", "")
    text = os.environ.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(text) / 1e6


@contextmanager
def reloading() -> Iterator[None]:
    """The configuration is read again while the block runs; whatever comes of it, the service is ready afterwards."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
    try:
        yield
    finally:
        notify("READY=1")


@cache
def _unheard(address: str, reason: str) -> None:
    """Once for each reason."""
    log.warning("systemd cannot be told anything on %s: %s", address, reason)
