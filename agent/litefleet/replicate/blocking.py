"""SQLite and the file system block; these helpers keep them off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import TypeVar

from litefleet.errors import DatabaseError

T = TypeVar("T")


class Worker:
    """Runs the calls of one database, one after the other, on a shared pool of threads."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._turn = asyncio.Lock()

    async def __call__(self, function: Callable[..., T], *args: object) -> T:
        """The result of ``function(*args)``. A cancelled caller still waits for its end: nothing can stop it."""
        async with self._turn:
            call = asyncio.get_running_loop().run_in_executor(self._executor, lambda: function(*args))
            try:
                return await asyncio.shield(call)
            except OSError as error:
                # Whatever the system refuses concerns this database only, and is tried again.
                where = f"{error.filename}: " if error.filename else ""
                raise DatabaseError(
                    f"The system refuses: {where}{error.strerror or error}", hint="see the disk and the kernel log"
                ) from error
            except asyncio.CancelledError:
                await asyncio.wait([call])
                if not call.cancelled():
                    call.exception()  # nobody is there any more to be told
                raise

    async def blocks(self, source: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Iterate ``source``, taking each item in a thread."""
        while True:
            block = await self(next, source, None)
            if block is None:
                return
            yield block
