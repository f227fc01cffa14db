"""Everything that a configuration names, looked at once: connections, buckets, and the databases of directories."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from litefleet.bucket import Catalogue
from litefleet.bucket.members import catalogues, members, require_mappable
from litefleet.config.settings import Database, Directory, Replica, Server, Settings
from litefleet.errors import LitefleetError, NoBackup
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore

#: Buckets looked at, or databases worked on, at the same time unless told otherwise.
JOBS = 4


class Buckets:
    """Connections and listings, each made once; what went wrong with one is raised for each of its databases."""

    def __init__(self, stack: AsyncExitStack) -> None:
        """``stack`` closes the connections."""
        self._stack = stack
        self._connections: dict[Server, Connection | LitefleetError] = {}
        self._catalogues: dict[tuple[Server, str], dict[str, Catalogue] | LitefleetError] = {}

    async def look(self, replicas: Sequence[Replica]) -> None:
        """Connect to the servers of the replicas, and list their buckets."""
        for server in dict.fromkeys(replica.server for replica in replicas):
            try:
                self._connections[server] = await self._stack.enter_async_context(Connection.open(server))
            except LitefleetError as error:
                self._connections[server] = error
        room = asyncio.Semaphore(JOBS)
        async with asyncio.TaskGroup() as tasks:
            for server, bucket in dict.fromkeys((replica.server, replica.bucket) for replica in replicas):
                tasks.create_task(self._list(server, bucket, room))

    async def _list(self, server: Server, bucket: str, room: asyncio.Semaphore) -> None:
        try:
            async with room:
                store = self.store(Replica(server, bucket))
                await store.check()
                self._catalogues[server, bucket] = catalogues((await store.list_bucket()).objects)
        except LitefleetError as error:
            self._catalogues[server, bucket] = error

    def store(self, replica: Replica) -> ObjectStore:
        """Raises why there is no connection to it."""
        connection = self._connections[replica.server]
        if isinstance(connection, LitefleetError):
            raise connection
        return ObjectStore(connection, replica.bucket, replica.path)

    def paths(self, replica: Replica) -> dict[str, Catalogue]:
        """The files below each path of the replica's bucket; raises why they are not known."""
        found = self._catalogues[replica.server, replica.bucket]
        if isinstance(found, LitefleetError):
            raise found
        return found

    def catalogue(self, replica: Replica) -> Catalogue:
        """The files of one database, none if it has no backup; raises why they are not known."""
        return self.paths(replica).get(replica.path, Catalogue(()))


@dataclass(frozen=True, slots=True)
class Configured:
    """The databases of a configuration, and the directories whose databases nobody can tell."""

    #: With the directory that each of them is of, if it is of one.
    databases: tuple[tuple[Database, Directory | None], ...]
    untold: tuple[tuple[Directory, LitefleetError], ...]


async def look_at_all(settings: Settings, buckets: Buckets) -> Configured:
    """Look at the buckets of all databases; those of directories are told by what their bucket holds."""
    untold: list[tuple[Directory, LitefleetError]] = []
    mappable: list[Directory] = []
    for directory in settings.directories:
        try:
            require_mappable(directory)
            mappable.append(directory)
        except LitefleetError as error:
            untold.append((directory, error))
    await buckets.look([entry.replica for entry in (*settings.databases, *(d.template for d in mappable))])
    found: list[tuple[Database, Directory | None]] = [(database, None) for database in settings.databases]
    known = {database.path for database in settings.databases}
    for directory in mappable:
        replica = directory.template.replica
        try:
            of_it = members(directory, buckets.paths(replica))
            if not of_it:
                raise NoBackup(
                    f"{replica.url}: The bucket holds no backup of such databases",
                    hint="was `litefleet replicate` ever run with this directory?",
                )
        except LitefleetError as error:
            untold.append((directory, error))
            continue
        found += [(database, directory) for database in of_it if database.path not in known]
        known.update(database.path for database in of_it)
    return Configured(tuple(found), tuple(untold))
