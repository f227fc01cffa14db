"""All databases of an agent, side by side: started, stopped, added, removed and changed while the others go on."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from litefleet.config.directories import expand
from litefleet.config.settings import Database, Server, Settings
from litefleet.config.targets import Targets, in_the_way
from litefleet.errors import ConfigError, LitefleetError, UsageError
from litefleet.replicate.figures import Figures, Observer
from litefleet.replicate.link import Target
from litefleet.replicate.openings import Openings
from litefleet.replicate.spool import SpoolBudget
from litefleet.service.connections import Connections
from litefleet.service.directories import follow, scan
from litefleet.service.interface import Reloaded
from litefleet.service.notify import reloading
from litefleet.service.protection import Protection, Shared
from litefleet.sqlite import Watcher

log = logging.getLogger("litefleet.service")

#: Databases that are opened, and looked for in their buckets, at the same time.
_STARTING = 32
#: Descriptors that an open database takes, with a snapshot on its way, and that everything else may take.
_FILES_EACH, _OTHER_FILES = 10, 200


@dataclass
class _Member:
    database: Database
    protection: Protection
    task: asyncio.Task[LitefleetError | None]


class Fleet:
    """Make it with ``running``."""

    def __init__(
        self,
        settings: Settings,
        shared: Shared,
        tasks: asyncio.TaskGroup,
        load: Callable[[], Settings],
        *,
        takeover: bool,
    ) -> None:
        self.settings = settings
        self.started = time.time()
        self._shared = shared
        self._tasks = tasks
        self._load = load
        self._takeover = takeover
        self._connections = Connections(tasks, self._suspect, self._back)
        self._members: dict[Path, _Member] = {}
        self._targets: Targets[Path] = Targets()
        self._unready: set[Path] = set()
        self._ready = asyncio.Event()
        self._changed = asyncio.Event()
        self._stopping = False
        self._following: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def running(
        cls, settings: Settings, load: Callable[[], Settings], *, observe: Observer, takeover: bool = False
    ) -> AsyncIterator[Fleet]:
        """A fleet without members; ``load`` reads the configuration anew. What still runs at the end is cancelled."""
        with ExitStack() as stack:
            executor = stack.enter_context(ThreadPoolExecutor(min(32, 4 + (os.cpu_count() or 1)), "sqlite"))
            shared = Shared(
                stack.enter_context(Watcher()),
                executor,
                SpoolBudget(settings.spool.limit),
                Openings(_most_open(settings.max_open)),
                asyncio.Semaphore(_STARTING),
                observe,
            )
            async with asyncio.TaskGroup() as tasks:
                fleet = cls(settings, shared, tasks, load, takeover=takeover)
                try:
                    yield fleet
                finally:
                    await fleet._connections.close()
                    if fleet._following is not None:
                        fleet._following.cancel()
                    for member in fleet._members.values():
                        member.task.cancel()

    # what others may ask, see ``FleetLike``

    def figures(self) -> tuple[Figures, ...]:
        """One for each database."""
        return tuple(member.protection.figures for member in self._members.values())

    async def sync(self, path: Path) -> Figures:
        """Until all that was committed at the call is acknowledged; bound it. Raises UsageError, NotDurable."""
        member = self._member(path)
        await member.protection.replicator.flush()
        return member.protection.figures

    async def add(self, database: Database) -> bool:
        """Replicate one more; False if it is there already."""
        async with self._exclusively():
            return await self._add(database)

    async def remove(self, path: Path) -> bool:
        """Send its last transactions, then let it go; False if it is unknown. Raises NotDurable."""
        async with self._exclusively():
            failure = await self._remove(path)
        if isinstance(failure, LitefleetError):
            raise failure
        return failure

    async def reload(self) -> Reloaded:
        """Read the configuration again and apply it, database by database; the others do not notice."""
        with reloading():
            wanted = await asyncio.to_thread(self._load)
            async with self._exclusively():
                return await self._apply(wanted)

    @asynccontextmanager
    async def _exclusively(self) -> AsyncIterator[None]:
        """One change at a time."""
        try:
            async with self._turn:
                yield
        finally:
            self._changed.set()

    # life

    async def start(self) -> None:
        """Start every database of the configuration."""
        self._unready = {database.path for database in self.settings.databases}
        async with self._exclusively():
            for database in self.settings.databases:
                await self._add(database)
            for database in await self._found(self.settings):
                await self._try_to_add(database)
        self._follow_directories()
        if not self._unready:
            self._ready.set()

    async def ready(self) -> None:
        """Until every database that there was at the start is followed, or it is known why it is not.

        Raises what keeps all of them from their buckets, unless it is a server that may only be late.
        """
        await self._ready.wait()
        outages = [member.protection.link.outage for member in self._members.values()]
        lasting = [outage for outage in outages if outage is not None and not outage.retryable]
        if outages and len(lasting) == len(outages):
            raise lasting[0]

    async def ended(self) -> list[LitefleetError]:
        """Until every database has ended; what went wrong with them, after ``stop`` or by itself."""
        while not self._is_over():
            self._changed.clear()
            await self._changed.wait()
        results = [member.task.result() for member in self._members.values()]
        return [failure for failure in results if failure is not None]

    def _is_over(self) -> bool:
        # While something is added, removed or changed there may be nobody for a moment.
        if self._turn.locked() or any(not member.task.done() for member in self._members.values()):
            return False
        return self._stopping or (bool(self._members) and not self.settings.directories)

    def stop(self) -> None:
        """Every database sends its last transactions, then ends."""
        self._stopping = True
        self._changed.set()
        if self._following is not None:
            self._following.cancel()
        for member in self._members.values():
            member.protection.stop()

    async def once(self) -> None:
        """Bring every bucket up to date, instead of ``start``; raises the first error."""
        databases = [*self.settings.databases, *await self._found(self.settings)]
        async with asyncio.TaskGroup() as tasks:
            for database in databases:
                protection = await self._protection(database)
                tasks.create_task(protection.once())

    # members

    async def _add(self, database: Database) -> bool:
        if self._stopping:
            raise UsageError("The agent is about to end", hint="add it once the agent runs again")
        known = self._members.get(database.path)
        if known is not None and not known.task.done():
            return False
        if known is not None:
            await self._remove(database.path)
        self._claim(database)
        protection = await self._protection(database)
        task = self._tasks.create_task(protection.run(partial(self._note_ready, database.path)))
        task.add_done_callback(lambda _: self._changed.set())
        self._members[database.path] = _Member(database, protection, task)
        return True

    async def _try_to_add(self, database: Database) -> None:
        """One file of a directory that cannot be protected is no reason to leave the others alone."""
        try:
            await self._add(database)
        except LitefleetError as error:
            log.warning("%s: not replicated: %s", database.path, error)

    async def _remove(self, path: Path) -> bool | LitefleetError:
        member = self._members.get(path)
        if member is None:
            return False
        member.protection.stop()
        await asyncio.wait([member.task])
        del self._members[path]
        self._targets.release(member.database.replica)
        await self._connections.leave(member.database.replica)
        return member.task.result() or True

    async def _protection(self, database: Database) -> Protection:
        store, view = await self._connections.use(database.replica)
        host = self.settings.identity or socket.gethostname()
        return Protection(database, Target(store, view, host, self._takeover), self._shared, self.settings)

    def _claim(self, database: Database) -> None:
        """Take its place in the bucket. Raises ConfigError if another database goes there."""
        claim = self._targets.claim(database.replica, database.path)
        if claim is not None:
            raise ConfigError(f"{database.path} {in_the_way(database.replica, claim, str(claim.owner))}")

    def _member(self, path: Path) -> _Member:
        member = self._members.get(path)
        if member is None:
            raise UsageError(f"Database not replicated here: {path}", hint="`litefleet status` lists those that are")
        return member

    def _note_ready(self, path: Path) -> None:
        self._unready.discard(path)
        if not self._unready:
            self._ready.set()

    # changes

    async def _apply(self, wanted: Settings) -> Reloaded:
        before, self.settings = self.settings, wanted
        self._takeover = False
        databases = [*wanted.databases, *await self._found(wanted)]
        after = {database.path: database for database in databases}
        old = {database.path for database in before.databases}
        everything = _for_all(before) != _for_all(wanted)
        removed = [
            path
            for path, member in self._members.items()
            if path not in after and (path in old or before.directories != wanted.directories)
        ]
        changed = [
            path
            for path, member in self._members.items()
            if path in after and (everything or after[path] != member.database or member.task.done())
        ]
        added = [path for path in after if path not in self._members]
        for path in (*removed, *changed):
            if isinstance(failure := await self._remove(path), LitefleetError):
                log.warning("%s", failure)
        for path in (*changed, *added):
            await self._try_to_add(after[path])
        if (before.directories, old) != (wanted.directories, {database.path for database in wanted.databases}):
            self._follow_directories()
        note = ", ".join(
            name
            for name, one, other in (
                ("`addr`", before.addr, wanted.addr),
                ("`socket`", before.socket, wanted.socket),
                ("`spool`", before.spool, wanted.spool),
                ("`max-open`", before.max_open, wanted.max_open),
                ("`logging`", before.logging, wanted.logging),
            )
            if one != other
        )
        log.info("Reloaded: %d added, %d removed, %d changed", len(added), len(removed), len(changed))
        return Reloaded(tuple(added), tuple(removed), tuple(changed), f"{note} need a restart" if note else "")

    def _follow_directories(self) -> None:
        """From now on, add what appears in the configuration's directories, and remove what disappears."""
        if self._following is not None:
            self._following.cancel()
            self._following = None
        watched = [directory for directory in self.settings.directories if directory.watch]
        if watched:
            own = [database.path for database in self.settings.databases]
            self._following = self._tasks.create_task(follow(watched, self.add, self.remove, others=own))

    async def _found(self, settings: Settings) -> list[Database]:
        """The databases that are in the configuration's directories now."""
        found: list[Database] = []
        own = [database.path for database in settings.databases]
        for directory in settings.directories:
            for file in await asyncio.to_thread(partial(scan, directory, others=own)):
                try:
                    found.append(expand(directory, file))
                except ConfigError as error:
                    log.warning("%s", error)
        return found

    # what the servers say

    def _suspect(self, server: Server, bucket: str | None, compare: bool) -> None:  # noqa: FBT001
        for member in self._members.values():
            replica = member.database.replica
            if replica.server == server and bucket in (None, replica.bucket):
                member.protection.replicator.suspect(compare=compare)

    def _back(self, server: Server) -> None:
        for member in self._members.values():
            if member.database.replica.server == server:
                member.protection.replicator.note_connected()


def _most_open(wanted: int) -> int:
    """As many databases as the system lets this process hold open; its own limit is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = max(1, (hard - _OTHER_FILES) // _FILES_EACH)
    if most < wanted:
        log.warning("%d open files allow %d open databases instead of %d; raise LimitNOFILE", hard, most, wanted)
    return min(wanted, most)


def _for_all(settings: Settings) -> Settings:
    """What concerns every database, and can be changed while they run."""
    return Settings(
        databases=(),
        snapshot_interval=settings.snapshot_interval,
        levels=settings.levels,
        l0_retention=settings.l0_retention,
        snapshot_retention=settings.snapshot_retention,
        retention_enabled=settings.retention_enabled,
        shutdown_sync_timeout=settings.shutdown_sync_timeout,
        identity=settings.identity,
    )
