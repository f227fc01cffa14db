"""Finding chunks that no object refers to: what a put leaves that was cut off from the server, or killed."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from litefleet.nats.connection import Connection
from litefleet.nats.jetstream import Names, api_request
from litefleet.nats.metadata import parse_time

#: Subjects the server names in one answer.
PAGE = 100_000


async def chunk_nuids(connection: Connection, names: Names) -> tuple[set[str], datetime]:
    """The nuids of all chunks, as the leader knows them, and the server's time."""
    nuids: set[str] = set()
    offset = 0
    while True:
        body = {"subjects_filter": names.all_chunks, "offset": offset}
        answer = await api_request(connection, names, "INFO", body)
        subjects: dict[str, Any] = answer.get("state", {}).get("subjects") or {}
        nuids.update(subject.rpartition(".")[2] for subject in subjects)
        offset += PAGE
        if len(subjects) < PAGE:
            return nuids, parse_time(str(answer.get("ts", "")))


async def last_stored(connection: Connection, names: Names, nuid: str) -> datetime | None:
    """When the newest chunk of a nuid was stored; None if there is none any more."""
    reply = await connection.request(names.direct_get, json.dumps({"last_by_subj": names.chunks(nuid)}).encode())
    time = reply.headers.get("Nats-Time-Stamp")
    return None if reply.status or time is None else parse_time(time)


async def abandoned(connection: Connection, names: Names, used: Collection[str], *, older_than: float) -> list[str]:
    """Nuids with chunks that are not ``used`` and to which nothing was added for ``older_than`` seconds."""
    nuids, now = await chunk_nuids(connection, names)
    found = []
    for nuid in sorted(nuids.difference(used)):
        stored = await last_stored(connection, names, nuid)
        if stored is not None and (now - stored).total_seconds() >= older_than:
            found.append(nuid)
    return found
