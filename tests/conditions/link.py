"""A way to a server that is slow, long or cut, for programs that run beside the harness."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.support.proxy import Proxy
from tests.support.way import Way, way_to


class Link:
    """What can happen to the way while a program uses it; from any thread."""

    def __init__(self, way: Way) -> None:
        self.url = way.url
        self._way = way

    def cut(self) -> None:
        """Drop all connections and refuse new ones, until ``heal``."""
        self._way.do(Proxy.refuse)

    def hang(self) -> None:
        """Let connections stand and new ones come, but nothing through, until ``heal``."""
        self._way.do(Proxy.hang)

    def heal(self) -> None:
        self._way.do(Proxy.accept)
        self._way.do(Proxy.resume)


@contextlib.contextmanager
def link(port: int, *, rate: float | None = None, round_trip: float = 0.0) -> Iterator[Link]:
    """To a server of 127.0.0.1; ``rate`` in bytes a second in each direction, ``round_trip`` in seconds."""
    with way_to(port, rate=rate, latency=round_trip / 2) as way:
        yield Link(way)
