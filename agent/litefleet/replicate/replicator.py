"""Keep one database's copy in its bucket up to date, whatever happens to either."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor

from litefleet.config.settings import Database
from litefleet.errors import DatabaseError, LitefleetError, NotDurable
from litefleet.nats.objects import ObjectStore
from litefleet.replicate.backoff import Backoff
from litefleet.replicate.blocking import Worker
from litefleet.replicate.ledger import Ledger
from litefleet.replicate.pipeline import Pipeline
from litefleet.replicate.schedule import Schedule
from litefleet.sqlite import LiveDatabase, Watcher
from litefleet.sqlite.files import companion

log = logging.getLogger("litefleet.replicate")

#: A commit becomes visible a moment after its last write to the WAL woke us: look again this soon, then ever later.
_FIRST_LOOK, _LAST_LOOK = 0.001, 1.0
_FILE_POLL = 60.0


class DatabaseReplicator:
    """One database: ``run`` until told to stop, or ``once``."""

    def __init__(
        self,
        settings: Database,
        store: ObjectStore,
        watcher: Watcher,
        executor: Executor,
        ledger: Ledger,
        *,
        snapshot_interval: float,
        shutdown_timeout: float = 30.0,
    ) -> None:
        """Both times are seconds; ``shutdown_timeout`` is what ``stop`` leaves for the last transactions."""
        self.settings = settings
        self._store = store
        self._ledger = ledger
        self._watcher = watcher
        self._work = Worker(executor)
        self._schedule = Schedule(settings, snapshot_interval)
        self._wake, self._stop = asyncio.Event(), asyncio.Event()
        self._failure = ""
        self._durable = False
        self._limit: asyncio.Timeout | None = None
        self._shutdown_timeout = shutdown_timeout

    async def once(self) -> None:
        """Bring the bucket up to date, and end."""
        async with self._opened() as pipeline:
            await pipeline.sync()
            await pipeline.snapshot()
            await self._leave_mark(pipeline)

    def stop(self) -> None:
        """Ask ``run`` to sync a last time and end."""
        self._stop.set()
        self._wake.set()
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._shutdown_timeout)

    async def run(self, ready: Callable[[], None]) -> None:
        """Until ``stop`` is called; calls ``ready`` once the database is followed, or it is known why it is not.

        Raises NotDurable if the last transactions could not be acknowledged.
        """
        try:
            async with asyncio.timeout(None) as self._limit:
                await self._run(ready)
        except TimeoutError:
            if self._durable:
                return
            self._failure = self._failure or f"no answer from {self.settings.replica.url}"
        finally:
            self._limit = None
        if self._failure:
            raise NotDurable(
                f"{self.settings.path}: the last transactions are not acknowledged: {self._failure}",
                hint="the database holds them; start the agent again once the cause is gone",
            )

    async def _run(self, ready: Callable[[], None]) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                if not await self._work(self.settings.path.exists):
                    await self._wait_for_file(ready)
                    continue
                async with self._opened() as pipeline:
                    await self._follow(pipeline, ready, backoff)
                    await self._finish(pipeline)
                    return
            except LitefleetError as error:
                self._failed(error)
                ready()
                await backoff.wait(self._stop)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[Pipeline]:
        settings = self.settings
        database = await self._work(lambda: LiveDatabase(settings.path, busy_timeout=settings.busy_timeout))
        try:
            pipeline = Pipeline(
                settings, database, self._store, ledger=self._ledger, work=self._work, schedule=self._schedule
            )
            await pipeline.locate()
            yield pipeline
        finally:
            await self._work(database.close)

    async def _follow(self, pipeline: Pipeline, ready: Callable[[], None], backoff: Backoff) -> None:
        """Until stopped. A failed request is tried again; a database that is not what it was is opened again."""
        with self._watcher.written(companion(self.settings.path, "-wal"), self._wake) as notified:
            while not self._stop.is_set():
                try:
                    await pipeline.sync()
                    await pipeline.checkpoint()
                    await pipeline.snapshot()
                    self._works()
                    backoff.reset()
                    ready()
                    await self._next_change(pipeline, notified=notified)
                except LitefleetError as error:
                    if isinstance(error, DatabaseError) and not error.retryable:
                        raise
                    self._failed(error)
                    await backoff.wait(self._stop)

    async def _next_change(self, pipeline: Pipeline, *, notified: bool) -> None:
        if self.settings.replica.sync_interval > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.replica.sync_interval):
                    await self._stop.wait()
        look = _FIRST_LOOK
        while not self._stop.is_set():
            self._wake.clear()
            if self._stop.is_set() or await pipeline.pending():
                return
            longest = self._schedule.idle()
            if longest <= 0:
                return
            if look < _LAST_LOOK:
                longest = min(longest, look)
            elif not notified:
                longest = min(longest, self.settings.monitor_interval)
            try:
                async with asyncio.timeout(longest):
                    await self._wake.wait()
                look = _FIRST_LOOK
            except TimeoutError:
                look = min(_LAST_LOOK, look * 2)

    async def _finish(self, pipeline: Pipeline) -> None:
        """Sync a last time. The WAL stays as it is, so the next start finds whatever could not be sent."""
        backoff = Backoff()
        never = asyncio.Event()
        while True:
            try:
                await pipeline.sync()
                self._works()
                self._durable = True
                break
            except LitefleetError as error:
                self._failed(error)
                await backoff.wait(never)
        await self._leave_mark(pipeline)

    async def _leave_mark(self, pipeline: Pipeline) -> None:
        """Spare the next start a full copy; without it nothing is lost but time."""
        try:
            await pipeline.leave_mark()
        except LitefleetError as error:
            log.info("%s: the next start may take a full copy: %s", self.settings.path, error)

    async def _wait_for_file(self, ready: Callable[[], None]) -> None:
        path = self.settings.path
        log.warning("%s: does not exist yet; waiting for it", path)
        ready()
        with self._watcher.appeared(path.parent, self._wake) as notified:
            poll = _FILE_POLL if notified else self.settings.monitor_interval
            while not self._stop.is_set():
                self._wake.clear()
                if self._stop.is_set() or await self._work(path.exists):
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(poll):
                        await self._wake.wait()

    def _failed(self, error: LitefleetError) -> None:
        """Say each new failure once."""
        if str(error) != self._failure:
            self._failure = str(error)
            log.error("%s: %s", self.settings.path, error)

    def _works(self) -> None:
        if self._failure:
            self._failure = ""
            log.info("%s: works again", self.settings.path)
