"""Which databases keep their files open: the ones that were busy last, as many as may be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

#: Seconds to wait for room.
_PATIENCE = 10.0


class Openings:
    """Shared by all databases of an agent."""

    def __init__(self, limit: int) -> None:
        """``limit`` is soft: a database that is busy is open, however many there are."""
        self._limit = limit
        #: In the order of their last activity; who can be asked to let go has a way to be.
        self._open: dict[Path, Callable[[], None] | None] = {}
        #: Who was asked, and has not closed its files yet.
        self._going: set[Path] = set()
        self._closed = asyncio.Event()
        self._waiting = 0

    def __len__(self) -> int:
        return len(self._open)

    async def room(self) -> None:
        """Until one more may be open; but not for long, if all of them have something to do."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                self._waiting += 1
                try:
                    while len(self._open) >= self._limit:
                        self._trim()
                        self._closed.clear()
                        await self._closed.wait()
                finally:
                    self._waiting -= 1

    def busy(self, path: Path) -> None:
        """The database is open, and has something to do."""
        self._open.pop(path, None)
        self._open[path] = None
        self._going.discard(path)

    def idle(self, path: Path, let_go: Callable[[], None]) -> None:
        """The database has nothing to do; ``let_go`` asks it to close its files."""
        if path in self._open:
            self._open[path] = let_go
            self._going.discard(path)
        self._trim()

    def closed(self, path: Path) -> None:
        """Its files are closed."""
        self._open.pop(path, None)
        self._going.discard(path)
        self._closed.set()

    def _trim(self) -> None:
        """Ask those to let go that make too many, with the ones that wait for room."""
        excess = len(self._open) - len(self._going) + self._waiting - self._limit
        for path, let_go in list(self._open.items()):
            if excess <= 0:
                return
            if let_go is not None:
                self._open[path] = None
                self._going.add(path)
                excess -= 1
                let_go()
