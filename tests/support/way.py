"""A proxy for tests that do not run in an event loop: it has a thread, and a loop, of its own."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.proxy import Proxy, tcp_proxy
from tests.support.running import PATIENCE


class Way:
    """The way to a server; make it with ``way_to``."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
        self.url = proxy.url
        self._proxy = proxy
        self._loop = loop
        self._over = over

    def do(self, act: Callable[[Proxy], None]) -> None:
        """Let something happen to it, such as ``Proxy.cut``."""

        async def run() -> None:
            act(self._proxy)

        self._finish(run())

    def wait_attempts(self, count: int) -> None:
        """Until that many more connections were tried."""

        async def run() -> None:
            await self._proxy.wait_connections(self._proxy.connections + count)

        self._finish(run())

    def wait_hung(self) -> None:
        """Until nothing is let through, after ``Proxy.hang_after``."""

        async def run() -> None:
            await self._proxy.hung.wait()

        self._finish(run())

    def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)


@contextmanager
def way_to(port: int) -> Iterator[Way]:
    """A way to a server of 127.0.0.1 that leads somewhere inside the block."""
    made: queue.Queue[Way] = queue.Queue()

    async def serve() -> None:
        over = asyncio.Event()
        async with tcp_proxy(port) as proxy:
            made.put(Way(proxy, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    way = made.get(timeout=PATIENCE)
    try:
        yield way
    finally:
        way.end()
        thread.join(PATIENCE)
