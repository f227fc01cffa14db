"""A proxy for tests that do not run in an event loop: it has a thread, and a loop, of its own."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from tests.support.proxy import Proxy, tcp_proxy
from tests.support.running import PATIENCE

T = TypeVar("T")

#: Seconds for the thread to begin, and to end.
START = 30.0


class Way:
    """The way to a server; make it with ``way_to``."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self.url = proxy.url
        self._proxy = proxy
        self._loop = loop

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


@contextmanager
def in_thread(opened: AbstractAsyncContextManager[T]) -> Iterator[tuple[T, asyncio.AbstractEventLoop]]:
    """What ``opened`` gives, and the loop it lives in, which a thread of its own runs inside the block."""
    made: queue.Queue[tuple[T, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        over = asyncio.Event()
        async with opened as given:
            made.put((given, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    given, loop, over = made.get(timeout=START)
    try:
        yield given, loop
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(START)


@contextmanager
def way_to(port: int, *, rate: float | None = None, latency: float = 0.0) -> Iterator[Way]:
    """A way to a server of 127.0.0.1 that leads somewhere inside the block; see ``tcp_proxy``."""
    with in_thread(tcp_proxy(port, rate=rate, latency=latency)) as (proxy, loop):
        yield Way(proxy, loop)
