"""All databases of a configuration, replicated side by side over as few connections as there are servers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from litefleet.config.settings import Server, Settings
from litefleet.errors import LitefleetError, NotDurable, first_error
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from litefleet.replicate import DatabaseReplicator
from litefleet.service.notify import notify
from litefleet.sqlite import Watcher

log = logging.getLogger("litefleet.service")


async def replicate_once(settings: Settings) -> None:
    """Bring every bucket up to date and return; raises the first error."""
    async with _replicators(settings) as replicators:
        try:
            async with asyncio.TaskGroup() as tasks:
                for replicator in replicators:
                    tasks.create_task(replicator.once())
        except* LitefleetError as group:
            raise first_error(group) from None


async def replicate_forever(settings: Settings) -> None:
    """Until SIGTERM or SIGINT, then sync the tail.

    Raises NotDurable if the last transactions of a database were not acknowledged; and before anything is started, the
    error of a server or bucket that cannot be used.
    """
    async with _replicators(settings) as replicators:
        with _stopped_by_signals(replicators):
            waiting = {replicator.settings.path for replicator in replicators}

            def ready(replicator: DatabaseReplicator) -> None:
                if replicator.settings.path in waiting:
                    waiting.discard(replicator.settings.path)
                    if not waiting:
                        log.info("Replicating %d databases", len(replicators))
                        notify("READY=1", f"STATUS=Replicating {len(replicators)} databases")

            try:
                # A database whose tail was not acknowledged must not keep the others from sending theirs.
                async with asyncio.TaskGroup() as tasks:
                    running = [tasks.create_task(_outcome(replicator, ready)) for replicator in replicators]
            except* LitefleetError as group:
                raise first_error(group) from None
            failures = [failure for task in running if (failure := task.result()) is not None]
            for failure in failures[1:]:
                log.error("%s", failure)
            if failures:
                raise failures[0]
    log.info("Stopped; every committed transaction is acknowledged")


async def _outcome(replicator: DatabaseReplicator, ready: Callable[[DatabaseReplicator], None]) -> NotDurable | None:
    try:
        await replicator.run(lambda: ready(replicator))
    except NotDurable as failure:
        return failure
    return None


@asynccontextmanager
async def _replicators(settings: Settings) -> AsyncIterator[list[DatabaseReplicator]]:
    """One replicator per database, each bucket checked; databases with the same server share a connection."""
    async with AsyncExitStack() as stack:
        connections: dict[Server, Connection] = {}
        executor = stack.enter_context(ThreadPoolExecutor(min(32, 4 + (os.cpu_count() or 1)), "sqlite"))
        watcher = stack.enter_context(Watcher())
        replicators = []
        for database in settings.databases:
            server = database.replica.server
            if server not in connections:
                connections[server] = await stack.enter_async_context(Connection.open(server))
            store = ObjectStore(connections[server], database.replica.bucket)
            await store.check()
            replicators.append(
                DatabaseReplicator(
                    database,
                    store,
                    watcher,
                    executor,
                    snapshot_interval=settings.snapshot_interval,
                    shutdown_timeout=settings.shutdown_sync_timeout,
                )
            )
        yield replicators


@contextmanager
def _stopped_by_signals(replicators: list[DatabaseReplicator]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        log.info("%s: sending the last transactions", number.name)
        notify("STOPPING=1")
        for replicator in replicators:
            replicator.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
