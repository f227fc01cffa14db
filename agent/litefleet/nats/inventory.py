"""Everything that a bucket holds, as its leader has it: what may decide about removing something."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litefleet.errors import RequestFailed
from litefleet.nats.batch import Stored
from litefleet.nats.connection import Connection
from litefleet.nats.jetstream import Names, api_request, server_time
from litefleet.nats.metadata import MetadataUnreadable, ObjectInfo, decode_metadata, parse_time
from litefleet.nats.newest import Lagging, newest

#: Subjects the server names in one answer.
PAGE = 100_000
#: Attempts while the bucket changes under the questions or a replica lags, and the pause between them in seconds.
ATTEMPTS, PAUSE = 10, 0.2


@dataclass(frozen=True, slots=True)
class Subjects:
    """The subjects of a stream at one moment, from its leader."""

    #: How many messages each of them has.
    counts: Mapping[str, int]
    #: The last stream sequence.
    until: int
    #: The server's time.
    now: datetime


@dataclass(frozen=True, slots=True)
class Inventory:
    """A bucket at one moment."""

    objects: tuple[ObjectInfo, ...]
    #: Metadata of objects that were deleted as most clients delete: they stay for ever.
    tombstones: tuple[ObjectInfo, ...]
    #: Names, as far as their subjects tell, of metadata that do not describe an object.
    unreadable: tuple[str, ...]
    #: How many chunks each nuid has.
    chunks: Mapping[str, int]
    #: The last stream sequence; metadata after it may be of objects whose chunks were not counted.
    until: int
    now: datetime


async def inventory(connection: Connection, names: Names) -> Inventory:
    """What the bucket holds; raises what a request raises, ``RequestFailed`` if it never holds still."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            subjects = await stream_subjects(connection, names, f"$O.{names.bucket}.>")
            metadata = [subject for subject in subjects.counts if subject.startswith(names.all_metadata[:-1])]
            stored = await newest(connection, names, metadata, at_least=subjects.until)
        except Lagging:
            # Or all that was asked for is gone meanwhile: then the next look does not ask for it.
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(PAUSE * attempt)
        else:
            return _sorted(names, subjects, [stored[subject] for subject in metadata if subject in stored])
    raise AssertionError("the last attempt returns or raises")


async def stream_subjects(connection: Connection, names: Names, pattern: str) -> Subjects:
    """The subjects that ``pattern`` matches; raises what a request raises."""
    for _ in range(ATTEMPTS):
        counts: dict[str, int] = {}
        state: dict[str, Any] | None = None
        while True:
            answer = await api_request(connection, names, "INFO", {"subjects_filter": pattern, "offset": len(counts)})
            now = answer.get("state", {})
            page: dict[str, int] = now.pop("subjects", None) or {}
            if state is not None and now != state:
                break  # the pages do not fit together any more
            state = now
            counts.update(page)
            if len(page) < PAGE:
                return Subjects(counts, int(now.get("last_seq", 0)), server_time(answer, connection))
    raise RequestFailed(
        f"Bucket `{names.bucket}` on {connection.connected_url} changes too fast to be looked through",
        hint="try again when less is written to it",
    )


async def last_stored(connection: Connection, names: Names, nuids: Sequence[str], until: int) -> dict[str, Stored]:
    """The last chunk of each nuid, from a server that has all up to stream sequence ``until``."""
    subjects = {names.chunks(nuid): nuid for nuid in nuids}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            found = await newest(connection, names, list(subjects), at_least=until)
        except Lagging:
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(PAUSE * attempt)
            # Where nothing of what was asked for is left, a server does not say how far it is.
            there = (await stream_subjects(connection, names, names.all_chunks)).counts
            subjects = {subject: nuid for subject, nuid in subjects.items() if subject in there}
        else:
            return {subjects[subject]: stored for subject, stored in found.items()}
    raise AssertionError("the last attempt returns or raises")


def unused(found: Inventory, others: Collection[str] = ()) -> list[str]:
    """The nuids with chunks that no object refers to, nor ``others`` name."""
    used = {info.nuid for info in found.objects}.union(others)
    return sorted(nuid for nuid in found.chunks if nuid not in used)


def _sorted(names: Names, subjects: Subjects, messages: Sequence[Stored]) -> Inventory:
    objects: list[ObjectInfo] = []
    tombstones: list[ObjectInfo] = []
    unreadable: list[str] = []
    for message in messages:
        token = message.subject.rpartition(".")[2]
        try:
            modified = parse_time(message.time)
            info = decode_metadata(message.data, token=token, modified=modified, sequence=message.sequence)
        except (MetadataUnreadable, ValueError):
            unreadable.append(message.subject)
        else:
            (tombstones if info.deleted else objects).append(info)
    prefix = names.all_chunks[:-1]
    chunks = {
        subject.removeprefix(prefix): count for subject, count in subjects.counts.items() if subject.startswith(prefix)
    }
    return Inventory(tuple(objects), tuple(tombstones), tuple(unreadable), chunks, subjects.until, subjects.now)
