"""Carry out a restore."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from litefleet.bucket import LTXFile
from litefleet.bucket.fetch import fetch
from litefleet.bucket.plan import Plan
from litefleet.errors import LitefleetError, first_error
from litefleet.nats.objects import ObjectStore
from litefleet.restore.output import Output, check_free


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought back; ``fetched`` and ``size`` in bytes, ``created`` the time of the newest change."""

    path: Path
    txid: int
    created: datetime
    files: int
    fetched: int
    size: int
    page_size: int


async def restore(
    store: ObjectStore,
    plan: Plan,
    path: Path,
    *,
    force: bool = False,
    integrity_check: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Restored:
    """Make the planned database at ``path``; it appears there whole and checked, or not at all.

    ``integrity_check`` is None, ``quick`` or ``full``. ``progress`` gets fetched and total bytes.
    """
    await asyncio.to_thread(check_free, path, force=force)
    output = Output(path)
    await asyncio.to_thread(output.__enter__)
    try:
        done = 0

        async def take(file: LTXFile, block: bytes, *, last: bool) -> None:
            nonlocal done
            await asyncio.to_thread(output.apply, file.object.name, block, last=last)
            done += len(block)
            if progress is not None:
                progress(done, plan.size)

        try:
            await fetch(store, plan.files, take)
        except* LitefleetError as group:
            raise first_error(group) from None
        if integrity_check is not None:
            await asyncio.to_thread(output.check, integrity_check)
        header = await asyncio.to_thread(output.commit, force=force)
    finally:
        await asyncio.to_thread(output.__exit__, None, None, None)
    newest = plan.files[-1]
    size = header.commit * header.page_size
    return Restored(path, newest.max_txid, newest.created, len(plan.files), done, size, header.page_size)
