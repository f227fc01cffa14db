"""Everything the agent does for one database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from litefleet.bucket import Catalogue
from litefleet.bucket.plan import plan
from litefleet.config.settings import Database, Settings
from litefleet.errors import BucketTaken, LitefleetError, NatsError, NoBackup, NotDurable
from litefleet.replicate import DatabaseReplicator, Ledger, Maintainer
from litefleet.replicate.backoff import Backoff
from litefleet.replicate.blocking import Worker
from litefleet.replicate.figures import Figures, Observer
from litefleet.replicate.link import Link, Target
from litefleet.replicate.openings import Openings
from litefleet.replicate.pipeline import Pipeline
from litefleet.replicate.retain import Policy
from litefleet.replicate.schedule import Schedule
from litefleet.replicate.spool import Spool, SpoolBudget
from litefleet.restore import restore
from litefleet.sqlite import Watcher

log = logging.getLogger("litefleet.service")

#: Seconds before a database is tried again that met a defect.
_DEFECT_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What all databases of an agent have in common."""

    watcher: Watcher
    executor: Executor
    budget: SpoolBudget
    openings: Openings
    #: Databases that are opened at the same time.
    starting: asyncio.Semaphore
    observe: Observer


class Protection:
    """Restored first if it is missing and that was asked for, then replicated; its bucket kept small meanwhile."""

    def __init__(self, database: Database, target: Target, shared: Shared, settings: Settings) -> None:
        self.database = database
        self.figures = Figures(database.path, database.replica.url)
        self._store = target.store
        self._stopped = asyncio.Event()
        ledger = Ledger()
        work = Worker(shared.executor)
        schedule = Schedule(database, settings.snapshot_interval)
        spool = Spool(settings.spool.path, f"{database.path}\n{database.replica.url}", shared.budget)
        self._spool, self._work = spool, work
        self.link = Link(
            database.path, target, spool, ledger=ledger, work=work, figures=self.figures, observe=shared.observe
        )
        pipeline = Pipeline(
            database,
            target.store,
            self.link,
            ledger=ledger,
            work=work,
            schedule=schedule,
            figures=self.figures,
            observe=shared.observe,
        )
        self.replicator = DatabaseReplicator(
            database,
            pipeline,
            shared.watcher,
            work=work,
            schedule=schedule,
            figures=self.figures,
            openings=shared.openings,
            starting=shared.starting,
            shutdown_timeout=settings.shutdown_sync_timeout,
        )
        self._maintainer = Maintainer(
            database.path,
            target.store,
            ledger,
            Worker(shared.executor),
            levels=settings.levels,
            policy=Policy(settings.snapshot_retention, settings.l0_retention) if settings.retention_enabled else None,
            figures=self.figures,
            observe=shared.observe,
            usable=lambda: self.link.up,
            taken=lambda: self.replicator.suspect(compare=True),
            sweep_due=target.view.sweep_due,
        )

    def stop(self) -> None:
        """Ask ``run`` to sync a last time and end."""
        self._stopped.set()
        self.replicator.stop()

    async def once(self) -> None:
        """Bring the bucket up to date, and end."""
        # Before the database is touched at all.
        await self._store.check()
        await self._restore_missing()
        await self._work(self._spool.load)
        await self.replicator.once()

    async def run(self, ready: Callable[[], None]) -> LitefleetError | None:
        """Until ``stop``. The result is why it ended before, or what was not acknowledged: other databases go on."""
        while True:
            try:
                return await self._run(ready)
            except Exception as error:
                # A defect, seen in one database: the others must not suffer from it, and this one least of all.
                log.exception("%s: defect of litefleet, please report it; starting over", self.database.path)
                self.figures.state, self.figures.problem = "failed", f"defect: {error!r}"
                self.figures.errors[type(error).__name__] += 1
                ready()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DEFECT_PAUSE):
                    await self._stopped.wait()
                return NotDurable(f"{self.database.path}: not acknowledged: {self.figures.problem}")

    async def _run(self, ready: Callable[[], None]) -> LitefleetError | None:
        try:
            await self._restore_first(ready)
            await self._work(self._spool.load)
        except LitefleetError as error:
            self.figures.state, self.figures.problem = "failed", str(error)
            log.error("%s: %s", self.database.path, error)  # noqa: TRY400 -- said once, without a traceback
            ready()
            return error
        failure: LitefleetError | None = None
        async with asyncio.TaskGroup() as tasks:
            maintenance = tasks.create_task(self._maintainer.run())
            try:
                await self.replicator.run(ready)
            except (NotDurable, BucketTaken) as error:
                failure = error
            finally:
                maintenance.cancel()
        return failure

    async def _restore_first(self, ready: Callable[[], None]) -> None:
        """Restore a missing database; without its bucket nobody knows whether there is one to restore."""
        backoff = Backoff()
        while not self._stopped.is_set():
            try:
                await self._restore_missing()
                return
            except NatsError as error:
                self.link.note_outage(error)
                ready()
                await backoff.wait(self._stopped)

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
