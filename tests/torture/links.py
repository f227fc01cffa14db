"""The agent's links to the servers: TCP proxies that run in a thread, told what to do from another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from tests.support.proxy import Proxy, tcp_proxy
from tests.support.way import in_thread

PATIENCE = 30.0


class Links:
    """One proxy before each server; make it with ``links_to``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, proxies: list[Proxy]) -> None:
        self._loop = loop
        self._proxies = proxies

    @property
    def urls(self) -> list[str]:
        return [proxy.url for proxy in self._proxies]

    def cut(self, numbers: Sequence[int]) -> None:
        """Connections are lost, new ones are let through."""
        self._each(numbers, Proxy.cut)

    def refuse(self, numbers: Sequence[int]) -> None:
        """Connections are lost, and new ones too."""
        self._each(numbers, Proxy.refuse)

    def hang(self, numbers: Sequence[int]) -> None:
        """Connections stand, and nothing goes through: half-open."""
        self._each(numbers, Proxy.hang)

    def worsen(self, *, rate: float | None = None, latency: float = 0.0) -> None:
        """All links: bytes a second, and seconds one way."""

        def change(proxy: Proxy) -> None:
            proxy.rate, proxy.latency = rate, latency

        self._each(range(len(self._proxies)), change)

    def heal(self) -> None:
        """As on the first day."""

        def change(proxy: Proxy) -> None:
            proxy.rate, proxy.latency = None, 0.0
            proxy.accept()
            proxy.resume()

        self._each(range(len(self._proxies)), change)

    def _each(self, numbers: Sequence[int], change: Callable[[Proxy], None]) -> None:
        """Done when this returns."""
        done = threading.Event()

        def run() -> None:
            for number in numbers:
                change(self._proxies[number])
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(PATIENCE), "the proxies are stuck"


@contextmanager
def links_to(ports: Sequence[int]) -> Iterator[Links]:
    """Proxies to these ports of 127.0.0.1, open inside the block."""
    with in_thread(_proxies(ports)) as (proxies, loop):
        yield Links(loop, proxies)


@asynccontextmanager
async def _proxies(ports: Sequence[int]) -> AsyncIterator[list[Proxy]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(tcp_proxy(port)) for port in ports]
