"""Everything the agent does for one database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor

from litefleet.bucket import Catalogue
from litefleet.bucket.plan import plan
from litefleet.config.settings import Database, Settings
from litefleet.errors import NoBackup, NotDurable
from litefleet.nats.objects import ObjectStore
from litefleet.replicate import DatabaseReplicator, Ledger, Maintainer
from litefleet.replicate.blocking import Worker
from litefleet.replicate.retain import Policy
from litefleet.restore import restore
from litefleet.sqlite import Watcher

log = logging.getLogger("litefleet.service")


class Protection:
    """Restored first if it is missing and that was asked for, then replicated; its bucket kept small meanwhile."""

    def __init__(
        self, database: Database, store: ObjectStore, watcher: Watcher, executor: Executor, settings: Settings
    ) -> None:
        self.database = database
        self._store = store
        ledger = Ledger()
        self._replicator = DatabaseReplicator(
            database,
            store,
            watcher,
            executor,
            ledger,
            snapshot_interval=settings.snapshot_interval,
            shutdown_timeout=settings.shutdown_sync_timeout,
        )
        self._maintainer = Maintainer(
            database.path,
            store,
            ledger,
            Worker(executor),
            levels=settings.levels,
            policy=Policy(settings.snapshot_retention, settings.l0_retention) if settings.retention_enabled else None,
        )

    def stop(self) -> None:
        """Ask ``run`` to sync a last time and end."""
        self._replicator.stop()

    async def once(self) -> None:
        """Bring the bucket up to date, and end."""
        await self._restore_missing()
        await self._replicator.once()

    async def run(self, ready: Callable[[], None]) -> NotDurable | None:
        """Until ``stop``. The result tells what was not acknowledged, so that other databases go on with theirs."""
        await self._restore_missing()
        failure: NotDurable | None = None
        async with asyncio.TaskGroup() as tasks:
            maintenance = tasks.create_task(self._maintainer.run())
            try:
                await self._replicator.run(ready)
            except NotDurable as error:
                failure = error
            finally:
                maintenance.cancel()
        return failure

    async def _restore_missing(self) -> None:
        path = self.database.path
        if not self.database.restore_if_db_not_exists or await asyncio.to_thread(path.exists):
            return
        try:
            chosen = plan(Catalogue.of((await self._store.list()).objects))
        except NoBackup as error:
            log.info("%s: does not exist, and cannot be restored: %s", path, error.message)
            return
        restored = await restore(self._store, chosen, path)
        log.info("%s: did not exist; restored TXID %016x, %d bytes", path, restored.txid, restored.size)
