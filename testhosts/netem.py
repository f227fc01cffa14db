"""Delay, jitter and loss on a host's cable, where the kernel may have no netem.

    nsenter --net=/run/netns/lf.FLEET netem.py PORT TAP DELAY_MS JITTER_MS LOSS_PERCENT

Frames between the bridge's end of the cable (PORT) and a new tap device that takes its place on the bridge are held
for a while, in both directions and in order. Prints its process id when ready, runs until SIGTERM. Segmentation
offload stays on: both ends carry the virtio header that describes it, so one "frame" can be 64 KiB.
"""

from __future__ import annotations

import collections
import errno
import fcntl
import os
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Callable

_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_CHECKSUM_AND_TCP_OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
_SO_RCVBUFFORCE = 33
_LARGEST = 10 + 14 + 65536
_QUEUE = 20_000  # frames; a faster sender loses what is above, as on a real link


class Direction:
    """Frames on their way from one end to the other, each due at its own time."""

    def __init__(self, send: Callable[[bytes], object], delay: float, jitter: float, loss: float) -> None:
        self._send, self._delay, self._jitter, self._loss = send, delay, jitter, loss
        self._held: collections.deque[tuple[float, bytes]] = collections.deque()

    def take(self, frame: bytes, now: float) -> None:
        """Hold a frame, or lose it."""
        if random.random() < self._loss or len(self._held) >= _QUEUE:  # noqa: S311
            return
        due = now + self._delay + random.uniform(-self._jitter, self._jitter)  # noqa: S311
        if self._held:
            due = max(due, self._held[-1][0])
        self._held.append((due, frame))

    def release(self, now: float) -> None:
        """Send what is due."""
        while self._held and self._held[0][0] <= now:
            _, frame = self._held.popleft()
            try:
                self._send(frame)
            except OSError:
                continue  # the link is down or its buffer full: the frame is lost

    def next_due(self) -> float | None:
        """Monotonic time of the next frame."""
        return self._held[0][0] if self._held else None


def open_tap(name: str) -> int:
    """A tap device of this name; it lives as long as the descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH14x", name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR))
    fcntl.ioctl(fd, _TUNSETOFFLOAD, _CHECKSUM_AND_TCP_OFFLOADS)
    return fd


def open_port(name: str) -> socket.socket:
    """A packet socket on the cable's end."""
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    port.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    port.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
    port.bind((name, _ETH_P_ALL))
    port.setblocking(False)
    return port


def forward(tap: int, port: socket.socket, delay: float, jitter: float, loss: float) -> None:
    """Carry frames for ever. Times in seconds, loss from 0 to 1."""
    to_host = Direction(port.send, delay, jitter, loss)
    to_bridge = Direction(lambda frame: os.write(tap, frame), delay, jitter, loss)
    while True:
        due = [time_due for way in (to_host, to_bridge) if (time_due := way.next_due()) is not None]
        wait = max(0.0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select([tap, port.fileno()], [], [], wait)
        now = time.monotonic()
        for source in readable:
            try:
                for _ in range(64):
                    if source == port.fileno():
                        frame, sender = port.recvfrom(_LARGEST)
                        if sender[2] != socket.PACKET_OUTGOING:  # not what this process sent
                            to_bridge.take(frame, now)
                    else:
                        to_host.take(os.read(tap, _LARGEST), now)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno != errno.ENETDOWN:  # the cable is pulled; it may be plugged in again
                    raise
        now = time.monotonic()
        to_host.release(now)
        to_bridge.release(now)


def main() -> None:
    """The program."""
    port_name, tap_name = sys.argv[1:3]
    delay, jitter, loss = (float(word) for word in sys.argv[3:6])
    try:
        tap, port = open_tap(tap_name), open_port(port_name)
    except OSError as error:
        sys.exit(f"{port_name}: {error}")
    print(os.getpid(), flush=True)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(null, stream)
    forward(tap, port, delay / 1000, jitter / 1000, loss / 100)


if __name__ == "__main__":
    main()
