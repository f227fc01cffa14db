"""Keep a bucket small and quick to restore: join small files into larger ones, remove what the window has passed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from litefleet.bucket import LTXFile, format_timestamp, object_name
from litefleet.bucket.fetch import fetch
from litefleet.bucket.names import TIMESTAMP_HEADER
from litefleet.errors import BucketTaken, LitefleetError, ServerUnreachable, first_error
from litefleet.ltx import Merge
from litefleet.nats.objects import ObjectStore
from litefleet.replicate.backoff import Backoff
from litefleet.replicate.blocking import Worker
from litefleet.replicate.compact import sources
from litefleet.replicate.figures import Figures, Level, Observer
from litefleet.replicate.ledger import Ledger
from litefleet.replicate.retain import Policy, next_removal, removable

log = logging.getLogger("litefleet.maintain")

#: Objects removed at the same time, and the least seconds between two rounds of it.
_REMOVALS, _REMOVAL_PAUSE = 16, 15.0
#: Seconds for which a foreign upload may pause before it is taken for one that was cut off.
_SWEEP_AGE = 3600.0


class Maintainer:
    """The housekeeping of one bucket; it sleeps while nothing changes."""

    def __init__(
        self,
        path: Path,
        store: ObjectStore,
        ledger: Ledger,
        work: Worker,
        *,
        levels: tuple[float, ...],
        policy: Policy | None,
        figures: Figures,
        observe: Observer,
        usable: Callable[[], bool],
        taken: Callable[[], None],
        sweep_due: Callable[[], bool],
    ) -> None:
        """``levels`` are seconds between the files of level 1 and up; without ``policy`` nothing is removed.

        ``usable`` says whether the bucket can be reached and is ours; ``taken`` is called when it turns out not to be;
        ``sweep_due`` says now and then that it is time to look for what cut-off uploads left, once for each bucket.
        """
        self._path = path
        self._store = store
        self._ledger = ledger
        self._work = work
        self._levels = levels
        self._policy = policy
        self._stop = asyncio.Event()
        self._last_removal = 0.0
        self._failure = ""
        self._figures = figures
        self._observe = observe
        self._usable = usable
        self._taken = taken
        self._sweep_due = sweep_due

    def stop(self) -> None:
        """Ask ``run`` to end; what it is doing is given up, and leaves nothing half done."""
        self._stop.set()
        self._ledger.changed.set()

    async def run(self) -> None:
        """Until ``stop``."""
        backoff = Backoff()
        due = dict.fromkeys(range(1, len(self._levels) + 1), 0.0)
        while not self._stop.is_set():
            self._ledger.changed.clear()
            try:
                wait = await self._round(due) if self._usable() else None
                self._failure = ""
                backoff.reset()
            except BucketTaken:
                # The replicator finds out as well, and ends.
                self._taken()
                return
            except LitefleetError as error:
                self._failed(error)
                await backoff.wait(self._stop)
                continue
            finally:
                self._count()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._ledger.changed.wait()
                    # New files come one by one; a level waits for its time anyway.
                    await asyncio.sleep(min(1.0, *self._levels))

    def _count(self) -> None:
        levels: dict[int, Level] = {}
        for file in self._ledger.catalogue().files:
            level = levels.setdefault(file.level, Level())
            level.objects += 1
            level.bytes += file.size
        self._figures.levels = levels

    def _failed(self, error: LitefleetError) -> None:
        """Say each new failure once; that the bucket cannot be reached is said by others."""
        self._figures.errors[type(error).__name__] += 1
        if isinstance(error, ServerUnreachable) or not self._usable():
            log.debug("%s: %s", self._path, error)
        elif str(error) != self._failure:
            self._failure = str(error)
            log.error("%s: %s", self._path, error)

    async def _round(self, due: dict[int, float]) -> float | None:
        """Do what is due; returns seconds until something will be, None if only a change can bring it about."""
        waits: list[float] = []
        for level, interval in enumerate(self._levels, start=1):
            if self._stop.is_set():
                return 0.0
            found = sources(self._ledger.catalogue(), level)
            if not found:
                continue
            now = time.time()
            # At whole multiples of the interval, as Litestream does, so that levels meet.
            boundary = found[0].created.timestamp() // interval * interval + interval
            if now >= max(boundary, due[level]):
                await self._compact(level, found)
                due[level] = now // interval * interval + interval
            else:
                waits.append(max(boundary, due[level]) - now)
        if self._policy is not None and (left := await self._remove(self._policy)) is not None:
            waits.append(left)
        await self._sweep()
        return max(0.01, min(waits)) if waits else None

    async def _sweep(self) -> None:
        """Remove what uploads left that were cut off; looked for while there is something else to do, not too often."""
        if not self._sweep_due():
            return
        count = await self._store.sweep(older_than=_SWEEP_AGE)
        if count:
            self._figures.done["swept_uploads"] += count
            log.info("%s: removed the rest of %d uploads that were cut off", self._path, count)

    async def _compact(self, level: int, found: tuple[LTXFile, ...]) -> None:
        began = time.monotonic()
        with await self._work(_spool) as spool:
            merge = Merge(spool)

            async def take(file: LTXFile, block: bytes, *, last: bool) -> None:
                await self._work(lambda: merge.add(file.object.name, block, last=last))

            try:
                await fetch(self._store, found, take)
            except* LitefleetError as group:
                raise first_error(group) from None
            header = merge.header()
            # The newest source's own time counts, not its header's: it is what restores go by.
            stamp = format_timestamp(int(found[-1].created.timestamp() * 1000))
            stored = await self._store.put(
                object_name(level, header.min_txid, header.max_txid),
                self._work.blocks(merge.blocks()),
                headers={TIMESTAMP_HEADER: stamp},
            )
        self._ledger.add(stored)
        self._figures.done["compactions"] += 1
        self._observe("compact", time.monotonic() - began)
        log.debug(
            "%s: compacted level=%d txid=%016x files=%d bytes=%d seconds=%.3f",
            self._path, level, header.max_txid, len(found), stored.size, time.monotonic() - began,
        )  # fmt: skip

    async def _remove(self, policy: Policy) -> float | None:
        """Remove what can go, not too often; returns seconds until more can, None if not without a change."""
        now = time.monotonic()
        if self._last_removal and (early := self._last_removal + _REMOVAL_PAUSE - now) > 0:
            return early
        catalogue = self._ledger.catalogue()
        gone = [removal.file for removal in await self._work(removable, catalogue, policy, datetime.now(UTC))]
        if gone:
            self._last_removal = now
            for first in range(0, len(gone), _REMOVALS):
                await self._purge(gone[first : first + _REMOVALS])
            self._figures.done["removed_objects"] += len(gone)
            log.debug("%s: removed %d files", self._path, len(gone))
        return await self._work(next_removal, self._ledger.catalogue(), policy, datetime.now(UTC))

    async def _purge(self, files: list[LTXFile]) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for file in files:
                    tasks.create_task(self._purge_one(file))
        except* LitefleetError as group:
            raise first_error(group) from None

    async def _purge_one(self, file: LTXFile) -> None:
        # Out of the ledger first: whoever compares it with the bucket meanwhile must not miss the file.
        self._ledger.discard([file])
        try:
            await self._store.purge(file.object)
        except BaseException:
            self._ledger.add(file.object)
            raise


def _spool() -> BinaryIO:
    # Without a buffer: what a full disk does not take is refused where it is written, not once more at the end.
    return tempfile.TemporaryFile(buffering=0)
