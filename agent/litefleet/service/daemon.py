"""The agent's process: a fleet, its metrics and its control socket, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager

from litefleet.config.settings import Settings
from litefleet.errors import LitefleetError, first_error
from litefleet.service.control import listening
from litefleet.service.fleet import Fleet
from litefleet.service.metrics import Metrics, serving
from litefleet.service.notify import notify
from litefleet.service.watchdog import watchdog

log = logging.getLogger("litefleet.service")


async def replicate_once(settings: Settings, *, takeover: bool = False) -> None:
    """Bring every bucket up to date and return; raises the first error."""
    try:
        async with Fleet.running(settings, lambda: settings, observe=lambda *_: None, takeover=takeover) as fleet:
            await fleet.once()
    except* LitefleetError as group:
        raise first_error(group) from None


async def replicate_forever(settings: Settings, load: Callable[[], Settings], *, takeover: bool = False) -> None:
    """Until SIGTERM or SIGINT, then sync the tail; SIGHUP calls ``load`` and applies what it returns.

    Raises NotDurable if the last transactions of a database were not acknowledged; BucketTaken if every bucket is
    another's; and, once everything was tried, the error that keeps all databases from their buckets, unless it is a
    server that does not answer yet.
    """
    metrics = Metrics()
    try:
        async with (
            Fleet.running(settings, load, observe=metrics.observe, takeover=takeover) as fleet,
            AsyncExitStack() as stack,
        ):
            if settings.addr:
                await stack.enter_async_context(serving(settings.addr, fleet, metrics))
            if settings.socket.path is not None:
                await stack.enter_async_context(listening(settings.socket, fleet))
            failures = await _run(fleet)
    except* LitefleetError as group:
        raise first_error(group) from None
    for failure in failures[1:]:
        log.error("%s", failure)
    if failures:
        raise failures[0]
    log.info("Stopped; every committed transaction is acknowledged")


async def _run(fleet: Fleet) -> list[LitefleetError]:
    reload = asyncio.Event()
    with _signals(fleet, reload):
        await fleet.start()
        async with asyncio.TaskGroup() as tasks:
            helpers = [
                tasks.create_task(_announce(fleet)),
                tasks.create_task(_reload(fleet, reload)),
                tasks.create_task(watchdog(fleet)),
            ]
            failures = await fleet.ended()
            for helper in helpers:
                helper.cancel()
    return failures


async def _announce(fleet: Fleet) -> None:
    await fleet.ready()
    log.info("Replicating %d databases", len(fleet.figures()))
    notify("READY=1")


async def _reload(fleet: Fleet, asked: asyncio.Event) -> None:
    while True:
        await asked.wait()
        asked.clear()
        try:
            reloaded = await fleet.reload()
        except LitefleetError as error:
            log.error("Not reloaded: %s", error)  # noqa: TRY400 -- a line for the log, without a traceback
        else:
            if reloaded.note:
                log.warning("%s", reloaded.note)


@contextmanager
def _signals(fleet: Fleet, reload: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        log.info("%s: sending the last transactions", number.name)
        notify("STOPPING=1")
        fleet.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
