"""The connections of an agent, one for each server; and what the servers say about its buckets without being asked.

JetStream announces to the account what happens to streams: they are made, deleted, purged, get another leader. So an
idle bucket costs no message, and one that is emptied is noticed at once. Where the user may not subscribe to that, each
bucket is looked at once a minute instead.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from litefleet.bucket.view import View
from litefleet.config.settings import Replica, Server
from litefleet.errors import NatsError
from litefleet.nats.connection import Connection, StateChange
from litefleet.nats.objects import ObjectStore

log = logging.getLogger("litefleet.service")

ADVISORIES = "$JS.EVENT.ADVISORY.>"
#: Seconds between two looks at a bucket where nothing is announced.
_POLL = 50.0
_STREAM = re.compile(r"\$JS\.EVENT\.ADVISORY\.STREAM\.(CREATED|DELETED|UPDATED|RESTORE_COMPLETE|LEADER_ELECTED)\.(\S+)")
_REQUEST = re.compile(r"\$JS\.API\.STREAM\.(?:PURGE|DELETE|CREATE|UPDATE|RESTORE|MSG\.DELETE)\.(\S+)")

#: Called with a bucket, None for all of them, and whether its objects are to be compared one by one.
Suspicion = Callable[[Server, "str | None", bool], None]


@dataclass
class _Server:
    connection: Connection
    views: dict[str, View] = field(default_factory=dict)
    users: int = 0
    keeper: asyncio.Task[None] | None = None
    watcher: asyncio.Task[None] | None = None


class Connections:
    """Use it inside a task group, which runs what keeps the connections."""

    def __init__(self, tasks: asyncio.TaskGroup, suspect: Suspicion, back: Callable[[Server], None]) -> None:
        """``back`` is called when a server answers again."""
        self._tasks = tasks
        self._suspect = suspect
        self._back = back
        self._servers: dict[Server, _Server] = {}

    async def use(self, replica: Replica) -> tuple[ObjectStore, View]:
        """The store of a replica, and its bucket's view; nothing is asked of the server. ``leave`` it at the end."""
        server = replica.server
        known = self._servers.get(server)
        if known is None:
            known = self._servers[server] = _Server(Connection.later(server))
            await self._begin(server, known)
        known.users += 1
        if replica.bucket not in known.views:
            known.views[replica.bucket] = View(ObjectStore(known.connection, replica.bucket))
        return ObjectStore(known.connection, replica.bucket, replica.path), known.views[replica.bucket]

    async def leave(self, replica: Replica) -> None:
        """One user less; a connection that nobody uses is closed."""
        known = self._servers[replica.server]
        known.users -= 1
        if known.users <= 0:
            del self._servers[replica.server]
            await _end(known)

    async def close(self) -> None:
        """Close all of them."""
        for known in self._servers.values():
            await _end(known)
        self._servers.clear()

    async def _begin(self, server: Server, known: _Server) -> None:
        connection = known.connection

        def changed(change: StateChange) -> None:
            if change.state in ("connected", "reconnected"):
                self._back(server)
            if change.state == "reconnected":
                # The server may be another one, or have lost something; and nobody told us what was done meanwhile.
                self._suspect(server, None, True)

        def announced(subject: str, data: bytes) -> None:
            if (found := _concerns(subject, data, connection)) is not None:
                self._suspect(server, *found)

        connection.on_state_change(changed)
        await connection.watch(ADVISORIES, announced)
        known.keeper = self._tasks.create_task(connection.keep())
        known.watcher = self._tasks.create_task(self._look_now_and_then(server, connection))

    async def _look_now_and_then(self, server: Server, connection: Connection) -> None:
        while True:
            await asyncio.sleep(_POLL)
            if connection.is_connected and not connection.watching(ADVISORIES):
                self._suspect(server, None, True)


async def _end(known: _Server) -> None:
    for task in (known.keeper, known.watcher):
        if task is not None:
            task.cancel()
    try:
        await known.connection.close()
    except NatsError as error:
        log.debug("closing: %s", error)


def _concerns(subject: str, data: bytes, connection: Connection) -> tuple[str, bool] | None:
    """The bucket that an announcement is about, and whether messages may have gone; None for what does not matter."""
    if (match := _STREAM.fullmatch(subject)) is not None:
        return _bucket(match[2], compare=match[1] not in ("UPDATED", "LEADER_ELECTED"))
    if not subject.endswith(".API"):
        return None
    try:
        announced: Any = json.loads(data)
        requested, client = str(announced["subject"]), announced.get("client") or {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    match = _REQUEST.match(requested)
    if match is None or _is_ours(client, connection):
        return None
    return _bucket(match[1], compare=True)


def _is_ours(client: object, connection: Connection) -> bool:
    return (
        isinstance(client, dict)
        and client.get("id") == connection.client_id
        and client.get("server") in (connection.server_name, None)
    )


def _bucket(stream: str, *, compare: bool) -> tuple[str, bool] | None:
    stream = stream.split(".", 1)[0]
    return (stream.removeprefix("OBJ_"), compare) if stream.startswith("OBJ_") else None
