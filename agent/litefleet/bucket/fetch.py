"""Fetch LTX files in order, small ones ahead of time and many at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Protocol

from litefleet.bucket.catalogue import LTXFile
from litefleet.nats.objects import ObjectStore

#: Objects up to this size are fetched whole, this many at once: at most 64 MiB are held.
_SMALL, _AHEAD = 1 << 20, 64


class Sink(Protocol):
    """Takes a file, its next block, and whether that is the last one."""

    def __call__(self, file: LTXFile, block: bytes, *, last: bool) -> Awaitable[None]:
        """Return when it is ready for more."""


async def fetch(store: ObjectStore, files: Sequence[LTXFile], sink: Sink) -> None:
    """Give every block to ``sink``, in the order of ``files``; the last block of a file comes once it is verified."""
    async with asyncio.TaskGroup() as tasks:
        ahead: deque[asyncio.Task[bytes]] = deque()
        small = iter([file for file in files if file.size <= _SMALL])

        def more() -> None:
            while len(ahead) < _AHEAD and (file := next(small, None)) is not None:
                ahead.append(tasks.create_task(_whole(store, file)))

        for file in files:
            more()
            if file.size <= _SMALL:
                await sink(file, await ahead.popleft(), last=True)
                continue
            async for block in store.read(file.object):
                await sink(file, block, last=False)
            await sink(file, b"", last=True)


async def _whole(store: ObjectStore, file: LTXFile) -> bytes:
    return b"".join([block async for block in store.read(file.object)])
