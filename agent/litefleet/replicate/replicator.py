"""Keep one database's copy in its bucket up to date, whatever happens to either."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack

from litefleet.config.settings import Database
from litefleet.errors import (
    BucketLost,
    BucketTaken,
    DatabaseError,
    LitefleetError,
    NatsError,
    NotDurable,
    ObjectExists,
)
from litefleet.replicate.backoff import Backoff
from litefleet.replicate.blocking import Worker
from litefleet.replicate.figures import Figures
from litefleet.replicate.openings import Openings
from litefleet.replicate.pipeline import Pipeline
from litefleet.replicate.schedule import Schedule
from litefleet.replicate.spool import SpoolFull
from litefleet.replicate.waiters import Waiters
from litefleet.replicate.walguard import WalGuard
from litefleet.sqlite import Watcher
from litefleet.sqlite.files import companion

log = logging.getLogger("litefleet.replicate")

#: A commit becomes visible a moment after its last write to the WAL woke us: look again this soon, then ever later.
_FIRST_LOOK, _LAST_LOOK = 0.001, 1.0
_FILE_POLL = 60.0
#: Seconds between two files of the spool, and between attempts to add to a full one.
_SPOOL_PAUSE, _SPOOL_RETRY = 1.0, 10.0


class WalLetGo(LitefleetError):
    """The WAL grew beyond its limit while nothing could be captured: the application has it to itself again."""

    retryable = True


class DatabaseReplicator:
    """One database: ``run`` until told to stop, or ``once``."""

    def __init__(
        self,
        settings: Database,
        pipeline: Pipeline,
        watcher: Watcher,
        *,
        work: Worker,
        schedule: Schedule,
        figures: Figures,
        openings: Openings,
        starting: asyncio.Semaphore,
        shutdown_timeout: float = 30.0,
    ) -> None:
        """``shutdown_timeout`` is the seconds that ``stop`` leaves for the last transactions.

        ``starting`` bounds how many databases are opened at once.
        """
        self.settings = settings
        self.figures = figures
        self._pipeline = pipeline
        self._watcher = watcher
        self._work = work
        self._schedule = schedule
        self._openings = openings
        self._starting = starting
        self._guard = WalGuard(settings.path, settings.wal_limit, figures)
        self._wake, self._stop = asyncio.Event(), asyncio.Event()
        self._letting_go = False
        self._spool_full = False
        self._suspicion: bool | None = None
        self._waiting = Waiters()
        self._failure = ""
        self._durable = self._ended = False
        self._limit: asyncio.Timeout | None = None
        self._shutdown_timeout = shutdown_timeout

    # what others ask for

    def stop(self) -> None:
        """Ask ``run`` to sync a last time and end."""
        self._stop.set()
        self._wake.set()
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._shutdown_timeout)

    def note_connected(self) -> None:
        """The server answers again."""
        self._pipeline.link.note_connected()
        self._wake.set()

    def suspect(self, *, compare: bool) -> None:
        """Something may have happened to the bucket: look at it soon; ``compare`` object for object."""
        self._suspicion = bool(self._suspicion) or compare
        self._pipeline.link.note_connected()
        self._wake.set()

    async def flush(self) -> None:
        """Until everything that was committed at the call is acknowledged; bound it."""
        if self._ended:
            raise self._not_durable()
        self._wake.set()
        await self._waiting.wait()

    # life

    async def once(self) -> None:
        """Bring the bucket up to date, and end."""
        async with self._opened():
            await self._pipeline.locate()
            await self._pipeline.sync()
            await self._pipeline.snapshot()
            if not self._pipeline.caught_up and self._pipeline.link.outage is not None:
                raise self._pipeline.link.outage
            await self._leave_mark()

    async def run(self, ready: Callable[[], None]) -> None:
        """Until ``stop`` is called; calls ``ready`` once the database is followed, or it is known why it is not.

        Raises NotDurable if the last transactions could not be acknowledged, BucketTaken if the bucket is another's.
        """
        try:
            async with asyncio.timeout(None) as self._limit:
                await self._run(ready)
        except TimeoutError:
            if self._durable:
                return
            outage = self._pipeline.link.outage
            self._failure = self._failure or (str(outage) if outage else f"no answer from {self.settings.replica.url}")
        except BucketTaken as error:
            self._failed(error)
            self.figures.state = "failed"
            ready()
            raise
        finally:
            self._limit = None
            self._ended = True
            self._waiting.fail(self._not_durable())
        if self._failure:
            spooled = len(self._pipeline.link.spool)
            where = f"{spooled} files wait in the spool" if spooled else "the database holds them"
            raise NotDurable(
                f"{self.settings.path}: the last transactions are not acknowledged: {self._failure}",
                hint=f"{where}; start the agent again once the cause is gone",
            )

    async def _run(self, ready: Callable[[], None]) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                if not await self._work(self.settings.path.exists):
                    await self._wait_for_file(ready)
                    continue
                async with AsyncExitStack() as turn:
                    await turn.enter_async_context(self._starting)
                    await self._openings.room()
                    async with self._opened():
                        await self._follow(ready, backoff, turn)
                        if self._stop.is_set():
                            await self._finish()
                            self.figures.state = "stopped"
                            return
                await self._sleep_released()
                if self._stop.is_set():
                    await self._finish_released()
                    self.figures.state = "stopped"
            except WalLetGo as error:
                self._failed(error)
                await self._wait_for_bucket()
            except BucketTaken:
                raise
            except LitefleetError as error:
                self._failed(error)
                ready()
                await backoff.wait(self._stop)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        await self._pipeline.attach()
        self._openings.busy(self.settings.path)
        try:
            yield
        finally:
            await self._pipeline.detach()
            self._openings.closed(self.settings.path)

    async def _follow(self, ready: Callable[[], None], backoff: Backoff, turn: AsyncExitStack) -> None:
        """Until stopped or released. What failed is tried again; a database that is not what it was is opened again.

        Others have their ``turn`` to be opened after the first round.
        """
        with self._watcher.written(companion(self.settings.path, "-wal"), self._wake) as notified:
            await self._round(backoff)
            await turn.aclose()
            ready()
            while not self._stop.is_set():
                if await self._next_change(notified=notified):
                    return
                await self._round(backoff)

    async def _round(self, backoff: Backoff) -> None:
        """Do what is to be done now. Raises BucketTaken, WalLetGo, and DatabaseError if it has to be opened again."""
        waiting = self._waiting.now()
        try:
            await self._work_through()
            self._works()
            self._spool_full = False
            backoff.reset()
        except (BucketLost, ObjectExists) as error:
            self._failed(error)
            self._pipeline.start_over()
            if isinstance(error, ObjectExists):
                await backoff.wait(self._stop)
        except NatsError as error:
            self._pipeline.link.note_outage(error)
        except SpoolFull as error:
            self._spool_full = True
            self._failed(error)
        except LitefleetError as error:
            if isinstance(error, DatabaseError) and not error.retryable:
                raise
            self._failed(error)
            await backoff.wait(self._stop)
        await self._take_stock(waiting)

    async def _work_through(self) -> None:
        pipeline, link = self._pipeline, self._pipeline.link
        await link.attempt()
        if not link.located and link.until_attempt() <= 0:
            try:
                await pipeline.locate(whole=self._failure != "")
            except NatsError as error:
                link.note_outage(error)
        if not link.located:
            await pipeline.locate_without_bucket()
        if link.up and self._suspicion is not None:
            await self._check()
        if pipeline.can_capture:
            await pipeline.sync()
            await pipeline.checkpoint()
            await pipeline.snapshot()

    async def _check(self) -> None:
        """Look at what somebody may have done to the bucket. Raises BucketLost, BucketTaken; what else fails, later."""
        compare, self._suspicion = bool(self._suspicion), None
        try:
            await self._pipeline.check(compare=compare)
        except (BucketLost, BucketTaken):
            raise
        except NatsError:
            self._suspicion = bool(self._suspicion) or compare
            raise

    async def _take_stock(self, waiting: tuple[asyncio.Future[None], ...]) -> None:
        """Note how things stand, tell those who waited for it, and let the WAL go where it must be."""
        pipeline, link, figures = self._pipeline, self._pipeline.link, self.figures
        over = await self._work(pipeline.look_at_wal, self._guard)
        if pipeline.caught_up and link.outage is None and not self._failure:
            if figures.state != "replicating":
                figures.state, figures.problem = "replicating", ""
            self._waiting.done(waiting)
        elif link.outage is not None:
            figures.state, figures.problem = "outage", self._failure or str(link.outage)
        if over and (not pipeline.can_capture or self._spool_full):
            raise WalLetGo(
                f"The WAL of {self.settings.path} is beyond `wal-limit`, and nothing can be captured",
                hint="the application may reuse it now; a full copy follows once the bucket can be reached",
            )

    async def _next_change(self, *, notified: bool) -> bool:
        """Wait for something to do; whether it is to let go of the files."""
        link = self._pipeline.link
        pause = self.settings.replica.sync_interval
        if self._spool_full:
            pause = max(pause, _SPOOL_RETRY)
        elif not link.up:
            pause = max(pause, _SPOOL_PAUSE)
        if pause > 0:
            await self._pause(pause)
        look = _FIRST_LOOK
        while not self._stop.is_set():
            self._wake.clear()
            if await self._has_work():
                return False
            idle = look >= _LAST_LOOK
            if idle and await self._may_let_go():
                return True
            woken = await self._woken(self._longest_wait(notified=notified) if idle else look)
            look = _FIRST_LOOK if woken else min(_LAST_LOOK, look * 2)
        return False

    async def _has_work(self) -> bool:
        link = self._pipeline.link
        if self._stop.is_set() or self._waiting or (self._suspicion is not None and link.up):
            return True
        if link.due:
            return True
        if await self._pipeline.pending():
            self._openings.busy(self.settings.path)
            return True
        return link.up and self._schedule.idle() <= 0

    def _longest_wait(self, *, notified: bool) -> float:
        link = self._pipeline.link
        longest = max(0.0, self._schedule.idle())
        if not link.up:
            longest = min(max(longest, _SPOOL_PAUSE), max(0.01, link.until_attempt()))
        return longest if notified else min(longest, self.settings.monitor_interval)

    async def _pause(self, seconds: float) -> None:
        """So long, or until asked for something."""
        end = asyncio.get_running_loop().time() + seconds
        while not (self._stop.is_set() or self._waiting or (self._suspicion is not None and self._pipeline.link.up)):
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return
            self._wake.clear()
            await self._woken(left)

    async def _woken(self, seconds: float) -> bool:
        """Wait so long; whether something woke us before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
                return True
        return False

    # databases without open files

    async def _may_let_go(self) -> bool:
        """Idle: whether the files are to be closed, because others need the room, and can be."""
        if self._letting_go:
            self._letting_go = False
            if self._pipeline.caught_up and await self._pipeline.release():
                return True
            # Written to only a moment ago: it, or another, is asked again.
        if self._pipeline.caught_up:
            self._openings.idle(self.settings.path, self._let_go)
        return False

    def _let_go(self) -> None:
        self._letting_go = True
        self._wake.set()

    async def _sleep_released(self) -> None:
        """Until one of the database's files changes, or somebody asks for something. It costs no descriptor."""
        path = self.settings.path
        with ExitStack() as stack:
            notified = all(
                [
                    stack.enter_context(self._watcher.written(path, self._wake)),
                    stack.enter_context(self._watcher.written(companion(path, "-wal"), self._wake)),
                ]
            )
            self._wake.clear()
            if not await self._work(self._pipeline.unchanged):
                return
            while not (self._stop.is_set() or self._waiting):
                left = self._schedule.idle() if notified else self.settings.monitor_interval
                if self._suspicion is not None:
                    if self._pipeline.link.until_attempt() <= 0 and not await self._is_well():
                        return
                    left = min(left, max(0.01, self._pipeline.link.until_attempt()))
                await self._woken(left)
                self._wake.clear()
                if self._schedule.idle() <= 0 or not await self._work(self._pipeline.unchanged):
                    return

    async def _is_well(self) -> bool:
        """A look at the bucket needs no file; whether it has lost nothing, as far as can be seen now."""
        try:
            await self._check()
        except BucketLost as error:
            self._failed(error)
            self._pipeline.start_over()
            return False
        except NatsError as error:
            self._pipeline.link.note_outage(error)
            return True
        self._pipeline.link.note_success()
        self.figures.state, self.figures.problem = "replicating", ""
        return True

    async def _finish_released(self) -> None:
        """Whatever was written just before the end is sent too."""
        if await self._work(self._pipeline.unchanged):
            await self._leave_mark()
            return
        async with self._opened():
            await self._finish()

    async def _wait_for_bucket(self) -> None:
        """With the files closed, until the bucket can be reached."""
        link = self._pipeline.link
        while not self._stop.is_set():
            await link.attempt()
            if link.outage is None or link.until_attempt() <= 0:
                return
            self._wake.clear()
            await self._woken(max(0.01, link.until_attempt()))

    async def _wait_for_file(self, ready: Callable[[], None]) -> None:
        path = self.settings.path
        log.warning("%s: does not exist yet; waiting for it", path)
        self.figures.state, self.figures.problem = "waiting", "the file does not exist"
        ready()
        with self._watcher.appeared(path.parent, self._wake) as notified:
            poll = _FILE_POLL if notified else self.settings.monitor_interval
            while not self._stop.is_set():
                self._wake.clear()
                if self._stop.is_set() or await self._work(path.exists):
                    return
                await self._woken(poll)

    # the end

    async def _finish(self) -> None:
        """Sync a last time. The WAL stays as it is, so the next start finds whatever could not be sent."""
        backoff = Backoff()
        while True:
            await self._round(backoff)
            if self._pipeline.caught_up and not self._failure:
                self._durable = True
                break
            link = self._pipeline.link
            pause = max(0.05, min(1.0, link.until_attempt()))
            link.note_connected()
            await asyncio.sleep(pause)
        await self._leave_mark()

    async def _leave_mark(self) -> None:
        """Spare the next start a full copy; without it nothing is lost but time."""
        try:
            await self._pipeline.leave_mark()
        except LitefleetError as error:
            log.info("%s: the next start may take a full copy: %s", self.settings.path, error)

    def _not_durable(self) -> NotDurable:
        return NotDurable(f"{self.settings.path}: not acknowledged: {self.figures.problem or 'it was stopped'}")

    def _failed(self, error: LitefleetError) -> None:
        """Say each new failure once."""
        self.figures.errors[type(error).__name__] += 1
        self.figures.problem = str(error)
        if self.figures.state != "outage":
            self.figures.state = "failed"
        if str(error) != self._failure:
            self._failure = str(error)
            log.error("%s: %s", self.settings.path, error)

    def _works(self) -> None:
        if self._failure:
            self._failure = ""
            log.info("%s: works again", self.settings.path)
