"""What deletions and crashes leave in a bucket, whoever wrote to it: found for certain, and removed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from litefleet.errors import ObjectCorrupt, RequestFailed
from litefleet.nats.connection import Connection
from litefleet.nats.exchange import Exchange
from litefleet.nats.inventory import Inventory, inventory, last_stored, unused
from litefleet.nats.jetstream import Names, parse
from litefleet.nats.metadata import ObjectInfo, parse_time
from litefleet.nats.read import Reader

#: Requests to purge a subject that may be on their way.
FLIGHT = 256
#: Half objects that are no reason to doubt the server, however few others there are.
MANY = 10


@dataclass(frozen=True, slots=True)
class Half:
    """An object that cannot be read, and how many chunks go with it."""

    info: ObjectInfo
    chunks: int


@dataclass(frozen=True, slots=True)
class Upload:
    """Chunks without an object: ``chunks`` of them up to stream sequence ``last``."""

    nuid: str
    chunks: int
    last: int


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What can be removed, and what only looks like it."""

    tombstones: tuple[ObjectInfo, ...]
    halves: tuple[Half, ...]
    uploads: tuple[Upload, ...]
    #: Objects in all, those that lack chunks among them.
    objects: int
    #: Objects and uploads that may be on their way still.
    young: int
    #: Subjects of metadata that cannot be read; while there are any, chunks without an object may be theirs.
    unreadable: tuple[str, ...]

    @property
    def damaged(self) -> bool:
        """Whether more objects lack chunks than crashes leave: a server has lost data, which another may have."""
        return len(self.halves) > MANY and 4 * len(self.halves) > self.objects

    @property
    def messages(self) -> int:
        """Messages of the stream that are removed with it all."""
        halves = sum(1 + half.chunks for half in self.halves)
        return len(self.tombstones) + halves + sum(upload.chunks for upload in self.uploads)


async def survey(connection: Connection, names: Names, *, older_than: float) -> Leftovers:
    """Look through the whole bucket; what is younger than ``older_than`` seconds may be a put on its way.

    Raises what a request raises.
    """
    found = await inventory(connection, names)
    # A renamed object shares its chunks with the one of its old name for a moment.
    owners = Counter(info.nuid for info in found.objects)
    young = 0
    halves: list[Half] = []
    for info in _incomplete(found):
        if (found.now - info.modified).total_seconds() < older_than:
            young += 1
        elif not await _readable(connection, names, info):
            halves.append(Half(info, found.chunks.get(info.nuid, 0) if owners[info.nuid] == 1 else 0))
    uploads: list[Upload] = []
    if not found.unreadable:
        for nuid, chunk in (await last_stored(connection, names, unused(found), found.until)).items():
            if (found.now - parse_time(chunk.time)).total_seconds() < older_than:
                young += 1
            else:
                uploads.append(Upload(nuid, found.chunks[nuid], chunk.sequence))
    return Leftovers(found.tombstones, tuple(halves), tuple(uploads), len(found.objects), young, found.unreadable)


async def remove(
    connection: Connection,
    names: Names,
    leftovers: Leftovers,
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> None:
    """Remove it all. What was stored since ``survey`` is not touched, be it under the same names.

    ``progress`` gets the number of subjects that are done, and of all. Raises what a request raises; what is removed
    by then stays so.
    """
    tombstones = [(names.metadata(info.name), info.sequence + 1) for info in leftovers.tombstones]
    halves = [(names.metadata(half.info.name), half.info.sequence + 1) for half in leftovers.halves]
    chunks = [(names.chunks(half.info.nuid), half.info.sequence) for half in leftovers.halves if half.chunks]
    chunks += [(names.chunks(upload.nuid), upload.last + 1) for upload in leftovers.uploads]
    subjects = tombstones + halves + chunks
    flight: deque[Exchange] = deque()
    try:
        for number, (subject, before) in enumerate(subjects):
            if len(flight) == FLIGHT:
                await _done(connection, names, flight.popleft())
            await connection.writable()
            body = json.dumps({"filter": subject, "seq": before}).encode()
            flight.append(await connection.send(names.api("PURGE"), body))
            progress(number, len(subjects))
        while flight:
            await _done(connection, names, flight.popleft())
    finally:
        for exchange in flight:
            exchange.close()


def _incomplete(found: Inventory) -> Iterable[ObjectInfo]:
    """Objects with another number of chunks than their metadata say."""
    for info in found.objects:
        # The chunks of one that was stored since they were counted are not among them.
        if info.sequence <= found.until and found.chunks.get(info.nuid, 0) != info.chunks:
            yield info


async def _readable(connection: Connection, names: Names, info: ObjectInfo) -> bool:
    """Whether the object is what its metadata promise: the last word before it goes."""
    try:
        async for _ in Reader(connection, names, info).verified():
            pass
    except ObjectCorrupt:
        return False
    return True


async def _done(connection: Connection, names: Names, exchange: Exchange) -> None:
    try:
        async with asyncio.timeout(connection.server.timeout):
            with exchange:
                parse(await exchange.reply(), names, connection)
    except TimeoutError:
        raise RequestFailed(
            f"No answer from {connection.connected_url} to `{exchange.subject}` within {connection.server.timeout:g} s",
            hint="what was removed stays so; try again for the rest",
        ) from None
