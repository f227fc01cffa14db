"""Work through thousands of things on the event loop without keeping others from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

#: As many figures as take a few milliseconds.
_AT_ONCE = 200
_T = TypeVar("_T")


async def paced(items: Iterable[_T]) -> AsyncIterator[_T]:
    """The items, with a turn for others now and then."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
