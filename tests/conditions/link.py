"""A way to a server that is slow, long or cut, for programs that run beside the harness."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator

from tests.conditions.scene import PATIENCE
from tests.support.proxy import Proxy, tcp_proxy


class Link:
    """What can happen to the way while a program uses it; from any thread."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
        self.url = proxy.url
        self._proxy = proxy
        self._loop = loop
        self._over = over

    def cut(self) -> None:
        """Drop all connections and refuse new ones, until ``heal``."""
        self._loop.call_soon_threadsafe(self._proxy.refuse)

    def hang(self) -> None:
        """Let connections stand and new ones come, but nothing through, until ``heal``."""
        self._loop.call_soon_threadsafe(self._proxy.hang)

    def heal(self) -> None:
        self._loop.call_soon_threadsafe(self._proxy.accept)
        self._loop.call_soon_threadsafe(self._proxy.resume)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)


@contextlib.contextmanager
def link(port: int, *, rate: float | None = None, round_trip: float = 0.0) -> Iterator[Link]:
    """To a server of 127.0.0.1; ``rate`` in bytes a second in each direction, ``round_trip`` in seconds."""
    made: queue.Queue[Link] = queue.Queue()

    async def serve() -> None:
        over = asyncio.Event()
        async with tcp_proxy(port, rate=rate, latency=round_trip / 2) as proxy:
            made.put(Link(proxy, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    way = made.get(timeout=PATIENCE)
    try:
        yield way
    finally:
        way.end()
        thread.join(PATIENCE)
