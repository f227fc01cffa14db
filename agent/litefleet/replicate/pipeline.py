"""One open database and its bucket: find the position, then capture, upload, checkpoint and snapshot."""

from __future__ import annotations

import json
import logging
import time

from litefleet.bucket import Catalogue
from litefleet.bucket.names import IMAGE_HEADER, MARK_NAME, WAL_HEADER
from litefleet.config.settings import Database
from litefleet.errors import DatabaseError, ObjectExists
from litefleet.ltx import HEADER_SIZE, Header
from litefleet.nats.objects import ObjectStore
from litefleet.replicate.blocking import Worker
from litefleet.replicate.capture import Batch, Capture, Discontinuity
from litefleet.replicate.cursor import Cursor, resume
from litefleet.replicate.ledger import Ledger
from litefleet.replicate.schedule import Schedule
from litefleet.sqlite import LiveDatabase

log = logging.getLogger("litefleet.replicate")


class Pipeline:
    """Not to be shared between tasks."""

    def __init__(
        self,
        settings: Database,
        database: LiveDatabase,
        store: ObjectStore,
        *,
        ledger: Ledger,
        work: Worker,
        schedule: Schedule,
    ) -> None:
        self.acknowledged = 0
        self._path = settings.path
        self._store = store
        self._ledger = ledger
        self._work = work
        self._schedule = schedule
        self._database = database
        self._capture = Capture(database, max_wal_bytes=settings.max_sync_wal_bytes)
        #: None: the next level 0 file has to be a full copy.
        self._cursor: Cursor | None = None
        #: Captured before a checkpoint, so the WAL may not hold it any more: it must be acknowledged as it is.
        self._tail: Batch | None = None

    async def locate(self) -> None:
        """Ask the bucket where it stands, and the WAL whether it goes on from there."""
        catalogue = Catalogue.of((await self._store.list()).objects)
        self._schedule.note_catalogue(catalogue)
        self._ledger.reset(catalogue)
        self.acknowledged = catalogue.max_txid
        newest = catalogue.newest
        if newest is not None:
            header = Header.unpack(await self._store.read_head(newest.object, HEADER_SIZE))
            checksum = _checksum(newest.object.headers.get(WAL_HEADER, ""))
            self._cursor = await self._work(resume, self._database, header, checksum)
            if self._cursor is None and (image := await self._image(catalogue)):
                self._cursor = await self._work(self._capture.matching, self.acknowledged, image)
        if self._cursor is not None:
            log.info("%s: goes on from TXID %016x", self._path, self.acknowledged)
        elif catalogue.files:
            reason = "its WAL is not known to go on from there"
            log.info("%s: full copy follows TXID %016x: %s", self._path, self.acknowledged, reason)
        else:
            log.info("%s: first full copy, as the bucket is empty", self._path)

    async def leave_mark(self) -> None:
        """Tell the next start how the database looked at the last TXID, should its WAL be gone by then."""
        if self._cursor is None or _recorded(self._ledger.catalogue()):
            return
        image = await self._work(self._capture.image, self._cursor)
        if image is not None:
            mark = json.dumps({"txid": f"{self._cursor.txid:016x}", "image": image})
            await self._store.put(MARK_NAME, mark.encode(), headers={}, replace=True)

    async def _image(self, catalogue: Catalogue) -> str | None:
        """The checksum of the database at the newest TXID, where one is known."""
        if recorded := _recorded(catalogue):
            return recorded
        mark = await self._store.info(MARK_NAME)
        if mark is None:
            return None
        try:
            content = json.loads(b"".join([block async for block in self._store.read(mark)]))
            return str(content["image"]) if content["txid"] == f"{catalogue.max_txid:016x}" else None
        except (ValueError, TypeError, KeyError):
            log.warning("%s: `%s` in the bucket cannot be read; it is not needed", self._path, MARK_NAME)
            return None

    async def pending(self) -> bool:
        """Whether there is anything to upload."""
        if self._tail is not None or self._cursor is None:
            return True
        return await self._work(self._capture.pending, self._cursor)

    async def sync(self) -> None:
        """Upload until the bucket holds everything that was committed when the call began."""
        while True:
            await self._send_tail()
            batch = await self._next()
            if batch is None:
                return
            try:
                await self._upload(batch)
            finally:
                await self._work(batch.release)
            if batch.complete:
                return

    async def checkpoint(self) -> None:
        """Copy captured frames into the database file, if it is time to."""
        if self._cursor is None or self._tail is not None:
            return
        index = await self._work(self._database.index)
        if not self._schedule.checkpoint_due(index.uncopied):
            return
        try:
            self._tail, uncopied = await self._work(self._capture.seal, self._cursor)
        except Discontinuity:
            return  # the next sync meets it again and takes a full copy
        except DatabaseError as error:
            if not error.retryable:
                raise
            log.debug("%s: no checkpoint: %s", self._path, error)
            uncopied = index.uncopied
        self._schedule.note_checkpoint(uncopied)
        log.debug("%s: checkpoint, %d frames left", self._path, uncopied)

    async def snapshot(self) -> None:
        """Upload a level 9 file, if it is time to."""
        if self._cursor is None or self._tail is not None or not self._schedule.snapshot_due():
            return
        try:
            self._tail, batch = await self._work(self._capture.snapshot, self._cursor)
        except Discontinuity:
            return  # as above
        except DatabaseError as error:
            if not error.retryable:
                raise
            log.debug("%s: no snapshot: %s", self._path, error)
            batch = None
        if batch is None:
            self._schedule.postpone_snapshot()
            return
        try:
            await self._send_tail()
            await self._put(batch)
        finally:
            await self._work(batch.release)
        self._schedule.note_acknowledged(batch.header.max_txid, full=True)

    async def _send_tail(self) -> None:
        if self._tail is not None:
            await self._upload(self._tail)
            self._tail = None

    async def _next(self) -> Batch | None:
        if self._cursor is not None:
            try:
                return await self._work(self._capture.incremental, self._cursor)
            except Discontinuity as reason:
                log.warning("%s: full copy as TXID %016x: %s", self._path, self.acknowledged + 1, reason)
                self._cursor = None
        return await self._work(self._capture.full, self.acknowledged + 1)

    async def _upload(self, batch: Batch) -> None:
        try:
            await self._put(batch)
        except ObjectExists:
            # Ours from an attempt that seemed to fail, another writer's, or the last listing came from a replica that
            # lags: the bucket knows.
            self._cursor = self._tail = None
            await self.locate()
            raise
        self._cursor = batch.cursor
        self.acknowledged = batch.header.max_txid
        self._schedule.note_acknowledged(batch.header.max_txid, full=batch.header.full)

    async def _put(self, batch: Batch) -> None:
        began = time.monotonic()
        stored = await self._store.put(batch.name, self._work.blocks(batch.blocks()), headers=batch.object_headers)
        self._ledger.add(stored)
        log.debug(
            "%s: acknowledged level=%d txid=%016x pages=%d bytes=%d seconds=%.3f",
            self._path, batch.level, batch.header.max_txid, batch.header.commit, stored.size, time.monotonic() - began,
        )  # fmt: skip


def _recorded(catalogue: Catalogue) -> str | None:
    newest = (file.object.headers.get(IMAGE_HEADER) for file in catalogue.files if file.max_txid == catalogue.max_txid)
    return next(filter(None, newest), None)


def _checksum(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
