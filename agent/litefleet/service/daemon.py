"""All databases of a configuration, replicated side by side over as few connections as there are servers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial

from litefleet.config.settings import Server, Settings
from litefleet.errors import LitefleetError, first_error
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from litefleet.service.notify import notify
from litefleet.service.protection import Protection
from litefleet.sqlite import Watcher

log = logging.getLogger("litefleet.service")


async def replicate_once(settings: Settings) -> None:
    """Bring every bucket up to date and return; raises the first error."""
    async with _protections(settings) as protections:
        try:
            async with asyncio.TaskGroup() as tasks:
                for protection in protections:
                    tasks.create_task(protection.once())
        except* LitefleetError as group:
            raise first_error(group) from None


async def replicate_forever(settings: Settings) -> None:
    """Until SIGTERM or SIGINT, then sync the tail.

    Raises NotDurable if the last transactions of a database were not acknowledged; and before anything is started, the
    error of a server, or of the buckets if none of them can be used.
    """
    async with _protections(settings) as protections:
        with _stopped_by_signals(protections):
            waiting = {protection.database.path for protection in protections}

            def ready(protection: Protection) -> None:
                if protection.database.path in waiting:
                    waiting.discard(protection.database.path)
                    if not waiting:
                        log.info("Replicating %d databases", len(protections))
                        notify("READY=1", f"STATUS=Replicating {len(protections)} databases")

            try:
                async with asyncio.TaskGroup() as tasks:
                    running = [tasks.create_task(one.run(partial(ready, one))) for one in protections]
            except* LitefleetError as group:
                raise first_error(group) from None
            failures = [failure for task in running if (failure := task.result()) is not None]
            for failure in failures[1:]:
                log.error("%s", failure)
            if failures:
                raise failures[0]
    log.info("Stopped; every committed transaction is acknowledged")


@asynccontextmanager
async def _protections(settings: Settings) -> AsyncIterator[list[Protection]]:
    """One for each database; databases with the same server share a connection.

    Raises what makes every bucket unusable.
    """
    async with AsyncExitStack() as stack:
        connections: dict[Server, Connection] = {}
        executor = stack.enter_context(ThreadPoolExecutor(min(32, 4 + (os.cpu_count() or 1)), "sqlite"))
        watcher = stack.enter_context(Watcher())
        protections: list[Protection] = []
        unusable: list[LitefleetError] = []
        for database in settings.databases:
            server = database.replica.server
            if server not in connections:
                connections[server] = await stack.enter_async_context(Connection.open(server))
            store = ObjectStore(connections[server], database.replica.bucket, database.replica.path)
            try:
                await store.check()
            except LitefleetError as error:
                unusable.append(error)
            protections.append(Protection(database, store, watcher, executor, settings))
        if len(unusable) == len(protections):
            raise unusable[0]
        # One bucket that cannot be used is no reason to leave the other databases without a backup: it is tried again.
        yield protections


@contextmanager
def _stopped_by_signals(protections: list[Protection]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        log.info("%s: sending the last transactions", number.name)
        notify("STOPPING=1")
        for protection in protections:
            protection.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
