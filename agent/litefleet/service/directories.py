"""Directories of databases: found at the start, and followed while databases appear and disappear."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from inotify_simple import Event, INotify, flags

from litefleet.config.directories import expand
from litefleet.config.settings import Database, Directory
from litefleet.errors import LitefleetError
from litefleet.service.tree import Changes, Tree

log = logging.getLogger("litefleet.service")

#: Seconds in which changes are collected: files are made in steps, and many at a time.
DEBOUNCE = 0.25
#: Seconds after which a database that could not be added is tried again.
RETRY = 60.0

_MASK = (
    flags.CREATE
    | flags.MOVED_TO
    | flags.CLOSE_WRITE
    | flags.DELETE
    | flags.MOVED_FROM
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)
_PLACE_ENDED = flags.DELETE_SELF | flags.MOVE_SELF | flags.IGNORED | flags.UNMOUNT

Found = Callable[[Database], Awaitable[object]]
Gone = Callable[[Path], Awaitable[object]]


def scan(directory: Directory, *, others: Iterable[Path] = ()) -> list[Path]:
    """The databases in a directory now, in order; blocks. ``others`` are databases with an entry of their own."""
    return sorted(Tree(directory, _owners(others)).look().found)


async def follow(directories: Sequence[Directory], found: Found, gone: Gone, *, others: Iterable[Path] = ()) -> None:
    """Report what is in the directories, then what appears and disappears; runs until it is cancelled.

    ``found`` may raise a LitefleetError for a database that cannot be replicated: it is logged once and tried again
    later. ``others`` are databases with an entry of their own, which are left alone.
    """
    async with _notifications() as notifications:
        follower = _Follower(directories, found, gone, await asyncio.to_thread(_owners, others), notifications)
        await follower.run()


def _owners(others: Iterable[Path]) -> dict[str, Path]:
    return {os.path.realpath(other): other for other in others}


class _Watched(NamedTuple):
    tree: Tree
    place: Path


class _Notifications:
    """One inotify instance for all directories; without one, ``inotify`` is None and ``changed`` is never set."""

    def __init__(self, inotify: INotify | None) -> None:
        self.inotify = inotify
        self.changed = asyncio.Event()
        self._events: list[Event] = []
        self._watched: dict[int, set[_Watched]] = {}
        self._numbers: dict[_Watched, int] = {}

    def drain(self) -> None:
        """Take what the kernel has."""
        assert self.inotify is not None
        self._events += self.inotify.read(timeout=0)
        self.changed.set()

    def take(self) -> list[tuple[Event, set[_Watched]]]:
        """Events since the last call, and whom they concern; an overflow concerns everybody."""
        self.changed.clear()
        events, self._events = self._events, []
        everybody = set(self._numbers)
        taken = [
            (event, everybody if event.mask & flags.Q_OVERFLOW else self._watched.get(event.wd, set()).copy())
            for event in events
        ]
        for event in events:
            if event.mask & flags.IGNORED:
                for one in self._watched.pop(event.wd, ()):
                    del self._numbers[one]
        return taken

    def watch(self, tree: Tree, place: Path) -> bool:
        """Watch a place from now on; False if that cannot be. Another directory of the same name is watched anew."""
        if self.inotify is None:
            return False
        one = _Watched(tree, place)
        try:
            number = int(self.inotify.add_watch(place, _MASK))
        except OSError as error:
            self.unwatch(tree, place)
            return error.errno in (errno.ENOENT, errno.ENOTDIR)  # then there is nothing to watch
        if self._numbers.get(one) != number:
            self.unwatch(tree, place)
            self._numbers[one] = number
            self._watched.setdefault(number, set()).add(one)
        return True

    def unwatch(self, tree: Tree, place: Path) -> None:
        """Stop watching a place."""
        number = self._numbers.pop(_Watched(tree, place), None)
        if number is None:
            return
        waiting = self._watched[number]
        waiting.discard(_Watched(tree, place))
        if not waiting:
            del self._watched[number]
            # A directory that is gone took its watch along.
            with suppress(OSError):
                assert self.inotify is not None
                self.inotify.rm_watch(number)


@asynccontextmanager
async def _notifications() -> AsyncIterator[_Notifications]:
    try:
        inotify = INotify(nonblocking=True)
    except OSError as error:
        log.warning(
            "No notification for directories (%s): polling; raise fs.inotify.max_user_instances", error.strerror
        )
        yield _Notifications(None)
        return
    notifications = _Notifications(inotify)
    loop = asyncio.get_running_loop()
    loop.add_reader(inotify.fd, notifications.drain)
    try:
        yield notifications
    finally:
        loop.remove_reader(inotify.fd)
        inotify.close()


class _Follower:
    """Looks where something happened, one look at a time, and reports."""

    def __init__(
        self,
        directories: Sequence[Directory],
        found: Found,
        gone: Gone,
        owners: dict[str, Path],
        notifications: _Notifications,
    ) -> None:
        self._found, self._gone = found, gone
        self._notifications = notifications
        self._trees = [Tree(one, owners, self._watch, notifications.unwatch) for one in directories]
        #: Trees with a place that cannot be watched.
        self._polled: set[Tree] = set()
        #: Files that are no member yet, with the reason that was logged.
        self._refused: dict[Path, tuple[Tree, str]] = {}
        self._retry_at = 0.0

    async def run(self) -> None:
        """Until it is cancelled."""
        places: dict[Tree, set[Path]] = {tree: set() for tree in self._trees}
        while True:
            for tree, dirty in places.items():
                await self._report(tree, await self._look(tree, dirty))
            await self._retry()
            places = await self._wait()

    async def _look(self, tree: Tree, places: set[Path]) -> Changes:
        """As ``Tree.look``. A cancelled caller still waits for its end: it uses descriptors that are about to close."""
        call = asyncio.get_running_loop().run_in_executor(None, tree.look, places)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await asyncio.wait([call])
            raise

    async def _wait(self) -> dict[Tree, set[Path]]:
        """Until there is something to look at: where, by tree."""
        loop = asyncio.get_running_loop()
        while True:
            pause = self._pause()
            deadline = None if pause is None else loop.time() + pause
            dirty: dict[Tree, set[Path]] = {}
            while not dirty:
                try:
                    async with asyncio.timeout_at(deadline):
                        await self._notifications.changed.wait()
                except TimeoutError:
                    break
                self._collect(dirty)
            if dirty:
                await asyncio.sleep(DEBOUNCE)
                self._collect(dirty)
                return dirty
            for tree in self._trees:
                if due := set(tree.places()) | {tree.root} if tree in self._polled else tree.unsettled:
                    dirty[tree] = set(due)
            return dirty

    def _pause(self) -> float | None:
        """Seconds until a look without an event is due; None for never."""
        pauses = [
            tree.directory.template.monitor_interval for tree in self._trees if tree in self._polled or tree.unsettled
        ]
        if self._refused:
            pauses.append(max(0.0, self._retry_at - asyncio.get_running_loop().time()))
        return min(pauses, default=None)

    def _collect(self, dirty: dict[Tree, set[Path]]) -> None:
        for event, watched in self._notifications.take():
            for tree, place in watched:
                if _matters(event, tree, place):
                    dirty.setdefault(tree, set()).add(place)

    def _watch(self, tree: Tree, place: Path) -> None:
        if self._notifications.watch(tree, place) or tree in self._polled:
            return
        self._polled.add(tree)
        if self._notifications.inotify is not None:
            log.warning("No notification for %s: polling; raise fs.inotify.max_user_watches", place)

    async def _report(self, tree: Tree, changes: Changes) -> None:
        for file in changes.gone:
            if self._refused.pop(file, None) is None:
                await self._say_gone(file)
        for file in changes.found:
            await self._try(tree, file)
        if changes.gone:
            # What was in the way of others may be what is gone.
            self._retry_at = 0.0
            for other in self._trees:
                other.unsettled.update(other.aliased())

    async def _say_gone(self, file: Path) -> None:
        try:
            await self._gone(file)
        except LitefleetError as error:
            log.warning("%s: was removed from its directory: %s", file, error)

    async def _try(self, tree: Tree, file: Path) -> None:
        try:
            await self._found(expand(tree.directory, file))
        except LitefleetError as error:
            before = self._refused.get(file)
            self._refused[file] = (tree, str(error))
            self._retry_at = self._retry_at or asyncio.get_running_loop().time() + RETRY
            if before is None or before[1] != str(error):
                log.warning("%s: is not replicated: %s", file, error)
            return
        if self._refused.pop(file, None) is not None:
            log.info("%s: is replicated now", file)

    async def _retry(self) -> None:
        if not self._refused or asyncio.get_running_loop().time() < self._retry_at:
            return
        self._retry_at = 0.0
        for file, (tree, _) in list(self._refused.items()):
            await self._try(tree, file)


def _matters(event: Event, tree: Tree, place: Path) -> bool:
    if event.mask & (_PLACE_ENDED | flags.Q_OVERFLOW):
        return True
    if event.mask & flags.ISDIR:
        return tree.directory.recursive
    return tree.concerns(place, event.name, closed=bool(event.mask & flags.CLOSE_WRITE))
