"""Those who wait until everything that was committed is acknowledged."""

from __future__ import annotations

import asyncio

from litefleet.errors import LitefleetError


class Waiters:
    """A round that began after somebody asked, and left nothing behind, is what he waits for."""

    def __init__(self) -> None:
        self._asked: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._asked)

    async def wait(self) -> None:
        """Until ``done`` or ``failed``; bound it."""
        mine = asyncio.get_running_loop().create_future()
        self._asked.append(mine)
        try:
            await mine
        finally:
            if mine in self._asked:
                self._asked.remove(mine)

    def now(self) -> tuple[asyncio.Future[None], ...]:
        """Who waits at the beginning of a round."""
        return tuple(self._asked)

    def done(self, served: tuple[asyncio.Future[None], ...]) -> None:
        """A round has ended well for those who waited at its beginning."""
        for one in served:
            if one in self._asked:
                self._asked.remove(one)
            if not one.done():
                one.set_result(None)

    def fail(self, error: LitefleetError) -> None:
        """There will be no round any more."""
        for one in self._asked:
            if not one.done():
                one.set_exception(error)
        self._asked = []
