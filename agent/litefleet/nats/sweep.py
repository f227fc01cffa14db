"""Finding chunks that no object refers to: what a put leaves that was cut off from the server, or killed."""

from __future__ import annotations

from collections.abc import Collection

from litefleet.nats.connection import Connection
from litefleet.nats.inventory import inventory, last_stored, stream_subjects, unused
from litefleet.nats.jetstream import Names
from litefleet.nats.metadata import parse_time


async def chunk_counts(connection: Connection, names: Names) -> dict[str, int]:
    """How many chunks there are of each nuid, as the leader knows them."""
    subjects = await stream_subjects(connection, names, names.all_chunks)
    return {subject.rpartition(".")[2]: count for subject, count in subjects.counts.items()}


async def abandoned(
    connection: Connection, names: Names, used: Collection[str], *, older_than: float, before: int = 0
) -> tuple[list[str], int]:
    """Nuids with chunks that no object refers to and that are not ``used``, unchanged for ``older_than`` seconds.

    Or since stream sequence ``before``, from which on nobody else can complete an object. None where metadata cannot be
    read: nobody knows what they refer to. Beside them the stream sequence up to which objects were looked at.
    """
    found = await inventory(connection, names)
    if found.unreadable:
        return [], found.until
    stored = await last_stored(connection, names, unused(found, used), found.until)
    nuids = [
        nuid
        for nuid, chunk in stored.items()
        if chunk.sequence < before or (found.now - parse_time(chunk.time)).total_seconds() >= older_than
    ]
    return nuids, found.until
