"""Checks side by side, so that one server that does not answer holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from litefleet.doctor.finding import Finding

#: Checks that run at a time.
_AT_ONCE = 8


async def together(checks: Sequence[Callable[[], Awaitable[list[Finding]]]]) -> list[list[Finding]]:
    """What each of them finds, in their order."""
    turns = asyncio.Semaphore(_AT_ONCE)
    found: list[list[Finding]] = [[] for _ in checks]

    async def run(number: int) -> None:
        async with turns:
            found[number] = await checks[number]()

    async with asyncio.TaskGroup() as tasks:
        for number in range(len(checks)):
            tasks.create_task(run(number))
    return found
