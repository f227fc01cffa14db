"""Tell systemd how the service is (sd_notify(3)); without systemd this does nothing."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

log = logging.getLogger("litefleet.service")

SIGN_OF_LIFE = "WATCHDOG=1"


#: What the socket had no room for; the oldest goes if it becomes too much.
_late: deque[str] = deque(maxlen=32)


def notify(*assignments: str) -> None:
    """Send ``READY=1``, ``STATUS=…``, ``STOPPING=1`` and the like, without blocking.

    What there is no room for at the moment is sent before anything else by the next call, which may be without
    arguments.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    text = "\n".join(assignments)
    if text and not (text == SIGN_OF_LIFE and SIGN_OF_LIFE in _late):
        _late.append(text)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.setblocking(False)
            while _late:
                link.sendto(_late[0].encode(), "\0" + address[1:] if address[0] == "@" else address)
                _late.popleft()
    except BlockingIOError:
        pass
    except OSError as error:
        # No reason to stop replicating: systemd itself decides what it makes of a service that it does not hear.
        _late.clear()
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
