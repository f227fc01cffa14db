"""Bounds: on bytes that are on their way, and on waiting while nothing moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

#: However much moves, one wait never takes more than this many times its quiet time.
MOST_QUIET_TIMES = 6


class ByteBudget:
    """A number of bytes that several tasks share; who asks for more than all of it gets all of it."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._given = asyncio.Event()

    async def take(self, amount: int) -> int:
        """Wait until ``amount`` bytes are free; returns what has to be given back."""
        amount = min(amount, self._total)
        while self._free < amount:
            self._given.clear()
            await self._given.wait()
        self._free -= amount
        return amount

    def give(self, amount: int) -> None:
        """Return what ``take`` returned."""
        self._free += amount
        self._given.set()


@asynccontextmanager
async def while_progress(progress: Callable[[], object], quiet: float) -> AsyncIterator[None]:
    """Raise ``TimeoutError`` once ``progress()`` has not changed for ``quiet`` seconds, or after six times that."""
    loop = asyncio.get_running_loop()
    last_end = loop.time() + MOST_QUIET_TIMES * quiet
    seen = progress()
    handle: asyncio.TimerHandle

    def look() -> None:
        nonlocal seen, handle
        if scope.expired():
            return
        now = progress()
        if now != seen:
            seen = now
            scope.reschedule(min(loop.time() + quiet, last_end))
        handle = loop.call_later(quiet / 4, look)

    async with asyncio.timeout(quiet) as scope:
        handle = loop.call_later(quiet / 4, look)
        try:
            yield
        finally:
            handle.cancel()
