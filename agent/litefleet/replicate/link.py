"""Where files go: into the bucket while it can be reached, else into the spool, and from there in order."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from litefleet.bucket import Catalogue, object_name
from litefleet.bucket.lease import Lease, read_lease, take
from litefleet.bucket.names import WAL_HEADER
from litefleet.bucket.plan import plan
from litefleet.bucket.view import View
from litefleet.errors import (
    BucketFull,
    BucketLost,
    BucketTaken,
    LitefleetError,
    NatsError,
    NoBackup,
    ObjectExists,
    RequestFailed,
    ServerUnreachable,
)
from litefleet.ltx import HEADER_SIZE, Header
from litefleet.nats.objects import ObjectInfo, ObjectStore
from litefleet.replicate.backoff import Backoff
from litefleet.replicate.blocking import Worker
from litefleet.replicate.capture import Batch
from litefleet.replicate.figures import Figures, Observer
from litefleet.replicate.ledger import Ledger
from litefleet.replicate.spool import Position, Spool

log = logging.getLogger("litefleet.replicate")


@dataclass(frozen=True, slots=True)
class Target:
    """The bucket of one database, and who writes there."""

    store: ObjectStore
    view: View
    host: str
    #: Take a bucket that belongs to another database; explicit, and once.
    takeover: bool = False


class Link:
    """Not to be shared between tasks, but for ``note_connected``."""

    def __init__(
        self,
        path: Path,
        target: Target,
        spool: Spool,
        *,
        ledger: Ledger,
        work: Worker,
        figures: Figures,
        observe: Observer,
    ) -> None:
        self.spool = spool
        #: Whether the bucket's position is known and its lease is ours.
        self.located = False
        #: Why the bucket cannot be used right now.
        self.outage: NatsError | None = None
        self._path = path
        self._target = target
        self._store = target.store
        self._takeover = target.takeover
        self._ledger = ledger
        self._work = work
        self._figures = figures
        self._observe = observe
        self._backoff = Backoff()
        self._next_attempt = 0.0
        #: During an outage: the next request shows whether it is over.
        self._trying = False
        self._outage_began = 0.0
        #: The kinds of causes that were said during this outage.
        self._told: set[str] = set()
        self._created = ""
        #: The stream at the last look, and when its objects were last compared: what has not changed lost nothing.
        self._state = self._compared = (0, 0)
        #: The newest level 0 file in the bucket.
        self._newest: Position | None = None

    # whether it can be used

    @property
    def up(self) -> bool:
        """Whether files go into the bucket."""
        return self.located and (self.outage is None or self._trying)

    @property
    def acknowledged(self) -> int:
        """The highest TXID in the bucket, as far as it is known."""
        return self._figures.acknowledged_txid

    @property
    def due(self) -> bool:
        """Whether the bucket is to be tried now."""
        return (not self.located or (self.outage is not None and not self._trying)) and self.until_attempt() <= 0

    def until_attempt(self) -> float:
        """Seconds until the bucket is to be tried again; 0 for now."""
        return 0.0 if self.outage is None else max(0.0, self._next_attempt - time.monotonic())

    def note_connected(self) -> None:
        """The connection is back: try at once."""
        self._next_attempt = 0.0

    async def attempt(self) -> None:
        """During an outage, when its pause is over: see whether the bucket answers again. Raises BucketLost."""
        if self.outage is None or self._trying or self.until_attempt() > 0:
            return
        if not self.located:
            self._trying = True
            return
        try:
            await self.examine()
        except NatsError as error:
            self.note_outage(error)
            return
        self._trying = True
        # A full bucket answers well; only the next file tells.
        if not isinstance(self.outage, BucketFull):
            self.note_success()

    def note_outage(self, error: NatsError) -> None:
        """The bucket cannot be used; say so once for each kind of cause.

        Raises what is no outage but says something about the bucket: BucketTaken, BucketLost, ObjectExists.
        """
        if isinstance(error, BucketTaken | BucketLost | ObjectExists):
            raise error
        self._trying = False
        self._figures.errors[type(error).__name__] += 1
        if self.outage is None:
            self._outage_began = time.monotonic()
            self._told = set()
        kind = "unreachable" if isinstance(error, ServerUnreachable | RequestFailed) else type(error).__name__
        if kind not in self._told:
            self._told.add(kind)
            log.error("%s: %s", self._path, error)
        self.outage = error
        self._figures.state, self._figures.problem = "outage", str(error)
        self._next_attempt = time.monotonic() + self._backoff.next()

    def note_success(self) -> None:
        """The bucket answers."""
        self._backoff.reset()
        self._trying = False
        if self.outage is None:
            return
        self.outage = None
        log.info("%s: works again after %.1f s", self._path, time.monotonic() - self._outage_began)

    # finding the position

    async def locate(self, *, whole: bool) -> Catalogue:
        """Take the lease and see what is in the bucket; ``whole`` believes nothing that was seen before.

        Raises BucketTaken, and what requests raise.
        """
        self.located = False
        lease = await self._work(Lease.of, self._path, self._target.host)
        status = await self._store.check()
        # Whatever was acknowledged by a stream before this one, or before it was rolled back, counts no more.
        self._store.last_sequence = status.last_sequence
        await take(self._store, lease, takeover=self._takeover)
        self._takeover = False
        contents = await self._target.view.look(self._store.path, whole=whole)
        broken = {info.name for info in contents.broken}
        if broken:
            log.warning("%s: %d objects in the bucket lack chunks, for example %s; `litefleet clean` removes them",
                        self._path, len(broken), min(broken))  # fmt: skip
        catalogue = Catalogue.of(info for info in contents.listing.objects if info.name not in broken)
        self._ledger.reset(catalogue)
        self._compared = (0, 0)
        self._created = status.created
        self._figures.acknowledged_txid = catalogue.max_txid
        if catalogue.files:
            self._figures.acknowledged_at = max(file.created.timestamp() for file in catalogue.files)
        newest = catalogue.newest
        self._newest = None
        if newest is not None:
            header = Header.unpack(await self._store.read_head(newest.object, HEADER_SIZE))
            self._newest = Position(header, newest.object.headers)
        self.located = True
        self.note_success()
        return catalogue

    @property
    def newest(self) -> Position | None:
        """The newest level 0 file in the bucket, or None if there is none or it does not hold the highest TXID."""
        return self._newest

    def reconcile(self) -> bool:
        """Whether what is in the spool goes on from what is in the bucket; if not it is given up. Blocks."""
        try:
            return self._reconcile()
        finally:
            self._note_spool()

    def _reconcile(self) -> bool:
        base = self.spool.base
        if base is None:
            return False
        newest = self._newest
        if newest is not None and newest.header.max_txid >= base.header.max_txid:
            known = [base, *(Position(file.header, file.headers) for file in self.spool.files)]
            # A file whose acknowledgement was lost is in both.
            if any(_same(newest, position) for position in known):
                while len(self.spool) and self.spool.first.header.max_txid <= newest.header.max_txid:
                    self.spool.remove_first()
                if not len(self.spool):
                    # It would be a wrong one by the next outage.
                    self.spool.clear()
                return True
        if len(self.spool):
            log.warning("%s: %d files of the spool do not go on from what is in the bucket; a full copy replaces them",
                        self._path, len(self.spool))  # fmt: skip
        self.spool.clear()
        return False

    async def examine(self) -> None:
        """Raise BucketLost if the stream is not what it was, or has lost what it acknowledged."""
        for attempt in range(_LOOKS):
            status = await self._store.check()
            if self._created and status.created != self._created:
                raise BucketLost(f"{self._store} was made anew at {status.created[:19]}Z", hint=_REFILL)
            if status.last_sequence >= self._store.last_sequence:
                self._state = (status.last_sequence, status.messages)
                return
            # A leader that was just elected may not have read all of its log.
            if attempt < _LOOKS - 1:
                await asyncio.sleep(_LOOK_PAUSE)
        raise BucketLost(
            f"{self._store} ends at message {status.last_sequence}, but {self._store.last_sequence} was acknowledged",
            hint=_REFILL,
        )

    async def compare(self) -> None:
        """After ``examine``: raise BucketLost if objects that nobody removed are gone, or lack chunks.

        Raises BucketTaken if somebody else has the lease.
        """
        state = self._state
        if state == self._compared:
            return
        lease, fence = await read_lease(self._store), self._store.fence
        if lease is not None and fence is not None and lease.sequence > fence.sequence:
            raise BucketTaken(
                f"{self._store} was taken over by the agent for {lease.path} on {lease.host}",
                hint="stop one of the two; `litefleet replicate --takeover` takes it back",
            )
        contents = await self._target.view.look(self._store.path, whole=True)
        broken = {info.name for info in contents.broken}
        there = {info.name for info in contents.listing.objects} - broken
        for file in self._ledger.catalogue().files:
            name = file.object.name
            # Direct gets are answered by replicas too, which may not know the newest yet: the leader decides.
            if name not in there and (name in broken or not await self._store.exists(name)) and self._ledger.has(name):
                raise BucketLost(f"{self._store} has lost {name}", hint=_REFILL)
        self._compared = state

    # files on their way

    async def deliver(self, batch: Batch) -> None:
        """Store a level 0 file in the bucket, or keep it in the spool.

        Raises ObjectExists, BucketTaken and BucketLost; SpoolFull; and for a full copy, which is not kept, the outage.
        """
        if self.up and not len(self.spool):
            try:
                stored = await self.put(batch)
            except NatsError as error:
                self.note_outage(error)
            else:
                self._note_acknowledged(Position(batch.header, stored.headers))
                return
        if batch.whole:
            raise self.outage or ServerUnreachable("The bucket cannot be reached")
        await self._keep(batch)

    async def put(self, batch: Batch) -> ObjectInfo:
        """Store a file in the bucket."""
        began = time.monotonic()
        stored = await self._store.put(batch.name, self._work.blocks(batch.blocks()), headers=batch.object_headers)
        self._ledger.add(stored)
        seconds = time.monotonic() - began
        self._note_upload(stored, seconds)
        log.debug(
            "%s: acknowledged level=%d txid=%016x pages=%d bytes=%d seconds=%.3f",
            self._path, batch.level, batch.header.max_txid, batch.header.commit, stored.size, seconds,
        )  # fmt: skip
        self.note_success()
        return stored

    async def drain(self) -> None:
        """Send what waits in the spool, oldest first, as long as that works."""
        began, count = time.monotonic(), len(self.spool)
        while len(self.spool) and self.up:
            file = self.spool.first
            content = await self._work(self.spool.read, file)
            if content is None:
                await self._work(self.spool.clear)
                self._note_spool()
                raise SpoolLost(f"{file.path} is damaged or gone", hint="a full copy follows")
            try:
                stored = await self._store.put(
                    object_name(0, file.header.min_txid, file.header.max_txid), content, headers=file.headers
                )
            except NatsError as error:
                self.note_outage(error)
                return
            self._ledger.add(stored)
            self._note_upload(stored, 0.0)
            self._note_acknowledged(Position(file.header, file.headers))
            log.debug("%s: acknowledged level=0 txid=%016x from the spool", self._path, file.header.max_txid)
            await self._work(self.spool.remove_first)
            self._note_spool()
            self.note_success()
        if count and not len(self.spool):
            log.info("%s: %d files from the spool are acknowledged, in %.1f s", self._path, count,
                     time.monotonic() - began)  # fmt: skip

    def leave_base(self) -> None:
        """For a start while the bucket cannot be reached: where it stood; blocks, and need not work."""
        if self._newest is None or len(self.spool):
            return
        try:
            self.spool.set_base(self._newest)
        except LitefleetError as error:
            log.debug("%s: %s", self._path, error)

    async def _keep(self, batch: Batch) -> None:
        if self.spool.base is None:
            if self._newest is None:
                raise self.outage or ServerUnreachable("The bucket cannot be reached")
            await self._work(self.spool.set_base, self._newest)
        await self._work(lambda: self.spool.add(batch.header, dict(batch.object_headers), batch.blocks()))
        self._note_spool()
        log.debug("%s: spooled txid=%016x files=%d", self._path, batch.header.max_txid, len(self.spool))

    def _note_acknowledged(self, position: Position) -> None:
        self._newest = position
        self._figures.acknowledged_txid = position.header.max_txid
        self._figures.acknowledged_at = position.header.timestamp / 1000

    def _note_upload(self, stored: ObjectInfo, seconds: float) -> None:
        self._figures.done["uploads"] += 1
        self._figures.done["upload_bytes"] += stored.size
        if seconds:
            self._observe("upload", seconds)

    def _note_spool(self) -> None:
        self._figures.spool_files, self._figures.spool_bytes = len(self.spool), self.spool.size


#: Looks at a stream that seems to have lost messages, and the seconds between them.
_LOOKS, _LOOK_PAUSE = 5, 1.0


class SpoolLost(LitefleetError):
    """What waited on disk cannot be read any more."""

    retryable = True


_REFILL = "the agent fills it again with a full copy; find out who did it"


def restorable(catalogue: Catalogue) -> bool:
    """Whether the newest state of a bucket can be restored, by Litestream too: from a base, over no gap."""
    try:
        return not catalogue.files or plan(catalogue).txid == catalogue.max_txid
    except NoBackup:
        return False


def _same(one: Position, other: Position) -> bool:
    """Whether two level 0 files are of the same moment of the same WAL."""
    return (
        one.header.max_txid == other.header.max_txid
        and one.header.timestamp == other.header.timestamp
        and one.headers.get(WAL_HEADER) == other.headers.get(WAL_HEADER)
    )
