"""One database and its bucket: find the position, then capture, deliver, checkpoint and snapshot."""

from __future__ import annotations

import json
import logging
import time

from litefleet.bucket import Catalogue
from litefleet.bucket.names import IMAGE_HEADER, MARK_NAME, WAL_HEADER
from litefleet.config.settings import Database
from litefleet.errors import BucketLost, DatabaseError, NatsError, ObjectExists, ServerUnreachable
from litefleet.nats.objects import ObjectStore
from litefleet.replicate.blocking import Worker
from litefleet.replicate.capture import Batch, Capture, Discontinuity
from litefleet.replicate.cursor import Cursor, Released, reopen, resume, traces
from litefleet.replicate.figures import Figures, Observer
from litefleet.replicate.ledger import Ledger
from litefleet.replicate.link import Link, SpoolLost, restorable
from litefleet.replicate.schedule import Schedule
from litefleet.replicate.spool import Position
from litefleet.replicate.walguard import WalGuard
from litefleet.sqlite import DiskRefuses, LiveDatabase

log = logging.getLogger("litefleet.replicate")

#: Bytes of the longest mark that is looked at; ours are a hundred.
MARK_LIMIT = 4096


class Pipeline:
    """Lives as long as its database is protected; not to be shared between tasks."""

    def __init__(
        self,
        settings: Database,
        store: ObjectStore,
        link: Link,
        *,
        ledger: Ledger,
        work: Worker,
        schedule: Schedule,
        figures: Figures,
        observe: Observer,
    ) -> None:
        self.link = link
        self._path = settings.path
        self._settings = settings
        self._store = store
        self._ledger = ledger
        self._work = work
        self._schedule = schedule
        self._figures = figures
        self._observe = observe
        self._database: LiveDatabase | None = None
        self._capture: Capture | None = None
        #: None: the next level 0 file has to be a full copy.
        self._cursor: Cursor | None = None
        #: Captured before a checkpoint, so the WAL may not hold it any more: it must be delivered as it is.
        self._tail: Batch | None = None
        self._released: Released | None = None
        #: What the disk said last.
        self._refused = ""

    # the database's files

    async def attach(self) -> None:
        """Open the database; blocks others for no longer than a moment. Raises DatabaseError."""
        settings = self._settings
        self._database = await self._work(
            lambda: LiveDatabase(settings.path, busy_timeout=settings.busy_timeout, observe=self._observe)
        )
        self._capture = Capture(self._database, max_wal_bytes=settings.max_sync_wal_bytes)
        self._figures.open = True
        if self._released is not None:
            self._cursor = await self._work(reopen, self._database, self._released)
            if self._cursor is None:
                log.info("%s: full copy follows: what happened to its WAL while it was let go is not known", self._path)
            self._released = None

    async def detach(self) -> None:
        """Let go of the files; without ``release`` before, a new look decides how to go on."""
        if self._database is not None:
            await self._work(self._database.close)
        self._database = self._capture = None
        self._figures.open = False
        if self._released is None:
            self._cursor = self._tail = None

    async def release(self) -> bool:
        """Whether everything is captured and the files can be let go without losing the position."""
        if self._cursor is None or self._tail is not None or self._database is None:
            return False
        self._released = await self._work(self._note_release, self._database, self._cursor)
        return self._released is not None

    def _note_release(self, database: LiveDatabase, cursor: Cursor) -> Released | None:
        stamp = database.files.stamp()
        index = database.index()
        if stamp is None or (index.salts, index.frames) != (cursor.salts, cursor.frames):
            return None
        return Released(cursor, index.changes, stamp, traces(self._path))

    def unchanged(self) -> bool:
        """Whether the released files are as they were left, as far as that can be seen without opening them; blocks."""
        return self._released is not None and self._released.traces == traces(self._path)

    def look_at_wal(self, guard: WalGuard) -> bool:
        """Whether the WAL is over its limit; blocks."""
        return self._database is not None and guard.look(self._database)

    @property
    def _open(self) -> tuple[LiveDatabase, Capture]:
        assert self._database is not None
        assert self._capture is not None
        return self._database, self._capture

    # the position

    async def locate(self, *, whole: bool = False) -> None:
        """Ask the bucket where it stands, and the WAL whether it goes on from there.

        Raises BucketTaken, and what requests raise.
        """
        database, capture = self._open
        catalogue = await self.link.locate(whole=whole)
        self._schedule.note_catalogue(catalogue)
        if not restorable(catalogue):
            log.warning("%s: the newest state in the bucket cannot be restored; a snapshot follows", self._path)
            self._schedule.demand_snapshot()
        spooled = await self._work(self.link.reconcile)
        if spooled and self._cursor is not None:
            return  # captured on while the bucket could not be reached
        self._tail = None
        spooled = spooled and len(self.link.spool) > 0
        position = self.link.spool.end if spooled else self.link.newest
        self._cursor = None
        if position is not None:
            self._cursor = await self._work(_resume, database, position)
            if self._cursor is None and not spooled and (image := await self._image(catalogue)):
                self._cursor = await self._work(capture.matching, self.link.acknowledged, image)
        if self._cursor is not None:
            log.info("%s: goes on from TXID %016x", self._path, self._cursor.txid)
        elif catalogue.files:
            reason = "its WAL is not known to go on from there"
            log.info("%s: full copy follows TXID %016x: %s", self._path, catalogue.max_txid, reason)
        else:
            log.info("%s: first full copy, as the bucket is empty", self._path)

    async def locate_without_bucket(self) -> None:
        """Go on from what the spool remembers, if it does."""
        database, _ = self._open
        if self._cursor is None and self.link.spool.base is not None:
            self._cursor = await self._work(_resume, database, self.link.spool.end)
            if self._cursor is not None:
                log.info("%s: goes on from TXID %016x into the spool", self._path, self._cursor.txid)

    async def check(self, *, compare: bool) -> None:
        """Look whether the bucket still holds what it acknowledged. Raises BucketLost, BucketTaken."""
        await self.link.examine()
        if compare:
            await self.link.compare()

    def start_over(self) -> None:
        """What is known about the bucket does not hold: ask it again, and believe only what it can prove.

        It was emptied; or a name is taken that should be free: by ours from an attempt that seemed to fail, by another
        writer, or the last listing came from a replica that lags.
        """
        self.link.located = False
        self._cursor = self._tail = None

    async def leave_mark(self) -> None:
        """Tell the next start how the database looked at the last TXID, should its WAL be gone by then."""
        await self._work(self.link.leave_base)
        if self._cursor is None or self._capture is None or _recorded(self._ledger.catalogue()):
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
        if mark is None or mark.size > MARK_LIMIT:
            return None
        try:
            content = json.loads(b"".join([block async for block in self._store.read(mark)]))
            return str(content["image"]) if content["txid"] == f"{catalogue.max_txid:016x}" else None
        except (ValueError, TypeError, KeyError, RecursionError):
            log.warning("%s: `%s` in the bucket cannot be read; it is not needed", self._path, MARK_NAME)
            return None

    # work

    @property
    def can_capture(self) -> bool:
        """Whether there is a way for what is committed: a full copy goes into the bucket only."""
        return self._cursor is not None or self.link.up

    @property
    def caught_up(self) -> bool:
        """Whether all that was captured is in the bucket."""
        return self.link.up and self._tail is None and self._cursor is not None and not len(self.link.spool)

    async def pending(self) -> bool:
        """Whether there is anything to capture."""
        if self._tail is not None:
            return True
        if self._cursor is None:
            return self.link.located and self.link.until_attempt() <= 0
        _, capture = self._open
        return await self._work(capture.pending, self._cursor)

    async def sync(self) -> None:
        """Deliver until everything that was committed when the call began is in the bucket, or in the spool."""
        self._figures.pending_since = self._figures.pending_since or time.time()
        await self._drain()
        while True:
            await self._send_tail()
            batch = await self._next()
            if batch is None:
                break
            try:
                await self._deliver(batch)
            finally:
                await self._work(batch.release)
            if batch.complete:
                break
        if self.caught_up:
            self._figures.pending_since = 0.0

    async def checkpoint(self) -> None:
        """Copy captured frames into the database file, if it is time to."""
        if self._cursor is None or self._tail is not None:
            return
        database, capture = self._open
        index = await self._work(database.index)
        if not self._schedule.checkpoint_due(index.uncopied):
            return
        began = time.monotonic()
        try:
            self._tail, uncopied = await self._work(capture.seal, self._cursor)
        except Discontinuity:
            return  # the next sync meets it again and takes a full copy
        except DatabaseError as error:
            if not error.retryable:
                raise
            self._say_refused("checkpoint", error)
            self._schedule.note_checkpoint(index.uncopied)
            return
        if self._refused:
            self._refused = ""
            log.info("%s: checkpoints work again", self._path)
        self._schedule.note_checkpoint(uncopied)
        self._figures.done["checkpoints"] += 1
        self._observe("checkpoint", time.monotonic() - began)
        log.debug("%s: checkpoint, %d frames left", self._path, uncopied)

    async def snapshot(self) -> None:
        """Upload a level 9 file, if it is time to."""
        if not self.caught_up or not self._schedule.snapshot_due():
            return
        _, capture = self._open
        assert self._cursor is not None
        began = time.monotonic()
        try:
            self._tail, batch = await self._work(capture.snapshot, self._cursor)
        except Discontinuity:
            return  # as above
        except DatabaseError as error:
            if not error.retryable:
                raise
            self._say_refused("snapshot", error)
            batch = None
        if batch is None:
            self._schedule.postpone_snapshot()
            return
        try:
            await self._send_tail()
            if not self.link.up:
                return
            await self.link.put(batch)
        except NatsError as error:
            self.link.note_outage(error)
            return
        finally:
            await self._work(batch.release)
        self._schedule.note_acknowledged(batch.header.max_txid, full=True)
        self._figures.done["snapshots"] += 1
        self._observe("snapshot", time.monotonic() - began)

    def _say_refused(self, what: str, error: DatabaseError) -> None:
        """What is to be done later; a disk that refuses is said once, a lock that somebody holds is nothing special."""
        self._figures.errors[type(error).__name__] += 1
        if isinstance(error, DiskRefuses) and str(error) != self._refused:
            self._refused = str(error)
            log.error("%s: no %s: %s", self._path, what, error)
        else:
            log.debug("%s: no %s: %s", self._path, what, error)

    async def _drain(self) -> None:
        if not self.link.up or not len(self.link.spool):
            return
        try:
            await self.link.drain()
        except SpoolLost as error:
            log.warning("%s: %s", self._path, error)
            self._cursor = self._tail = None
        except (ObjectExists, BucketLost):
            await self._work(self.link.spool.clear)
            raise

    async def _send_tail(self) -> None:
        if self._tail is not None:
            await self._deliver(self._tail)
            self._tail = None

    async def _next(self) -> Batch | None:
        _, capture = self._open
        began = time.monotonic()
        if self._cursor is not None:
            try:
                batch = await self._work(capture.incremental, self._cursor)
                if batch is not None:
                    self._observe("capture", time.monotonic() - began)
                return batch
            except Discontinuity as reason:
                log.warning("%s: full copy as TXID %016x: %s", self._path, self._cursor.txid + 1, reason)
                self._cursor = None
        await self._drain()
        if not self.link.up or len(self.link.spool):
            raise self.link.outage or ServerUnreachable(f"{self._path} waits for its bucket")
        return await self._work(capture.full, self.link.acknowledged + 1)

    async def _deliver(self, batch: Batch) -> None:
        await self.link.deliver(batch)
        self._cursor = batch.cursor
        self._figures.captured_txid = batch.header.max_txid
        self._schedule.note_acknowledged(batch.header.max_txid, full=batch.header.full)
        if batch.whole:
            self._figures.done["full_copies"] += 1


def _resume(database: LiveDatabase, position: Position) -> Cursor | None:
    return resume(database, position.header, _checksum(position.headers.get(WAL_HEADER, "")))


def _recorded(catalogue: Catalogue) -> str | None:
    newest = (file.object.headers.get(IMAGE_HEADER) for file in catalogue.files if file.max_txid == catalogue.max_txid)
    return next(filter(None, newest), None)


def _checksum(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
