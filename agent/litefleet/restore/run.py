"""Carry out a restore."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from litefleet.bucket import Catalogue, LTXFile
from litefleet.bucket.fetch import fetch
from litefleet.bucket.plan import Plan
from litefleet.errors import LitefleetError, NoBackup, ObjectCorrupt, first_error
from litefleet.ltx import Header
from litefleet.nats.objects import ObjectStore
from litefleet.restore.output import Output, check_free
from litefleet.restore.owner import remembered

log = logging.getLogger("litefleet.restore")

#: How many times a plan is made anew, and the looks at the bucket that may lag behind what a read has found.
_NEW_PLANS, _LOOKS, _LOOK_PAUSE = 2, 3, 0.2


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

    Files that retention removes meanwhile are replaced by a new plan for the same point. ``integrity_check`` is None,
    ``quick`` or ``full``. ``progress`` gets fetched and total bytes.
    """
    await asyncio.to_thread(check_free, path, force=force)
    lease = None if await asyncio.to_thread(path.exists) else await remembered(store)
    new_plans = 0
    while True:
        try:
            header = await _make(
                store, plan, Output(path, lease), force=force, integrity_check=integrity_check, progress=progress
            )
            break
        except ObjectCorrupt as error:
            new_plans += 1
            if new_plans > _NEW_PLANS:
                raise
            plan = await _planned_anew(store, plan, error)
            log.info("%s: files were removed while they were being restored; starting over without them", path)
    newest = plan.files[-1]
    size = header.commit * header.page_size
    return Restored(path, newest.max_txid, newest.created, len(plan.files), plan.size, size, header.page_size)


async def _make(
    store: ObjectStore,
    plan: Plan,
    output: Output,
    *,
    force: bool,
    integrity_check: str | None,
    progress: Callable[[int, int], None] | None,
) -> Header:
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
        return await asyncio.to_thread(output.commit, force=force)
    finally:
        await asyncio.to_thread(output.__exit__, None, None, None)


async def _planned_anew(store: ObjectStore, plan: Plan, error: ObjectCorrupt) -> Plan:
    """Another plan for the same point; raises ``error`` if all planned files are there still: then one is damaged."""
    for _ in range(_LOOKS):
        objects = (await store.list()).objects
        there = {(info.name, info.nuid) for info in objects}
        if any((file.object.name, file.object.nuid) not in there for file in plan.files):
            try:
                return plan.again(Catalogue.of(objects))
            except NoBackup as none:
                none.message = f"Files were removed while they were being restored: {none.message}"
                raise
        await asyncio.sleep(_LOOK_PAUSE)
    raise error
